"""The named tuples that cross rooms; importing them imports no TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Batch", "Gaussian"]


class Gaussian(NamedTuple):
    """A Gaussian with diagonal covariance for each point.

    Attributes:
      mean: `[B, D]`.
      var: `[B, D]`, positive.
    """

    mean: tf.Tensor
    var: tf.Tensor


class Batch(NamedTuple):
    """What one training step sees.

    Attributes:
      inputs: `[B, H, W, C]` images scaled for the model, or `[B, D]` codes.
      labels: `[B, Q]` int32 levels, -1 where nobody annotated.
      index: `[B]` int32, the rows among the coder's training points.
    """

    inputs: tf.Tensor
    labels: tf.Tensor
    index: tf.Tensor
