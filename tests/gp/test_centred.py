"""Kernel rows in parts: the rows themselves, and right to more digits in single precision."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.gp.centred import centred_rows
from deepcoder_tf.gp.kernels import kernel_matrix
from deepcoder_tf.gp.posterior import (
    FrozenPosterior,
    for_single_precision,
    freeze,
    predict,
    propagated_variance,
)

N, D, K, B = 60, 5, 3, 7


def problem(lengthscale: float) -> tuple[FrozenPosterior, np.ndarray]:
    """A frozen posterior, and inputs near, between and far from its own."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((N, D)) + 0.3
    targets = np.tanh(inputs[:, :K]) + 0.1 * rng.standard_normal((N, K))
    a, noise = tf.constant(lengthscale**2, tf.float64), tf.constant(0.1, tf.float64)
    lengths = tf.constant(lengthscale * np.linspace(0.8, 1.5, D))
    posterior, _ = freeze(a, lengths, noise, tf.constant(inputs), tf.constant(targets))
    spread = 0.1 * np.tril(rng.standard_normal((N, N))) / N
    x = np.concatenate([inputs[:2], rng.standard_normal((B - 4, D)), [[40.0] * D, [1e9] * D]])
    return posterior._replace(spread=tf.constant(spread)), x


@pytest.mark.parametrize("lengthscale", [0.1, 1.0, 3.0, 60.0])
def test_the_rows_are_those_of_the_kernel(lengthscale):
    p, x = problem(lengthscale)
    rows = centred_rows(p.amplitude_variance, p.lengthscales, tf.constant(x), p.inputs)
    k = kernel_matrix(p.amplitude_variance, p.lengthscales, tf.constant(x), p.inputs)
    size = float(p.amplitude_variance)
    np.testing.assert_allclose(rows.at_centre + rows.change, k, atol=1e-13 * size)
    weights = np.random.default_rng(1).standard_normal((N, K))
    times = rows.at_centre_times(weights) + rows.change_times(tf.constant(weights))
    np.testing.assert_allclose(times, k @ weights, atol=1e-11 * size)


@pytest.mark.parametrize("lengthscale", [0.1, 1.0, 3.0, 60.0])
def test_predictions_are_the_same(lengthscale):
    p, x = problem(lengthscale)
    S = tf.constant(np.random.default_rng(2).uniform(0, 1, (N, K)))
    for posterior in (p, p._replace(spread=None)):
        plain = predict(posterior, tf.constant(x))
        with for_single_precision():
            centred = predict(posterior, tf.constant(x))
        for one, two in zip(plain, centred, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-9)
    plain = propagated_variance(p, tf.constant(x), S)
    with for_single_precision():
        centred = propagated_variance(p, tf.constant(x), S)
    np.testing.assert_allclose(plain, centred, rtol=1e-8, atol=1e-9)


def test_single_precision_keeps_more_digits():
    """With long lengthscales a row is nearly constant: there the plain form loses its digits."""
    p, x = problem(60.0)
    x = x[:-2]
    wanted, _ = predict(p, tf.constant(x))

    def single(tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, tf.float32)

    k = kernel_matrix(*map(single, (p.amplitude_variance, p.lengthscales, x, p.inputs)))
    plain = tf.matmul(k, single(p.alpha))
    rows = centred_rows(p.amplitude_variance, p.lengthscales, tf.constant(x), p.inputs)
    # As an export has it: what is constant from double precision, the rest in single.
    weighted = rows.at_centre[:, tf.newaxis] * p.alpha
    linear = single(tf.matmul(rows.v, weighted, transpose_a=True))
    centred = (
        single(rows.at_centre_times(p.alpha))
        + tf.matmul(single(rows.u), linear)
        - single(rows.half_norm) * single(tf.reduce_sum(weighted, axis=0))
        + tf.matmul(single(rows.remainder), single(p.alpha))
    )
    lost = [float(np.abs(found.numpy() - wanted.numpy()).max()) for found in (plain, centred)]
    assert 50 * lost[1] < lost[0]
    assert lost[1] < 1e-6


def test_the_form_ends_with_its_block():
    p, x = problem(1.0)
    before = predict(p, tf.constant(x))
    with pytest.raises(KeyError), for_single_precision():
        raise KeyError
    np.testing.assert_array_equal(predict(p, tf.constant(x))[0], before[0])
