"""The ordinal head: loops, Monte Carlo, fine quadrature, and what must hold for any input."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf.likelihoods import ordinal
from deepcoder_tf.numerics import ndtr
from tests.reference.vogpae import ordinal_probability

N, D, Q, LEVELS = 7, 4, 3, 6


@pytest.fixture
def head():
    """Labels with gaps, weights, cut-points and a Gaussian for each point."""
    rng = np.random.default_rng(3)
    return {
        "y": rng.integers(-1, LEVELS, (N, Q)),
        "W": rng.standard_normal((Q, D)),
        "gamma": np.sort(rng.standard_normal((Q, LEVELS - 1)), axis=1),
        "mean": rng.standard_normal((N, D)),
        "var": rng.random((N, D)) + 0.05,
    }


def test_cutpoints_increase_by_at_least_the_gap_and_invert():
    rng = np.random.default_rng(0)
    first, gaps = tf.constant(rng.standard_normal(3)), tf.constant(5 * rng.standard_normal((3, 4)))
    gamma = ordinal.cutpoints(first, gaps)
    np.testing.assert_array_equal(gamma[:, 0], first)
    assert np.all(np.diff(gamma) > ordinal.MIN_GAP)
    np.testing.assert_allclose(ordinal.raw_cutpoints(gamma)[1], gaps, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ordinal.raw_cutpoints(gamma)[0], first)
    closed = ordinal.cutpoints(first, tf.fill([3, 4], tf.constant(-1e3, tf.float64)))
    np.testing.assert_allclose(np.diff(closed), ordinal.MIN_GAP, rtol=1e-9)


def test_initial_cutpoints_give_each_level_its_frequency():
    rng = np.random.default_rng(0)
    labels = rng.choice(LEVELS, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05], size=(5000, 2))
    labels[::7, 0] = -1
    gamma = ordinal.initial_cutpoints(labels, LEVELS)
    cumulative = ndtr(tf.constant(gamma)).numpy()
    for c in range(2):
        observed = labels[labels[:, c] >= 0, c]
        frequency = [(observed <= s).mean() for s in range(LEVELS - 1)]
        np.testing.assert_allclose(cumulative[c], frequency, atol=2e-4)


def test_initial_cutpoints_stay_apart_where_levels_were_never_seen():
    labels = np.array([[0, -1], [0, -1], [2, -1]])
    gamma = ordinal.initial_cutpoints(labels, LEVELS)
    assert np.all(np.isfinite(gamma))
    assert np.all(np.diff(gamma) >= 2 * ordinal.MIN_GAP - 1e-12)
    first, gaps = ordinal.raw_cutpoints(gamma)
    assert np.all(np.isfinite(gaps))
    np.testing.assert_allclose(ordinal.cutpoints(first, gaps), gamma)
    zeros = np.zeros((1, 2))
    log_prob = ordinal.sampled_log_prob(
        np.array([[4, 5]]), np.zeros((2, 1)), tf.constant(gamma), tf.constant(zeros[:, :1])
    )
    assert np.all(np.isfinite(log_prob))


@pytest.mark.parametrize(("label", "levels"), [(6, 6), (-2, 6)])
def test_initial_cutpoints_refuse_what_is_no_level(label, levels):
    with pytest.raises(ValueError, match=f"label {label} is not a level"):
        ordinal.initial_cutpoints(np.array([[0], [label]]), levels)
    with pytest.raises(ValueError, match="levels=1"):
        ordinal.initial_cutpoints(np.zeros((2, 1), int), 1)


def test_sampled_log_prob_is_equation_20(head):
    ours = ordinal.sampled_log_prob(head["y"], head["W"], head["gamma"], head["mean"])
    for i in range(N):
        for c in range(Q):
            truth = 0.0
            if head["y"][i, c] >= 0:
                f = sum(head["W"][c, d] * head["mean"][i, d] for d in range(D))
                truth = np.log(ordinal_probability(head["y"][i, c], head["gamma"][c], f))
            assert float(ours[i, c]) == pytest.approx(truth, rel=1e-10)


def test_expected_log_prob_is_the_average_over_samples(head):
    draws = 20_000
    noise = np.random.default_rng(1).standard_normal((draws, N, D))
    z = (head["mean"] + np.sqrt(head["var"]) * noise).reshape(-1, D)
    samples = (
        ordinal.sampled_log_prob(np.tile(head["y"], (draws, 1)), head["W"], head["gamma"], z)
        .numpy()
        .reshape(draws, N, Q)
    )
    error = samples.std(axis=0) / np.sqrt(draws)
    ours = ordinal.expected_log_prob(*head.values())
    assert np.all(np.abs(ours - samples.mean(axis=0)) <= 4.0 * error)


@pytest.mark.parametrize(("var_f", "error"), [(0.1, 1e-13), (1.0, 2e-9), (10.0, 5e-4)])
def test_twenty_nodes_are_as_good_as_many(head, var_f, error):
    W = np.ones((Q, 1))
    arguments = (head["y"], W, head["gamma"], head["mean"][:, :1], np.full((N, 1), var_f))
    coarse = ordinal.expected_log_prob(*arguments).numpy()
    fine = ordinal.expected_log_prob(*arguments, n=150).numpy()
    assert np.max(np.abs(coarse - fine) / np.maximum(1.0, np.abs(fine))) < error


def test_expectation_of_a_certain_point_is_its_value(head):
    certain = {**head, "var": np.full((N, D), 1e-16)}
    np.testing.assert_allclose(
        ordinal.expected_log_prob(*certain.values()),
        ordinal.sampled_log_prob(head["y"], head["W"], head["gamma"], head["mean"]),
        rtol=1e-8,
    )


def test_marginal_is_the_average_probability(head):
    dist = ordinal.marginal(*list(head.values())[1:])
    assert dist.batch_shape == (N, Q)
    x, weights = np.polynomial.hermite_e.hermegauss(150)
    f_mean, f_var = head["mean"] @ head["W"].T, head["var"] @ head["W"].T ** 2
    for i in range(N):
        for c in range(Q):
            f = f_mean[i, c] + np.sqrt(f_var[i, c]) * x
            truth = [
                np.dot(weights, [ordinal_probability(s, head["gamma"][c], v) for v in f])
                for s in range(LEVELS)
            ] / np.sqrt(2 * np.pi)
            np.testing.assert_allclose(dist.categorical_probs()[i, c], truth, atol=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(mean=st.floats(-8, 8), var=st.floats(1e-6, 9.0), level=st.integers(0, 5))
def test_the_marginal_is_never_below_the_term_of_the_bound(mean, var, level):
    gamma = np.array([[-2.0, -1.0, 0.0, 0.5, 3.0]])
    W, mean, var = np.ones((1, 1)), np.array([[mean]]), np.array([[var]])
    expected = ordinal.expected_log_prob(np.array([[level]]), W, gamma, mean, var, n=60)
    marginal = ordinal.marginal(W, gamma, mean, var).log_prob([[level]])
    assert np.all(marginal - expected > -1e-9)


def test_a_missing_label_changes_nothing_and_gets_no_gradient(head):
    W, mean = tf.constant(head["W"]), tf.constant(head["mean"])
    with tf.GradientTape() as tape:
        tape.watch([W, mean])
        value = ordinal.expected_log_prob(
            np.full((N, Q), -1), W, tf.constant(head["gamma"]), mean, tf.constant(head["var"])
        )
    assert np.all(value == 0.0)
    for slope in tape.gradient(value, [W, mean]):
        assert np.all(slope == 0.0)


def test_gradients_are_finite_on_badly_wrong_examples(head):
    far = {**head, "mean": 100.0 * head["mean"]}
    arguments = [tf.constant(v) for v in far.values()]
    with tf.GradientTape() as tape:
        tape.watch(arguments[1:])
        value = tf.reduce_sum(ordinal.expected_log_prob(*arguments))
    for slope in tape.gradient(value, arguments[1:]):
        assert np.all(np.isfinite(slope))
    assert np.any(np.abs(tape_slope(arguments)) > 1.0)


def tape_slope(arguments):
    """Gradient of the expectation to the means."""
    with tf.GradientTape() as tape:
        tape.watch(arguments[3])
        value = tf.reduce_sum(ordinal.expected_log_prob(*arguments))
    return tape.gradient(value, arguments[3]).numpy()


def test_weight_prior_is_a_gaussian_up_to_its_constant():
    W = np.random.default_rng(0).standard_normal((Q, D))
    difference = ordinal.weight_prior(W, tau=2.0) - ordinal.weight_prior(0.0 * W, tau=2.0)
    truth = sum(-0.5 * (w / 2.0) ** 2 for w in W.flat)
    assert float(difference) == pytest.approx(truth)
