"""What heads of features share: standardised features, and levels as rounded real numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.likelihoods.ordered_probit import OrderedProbit
from deepcoder_tf.types import Gaussian, LevelPrediction

__all__ = [
    "RANK_TOLERANCE",
    "ROUNDING_VARIANCE",
    "Standardisation",
    "chunks",
    "rounded_levels",
    "standardisation",
]

ROUNDING_VARIANCE = 1.0 / 12.0
"""Variance in levels² of a number that was rounded to a whole level: no regression of levels knows
them better, even where it meets every training label."""

RANK_TOLERANCE = 1e-11
"""Directions of a smaller share of the largest variance are rounding of single-precision features
(3e-6 of its standard deviation), not something to regress on."""

CHUNK = 2**22
"""Numbers of a feature matrix that are turned into double precision at a time (32 MB)."""

CONSTANT = 1e-6
"""A feature whose standard deviation is below this share of its mean does not vary: features have
single precision, in which its digits are rounding."""


class Standardisation(NamedTuple):
    """Features to zero mean and unit variance.

    Attributes:
      mean: `[F]` float64.
      gain: `[F]` float64, 1 / standard deviation; 0 for a constant feature, which then says
        nothing, at new frames neither.
    """

    mean: np.ndarray
    gain: np.ndarray


def chunks(count: int, width: int) -> Iterator[slice]:
    """Slices of `count` rows of `width` numbers, each small enough to be held in double precision.

    Args:
      count: rows of the matrix.
      width: its columns.

    Yields:
      Slices that cover the rows in order.
    """
    rows = max(1, CHUNK // max(1, width))
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


def standardisation(features: np.ndarray) -> Standardisation:
    """Mean and gain of features.

    Args:
      features: `[N, F]`, N at least 1; a memory map is read in pieces.

    Returns:
      The standardisation.
    """
    total, squares = np.zeros((2, features.shape[1]))
    for rows in chunks(*features.shape):
        total += features[rows].sum(axis=0, dtype=np.float64)
    mean = total / len(features)
    for rows in chunks(*features.shape):
        squares += np.square(np.asarray(features[rows], np.float64) - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(features))
    varies = deviation > CONSTANT * np.abs(mean)
    return Standardisation(mean, np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0))


@check_shapes("mean: [B, Q]", "variance: [B, Q]")
def rounded_levels(mean: tf.Tensor, variance: tf.Tensor) -> LevelPrediction:
    """A Gaussian over real numbers, and the distribution of its rounded value over the levels.

    What rounds to less than 0 or more than 5 counts as 0 or 5.

    Args:
      mean: in levels.
      variance: in levels², positive.

    Returns:
      float32; the rows of the probabilities sum to 1.
    """
    borders = tf.range(LEVELS - 1, dtype=mean.dtype) + 0.5
    probabilities = OrderedProbit(borders, mean, tf.sqrt(variance)).categorical_probs()
    return LevelPrediction(
        normalised(probabilities),
        Gaussian(tf.cast(mean, tf.float32), tf.cast(variance, tf.float32)),
    )


def normalised(probabilities: tf.Tensor) -> tf.Tensor:
    """float32 probabilities whose rows sum to 1."""
    p = tf.cast(probabilities, tf.float32)
    return p / tf.reduce_sum(p, axis=-1, keepdims=True)
