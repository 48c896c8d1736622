"""Units and blocks of Inception-ResNet against Keras's own layers, and against arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.layers.inception_resnet import (
    EPSILON,
    ConvBatchNorm,
    DenseBatchNorm,
    InceptionBlock,
    ResidualBlock,
    Unit,
)

X = np.random.default_rng(0).standard_normal((3, 9, 8, 4)).astype(np.float32)
BRANCHES = [
    [Unit("Conv2d_1x1", 2, (1, 1))],
    [Unit("Conv2d_0a_1x1", 3, (1, 1)), Unit("Conv2d_0b_1x7", 5, (1, 7))],
]
REDUCING = [[Unit("Conv2d_1a_3x3", 2, (3, 3), 2)]]


def drawn(layer: keras.layers.Layer, *shape: int | None) -> keras.layers.Layer:
    """Built, with weights of no special value; variances are positive."""
    layer.build((None, *shape))
    random = np.random.default_rng(1)
    layer.set_weights([random.uniform(0.2, 1.0, w.shape) - 0.1 for w in layer.weights])
    return layer


@pytest.mark.parametrize(("strides", "padding"), [(1, "same"), (1, "valid"), (2, "valid")])
@pytest.mark.parametrize("training", [False, True])
def test_a_unit_is_convolution_batch_norm_and_relu(strides, padding, training):
    unit = drawn(ConvBatchNorm(6, (3, 2), strides, padding), 9, 8, 4)
    kernel, beta, mean, var = unit.get_weights()
    conv = keras.layers.Conv2D(6, (3, 2), strides, padding, use_bias=False)
    norm = keras.layers.BatchNormalization(scale=False, epsilon=0.001)
    z = conv(X)
    norm.build(z.shape)
    conv.set_weights([kernel])
    norm.set_weights([beta, mean, var])
    expected = tf.nn.relu(norm(conv(X), training=training))
    found = unit(X, training=training)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert tuple(unit.compute_output_shape(X.shape)) == found.shape


def test_the_moving_averages_follow_the_batch_in_training_alone():
    unit = drawn(ConvBatchNorm(2, (1, 1)), 9, 8, 4)
    kernel, _, mean, var = unit.get_weights()
    unit(X)
    np.testing.assert_array_equal(unit.get_weights()[2], mean)
    unit(X, training=True)
    z = X.reshape(-1, 4) @ kernel[0, 0]
    np.testing.assert_allclose(unit.get_weights()[2], 0.995 * mean + 0.005 * z.mean(0), rtol=1e-4)
    np.testing.assert_allclose(unit.get_weights()[3], 0.995 * var + 0.005 * z.var(0), rtol=1e-4)


@pytest.mark.parametrize("relu", [False, True])
def test_a_dense_unit_is_its_formula(relu):
    x = X[:, 0, 0]
    unit = drawn(DenseBatchNorm(5, relu=relu), 4)
    W, beta, mean, var = unit.get_weights()
    expected = (x @ W - mean) / np.sqrt(var + EPSILON) + beta
    expected = np.maximum(expected, 0.0) if relu else expected
    np.testing.assert_allclose(unit(x), expected, atol=1e-5)
    plain = drawn(DenseBatchNorm(5, relu=relu, folded=True), 4)
    W, bias = plain.get_weights()
    expected = np.maximum(x @ W + bias, 0.0) if relu else x @ W + bias
    np.testing.assert_allclose(plain(x), expected, atol=1e-5)


@pytest.mark.parametrize("folded", [False, True])
def test_a_residual_block_is_its_formula(folded):
    block = drawn(ResidualBlock(BRANCHES, 0.17, folded=folded), None, None, 4)
    first, second = (branch(X) for branch in block.branches)
    kernel, bias = block.up.get_weights()
    mixed = np.concatenate([first, second], axis=-1)
    expected = np.maximum(X + 0.17 * (mixed @ kernel[0, 0] + bias), 0.0)
    np.testing.assert_allclose(block(X), expected, atol=1e-5)
    linear = ResidualBlock(BRANCHES, 0.17, relu=False, folded=folded)
    linear.build((None, None, None, 4))
    linear.set_weights(block.get_weights())
    np.testing.assert_allclose(np.maximum(linear(X), 0.0), expected, atol=1e-5)
    assert linear(X).numpy().min() < 0


def test_a_reduction_block_ends_in_the_pooled_input():
    block = drawn(InceptionBlock(REDUCING, pool=True), None, None, 4)
    found = block(X)
    assert found.shape == tuple(block.compute_output_shape(X.shape)) == (3, 4, 3, 6)
    windows = [[X[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] for j in range(3)] for i in range(4)]
    pooled = np.array([[w.max(axis=(1, 2)) for w in row] for row in windows]).transpose(2, 0, 1, 3)
    np.testing.assert_array_equal(found[..., 2:], pooled)


def test_weights_have_the_names_of_the_literature():
    block = drawn(ResidualBlock(BRANCHES, 0.1, name="block17_1"), None, None, 4)
    paths = {w.path for w in block.weights}
    assert "block17_1/Branch_1/Conv2d_0b_1x7/BatchNorm/moving_mean" in paths
    assert {"block17_1/Conv2d_1x1/kernel", "block17_1/Conv2d_1x1/bias"} <= paths
    assert len(paths) == 3 * 4 + 2
