"""The one way from a Python function to a TensorFlow graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["graph_of"]


def graph_of(
    function: Callable[..., Any],
    inputs: Sequence[tf.TensorSpec] | None = None,
    inline: bool = True,
) -> tf.types.experimental.GenericFunction:
    """The function as a graph, traced once for each kind of input and again only where it must be.

    Its source is not rewritten (`autograph`), which would take as long as tracing itself: what
    depends on a tensor's value is written with `tf.cond`, `tf.where` or `tf.while_loop`, and a
    Python `if` on a tensor is an error of TensorFlow's.

    Args:
      function: of tensors.
      inputs: their kinds, where they are known; only these are taken then.
      inline: copy it into each graph that calls it, which suits what is called once. A graph that
        is called at many places of another is optimised once if it is left as it is.
    """
    return tf.function(
        function,
        input_signature=inputs,
        autograph=False,
        reduce_retracing=True,
        experimental_attributes=None if inline else {"_noinline": True},
    )
