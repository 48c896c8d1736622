"""The Gaussian head and its draws."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.layers.gaussian import LOG_VAR_MAX, LOG_VAR_MIN, GaussianHead, sample
from deepcoder_tf.types import Gaussian


def head(bias: float | None = None) -> GaussianHead:
    """From 3 features to 2 dimensions."""
    layer = GaussianHead(2)
    layer.build((None, 3))
    if bias is not None:
        layer.log_var.bias.assign([bias, bias])
    return layer


@pytest.mark.parametrize(("bias", "log_var"), [(-1e4, LOG_VAR_MIN), (1e4, LOG_VAR_MAX)])
def test_the_variance_is_clipped_at_both_ends(bias, log_var):
    q = head(bias)(tf.ones((4, 3)))
    np.testing.assert_allclose(np.log(q.var), log_var, rtol=1e-6)


def test_the_variance_starts_small_and_inside_the_clip():
    q = head()(tf.random.stateless_normal((50, 3), (0, 0)))
    np.testing.assert_allclose(np.log(q.var), -2.0, atol=0.05)
    assert np.std(q.mean) > 0.1


def test_both_layers_are_affine():
    layer = head()
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    mean_kernel, mean_bias, var_kernel, var_bias = (w.numpy() for w in layer.weights)
    q = layer(tf.constant(x))
    np.testing.assert_allclose(q.mean, x @ mean_kernel + mean_bias, rtol=1e-5)
    np.testing.assert_allclose(q.var, np.exp(x @ var_kernel + var_bias), rtol=1e-5)


def test_a_draw_follows_its_seed():
    q = Gaussian(tf.zeros((5, 4)), tf.ones((5, 4)))
    first, again, other = (sample(q, tf.constant(s)) for s in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_draws_have_the_moments_and_type_of_q(dtype):
    mean, var = [1.0, -3.0], [0.25, 4.0]
    q = Gaussian(tf.fill((40_000, 1), 1.0) * mean, tf.fill((40_000, 1), 1.0) * var)
    z = sample(Gaussian(*(tf.cast(part, dtype) for part in q)), tf.constant([0, 1]))
    assert z.dtype == dtype
    np.testing.assert_allclose(np.mean(z, axis=0), mean, atol=0.04)
    np.testing.assert_allclose(np.var(z, axis=0), var, rtol=0.04)


def test_draws_are_reparametrised():
    mean, var = tf.constant([[0.3, 2.0]], tf.float64), tf.constant([[0.5, 3.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([mean, var])
        z = sample(Gaussian(mean, var), tf.constant([3, 4]))
    to_mean, to_var = tape.gradient(z, [mean, var])
    np.testing.assert_allclose(to_mean, 1.0)
    # dz/dv = eps / (2 sqrt v), with eps = (z - mean) / sqrt v
    np.testing.assert_allclose(to_var, (z - mean) / (2.0 * var))
