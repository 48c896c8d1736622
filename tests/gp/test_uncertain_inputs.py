"""Sparse GPs on Gaussian inputs: statistics by quadrature, and the limits in which all is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.gp.kernels import covariance, kernel_matrix
from deepcoder_tf.gp.leave_one_out import gp_log_likelihood
from deepcoder_tf.gp.uncertain_inputs import (
    from_pairs,
    inducing_factor,
    inducing_kl,
    optimal_inducing,
    pair_weights,
    psi1,
    psi2,
    second_moment_matrix,
)
from deepcoder_tf.numerics import gauss_hermite

AMPLITUDE, ELL = 1.7, np.array([0.8, 1.5])


def problem(N: int = 4, m: int = 5):
    """Inducing inputs and Gaussian inputs in two dimensions."""
    rng = np.random.default_rng(0)
    V, mean = rng.normal(size=(m, 2)), rng.normal(size=(N, 2))
    return V, mean, rng.uniform(0.05, 0.9, (N, 2))


def constants(*arrays):
    """float64 tensors."""
    return [tf.constant(a, tf.float64) for a in arrays]


def test_both_statistics_are_the_integrals():
    V, mean, var = problem()
    nodes, weights = gauss_hermite(60)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    weight = np.outer(weights, weights).ravel()
    first, second = [], []
    for mu, s in zip(mean, var, strict=True):
        k = kernel_matrix(*constants(AMPLITUDE, ELL, mu + np.sqrt(s) * grid, V)).numpy()
        first.append(weight @ k)
        second.append((k * weight[:, None]).T @ k)
    given = constants(AMPLITUDE, ELL, V, mean, var)
    np.testing.assert_allclose(psi1(*given), first, atol=1e-10)
    np.testing.assert_allclose(from_pairs(psi2(*given), len(V)), second, atol=1e-10)


def test_inputs_without_variance_are_points():
    V, mean, var = problem()
    given = constants(AMPLITUDE, ELL, V, mean, 0 * var)
    k = kernel_matrix(*constants(AMPLITUDE, ELL, mean, V)).numpy()
    np.testing.assert_allclose(psi1(*given), k, atol=1e-13)
    outer = k[:, :, None] * k[:, None, :]
    np.testing.assert_allclose(from_pairs(psi2(*given), len(V)), outer, atol=1e-13)


def test_far_from_the_origin_no_digit_is_lost():
    V, mean, var = problem()
    here = constants(AMPLITUDE, ELL, V, mean, var)
    there = constants(AMPLITUDE, ELL, V + 1e4, mean + 1e4, var)
    np.testing.assert_allclose(psi1(*there), psi1(*here), rtol=1e-9)
    np.testing.assert_allclose(psi2(*there), psi2(*here), rtol=1e-9)


def test_a_table_of_pairs_has_the_product_of_the_matrices():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(2, 3, 6, 6))
    A, B = A + np.swapaxes(A, 1, 2), B + np.swapaxes(B, 1, 2)
    rows, columns = np.tril_indices(6)
    pairs = B[:, rows, columns]
    np.testing.assert_allclose(from_pairs(tf.constant(pairs), 6), B)
    found = tf.reduce_sum(pair_weights(tf.constant(A)) * pairs, axis=-1)
    np.testing.assert_allclose(found, np.einsum("gij,gij->g", A, B))


@pytest.mark.parametrize("shared", [True, False])
def test_moments_are_those_of_draws_of_the_process(shared):
    """E f and E f² over the input and q(w), by quadrature over one and algebra over the other."""
    V, mean, var = problem(m=5)
    rng = np.random.default_rng(2)
    m, K = len(V), 3
    A = rng.normal(size=(m, K))
    Lambda = np.tril(rng.normal(size=(1 if shared else K, m, m)))
    L_inv = inducing_factor(*constants(AMPLITUDE, ELL, V))
    given = constants(AMPLITUDE, ELL, V, mean, var)
    f_mean = psi1(*given).numpy() @ L_inv.numpy().T @ A
    C = pair_weights(second_moment_matrix(L_inv, *constants(A, Lambda))).numpy()
    f_square = psi2(*given).numpy() @ C.T  # summed over the outputs of a group, less a each
    nodes, weights = gauss_hermite(40)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    weight = np.outer(weights, weights).ravel()
    for n in range(len(mean)):
        x = mean[n] + np.sqrt(var[n]) * grid
        t = kernel_matrix(*constants(AMPLITUDE, ELL, x, V)).numpy() @ L_inv.numpy().T
        f = t @ A
        spread = np.sum((t @ Lambda) ** 2, axis=-1) - np.sum(t**2, axis=1)  # [groups, grid]
        square = f**2 + np.broadcast_to(spread, (K, len(t))).T
        np.testing.assert_allclose(f_mean[n], weight @ f, atol=1e-9)
        expected = weight @ square
        np.testing.assert_allclose(f_square[n], expected.sum() if shared else expected, atol=1e-8)


def test_the_divergence_is_that_of_full_gaussians():
    rng = np.random.default_rng(3)
    A, Lambda = rng.normal(size=(4, 3)), np.tril(rng.normal(size=(3, 4, 4)))
    expected = 0.0
    for a, factor in zip(A.T, Lambda, strict=True):
        S = factor @ factor.T
        expected += 0.5 * (a @ a + np.trace(S) - 4 - np.linalg.slogdet(S)[1])
    assert float(inducing_kl(*constants(A, Lambda))) == pytest.approx(expected, rel=1e-12)
    shared = Lambda[:1]
    each = inducing_kl(*constants(A, np.repeat(shared, 3, axis=0)))
    assert float(inducing_kl(*constants(A, shared))) == pytest.approx(float(each), rel=1e-12)


def elbo(A, Lambda, given, L_inv, Y, noise):
    """Σ_n Σ_d E log N(y_nd | f_d(x_n), σ²) - KL, with one group of outputs."""
    N, K = Y.shape
    f = psi1(*given).numpy() @ L_inv.numpy().T @ A.numpy()
    square = psi2(*given).numpy() @ pair_weights(second_moment_matrix(L_inv, A, Lambda)).numpy().T
    errors = np.sum(Y**2 - 2 * Y * f) + np.sum(square) + N * K * AMPLITUDE
    fit = -0.5 * N * K * math.log(2 * math.pi * noise) - 0.5 * errors / noise
    return fit - float(inducing_kl(A, Lambda))


def test_with_known_inputs_and_as_many_inducing_points_the_bound_is_the_evidence():
    rng = np.random.default_rng(4)
    X, Y, noise = rng.normal(size=(9, 2)), rng.normal(size=(9, 3)), 0.3
    given = constants(AMPLITUDE, ELL, X, X, np.zeros_like(X))
    L_inv = inducing_factor(*constants(AMPLITUDE, ELL, X), jitter=1e-13)
    Psi2 = from_pairs(tf.reduce_sum(psi2(*given), axis=0), 9)[tf.newaxis]
    Psi1_Y = tf.matmul(psi1(*given), tf.constant(Y), transpose_a=True)
    A, Lambda = optimal_inducing(L_inv, tf.constant([noise], tf.float64), Psi1_Y, Psi2)
    C = covariance(*constants(AMPLITUDE, ELL, noise, X))
    evidence = float(gp_log_likelihood(C, tf.constant(Y)))
    found = elbo(A, Lambda, given, L_inv, Y, noise)
    assert found == pytest.approx(evidence, abs=1e-8)
    assert elbo(1.01 * A, Lambda, given, L_inv, Y, noise) < found
    assert elbo(A, 1.01 * Lambda, given, L_inv, Y, noise) < found
    np.testing.assert_array_equal(np.triu(Lambda[0], 1), 0.0)


def test_the_optimum_of_each_group_is_that_of_its_own_points():
    """Groups with their own noise and their own observed points, against a solve for each."""
    V, mean, var = problem(N=8)
    rng = np.random.default_rng(5)
    Y, seen = rng.normal(size=(8, 2)), rng.random((8, 2)) < 0.7
    noise = np.array([0.2, 0.9])
    given = constants(AMPLITUDE, ELL, V, mean, var)
    L_inv = inducing_factor(*constants(AMPLITUDE, ELL, V))
    Psi1, Psi2 = psi1(*given).numpy(), from_pairs(psi2(*given), len(V)).numpy()
    A, Lambda = optimal_inducing(
        L_inv,
        tf.constant(noise),
        tf.constant(Psi1.T @ np.where(seen, Y, 0.0)),
        tf.constant(np.einsum("nq,nij->qij", seen.astype(float), Psi2)),
    )
    for q in range(2):
        rows = seen[:, q]
        P = np.eye(len(V)) + L_inv.numpy() @ Psi2[rows].sum(0) @ L_inv.numpy().T / noise[q]
        np.testing.assert_allclose(Lambda[q] @ tf.transpose(Lambda[q]), np.linalg.inv(P), atol=1e-9)
        a = np.linalg.solve(P, L_inv.numpy() @ Psi1[rows].T @ Y[rows, q] / noise[q])
        np.testing.assert_allclose(A[:, q], a, atol=1e-9)
