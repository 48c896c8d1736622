"""The folded upsampling convolution against the two layers that it replaces."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.layers.upsampling import UpsampleConv2D, fold_matrix

CHANNELS, FILTERS = 3, 4


def pair(kernel_size: int, activation: str | None):
    """Both ways with the same random weights, `[folded, plain]`."""
    rng = np.random.default_rng(kernel_size)
    folded = UpsampleConv2D(FILTERS, kernel_size, activation=activation)
    folded.build((None, None, None, CHANNELS))
    convolution = keras.layers.Conv2D(FILTERS, kernel_size, padding="same", activation=activation)
    convolution.build((None, None, None, CHANNELS))
    weights = [rng.standard_normal(w.shape).astype(np.float32) for w in folded.weights]
    folded.set_weights(weights)
    convolution.set_weights(weights)
    upsampling = keras.layers.UpSampling2D(2, interpolation="nearest")
    return (folded, folded.weights), (
        lambda x: convolution(upsampling(x)),
        convolution.weights,
    )


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 5), (8, 7)])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_it_equals_upsampling_and_convolution_in_values_and_gradients(
    kernel_size, size, activation
):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((2, *size, CHANNELS)), tf.float32)
    direction = rng.standard_normal((2, 2 * size[0], 2 * size[1], FILTERS)).astype(np.float32)
    found = []
    for layer, weights in pair(kernel_size, activation):
        variables = [w.value for w in weights]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            total = tf.reduce_sum(y * direction)
        found.append([y, *tape.gradient(total, [x, *variables])])
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=2e-6 * np.abs(theirs).max() + 1e-6)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_each_tap_falls_on_one_pixel(kernel_size):
    fold = fold_matrix(kernel_size)
    np.testing.assert_array_equal(fold.sum(axis=1), np.ones((2, kernel_size)))
    # The two phases of an output mirror each other.
    np.testing.assert_array_equal(fold[0], fold[1, ::-1, ::-1])


def test_the_shape_of_the_output_is_known_before_the_call():
    layer = UpsampleConv2D(FILTERS, 3)
    layer.build((None, 5, 7, CHANNELS))
    assert layer.compute_output_shape((None, 5, 7, CHANNELS)) == (None, 10, 14, FILTERS)


@pytest.mark.parametrize("kernel_size", [1, 2, 4, 7])
def test_other_kernels_are_refused(kernel_size):
    with pytest.raises(ValueError, match=f"kernel_size must be 3 or 5, not {kernel_size}"):
        UpsampleConv2D(FILTERS, kernel_size)
