"""The RBF-ARD kernel against loops and TFP, its memory, and the start that is alive."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.gp import kernels
from tests.reference.vogpae import rbf_ard

N, M, D = 9, 5, 4


@pytest.fixture
def inputs():
    """Amplitude variance, lengthscales, two sets of inputs."""
    rng = np.random.default_rng(0)
    values = (1.7, rng.random(D) + 0.5, rng.standard_normal((N, D)), rng.standard_normal((M, D)))
    return [tf.constant(v, tf.float64) for v in values]


def test_kernel_matrix_is_the_loop(inputs):
    a, lengthscales, X, X2 = inputs
    truth = rbf_ard(float(a), lengthscales.numpy(), X.numpy(), X2.numpy())
    np.testing.assert_allclose(kernels.kernel_matrix(a, lengthscales, X, X2), truth, rtol=1e-13)
    truth = rbf_ard(float(a), lengthscales.numpy(), X.numpy(), X.numpy())
    K = kernels.kernel_matrix(a, lengthscales, X).numpy()
    np.testing.assert_allclose(K, truth, rtol=1e-13)
    np.testing.assert_allclose(K, K.T, rtol=1e-14)
    np.testing.assert_array_equal(np.diag(K), float(a))


def test_covariance_adds_the_noise_to_the_diagonal(inputs):
    a, lengthscales, X, _ = inputs
    C = kernels.covariance(a, lengthscales, tf.constant(0.3, tf.float64), X)
    K = kernels.kernel_matrix(a, lengthscales, X)
    np.testing.assert_allclose(C, K + 0.3 * np.eye(N), rtol=1e-15)


@pytest.mark.parametrize("n", [N, 300])
@pytest.mark.parametrize("with_others", [False, True])
def test_values_and_gradients_are_those_of_the_tfp_kernel(inputs, n, with_others):
    a, lengthscales, _, X2 = inputs
    rng = np.random.default_rng(1)
    X = tf.constant(rng.standard_normal((n, D)))
    weights = rng.standard_normal((n, M if with_others else n))
    others = X2 if with_others else None
    results = []
    for function in (
        kernels.kernel_matrix,
        lambda a, ls, X, X2: kernels.rbf_ard(a, ls).matrix(X, X if X2 is None else X2),
    ):
        given = [a, lengthscales, X] + ([X2] if with_others else [])
        with tf.GradientTape() as tape:
            tape.watch(given)
            K = function(a, lengthscales, X, others)
            total = tf.reduce_sum(K * weights)
        results.append([K, *tape.gradient(total, given)])
    for ours, theirs in zip(*results, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-13)


def test_gradient_is_that_of_finite_differences(inputs):
    a, lengthscales, X, _ = inputs
    weights = np.random.default_rng(1).standard_normal((N, N))

    def total(a, lengthscales, X):
        return tf.reduce_sum(kernels.kernel_matrix(a, lengthscales, X) * weights)

    theory, numeric = tf.test.compute_gradient(total, [a, lengthscales, X], delta=1e-6)
    for ours, truth in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(ours, truth, atol=1e-8)


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_a_far_origin_costs_no_digits(dtype, error):
    X = np.random.default_rng(0).standard_normal((20, 3))
    moved = (X + 1000.0).astype(dtype)
    exact = rbf_ard(1.0, np.ones(3), moved.astype(np.float64), moved.astype(np.float64))
    one = np.ones(3, dtype)
    np.testing.assert_allclose(kernels.kernel_matrix(dtype(1), one, moved), exact, atol=error)
    np.testing.assert_allclose(
        kernels.kernel_matrix(dtype(1), one, moved, moved), exact, atol=error
    )


def test_repeated_points_have_correlation_one_at_most(inputs):
    a, lengthscales, X, _ = inputs
    K = kernels.kernel_matrix(a, lengthscales, tf.concat([X, X, X + 1e-9], axis=0))
    assert np.all(float(a) >= K)
    np.testing.assert_allclose(np.diag(K[:N, N : 2 * N]), float(a), rtol=1e-14)


def test_memory_never_holds_a_cube():
    n, d = 1500, 2000

    @tf.function(autograph=False)
    def step(a, lengthscales, X):
        with tf.GradientTape() as tape:
            tape.watch([a, lengthscales, X])
            value = tf.reduce_sum(kernels.kernel_matrix(a, lengthscales, X))
        return tape.gradient(value, [a, lengthscales, X])

    shapes = ([], [d], [n, d])
    graph = step.get_concrete_function(*(tf.TensorSpec(s, tf.float64) for s in shapes)).graph
    graphs = [graph, *(f.graph for f in graph._functions.values() if hasattr(f, "graph"))]
    sizes = [
        output.shape.num_elements() or 0
        for g in graphs
        for operation in g.get_operations()
        for output in operation.outputs
        if output.shape.rank is not None
    ]
    assert len(sizes) > 20
    assert max(sizes) == n * d


def test_median_lengthscale_is_the_median_distance():
    X = np.random.default_rng(0).standard_normal((31, 7))
    distances = [np.linalg.norm(X[i] - X[j]) for i in range(31) for j in range(i)]
    ours = float(kernels.median_lengthscale(tf.constant(X)))
    assert ours == pytest.approx(np.median(np.square(distances)) ** 0.5, rel=1e-12)


def test_median_lengthscale_of_many_points_is_that_of_an_even_sample():
    X = np.random.default_rng(0).standard_normal((2500, 3)) * np.array([1.0, 2.0, 3.0])
    rows = np.arange(1000) * 2499 // 999
    sample = float(kernels.median_lengthscale(tf.constant(X[rows])))
    assert float(kernels.median_lengthscale(tf.constant(X))) == pytest.approx(sample)


def test_median_lengthscale_needs_two_points():
    with pytest.raises(ValueError, match="at least two points, got 1"):
        kernels.median_lengthscale(tf.zeros([1, 3]))


def lengthscale_gradient(lengthscale: float) -> tuple[tf.Tensor, np.ndarray]:
    """The matrix at this lengthscale in 2000 dimensions, and its gradient."""
    X = tf.constant(np.random.default_rng(0).standard_normal((60, 2000)))
    lengthscales = tf.fill([2000], tf.constant(lengthscale, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch(lengthscales)
        K = kernels.kernel_matrix(tf.constant(1.0, tf.float64), lengthscales, X)
    return K, tape.gradient(K, lengthscales).numpy()


def test_a_start_at_the_median_distance_is_alive():
    X = tf.constant(np.random.default_rng(0).standard_normal((60, 2000)))
    K, slope = lengthscale_gradient(float(kernels.median_lengthscale(X)))
    assert np.abs(slope).min() > 1e-3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels.check_alive(K, 1.0, "encoder")


def test_a_start_at_one_in_2000_dimensions_is_dead_and_said_to_be():
    K, slope = lengthscale_gradient(1.0)
    assert np.abs(slope).max() < 1e-100
    with pytest.warns(RuntimeWarning, match="the encoder kernel starts dead.*median_lengthscale"):
        assert not kernels.check_alive(K, 1.0, "encoder")
