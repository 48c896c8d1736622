"""Standardised features, rounded Gaussians, and linear regression against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm
from sklearn.linear_model import LinearRegression, Ridge

from deepcoder_tf.models import regression
from deepcoder_tf.models.least_squares import LeastSquares
from deepcoder_tf.models.linear import MLRHead
from deepcoder_tf.models.regression import ROUNDING_VARIANCE, rounded_levels, standardisation


def problem(seed: int = 0, n: int = 60, F: int = 5, Q: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different scales and means, and levels that depend on them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, F)) @ rng.normal(size=(F, F))
    Y = np.clip(np.round(2 + X @ rng.normal(size=(F, Q)) * 0.4 + rng.normal(size=(n, Q))), 0, 5)
    return (X * 10.0 ** np.arange(-2, F - 2) + 3).astype(np.float32), Y.astype(np.int32)


def test_standardised_features_have_mean_0_and_variance_1(monkeypatch):
    monkeypatch.setattr(regression, "CHUNK", 35)  # seven frames at a time
    X, _ = problem()
    mean, gain = standardisation(X)
    Z = (X.astype(np.float64) - mean) * gain
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(axis=0), 1, atol=1e-12)


def test_a_constant_feature_says_nothing_whatever_its_rounding():
    X, _ = problem()
    X[:, 1] = 0.1
    X[:, 3] = 1e5 * (1 + 1e-7 * (np.arange(len(X)) % 2))
    X[:, 4] = 0
    np.testing.assert_array_equal(standardisation(X).gain > 0, [1, 0, 1, 0, 0])


@pytest.mark.parametrize(("mean", "variance"), [(2.3, 0.7), (-4.0, 0.1), (0.4, 1 / 12), (9.0, 2.0)])
def test_the_rounded_number_has_the_probability_of_what_rounds_to_it(mean, variance):
    levels = rounded_levels(
        tf.constant([[mean]], tf.float64), tf.constant([[variance]], tf.float64)
    )
    borders = np.array([-np.inf, 0.5, 1.5, 2.5, 3.5, 4.5, np.inf])
    expected = np.diff(norm.cdf(borders, mean, np.sqrt(variance)))
    np.testing.assert_allclose(levels.probabilities[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(levels.regression.mean, [[mean]], rtol=1e-6)
    np.testing.assert_allclose(levels.regression.var, [[variance]], rtol=1e-6)


@pytest.mark.parametrize("penalty", [0.0, 30.0])
def test_least_squares_equal_scikit_learn(penalty, monkeypatch):
    monkeypatch.setattr(regression, "CHUNK", 35)
    X, Y = problem()
    Y[::4, 1] = -1
    Y[::5, 2] = -1
    mean, gain = standardisation(X)
    fit = LeastSquares(X, Y, gain).solve(penalty)
    referee = Ridge(penalty) if penalty else LinearRegression()
    for q in range(3):
        kept = Y[:, q] >= 0
        Z = (X[kept] - mean) * gain
        model = referee.fit(Z, Y[kept, q])
        residual = Y[kept, q] - X[kept] @ fit.weights[:, q] - fit.intercept[q]
        np.testing.assert_allclose(fit.weights[:, q] / gain, model.coef_, atol=1e-9)
        np.testing.assert_allclose(residual, Y[kept, q] - model.predict(Z), atol=1e-8)
        if not penalty:
            unbiased = (residual**2).sum() / (kept.sum() - 6)
            np.testing.assert_allclose(fit.variance[q], unbiased, rtol=1e-9)


def test_the_variance_is_unbiased():
    """Over many draws the mean of the estimates is the noise that was put in; ridge as well."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 12)).astype(np.float32)
    Y = X @ rng.normal(size=(12, 2000)) + 2.0 * rng.normal(size=(40, 2000))
    variance = LeastSquares(X, Y).solve().variance
    assert variance.mean() == pytest.approx(4.0, rel=0.03)


def test_of_many_solutions_the_smallest_is_taken():
    """More features than frames: every label is met, as by the pseudo-inverse."""
    X, Y = problem(n=12, F=30)
    mean, gain = standardisation(X)
    fit = LeastSquares(X, Y, gain).solve()
    Z = (X - mean) * gain
    expected = np.linalg.pinv(Z) @ (Y - Y.mean(axis=0))
    np.testing.assert_allclose(fit.weights / gain[:, np.newaxis], expected, atol=1e-6)
    np.testing.assert_allclose(X @ fit.weights + fit.intercept, Y, atol=1e-6)
    # Residuals of 0 say nothing: the labels' own variance stands in.
    np.testing.assert_allclose(fit.variance, Y.var(axis=0))


def test_single_precision_sums_to_one_are_no_direction():
    """Shares of a histogram sum to 1 but for rounding, which must not get weights of a million."""
    rng = np.random.default_rng(1)
    X = rng.dirichlet(np.ones(8), 300).astype(np.float32)
    Y = rng.integers(0, 6, (300, 1))
    fit = LeastSquares(X, Y, standardisation(X).gain).solve()
    assert np.abs(fit.weights).max() < 100


def test_rare_and_missing_units_and_constant_features():
    X, Y = problem()
    X[:, 2] = 7.0
    Y[:, 0], Y[:, 1] = -1, 0
    mean, gain = standardisation(X)
    fit = LeastSquares(X, Y, gain).solve()
    head = MLRHead(3)
    head.build((None, 5))
    head.assign(fit, mean)
    far = X.copy()
    far[:, 2] = -1e6
    for features in (X, far):
        levels = head.predict(tf.constant(features))
        np.testing.assert_allclose(levels.regression.mean[:, :2], 0, atol=1e-6)
        np.testing.assert_allclose(levels.regression.var[:, :2], ROUNDING_VARIANCE, rtol=1e-6)
        assert np.all(levels.probabilities[:, :2, 0] > 0.9)
        np.testing.assert_allclose(
            levels.regression.mean[:, 2], X @ fit.weights[:, 2] + fit.intercept[2], atol=1e-4
        )
