"""The numerical functions against extended precision, NumPy and their own symmetries."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf import numerics
from deepcoder_tf.numerics import BIG

GAPS = (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3, 1e4)


def end_points(dtype: type) -> np.ndarray:
    """Intervals from one tail to the other, of all widths, rounded to the type first."""
    starts = [*np.linspace(-300.0, 300.0, 41), -38.0, -5.5, -1.0, -0.2, 0.0, 0.3, 4.0, 8.3]
    pairs = [(a, a + gap) for a in starts for gap in GAPS]
    pairs += [(-BIG, b) for b in (-300.0, -10.0, 0.0, 3.0, 300.0, BIG)]
    pairs += [(a, BIG) for a in (-300.0, -10.0, 0.0, 3.0, 300.0)]
    return np.array(pairs, dtype).T.astype(np.float64)


def exact_log_diff(a: float, b: float) -> tuple[float, float, float]:
    """log(Φ(b) - Φ(a)) and its two derivatives with 80 digits."""
    with mpmath.workdps(80):
        a, b, root = mpmath.mpf(float(a)), mpmath.mpf(float(b)), mpmath.sqrt(2)
        if a + b > 0:
            p = (mpmath.erfc(a / root) - mpmath.erfc(b / root)) / 2
        else:
            p = (mpmath.erfc(-b / root) - mpmath.erfc(-a / root)) / 2
        return float(mpmath.log(p)), float(-mpmath.npdf(a) / p), float(mpmath.npdf(b) / p)


def gradients(function, *arguments):
    """Value and gradients, as NumPy arrays."""
    arguments = [tf.convert_to_tensor(x) for x in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return value.numpy(), *(g.numpy() for g in tape.gradient(value, arguments))


@pytest.mark.parametrize(
    ("dtype", "value_error", "slope_error"), [(np.float64, 1e-13, 1e-12), (np.float32, 3e-5, 5e-4)]
)
def test_log_diff_ndtr_and_its_gradient_match_80_digits(dtype, value_error, slope_error):
    # On every half from -300 to 300 times the seven widths (8407 intervals) the largest errors of
    # value and gradient were 2e-14 and 2e-13 in float64, 2e-5 and 2e-4 in float32.
    a, b = end_points(dtype)
    truth = np.array([exact_log_diff(*pair) for pair in zip(a, b, strict=True)]).T
    value, slope_a, slope_b = gradients(numerics.log_diff_ndtr, a.astype(dtype), b.astype(dtype))
    assert np.isfinite([value, slope_a, slope_b]).all()
    assert np.max(np.abs(value - truth[0]) / np.maximum(1.0, np.abs(truth[0]))) < value_error
    for slope, exact in ((slope_a, truth[1]), (slope_b, truth[2])):
        # A slope of 1e-20 and less may lose its digits: nothing depends on it.
        np.testing.assert_allclose(slope, exact, rtol=slope_error, atol=1e-20)


def test_log_diff_ndtr_broadcasts_and_sums_the_gradient_back():
    a, b = tf.constant([[-1.0], [0.0]]), tf.constant([1.0, 2.0, 3.0])
    value, slope_a, slope_b = gradients(numerics.log_diff_ndtr, a, b)
    assert value.shape == (2, 3)
    assert slope_a.shape == (2, 1)
    assert slope_b.shape == (3,)
    each = [
        [gradients(numerics.log_diff_ndtr, a[i, 0], b[j])[1] for j in range(3)] for i in range(2)
    ]
    np.testing.assert_allclose(slope_a[:, 0], np.sum(each, axis=1), rtol=1e-6)


def test_an_empty_interval_has_no_probability():
    assert numerics.log_diff_ndtr(tf.constant(2.0), tf.constant(2.0)) == -np.inf


finite = st.floats(-200.0, 200.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(a=finite, first=st.floats(1e-2, 50.0), second=st.floats(1e-2, 50.0))
def test_log_diff_ndtr_is_symmetric_and_additive(a, first, second):
    points = [tf.constant(x, tf.float64) for x in (a, a + first, a + first + second)]
    log_diff = numerics.log_diff_ndtr
    whole = float(log_diff(points[0], points[2]))
    assert float(log_diff(-points[2], -points[0])) == pytest.approx(whole, rel=1e-13, abs=1e-13)
    both = np.logaddexp(log_diff(points[0], points[1]), log_diff(points[1], points[2]))
    assert both == pytest.approx(whole, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_log_ndtr_and_its_gradient_match_80_digits(dtype, tolerance):
    x = np.concatenate([np.linspace(-300.0, 9.0, 104), [-BIG, -1e-3, 0.0, 1e-3]]).astype(dtype)
    value, slope = gradients(numerics.log_ndtr, x)
    with mpmath.workdps(80):
        cdf = [mpmath.ncdf(float(v)) for v in x]
        exact = [float(mpmath.log(p)) for p in cdf]
        exact_slope = [float(mpmath.npdf(float(v)) / p) for v, p in zip(x, cdf, strict=True)]
    np.testing.assert_allclose(value, exact, rtol=tolerance)
    np.testing.assert_allclose(slope, exact_slope, rtol=10.0 * tolerance, atol=1e-37)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ndtr_is_right_at_both_ends_and_never_nan(dtype):
    x = np.array([-np.inf, -BIG, -8.0, 0.0, 8.0, BIG, np.inf], dtype)
    value, slope = gradients(numerics.ndtr, x)
    exact = [0.0, 0.0, 6.22096057427178e-16, 0.5, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(value, exact, rtol=1e-12 if dtype is np.float64 else 1e-5)
    assert np.isfinite(slope).all()
    log_value, log_slope = gradients(numerics.log_ndtr, x)
    assert np.isfinite([log_value, log_slope]).all()


@pytest.mark.parametrize("floor", [0.0, 1e-4])
def test_positive_and_softplus_inverse_are_inverse(floor):
    x = tf.constant([1e-3, 0.1, 1.0, 30.0, 800.0], tf.float64)
    raw = numerics.softplus_inverse(x, floor)
    np.testing.assert_allclose(numerics.positive(raw, floor), x, rtol=1e-13)
    assert np.all(numerics.positive(tf.constant([-1e3, 0.0]), floor) >= floor)


@pytest.mark.parametrize("n", [1, 2, 20])
def test_gauss_hermite_is_exact_for_polynomials(n):
    nodes, weights = numerics.gauss_hermite(n)
    for degree in range(2 * n):
        moment = 0.0 if degree % 2 else math.prod(range(1, degree, 2))
        scale = max(1.0, math.prod(range(1, degree + degree % 2, 2)))
        assert np.sum(weights * nodes**degree) == pytest.approx(moment, abs=1e-11 * scale)


def test_gauss_hermite_refuses_no_nodes():
    with pytest.raises(ValueError, match="n=0"):
        numerics.gauss_hermite(0)


def spd(n: int, dtype=np.float64) -> np.ndarray:
    """A well conditioned symmetric positive definite matrix."""
    A = np.random.default_rng(n).standard_normal((n, n))
    return (A @ A.T / n + 0.1 * np.eye(n)).astype(dtype)


# Sizes around the halving of the matrix, odd ones among them.
@pytest.mark.parametrize("n", [1, 2, 255, 257, 601])
def test_inverses_match_numpy(n):
    C = spd(n)
    L = numerics.jittered_cholesky(tf.constant(C), 1e-3)
    C = C + 1e-3 * np.eye(n)
    np.testing.assert_allclose(L @ tf.transpose(L), C, atol=1e-12)
    L_inv = numerics.triangular_inverse(L)
    np.testing.assert_allclose(L_inv @ L, np.eye(n), atol=1e-12)
    assert np.all(np.triu(L_inv, 1) == 0.0)
    P = numerics.spd_inverse(L_inv).numpy()
    np.testing.assert_allclose(P, np.linalg.inv(C), atol=1e-10)
    np.testing.assert_allclose(P, P.T, rtol=0, atol=1e-14 * np.abs(P).max())


@pytest.mark.parametrize("n", [3, 256, 530])
def test_symmetric_matmul_is_the_product(n):
    A = np.random.default_rng(n).standard_normal((n, 17))
    B = A * np.linspace(-1.0, 1.0, 17)
    product = numerics.symmetric_matmul(tf.constant(A), tf.constant(B)).numpy()
    np.testing.assert_allclose(product, A @ B.T, atol=1e-12)


def test_factors_work_without_a_static_size():
    function = tf.function(
        lambda C: numerics.spd_inverse(numerics.triangular_inverse(numerics.jittered_cholesky(C))),
        input_signature=[tf.TensorSpec([None, None], tf.float64)],
    )
    C = spd(300)
    np.testing.assert_allclose(function(C), np.linalg.inv(C), atol=1e-10)


@pytest.mark.parametrize("n", [3, 5, 200])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_indefinite_matrix_is_detected_not_raised(n, compiled):
    def ok(C):
        return numerics.cholesky_ok(numerics.jittered_cholesky(C))

    ok = tf.function(ok) if compiled else ok
    assert ok(tf.constant(spd(n)))
    assert not ok(tf.constant(spd(n) - np.eye(n)))
    assert not ok(tf.ones([n, n], tf.float64) - 1e-6 * tf.eye(n, dtype=tf.float64))


def test_relative_jitter_follows_the_precision():
    assert numerics.relative_jitter(tf.float64) < numerics.relative_jitter(tf.float32)
    C = tf.ones([50, 50], tf.float32)
    assert numerics.cholesky_ok(numerics.jittered_cholesky(C, numerics.relative_jitter(tf.float32)))
