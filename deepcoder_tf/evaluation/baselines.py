"""Linear references that a deep system has to beat on the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA

from deepcoder_tf.action_units import LEVELS, MISSING
from deepcoder_tf.evaluation.metrics import icc31
from deepcoder_tf.models.least_squares import LeastSquares

__all__ = ["ALPHAS", "LinearBaseline", "RidgePCA", "mlr", "ridge", "ridge_pca"]

ALPHAS: tuple[float, ...] = tuple(10.0**power for power in range(-7, 2))
"""Ridge penalties tried, per training frame and in units of the largest feature variance."""

CHUNK = 512
"""Crops turned into float32 at a time."""

FIT_FRAMES = 4000
"""Crops that the principal components are computed from, at most (or twice the components)."""


@dataclass(frozen=True)
class LinearBaseline:
    """Levels as a linear function of features.

    Attributes:
      weights: `[D, Q]`.
      intercept: `[Q]`.
      alpha: the ridge penalty chosen, 0 for least squares.
    """

    weights: np.ndarray
    intercept: np.ndarray
    alpha: float = 0.0

    def predict(self, features: ArrayLike) -> np.ndarray:
        """Levels `[N, Q]`, clipped to 0..5, of features `[N, D]`."""
        F = np.asarray(features, np.float64) @ self.weights + self.intercept
        return np.clip(F, 0, LEVELS - 1)


@dataclass(frozen=True)
class RidgePCA:
    """Ridge regression on principal components of crops.

    Attributes:
      pca: the fitted components.
      linear: the regression on their scores.
    """

    pca: PCA
    linear: LinearBaseline

    @property
    def components(self) -> int:
        """How many components are used."""
        return int(self.pca.n_components_)

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """Levels `[N, Q]`, clipped to 0..5, of crops `[N, ...]`."""
        return self.linear.predict(_scores(self.pca, crops))


def mlr(features: ArrayLike, labels: ArrayLike) -> LinearBaseline:
    """Multivariate linear regression by least squares (minimum norm where it is underdetermined).

    Args:
      features: `[N, D]`.
      labels: `[N, Q]` levels, -1 = missing.

    Returns:
      The regression; an action unit without a labelled frame is predicted as 0.

    Raises:
      ValueError: shapes that do not fit.

    Source: MLR of DeepCoder, Table 1.
    """
    X, Y = _checked(features, labels)
    return _solve(LeastSquares(X, Y), 0.0)


def ridge(
    features: ArrayLike,
    labels: ArrayLike,
    validation_features: ArrayLike,
    validation_labels: ArrayLike,
    alphas: Sequence[float] = ALPHAS,
) -> LinearBaseline:
    """Ridge regression, its penalty chosen by mean ICC(3,1) on validation subjects.

    Args:
      features: `[N, D]` of the training subjects.
      labels: `[N, Q]` levels, -1 = missing.
      validation_features: `[M, D]` of subjects that are not among the training subjects.
      validation_labels: `[M, Q]`.
      alphas: penalties to try, per training frame and in units of the largest feature variance.

    Returns:
      The best regression; among equals the one with the largest penalty.

    Raises:
      ValueError: shapes that do not fit, or no penalty given.
    """
    X, Y = _checked(features, labels)
    V, T = _checked(validation_features, validation_labels)
    if not alphas:
        raise ValueError("alphas must hold at least one penalty")
    unit = len(X) * max(float(X.var(0).max()), np.finfo(np.float32).tiny)
    problem = LeastSquares(X, Y)
    best, best_score = None, -np.inf
    for alpha in sorted(alphas, reverse=True):
        fitted = _solve(problem, alpha * unit)
        score = _mean_icc(T, fitted.predict(V))
        if best is None or score > best_score:
            best, best_score = fitted, score
    assert best is not None
    return best


def ridge_pca(
    crops: np.ndarray,
    labels: ArrayLike,
    validation_crops: np.ndarray,
    validation_labels: ArrayLike,
    components: int,
    *,
    alphas: Sequence[float] = ALPHAS,
    seed: int = 0,
) -> RidgePCA:
    """Ridge regression on the leading principal components of the pixels.

    The components are computed by randomised SVD from at most `FIT_FRAMES` training crops (drawn
    by `seed`); the regression uses every frame. Crops are turned into float32 by the chunk, so a
    memory-mapped array is never loaded as a whole.

    Args:
      crops: `[N, H, W]` or `[N, H, W, 1]`, any dtype: an array or something that slices like one.
      labels: `[N, Q]` levels, -1 = missing.
      validation_crops: `[M, ...]` of other subjects.
      validation_labels: `[M, Q]`.
      components: how many; fewer where there are not as many frames or pixels.
      alphas: penalties to try, see `ridge`.
      seed: of the draw and of the randomised SVD.

    Returns:
      The fitted baseline.

    Raises:
      ValueError: shapes that do not fit, or `components` below 1.

    Source: Halko, Martinsson and Tropp, SIAM Review 53 (2011), for the randomised SVD.
    """
    if components < 1:
        raise ValueError(f"components must be at least 1, got {components}")
    frames = min(len(crops), max(FIT_FRAMES, 2 * components))
    drawn = np.sort(np.random.default_rng(seed).choice(len(crops), frames, replace=False))
    X = np.stack([np.asarray(crops[i], np.float32).ravel() for i in drawn])
    pca = PCA(min(components, *X.shape), svd_solver="randomized", random_state=seed).fit(X)
    linear = ridge(
        _scores(pca, crops), labels, _scores(pca, validation_crops), validation_labels, alphas
    )
    return RidgePCA(pca, linear)


def _scores(pca: PCA, crops: np.ndarray) -> np.ndarray:
    """Component scores `[N, K]`, crops converted by the chunk."""
    parts = [
        pca.transform(np.asarray(crops[i : i + CHUNK], np.float32).reshape(-1, pca.n_features_in_))
        for i in range(0, len(crops), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, pca.n_components_))


def _solve(problem: LeastSquares, alpha: float) -> LinearBaseline:
    fit = problem.solve(alpha)
    return LinearBaseline(fit.weights, fit.intercept, alpha)


def _mean_icc(labels: np.ndarray, predictions: np.ndarray) -> float:
    scores = [
        icc31(y, f) for y, f in zip(labels.T, predictions.T, strict=True) if np.any(y != MISSING)
    ]
    return float(np.mean(scores)) if scores else 0.0


def _checked(features: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    X, Y = np.asarray(features, np.float64), np.asarray(labels)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or len(X) == 0:
        raise ValueError(f"features {X.shape} and labels {Y.shape} must be [N, D] and [N, Q]")
    return X, Y.astype(np.int64)
