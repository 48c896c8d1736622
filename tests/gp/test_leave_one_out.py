"""Leave-one-out and log-likelihood: loops, scikit-learn, automatic differentiation, invariances."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from deepcoder_tf.gp import kernels
from deepcoder_tf.gp.leave_one_out import factorise, gp_log_likelihood, loo, loo_predictions
from tests.reference import vogpae

N, D_IN, D_OUT = 23, 4, 3


def problem(n: int = N, seed: int = 0):
    """A covariance, targets and the parameters behind the covariance."""
    rng = np.random.default_rng(seed)
    a, noise = 1.4, 0.1
    lengthscales, X = rng.random(D_IN) + 0.8, rng.standard_normal((n, D_IN))
    C = vogpae.rbf_ard(a, lengthscales, X, X) + noise * np.eye(n)
    return C, rng.standard_normal((n, D_OUT)), (a, lengthscales, noise, X)


@pytest.mark.parametrize("seed", range(5))
def test_loo_is_prediction_by_a_process_without_the_point(seed):
    C, M, _ = problem(seed=seed)
    mean, var = loo(tf.constant(C), tf.constant(M))
    truth_mean, truth_var = vogpae.leave_one_out(C, M)
    np.testing.assert_allclose(mean, truth_mean, atol=1e-10)
    np.testing.assert_allclose(var, truth_var, atol=1e-10)
    again = loo_predictions(factorise(tf.constant(C)), tf.constant(M))
    np.testing.assert_allclose(again[0], truth_mean, atol=1e-10)
    np.testing.assert_allclose(again[1], truth_var, atol=1e-10)


def test_a_target_does_not_predict_itself():
    C, M, _ = problem()
    M = tf.constant(M[:, :1])
    with tf.GradientTape() as tape:
        tape.watch(M)
        mean, _ = loo(tf.constant(C), M)
    jacobian = tape.jacobian(mean, M)[:, 0, :, 0].numpy()
    assert np.abs(np.diag(jacobian)).max() < 1e-14
    assert np.abs(jacobian).max() > 0.1


def test_a_duplicate_leaks_which_is_why_batches_have_none():
    C, M, (a, lengthscales, _, X) = problem()
    X, M = np.vstack([X, X[:1]]), np.vstack([M, M[:1]])
    C = vogpae.rbf_ard(a, lengthscales, X, X) + 1e-4 * np.eye(N + 1)
    mean, _ = loo(tf.constant(C), tf.constant(M))
    assert np.abs(mean[0] - M[0]).max() < 5e-3
    alone, _ = loo(tf.constant(C[:N, :N]), tf.constant(M[:N]))
    assert np.abs(alone[0] - M[0]).max() > 0.1


def test_log_likelihood_is_that_of_scipy_and_of_the_chain_rule():
    C, Z, _ = problem()
    ours = float(gp_log_likelihood(tf.constant(C), tf.constant(Z)))
    scipy_value = scipy.stats.multivariate_normal(np.zeros(N), C).logpdf(Z.T).sum()
    assert ours == pytest.approx(scipy_value, rel=1e-12)
    assert ours == pytest.approx(vogpae.gp_log_likelihood(C, Z), rel=1e-12)


def test_log_likelihood_is_that_of_scikit_learn():
    C, Z, (a, lengthscales, noise, X) = problem()
    kernel = ConstantKernel(a) * RBF(lengthscales)
    model = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(X, Z)
    ours = float(gp_log_likelihood(tf.constant(C), tf.constant(Z)))
    assert ours == pytest.approx(model.log_marginal_likelihood_value_, rel=1e-12)


def test_the_gradient_to_hyper_parameters_is_that_of_scikit_learn():
    _, Z, (a, lengthscales, noise, X) = problem()
    kernel = ConstantKernel(a) * RBF(lengthscales)
    model = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(X, Z)
    _, truth = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    theta = [tf.constant(v, tf.float64) for v in (a, lengthscales)]
    with tf.GradientTape() as tape:
        tape.watch(theta)
        C = kernels.covariance(*theta, tf.constant(noise, tf.float64), tf.constant(X))
        value = gp_log_likelihood(C, tf.constant(Z))
    d_a, d_lengthscales = tape.gradient(value, theta)
    # scikit-learn differentiates with respect to logarithms.
    ours = np.concatenate([[a * d_a], lengthscales * d_lengthscales])
    np.testing.assert_allclose(ours, truth, rtol=1e-10)


def test_uncertain_outputs_are_averaged_over():
    C, Z, _ = problem()
    rng = np.random.default_rng(1)
    Z_var = 0.3 * rng.random(Z.shape)
    draws = Z + np.sqrt(Z_var) * rng.standard_normal((20_000, *Z.shape))
    density = scipy.stats.multivariate_normal(np.zeros(N), C)
    samples = density.logpdf(np.moveaxis(draws, 1, 2)).sum(axis=1)
    ours = gp_log_likelihood(tf.constant(C), tf.constant(Z), tf.constant(Z_var.sum(axis=1)))
    error = samples.std() / np.sqrt(len(samples))
    assert abs(float(ours) - samples.mean()) < 4.0 * error
    certain = gp_log_likelihood(tf.constant(C), tf.constant(Z), tf.zeros([N], tf.float64))
    assert float(certain) == pytest.approx(float(gp_log_likelihood(tf.constant(C), Z)))


def autodiff_loo(C, M):
    """`loo` written so that TensorFlow differentiates through the Cholesky factor."""
    P = tf.linalg.cholesky_solve(tf.linalg.cholesky(C), tf.eye(C.shape[0], dtype=C.dtype))
    p = tf.linalg.diag_part(P)
    return M - tf.matmul(P, M) / p[:, tf.newaxis], 1.0 / p


def autodiff_log_likelihood(C, Z, total_var):
    """`gp_log_likelihood` likewise."""
    L = tf.linalg.cholesky(C)
    P = tf.linalg.cholesky_solve(L, tf.eye(C.shape[0], dtype=C.dtype))
    log_det = 2.0 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(L)))
    n, d = Z.shape
    uncertainty = tf.reduce_sum(tf.linalg.diag_part(P) * total_var)
    quadratic = tf.reduce_sum(Z * tf.matmul(P, Z))
    return -0.5 * (quadratic + d * log_det + n * d * np.log(2.0 * np.pi) + uncertainty)


@pytest.mark.parametrize("n", [N, 300])
@pytest.mark.parametrize("with_factors", [False, True])
def test_custom_gradients_are_those_of_automatic_differentiation(n, with_factors):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((n, n))
    C, M = tf.constant(A @ A.T / n + 0.2 * np.eye(n)), tf.constant(rng.standard_normal((n, 3)))
    total_var = tf.constant(rng.random(n))
    u, v = rng.standard_normal((n, 3)), rng.standard_normal(n)
    factors = factorise(C) if with_factors else None
    results = []
    for first, second in (
        (lambda *x: loo(*x, factors), lambda *x: gp_log_likelihood(*x, factors)),
        (autodiff_loo, autodiff_log_likelihood),
    ):
        with tf.GradientTape() as tape:
            tape.watch([C, M, total_var])
            mean, var = first(C, M)
            value = tf.reduce_sum(u * mean) + tf.reduce_sum(v * var) + 0.7 * second(C, M, total_var)
        d_C, d_M, d_var = tape.gradient(value, [C, M, total_var])
        # Automatic differentiation fills one triangle; only the symmetric part means anything.
        results.append([value, d_C + tf.transpose(d_C), d_M, d_var])
    for ours, theirs in zip(*results, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=2e-12)


@pytest.mark.parametrize("which", ["mean", "variance", "likelihood"])
def test_custom_gradients_are_those_of_finite_differences(which):
    rng = np.random.default_rng(3)
    _, M, (a, lengthscales, noise, X) = problem(n=8)
    u, total_var = rng.standard_normal((8, D_OUT)), tf.constant(rng.random(8))

    def total(a, lengthscales, noise, M, total_var):
        C = kernels.covariance(a, lengthscales, noise, tf.constant(X))
        if which == "likelihood":
            return gp_log_likelihood(C, M, total_var)
        mean, var = loo(C, M)
        return tf.reduce_sum(mean * u) if which == "mean" else tf.reduce_sum(var * u[:, 0])

    parameters = [tf.constant(v, tf.float64) for v in (a, lengthscales, noise)]
    point = [*parameters, tf.constant(M), total_var]
    theory, numeric = tf.test.compute_gradient(total, point, delta=1e-6)
    for ours, truth in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-6, atol=1e-7)


def test_gradients_flow_through_the_sample_of_the_decoders_inputs():
    C, M, _ = problem(n=10)
    noise = np.random.default_rng(4).standard_normal(M.shape)
    Z0, one = tf.constant(M), tf.constant(1.0, tf.float64)

    def total(M):
        mean, var = loo(tf.constant(C), M)
        Z1 = mean + tf.sqrt(var)[:, tf.newaxis] * noise
        C1 = kernels.covariance(one, tf.ones([D_OUT], tf.float64), 0.5 * one, Z1)
        return gp_log_likelihood(C1, Z0)

    theory, numeric = tf.test.compute_gradient(total, [tf.constant(M)], delta=1e-6)
    np.testing.assert_allclose(theory[0], numeric[0], rtol=1e-6, atol=1e-7)
    assert np.abs(theory[0]).max() > 1e-2


def test_the_order_of_points_does_not_matter():
    C, M, _ = problem()
    order = np.random.default_rng(5).permutation(N)
    C2, M2 = tf.constant(C[np.ix_(order, order)]), tf.constant(M[order])
    mean, var = loo(tf.constant(C), tf.constant(M))
    mean2, var2 = loo(C2, M2)
    np.testing.assert_allclose(mean2, mean.numpy()[order], atol=1e-12)
    np.testing.assert_allclose(var2, var.numpy()[order], atol=1e-12)
    R, R2 = gp_log_likelihood(tf.constant(C), M), gp_log_likelihood(C2, M2)
    assert float(R2) == pytest.approx(float(R), rel=1e-13)


def test_factors_are_the_inverse_and_the_determinant():
    C, _, _ = problem()
    factors = factorise(tf.constant(C))
    np.testing.assert_allclose(factors.P, np.linalg.inv(C), atol=1e-11)
    np.testing.assert_allclose(
        factors.L_inv @ C @ tf.transpose(factors.L_inv), np.eye(N), atol=1e-12
    )
    assert float(factors.log_det) == pytest.approx(np.linalg.slogdet(C)[1], rel=1e-12)
    assert factors.ok
    assert not factorise(tf.constant(C - 2.0 * np.eye(N))).ok
    np.testing.assert_allclose(
        factorise(tf.constant(C), 0.5).P, np.linalg.inv(C + 0.5 * np.eye(N)), atol=1e-12
    )


def test_graph_and_unknown_size_change_nothing():
    C, M, _ = problem(n=300)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float64),
            tf.TensorSpec([None, D_OUT], tf.float64),
        ]
    )
    def step(C, M):
        with tf.GradientTape() as tape:
            tape.watch([C, M])
            mean, var = loo(C, M)
            value = tf.reduce_sum(mean) + tf.reduce_sum(var) + gp_log_likelihood(C, M)
        return value, *tape.gradient(value, [C, M])

    C, M = tf.constant(C), tf.constant(M)
    for graph, eager in zip(step(C, M), step.python_function(C, M), strict=True):
        scale = np.abs(eager).max()
        np.testing.assert_allclose(graph / scale, eager / scale, atol=1e-12)


@pytest.mark.parametrize("n", [2, 64, 300])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_indefinite_covariance_gives_nan_everywhere_and_no_error(n, compiled):
    factors_of = tf.function(factorise) if compiled else factorise
    last_negative, first_negative, undefined = (np.eye(n) for _ in range(3))
    last_negative[-1, -1] = first_negative[0, 0] = -1.0
    undefined[n // 2, n // 2] = np.nan
    for C in (last_negative, first_negative, undefined, np.zeros((n, n))):
        factors = factors_of(tf.constant(C))
        assert not factors.ok
        assert np.all(np.isnan(factors.P))
        assert np.isnan(factors.log_det)
