"""Standard ordinal regression against statsmodels, in its limits, and where it has no maximum."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from scipy.stats import norm
from statsmodels.miscmodels.ordinal_model import OrderedModel

from deepcoder_tf.models import ordinal_regression, regression
from deepcoder_tf.models.linear import SORHead
from deepcoder_tf.models.ordinal_regression import LINKS, Problem, fit_ordinal
from deepcoder_tf.models.regression import Standardisation, standardisation

GAMMA = np.array([-1.0, -0.2, 0.5, 1.2, 2.0])


def problem(link: str = "probit", n: int = 400, F: int = 4, Q: int = 2):
    """Correlated features and levels drawn from the model."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, F)) @ rng.normal(size=(F, F)) + 3).astype(np.float32)
    noise = rng.normal if link == "probit" else rng.logistic
    f = (X - X.mean(axis=0)) @ rng.normal(size=(F, Q)) * 0.3 + noise(size=(n, Q))
    return X, (f[..., np.newaxis] > GAMMA).sum(axis=-1).astype(np.int32)


@pytest.mark.parametrize("link", LINKS)
def test_the_fit_equals_statsmodels(link, monkeypatch):
    monkeypatch.setattr(regression, "CHUNK", 500)
    X, Y = problem(link)
    Y[::7, 1] = -1
    scaling = standardisation(X)
    fit = fit_ordinal(X, Y, scaling, link, penalty=0.0, imagined=0.0)
    total = 0.0
    for q in range(2):
        kept = Y[:, q] >= 0
        model = OrderedModel(Y[kept, q], X[kept].astype(np.float64) - scaling.mean, distr=link)
        found = model.fit(method="bfgs", disp=False, gtol=1e-8, maxiter=500)
        np.testing.assert_allclose(fit.weights[:, q], found.params[:4], atol=1e-4)
        gamma = model.transform_threshold_params(found.params)[1:-1]
        np.testing.assert_allclose(fit.gamma[q], gamma, atol=1e-4)
        total += found.llf
    assert fit.log_likelihood == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("link", LINKS)
def test_the_head_predicts_what_the_formula_says(link):
    X, Y = problem(link, n=60)
    scaling = standardisation(X)
    fit = fit_ordinal(X, Y, scaling, link, penalty=1.0)
    head = SORHead(2, link)
    head.build((None, 4))
    head.assign(fit, scaling.mean)
    cdf = norm.cdf if link == "probit" else expit
    f = (X - scaling.mean) @ fit.weights
    below = cdf(fit.gamma - f[..., np.newaxis])
    expected = np.diff(below, prepend=0.0, append=1.0)
    levels = head.predict(tf.constant(X))
    assert levels.regression is None
    np.testing.assert_allclose(levels.probabilities, expected, atol=1e-6)
    with pytest.raises(ValueError, match="link='cauchit': choose one of probit, logit"):
        SORHead(2, "cauchit")


@pytest.mark.parametrize("link", LINKS)
def test_the_gradient_equals_differences(link):
    X, Y = problem(link, n=30)
    Y[3, 0] = -1
    p = Problem(X, Y, standardisation(X), link, 0.7, 1.0)
    x = 0.3 * np.random.default_rng(1).normal(size=p.size)
    _, gradient = p.loss(x)
    step = 1e-5
    for k in range(p.size):
        e = step * (np.arange(p.size) == k)
        difference = (p.loss(x + e)[0] - p.loss(x - e)[0]) / (2 * step)
        assert gradient[k] == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_the_coordinates_have_unit_curvature_at_the_start():
    """What makes a gradient a distance in standard errors; one unit of correlated features."""
    X, Y = problem(n=3000, F=3)
    p = Problem(X, Y[:, :1], standardisation(X), "probit", 0.0, 0.0)
    step = 1e-3
    columns = [p.loss(step * e)[1] - p.loss(-step * e)[1] for e in np.eye(p.size)[:3]]
    hessian = np.array(columns)[:, :3] / (2 * step)
    # The information is that of labels which do not depend on the features; these do.
    np.testing.assert_allclose(hessian, np.eye(3), atol=0.3)


def test_memory_stays_flat_for_many_frames(monkeypatch):
    """Features too large to keep are converted in pieces: the same numbers."""
    X, Y = problem(n=50)
    kept = fit_ordinal(X, Y, standardisation(X), "probit", 1.0)
    monkeypatch.setattr(ordinal_regression, "KEPT", 0)
    monkeypatch.setattr(regression, "CHUNK", 40)
    pieces = fit_ordinal(X, Y, standardisation(X), "probit", 1.0)
    np.testing.assert_allclose(pieces.weights, kept.weights, rtol=1e-3, atol=1e-6)


def test_what_has_no_maximum_has_one_with_the_prior():
    """A separable unit, one that is never active, one that nobody labelled, a level that never
    occurs, a constant feature, and more features than frames."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(20, 30)).astype(np.float32)
    X[:, 4] = 1.0
    Y = np.stack([4 * (X[:, 0] > 0), np.zeros(20), np.full(20, -1)], axis=1).astype(np.int32)
    scaling = standardisation(X)
    fit = fit_ordinal(X, Y, scaling, "probit", 1.0)
    assert np.isfinite(fit.weights).all() and np.isfinite(fit.gamma).all()
    assert (np.diff(fit.gamma, axis=1) > 0).all() and np.abs(fit.gamma).max() < 20
    assert (fit.weights[4] == 0).all()
    np.testing.assert_allclose(fit.weights[:, 2], 0, atol=1e-3)
    head = SORHead(3)
    head.build((None, 30))
    head.assign(fit, scaling.mean)
    p = head.predict(tf.constant(X)).probabilities.numpy()
    assert (p[:, 1, 0] > 0.8).all()
    np.testing.assert_array_equal(p[:, 0].argmax(axis=-1), Y[:, 0])
    np.testing.assert_allclose(p[:, 2], 1 / 6, atol=1e-2)  # nothing is known, and said so
    np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-6)


def test_a_direction_without_data_or_prior_gets_no_weight():
    X, Y = problem(n=60)
    X = np.concatenate([X, X[:, :1]], axis=1)  # the same feature twice
    fit = fit_ordinal(X, Y, standardisation(X), "probit", 0.0, 0.0)
    np.testing.assert_allclose(fit.weights[0], fit.weights[-1], rtol=1e-3)


def test_a_large_penalty_leaves_the_frequencies():
    X, Y = problem()
    fit = fit_ordinal(X, Y, standardisation(X), "logit", 1e8, 0.0)
    np.testing.assert_allclose(fit.weights, 0, atol=1e-4)
    shares = np.stack([(s >= Y).mean(axis=0) for s in range(5)], axis=1)
    np.testing.assert_allclose(expit(fit.gamma), shares, atol=1e-3)


def test_a_fit_that_did_not_converge_says_so(monkeypatch, caplog):
    monkeypatch.setattr(ordinal_regression, "MAX_ITERATIONS", 1)
    X, Y = problem(n=60)
    fit_ordinal(X, Y, Standardisation(X.mean(axis=0), np.ones(4)), "probit", 0.0)
    assert "ordinal regression stopped after 1 iterations" in caplog.text
