"""The head that is solved for: statsmodels finds the same, and nothing gets worse."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from statsmodels.miscmodels.ordinal_model import OrderedModel

from deepcoder_tf.likelihoods.ordinal import (
    cutpoints,
    expected_log_prob,
    initial_cutpoints,
    raw_cutpoints,
)
from deepcoder_tf.likelihoods.ordinal_fit import OrdinalHead, fit_ordinal_head

LEVELS = 6


def problem(count: int = 400, seen: int = LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Codes `[N, 3]` and levels `[N, 2]` that depend on them, the first AU up to `seen` - 1."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((count, 3))
    f = z @ np.array([[1.5, -1.0, 0.0], [0.3, 0.8, -0.5]]).T + rng.standard_normal((count, 2))
    labels = np.digitize(f, [-1.0, 0.0, 0.7, 1.5, 2.2])
    return z, np.minimum(labels, [seen - 1, LEVELS - 1])


def start(labels: np.ndarray) -> OrdinalHead:
    """Weights of 0 and cut-points of the label frequencies."""
    first, gaps = raw_cutpoints(tf.constant(initial_cutpoints(labels, LEVELS)))
    return OrdinalHead(tf.zeros((2, 3), tf.float64), first, gaps)


def fit(z, labels, var=1e-9, tau=1e3, steps=200) -> OrdinalHead:
    """The solution, prior mean 0."""
    var = np.full_like(z, var)
    arguments = tf.constant(labels), tf.constant(z), tf.constant(var), tf.zeros((2, 3), tf.float64)
    return fit_ordinal_head(start(labels), *arguments, tau, steps)


def log_likelihood(head: OrdinalHead, z, labels, var=1e-9) -> np.ndarray:
    """Per action unit."""
    gamma = cutpoints(head.raw_first, head.raw_gaps)
    p = expected_log_prob(
        tf.constant(labels), head.W, gamma, tf.constant(z), tf.constant(np.full_like(z, var))
    )
    return p.numpy().sum(axis=0)


def test_statsmodels_finds_the_same_without_variance_and_prior():
    z, labels = problem()
    head = fit(z, labels)
    found = log_likelihood(head, z, labels)
    for c in range(2):
        theirs = OrderedModel(labels[:, c], z, distr="probit").fit(method="bfgs", disp=False)
        # Our cut-points have a weak prior and a smallest gap; theirs have neither.
        assert found[c] == pytest.approx(theirs.llf, abs=0.3)
        np.testing.assert_allclose(head.W[c], theirs.params[:3], atol=0.05)


def test_uncertain_codes_count_in_the_expectation():
    z, labels = problem()
    sure, unsure = fit(z, labels), fit(z, labels, var=0.5)
    assert (log_likelihood(unsure, z, labels, 0.5) > log_likelihood(sure, z, labels, 0.5)).all()


def test_the_prior_keeps_the_weights_at_its_centre():
    z, labels = problem()
    free, held = fit(z, labels), fit(z, labels, tau=1e-3)
    assert np.abs(held.W).max() < 0.02 < 0.2 < np.abs(free.W).max()


def test_a_level_that_was_never_seen_and_missing_labels():
    z, labels = problem(seen=3)
    labels[::7] = -1
    head = fit(z, labels)
    gamma = cutpoints(head.raw_first, head.raw_gaps).numpy()
    assert np.isfinite(gamma).all() and np.abs(gamma).max() < 30
    kept = labels[:, 0] >= 0
    other = fit(z[kept], labels[kept])
    np.testing.assert_allclose(head.W, other.W, atol=2e-2)


def test_no_step_is_no_change():
    z, labels = problem()
    head = fit(z, labels, steps=0)
    for found, begun in zip(head, start(labels), strict=True):
        np.testing.assert_array_equal(found, begun)
