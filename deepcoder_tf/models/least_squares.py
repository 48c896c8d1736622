"""Multivariate linear regression of labels, least squares or ridge, on features of any number.

Everything follows from sums over the frames, taken in pieces: memory does not grow with the frames,
and trying many penalties costs one decomposition.

Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, section 3.4.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.models.regression import RANK_TOLERANCE, ROUNDING_VARIANCE, chunks

__all__ = ["LeastSquares", "LinearFit"]


class LinearFit(NamedTuple):
    """Levels as a linear function of features.

    Attributes:
      weights: `[F, Q]`, in levels per unit of the features as given.
      intercept: `[Q]`, levels.
      variance: `[Q]`, unbiased variance of the residuals in levels², not below that of rounding.
    """

    weights: np.ndarray
    intercept: np.ndarray
    variance: np.ndarray


class Group(NamedTuple):
    """Sums over the frames on which the same action units are labelled.

    Attributes:
      columns: `[q]` the action units.
      frames: n, how many.
      label_mean: `[q]`.
      label_square: `[q]` sum of squares of the centred labels.
      feature_mean: `[F]`.
      basis: `[F, r]` orthonormal directions in which the scaled features vary.
      spread: `[r]` sums of squares along them.
      product: `[r, q]` sums of products with the centred labels.
    """

    columns: np.ndarray
    frames: int
    label_mean: np.ndarray
    label_square: np.ndarray
    feature_mean: np.ndarray
    basis: np.ndarray
    spread: np.ndarray
    product: np.ndarray


class LeastSquares:
    """The regression of labels on features, ready to be solved for any penalty.

    Args:
      features: `[N, F]`, finite; a memory map is read in pieces.
      labels: `[N, Q]` levels, -1 where missing: a frame then does not count for that unit.
      gain: `[F]`, what features are multiplied with before weights are penalised, or the smallest
        of many solutions is chosen; None leaves them as they are, and 0 leaves one out.
    """

    def __init__(
        self, features: np.ndarray, labels: np.ndarray, gain: np.ndarray | None = None
    ) -> None:
        self.gain = np.ones(features.shape[1]) if gain is None else gain
        self.outputs = labels.shape[1]
        patterns, pattern_of = np.unique(labels != MISSING, axis=1, return_inverse=True)
        self.groups = [
            self.group(features, labels, np.flatnonzero(frames), np.flatnonzero(pattern_of == k))
            for k, frames in enumerate(patterns.T)
            if frames.any()
        ]

    def group(
        self, features: np.ndarray, labels: np.ndarray, frames: np.ndarray, columns: np.ndarray
    ) -> Group:
        """One pass for the means, and one for the products of what is centred by them."""
        Y = labels[np.ix_(frames, columns)].astype(np.float64)
        label_mean = Y.mean(axis=0)
        Y -= label_mean
        F = features.shape[1]
        total, gram, product = np.zeros(F), np.zeros((F, F)), np.zeros((F, len(columns)))
        for rows in chunks(len(frames), F):
            total += features[frames[rows]].sum(axis=0, dtype=np.float64)
        mean = total / len(frames)
        for rows in chunks(len(frames), F):
            X = (np.asarray(features[frames[rows]], np.float64) - mean) * self.gain
            gram += X.T @ X
            product += X.T @ Y[rows]
        spread, basis = np.linalg.eigh(gram)
        kept = spread > RANK_TOLERANCE * spread.max(initial=0.0)
        basis = basis[:, kept]
        return Group(
            columns,
            len(frames),
            label_mean,
            np.square(Y).sum(axis=0),
            mean,
            basis,
            spread[kept],
            basis.T @ product,
        )

    def solve(self, penalty: float = 0.0) -> LinearFit:
        """Minimises the sum of squared residuals, plus `penalty` times the squared scaled weights.

        Args:
          penalty: 0 is least squares; of many solutions the one with the smallest scaled weights.

        Returns:
          The fit. An action unit without a labelled frame is absent: level 0 everywhere. With no
          more frames than parameters the residuals say nothing, and the variance is that of the
          labels themselves.
        """
        weights = np.zeros((len(self.gain), self.outputs))
        intercept, variance = np.zeros(self.outputs), np.zeros(self.outputs)
        for g in self.groups:
            coefficients = g.product / (g.spread + penalty)[:, np.newaxis]
            weights[:, g.columns] = self.gain[:, np.newaxis] * (g.basis @ coefficients)
            intercept[g.columns] = g.label_mean - g.feature_mean @ weights[:, g.columns]
            # ||y - X w||² = yᵀy - 2 wᵀXᵀy + wᵀXᵀX w, in the basis in which XᵀX is diagonal.
            explained = coefficients * (2 * g.product - g.spread[:, np.newaxis] * coefficients)
            freedom = g.frames - 1 - (g.spread / (g.spread + penalty)).sum()
            residual = (g.label_square - explained.sum(axis=0)) / max(freedom, 1)
            variance[g.columns] = residual if freedom >= 1 else g.label_square / g.frames
        return LinearFit(weights, intercept, np.maximum(variance, ROUNDING_VARIANCE))
