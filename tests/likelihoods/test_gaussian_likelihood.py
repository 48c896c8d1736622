"""Gaussian terms against SciPy and numerical integration."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf.likelihoods import gaussian
from deepcoder_tf.types import Gaussian
from tests.reference.vogpae import gaussian_kl


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_likelihood_sums_over_the_pixels_of_each_image(dtype):
    rng = np.random.default_rng(0)
    x, mean = rng.random((2, 4, 5, 6, 1)).astype(dtype)
    truth = scipy.stats.norm.logpdf(x, mean, np.sqrt(0.2)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(gaussian.log_likelihood(x, mean, dtype(0.2)), truth, rtol=1e-5)


def test_log_likelihood_of_an_unknown_batch():
    spec = tf.TensorSpec([None, 3, 3, 1], tf.float32)
    function = tf.function(
        lambda x, mean: gaussian.log_likelihood(x, mean, tf.constant(0.1)),
        input_signature=[spec, spec],
    )
    assert function(tf.ones([4, 3, 3, 1]), tf.zeros([4, 3, 3, 1])).shape == (4,)


def test_pixel_variance_never_falls_below_its_floor():
    assert gaussian.pixel_variance(tf.constant(-100.0)) >= gaussian.VARIANCE_FLOOR
    assert gaussian.pixel_variance(tf.constant(2.0)) > 2.0


gaussians = st.tuples(st.floats(-5.0, 5.0), st.floats(1e-2, 20.0))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(q=gaussians, p=gaussians)
def test_divergence_is_the_integral_and_never_negative(q, p):
    tensors = [Gaussian(*(tf.constant([[v]], tf.float64) for v in g)) for g in (q, p)]
    ours = float(gaussian.kl_diagonal(*tensors)[0, 0])
    assert ours >= 0.0
    assert ours == pytest.approx(gaussian_kl(*q, *p), rel=1e-6, abs=1e-8)


def test_divergence_of_a_gaussian_from_itself_is_zero():
    rng = np.random.default_rng(0)
    q = Gaussian(tf.constant(rng.standard_normal((5, 3))), tf.constant(rng.random((5, 3))))
    np.testing.assert_array_equal(gaussian.kl_diagonal(q, q), np.zeros((5, 3)))


def test_divergence_from_the_standard_normal_is_the_papers():
    rng = np.random.default_rng(0)
    mean, var = rng.standard_normal((5, 3)), rng.random((5, 3)) + 0.01
    truth = 0.5 * (var + mean**2 - 1.0 - np.log(var))
    q = Gaussian(tf.constant(mean), tf.constant(var))
    np.testing.assert_allclose(gaussian.kl_diagonal(q), truth, rtol=1e-12)
    assert gaussian.kl_diagonal(q).shape == (5, 3)
