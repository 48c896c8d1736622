"""One layer of a deep GP: its bound against the evidence, its moments against draws."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.coders.latent_gp import LatentGP
from deepcoder_tf.gp.kernels import covariance
from deepcoder_tf.gp.leave_one_out import gp_log_likelihood
from deepcoder_tf.types import Gaussian


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape)


def known(X: np.ndarray) -> Gaussian:
    """Inputs without variance."""
    return Gaussian(tf.constant(X), tf.zeros_like(X))


def layer(D: int, K: int, m: int, separate: bool = False) -> LatentGP:
    """With other parameters than those it starts from."""
    gp = LatentGP(D, K, m, separate)
    gp.build(None)
    gp.raw_lengthscales.assign(normal(D, seed=1) * 0.3)
    gp.raw_noise.assign(normal(gp.groups, seed=2) * 0.5 - 1.0)
    return gp


def elbo(gp: LatentGP, q: Gaussian, Y: np.ndarray, observed=None) -> float:
    """Of all points."""
    terms = gp.expected_log_prob(q, Gaussian(tf.constant(Y), None), observed)
    return float(tf.reduce_sum(terms) - gp.kl())


@pytest.mark.parametrize("separate", [False, True])
def test_with_a_fixed_latent_the_bound_is_just_below_the_evidence(separate):
    X, Y = normal(12, 2), normal(12, 3, seed=3)
    gp = layer(2, 3, 12, separate)
    amplitude, lengthscales, _ = gp.kernel
    noise = np.broadcast_to(gp.noise, 3)
    evidence = sum(
        float(gp_log_likelihood(covariance(amplitude, lengthscales, s, X), Y[:, [k]]))
        for k, s in enumerate(noise)
    )
    # Inducing points beside the points, q(w) at its best for them.
    gp.initialise(known(X), Y, None, np.random.default_rng(4))
    assert evidence - 0.1 < elbo(gp, known(X), Y) < evidence
    few = layer(2, 3, 4, separate)
    few.initialise(known(X), Y, None, np.random.default_rng(4))
    best = elbo(few, known(X), Y)
    assert best < evidence
    for weight in (few.A, few.Lambda_triangle):
        kept = weight.numpy()
        weight.assign(kept + 0.05 * normal(*kept.shape, seed=6))
        assert elbo(few, known(X), Y) < best
        weight.assign(kept)


def test_missing_outputs_change_nothing_but_their_own_terms():
    X, Y = normal(9, 2), normal(9, 2, seed=3)
    seen = np.random.default_rng(7).random((9, 2)) < 0.6
    gp = layer(2, 2, 5, separate=True)
    q = Gaussian(tf.constant(X), tf.fill((9, 2), tf.constant(0.2, tf.float64)))
    gp.initialise(q, Y, seen, np.random.default_rng(0))
    other = np.where(seen, Y, 99.0)
    assert elbo(gp, q, Y, seen) == pytest.approx(elbo(gp, q, other, seen), rel=1e-13)
    A = gp.A.numpy()
    gp.initialise(q, other, seen, np.random.default_rng(0))
    np.testing.assert_allclose(gp.A, A, atol=1e-12)
    whole = gp.expected_log_prob(q, Gaussian(tf.constant(Y), None), np.ones_like(seen))
    np.testing.assert_allclose(
        whole, gp.expected_log_prob(q, Gaussian(tf.constant(Y), None)), atol=1e-12
    )


@pytest.mark.parametrize("separate", [False, True])
def test_the_expected_log_prob_and_the_moments_are_averages_over_the_latent(separate):
    """Against the same layer at many drawn points, whose moments need no statistics."""
    gp = layer(2, 3, 5, separate)
    gp.V.assign(normal(5, 2, seed=8))
    Lambda = np.tril(normal(gp.groups, 5, 5, seed=9)) + np.eye(5)
    gp.keep_inducing(tf.constant(normal(5, 3, seed=10)), tf.constant(Lambda))
    mean, var, y, tau = normal(1, 2), np.array([[0.3, 0.6]]), normal(1, 3, seed=11), 0.2
    draws = mean + np.sqrt(var) * normal(200_000, 2, seed=12)
    p = gp.at(tf.constant(draws))
    noise = np.broadcast_to(gp.noise, 3)
    first, second = p.mean.numpy().mean(0), (p.var - noise + p.mean**2).numpy().mean(0)
    q = Gaussian(tf.constant(mean), tf.constant(var))
    f, square = gp.moments(q)
    np.testing.assert_allclose(f[0], first, atol=0.02)
    expected = second if separate else [second.sum()]
    np.testing.assert_allclose(square[0], expected, rtol=0.02)
    errors = y**2 + tau - 2 * y * first + second
    reference = -0.5 * np.sum(np.log(2 * np.pi * noise) + errors / noise)
    target = Gaussian(tf.constant(y), tf.fill((1, 3), tf.constant(tau, tf.float64)))
    assert float(gp.expected_log_prob(q, target)[0]) == pytest.approx(reference, rel=0.01)


def test_fewer_points_than_inducing_points_still_make_a_kernel_matrix():
    gp = layer(2, 3, 8)
    gp.initialise(known(normal(3, 2)), normal(3, 3), None, np.random.default_rng(0))
    assert np.all(np.isfinite(gp.at(tf.constant(normal(4, 2))).mean))
