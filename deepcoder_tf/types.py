"""The named tuples that cross rooms; importing them imports no TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Gaussian", "LevelPrediction"]


class Gaussian(NamedTuple):
    """A Gaussian with diagonal covariance for each point.

    Attributes:
      mean: `[B, D]`.
      var: `[B, D]`, positive.
    """

    mean: tf.Tensor
    var: tf.Tensor


class LevelPrediction(NamedTuple):
    """What a system says of Q action units.

    Attributes:
      probabilities: `[B, Q, L]` float32 over the levels, rows that sum to 1.
      regression: for systems that regress the level as a real number, its predictive mean and
        variance `[B, Q]`, in levels; the probabilities are then those of the rounded number.
    """

    probabilities: tf.Tensor
    regression: Gaussian | None = None
