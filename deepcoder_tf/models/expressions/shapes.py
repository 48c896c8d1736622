"""Shapes of maps of features, without computing one."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from deepcoder_tf.graphs import graph_of

__all__ = ["traced_shapes"]


def traced_shapes(function: Callable[[tf.Tensor], object], side: int) -> list[tuple[int, ...]]:
    """Shapes of what a function of pictures returns.

    Args:
      function: of `[B, side, side, 3]` float32 to one tensor or several.
      side: pixels.

    Returns:
      The shape of each, without the batch.
    """
    traced = graph_of(function).get_concrete_function(tf.TensorSpec((None, side, side, 3)))
    return [tuple(output.shape[1:]) for output in tf.nest.flatten(traced.structured_outputs)]
