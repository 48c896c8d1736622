"""The pooled convolution against the two layers that it replaces."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.layers.pooling import PooledConv2D

CHANNELS, FILTERS = 3, 4


def pair(kernel_size: int):
    """Both ways with the same random weights, each with its weights."""
    rng = np.random.default_rng(kernel_size)
    ours = PooledConv2D(FILTERS, kernel_size)
    convolution = keras.layers.Conv2D(FILTERS, kernel_size, padding="same", activation="relu")
    for layer in (ours, convolution):
        layer.build((None, None, None, CHANNELS))
    weights = [rng.standard_normal(w.shape).astype(np.float32) for w in ours.weights]
    ours.set_weights(weights)
    convolution.set_weights(weights)
    pooling = keras.layers.MaxPooling2D(2, padding="same")
    return (ours, ours.weights), (lambda x: pooling(convolution(x)), convolution.weights)


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 5), (8, 7), (6, 4)])
def test_it_equals_convolution_relu_and_pooling_in_values_and_gradients(kernel_size, size):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((2, *size, CHANNELS)), tf.float32)
    pooled = [-(-side // 2) for side in size]
    direction = rng.standard_normal((2, *pooled, FILTERS)).astype(np.float32)
    found = []
    for layer, weights in pair(kernel_size):
        variables = [w.value for w in weights]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            total = tf.reduce_sum(y * direction)
        found.append([y, *tape.gradient(total, [x, *variables])])
    (ours, *our_gradients), (theirs, *their_gradients) = found
    np.testing.assert_array_equal(ours, theirs)
    for g, h in zip(our_gradients, their_gradients, strict=True):
        np.testing.assert_allclose(g, h, atol=2e-6 * np.abs(h).max() + 1e-6)


def test_where_all_four_are_negative_nothing_flows():
    layer = PooledConv2D(1, 3)
    layer.build((None, 2, 2, 1))
    layer.set_weights([np.zeros((3, 3, 1, 1)), -np.ones(1)])
    x = tf.ones((1, 2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    assert y.numpy().ravel().tolist() == [0.0]
    assert not np.any(tape.gradient(y, layer.bias.value))


def test_the_shape_of_the_output_is_known_before_the_call():
    layer = PooledConv2D(FILTERS, 3)
    layer.build((None, 5, 8, CHANNELS))
    assert layer.compute_output_shape((None, 5, 8, CHANNELS)) == (None, 3, 4, FILTERS)
