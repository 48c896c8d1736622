"""Inducing points: GPflow, the exact GP in the limit, loops, and finite differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.gp.inducing import (
    expected_log_likelihood,
    explained,
    leave_one_out_by_leverage,
)
from deepcoder_tf.gp.kernels import covariance, data_kernel_matrix, kernel_matrix
from deepcoder_tf.gp.leave_one_out import factorise, gp_log_likelihood, loo_predictions
from deepcoder_tf.gp.uncertain_inputs import inducing_factor, inducing_kl, optimal_inducing
from tests.reference import vogpae as reference

DATA = Path(__file__).parent / "data" / "gpflow_svgp.npz"


def tensors(*arrays) -> list[tf.Tensor]:
    """float64 constants."""
    return [tf.constant(a, tf.float64) for a in arrays]


# Decoder ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpflow() -> dict[str, np.ndarray]:
    """A random problem and what GPflow says of it; see tools/make_gpflow_reference.py."""
    with np.load(DATA, allow_pickle=False) as file:
        return dict(file)


def whitened(p, Z1) -> tf.Tensor:
    """Rows t = L⁻¹ k(V, z1)."""
    a, ls, V = tensors(p["amplitude"], p["lengthscales"], p["V"])
    jitter = float(p["jitter"] / p["amplitude"])
    k = kernel_matrix(a, ls, tf.constant(Z1), V)
    return tf.matmul(k, inducing_factor(a, ls, V, jitter), transpose_b=True)


def svgp_bound(p, rows, A, Lambda) -> float:
    """(N / B) Σ_batch ℓ_i - KL(q(U) ‖ p(U))."""
    a, noise, A, Lambda = tensors(p["amplitude"], p["noise"], A, Lambda)
    T, Z = whitened(p, p["Z1"][rows]), tf.constant(p["Z0"][rows])
    terms = expected_log_likelihood(T, A, Lambda, a, noise, Z)
    N = len(p["Z0"])
    return float(N * tf.reduce_mean(terms) - inducing_kl(A, Lambda[tf.newaxis]))


def best_q(p, Z1, Z0) -> tuple[np.ndarray, np.ndarray]:
    """A and Λ that are best for a data set."""
    a, ls, V, noise = tensors(p["amplitude"], p["lengthscales"], p["V"], p["noise"])
    k = kernel_matrix(a, ls, tf.constant(Z1), V)
    A, Lambda = optimal_inducing(
        inducing_factor(a, ls, V, float(p["jitter"] / p["amplitude"])),
        noise[tf.newaxis],
        tf.matmul(k, tf.constant(Z0), transpose_a=True),
        tf.matmul(k, k, transpose_a=True)[tf.newaxis],
    )
    return A.numpy(), Lambda[0].numpy()


def test_the_reference_names_its_versions(gpflow):
    assert [entry.split()[0] for entry in gpflow["versions"]] == ["gpflow", "tensorflow", "numpy"]


def test_the_bound_is_that_of_gpflow(gpflow):
    p, every = gpflow, np.arange(len(gpflow["Z0"]))
    ours = svgp_bound(p, every, p["A"], p["Lambda"])
    assert ours == pytest.approx(float(p["elbo"]), rel=0, abs=1e-8)
    batch = svgp_bound(p, p["batch"], p["A"], p["Lambda"])
    assert batch == pytest.approx(float(p["elbo_batch"]), rel=0, abs=1e-8)
    kl = inducing_kl(*tensors(p["A"], p["Lambda"][np.newaxis]))
    assert float(kl) == pytest.approx(float(p["kl"]), rel=0, abs=1e-8)


def test_the_bound_at_the_best_q_is_the_collapsed_bound_of_gpflow(gpflow):
    p = gpflow
    found = svgp_bound(p, np.arange(len(p["Z0"])), *best_q(p, p["Z1"], p["Z0"]))
    assert found == pytest.approx(float(p["optimal"]), rel=1e-9)
    assert found > float(p["elbo"])


def test_batches_estimate_the_bound_without_bias(gpflow):
    p = gpflow
    order = np.random.default_rng(0).permutation(len(p["Z0"]))
    parts = [svgp_bound(p, rows, p["A"], p["Lambda"]) for rows in order.reshape(5, -1)]
    assert np.mean(parts) == pytest.approx(float(p["elbo"]), rel=1e-12)
    assert np.std(parts) > 1.0


def test_each_frame_adds_what_an_integral_over_its_function_says(gpflow):
    p = gpflow
    a, noise, A, Lambda = tensors(p["amplitude"], p["noise"], p["A"], p["Lambda"])
    T = whitened(p, p["Z1"]).numpy()
    total_var = np.random.default_rng(0).uniform(0.1, 2.0, len(T))
    found = expected_log_likelihood(
        tf.constant(T), A, Lambda, a, noise, tf.constant(p["Z0"]), tf.constant(total_var)
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    for i in range(5):
        var = p["amplitude"] - T[i] @ T[i] + np.sum((p["Lambda"].T @ T[i]) ** 2)
        expected = -0.5 * total_var[i] / p["noise"]
        for d in range(p["Z0"].shape[1]):
            f = T[i] @ p["A"][:, d] + np.sqrt(var) * nodes
            log_p = -0.5 * (np.log(2 * np.pi * p["noise"]) + (p["Z0"][i, d] - f) ** 2 / p["noise"])
            expected += weights @ log_p / weights.sum()
        assert float(found[i]) == pytest.approx(expected, rel=1e-10)


def complete(gpflow, count: int = 24) -> dict[str, np.ndarray]:
    """As many inducing points as frames, and at their places; no jitter."""
    Z1 = 1.5 * gpflow["Z1"][:count]
    return {**gpflow, "Z1": Z1, "Z0": gpflow["Z0"][:count], "V": Z1, "jitter": np.array(0.0)}


def test_with_all_frames_as_inducing_points_it_is_the_exact_process(gpflow):
    p = complete(gpflow)
    A, Lambda = best_q(p, p["Z1"], p["Z0"])
    a, ls, noise, Z1, Z0 = tensors(p["amplitude"], p["lengthscales"], p["noise"], p["Z1"], p["Z0"])
    C = covariance(a, ls, noise, Z1)
    exact = float(gp_log_likelihood(C, Z0))
    assert svgp_bound(p, np.arange(len(A)), A, Lambda) == pytest.approx(exact, rel=1e-10)
    # Any other q, and fewer points, give less.
    assert svgp_bound(p, np.arange(len(A)), A, 1.1 * Lambda) < exact
    fewer = {**p, "V": p["V"][::2]}
    assert svgp_bound(fewer, np.arange(len(A)), *best_q(fewer, p["Z1"], p["Z0"])) < exact
    T = whitened(p, p["new"]).numpy()
    for i, k in enumerate(reference.rbf_ard(p["amplitude"], p["lengthscales"], p["new"], p["Z1"])):
        mean, var = reference.gp_prediction(C.numpy(), k, p["amplitude"], p["Z0"])
        np.testing.assert_allclose(T[i] @ A, mean, atol=1e-9)
        learnt = np.sum((Lambda.T @ T[i]) ** 2)
        assert p["amplitude"] - T[i] @ T[i] + learnt == pytest.approx(var, abs=1e-9)


def test_leverage_leaves_a_frame_out_exactly(gpflow):
    p = gpflow
    A, Lambda = best_q(p, p["Z1"], p["Z0"])
    a, noise = p["amplitude"], p["noise"]
    T = whitened(p, p["Z1"]).numpy()
    mean, var = leave_one_out_by_leverage(*tensors(T, A, Lambda, a, noise, p["Z0"]))
    for i in range(len(T)):
        rest = np.delete(np.arange(len(T)), i)
        A_i, Lambda_i = best_q(p, p["Z1"][rest], p["Z0"][rest])
        np.testing.assert_allclose(mean[i], T[i] @ A_i, atol=1e-10)
        expected = a - T[i] @ T[i] + np.sum((Lambda_i.T @ T[i]) ** 2) + noise
        assert float(var[i]) == pytest.approx(expected, abs=1e-10)


def test_leverage_at_all_frames_is_leave_one_out_of_the_exact_process(gpflow):
    p = complete(gpflow)
    A, Lambda = best_q(p, p["Z1"], p["Z0"])
    T = whitened(p, p["Z1"])
    a, ls, noise, Z1, Z0 = tensors(p["amplitude"], p["lengthscales"], p["noise"], p["Z1"], p["Z0"])
    mean, var = leave_one_out_by_leverage(T, *tensors(A, Lambda), a, noise, Z0)
    exact = loo_predictions(factorise(covariance(a, ls, noise, Z1)), Z0)
    np.testing.assert_allclose(mean, exact[0], atol=1e-9)
    np.testing.assert_allclose(var, exact[1], atol=1e-9)


def test_a_q_that_is_far_from_the_best_cannot_claim_more_leverage_than_a_lonely_frame(gpflow):
    p = gpflow
    T, Z = whitened(p, p["Z1"]), tf.constant(p["Z0"])
    A, Lambda, a, noise = tensors(p["A"], 50.0 * p["Lambda"], p["amplitude"], p["noise"])
    mean, var = leave_one_out_by_leverage(T, A, Lambda, a, noise, Z)
    known = tf.reduce_sum(T**2, axis=1).numpy()
    residual = (Z - tf.matmul(T, A)).numpy()
    np.testing.assert_allclose(Z - mean, residual * (1 + known / p["noise"])[:, None], rtol=1e-10)
    # Alone means nothing but the prior is left without it.
    np.testing.assert_allclose(var, p["amplitude"] + p["noise"], rtol=1e-10)


# Encoder ------------------------------------------------------------------------------------------


def pseudo_points(m: int = 6, count: int = 9, dims: int = 4, outputs: int = 3):
    """Kernel parameters, pseudo-points, other points and targets."""
    rng = np.random.default_rng(3)
    U, X = rng.standard_normal((m, dims)), rng.standard_normal((count, dims))
    parameters = 1.4, rng.uniform(0.8, 2.0, dims), 0.1
    return parameters, U, X, rng.standard_normal((m, outputs))


def test_pseudo_points_predict_as_training_points_do():
    (a, ls, noise), U, X, M = pseudo_points()
    C = reference.rbf_ard(a, ls, U, U) + noise * np.eye(len(U))
    k = reference.rbf_ard(a, ls, X, U)
    mean, var = explained(*tensors(C, k, M))
    for i in range(len(X)):
        expected_mean, expected_var = reference.gp_prediction(C, k[i], a, M)
        np.testing.assert_allclose(mean[i], expected_mean, atol=1e-12)
        assert a - float(var[i]) == pytest.approx(expected_var, abs=1e-12)


def scalar_of_encoder(a, ls, noise, M, U, X, kernel=data_kernel_matrix) -> tf.Tensor:
    """A number that depends on every mean and every variance."""
    mean, var = explained(covariance(a, ls, noise, U), kernel(a, ls, X, U), M)
    return tf.reduce_sum(tf.sin(mean)) + tf.reduce_sum(var**2)


def test_the_gradient_of_the_encoder_is_that_of_finite_differences():
    (a, ls, noise), U, X, M = pseudo_points()
    arguments = tensors(a, ls, noise, M)
    U, X = tensors(U, X)
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = scalar_of_encoder(*arguments, U, X)
    h = 1e-5
    for position, gradient in enumerate(tape.gradient(value, arguments)):
        argument = np.asarray(arguments[position])
        for entry in np.ndindex(argument.shape):
            moved = []
            for sign in (1, -1):
                changed = np.array(argument)
                changed[entry] += sign * h
                given = [*arguments]
                given[position] = tf.constant(changed)
                moved.append(float(scalar_of_encoder(*given, U, X)))
            slope = (moved[0] - moved[1]) / (2 * h)
            assert float(gradient.numpy()[entry]) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_the_gradient_of_the_encoder_is_that_of_automatic_differentiation():
    (a, ls, noise), U, X, M = pseudo_points()
    C = reference.rbf_ard(a, ls, U, U) + noise * np.eye(len(U))
    arguments = tensors(C, reference.rbf_ard(a, ls, X, U), M)

    def automatic(C, k, M):
        T = tf.linalg.triangular_solve(tf.linalg.cholesky(C), tf.transpose(k))
        weights = tf.linalg.cholesky_solve(tf.linalg.cholesky(C), M)
        return tf.matmul(k, weights), tf.reduce_sum(T**2, axis=0)

    gradients = []
    for function in (explained, automatic):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            mean, var = function(*arguments)
            value = tf.reduce_sum(tf.sin(mean)) + tf.reduce_sum(var**2)
        gradients.append(tape.gradient(value, arguments))
    for ours, theirs in zip(*gradients, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if ours.shape == C.shape:  # only its symmetric part is defined
            ours, theirs = ours + ours.T, theirs + theirs.T
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_the_kernel_of_data_has_the_values_and_gradients_of_the_kernel():
    (a, ls, _), U, X, _ = pseudo_points()
    a, ls, U, X = tensors(a, ls, U + 20.0, X + 20.0)
    weights = tf.constant(np.random.default_rng(0).standard_normal((len(X), len(U))))
    found = []
    for kernel in (kernel_matrix, data_kernel_matrix):
        with tf.GradientTape() as tape:
            tape.watch([a, ls, U, X])
            K = kernel(a, ls, X, U)
            value = tf.reduce_sum(weights * K)
        found.append((K, tape.gradient(value, [a, ls, U, X])))
    (K, gradients), (data_K, data_gradients) = found
    np.testing.assert_allclose(data_K, K, rtol=1e-13)
    for ours, theirs in zip(data_gradients[:2], gradients[:2], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert data_gradients[2:] == [None, None]
