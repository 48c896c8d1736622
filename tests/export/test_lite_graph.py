"""Operations in place of those that TFLite lacks, and rewritten graphs, against the originals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from deepcoder_tf.export import lite_graph as lg


def test_erfc_is_right_in_the_middle_and_in_both_tails():
    x = np.concatenate([np.linspace(-9, 9, 20001), [0.0, -1e5, 1e5]]).astype(np.float32)
    found = lg.plain_erfc(tf.constant(x)).numpy()
    wanted = scipy.special.erfc(x.astype(np.float64))
    np.testing.assert_allclose(found, wanted, atol=5e-7)
    tail = (x > 1) & (x < 5)
    np.testing.assert_allclose(found[tail], wanted[tail], rtol=1e-5)
    np.testing.assert_allclose(lg.plain_erf(tf.constant(x)), scipy.special.erf(x), atol=5e-7)


def test_the_polynomial_alone_is_better_than_single_precision():
    x = np.linspace(-6, 6, 2001)
    found = lg.plain_erfc(tf.constant(x)).numpy()
    np.testing.assert_allclose(found, scipy.special.erfc(x), atol=1e-8)


def test_bincount_counts():
    values = np.random.default_rng(0).integers(0, 7, (1, 500)).astype(np.int32)
    found = lg.plain_bincount(tf.constant(values), 9)
    np.testing.assert_array_equal(found, [np.bincount(values[0], minlength=9)])


@pytest.mark.parametrize("method", ["area", "bilinear"])
@pytest.mark.parametrize("size", [(5, 9), (20, 7)])
def test_resampling_by_matrices(method, size):
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 11, 8, 3)), tf.float32)

    def resize(y: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(y, size, method=method, antialias=method == "bilinear")

    np.testing.assert_allclose(lg.separable(resize, x), resize(x), atol=2e-6)


def rewritten(function, x: np.ndarray, *passes) -> tuple[np.ndarray, set[str]]:
    """What a function gives after some passes over its graph, and the operations it then has."""
    spec = tf.TensorSpec(x.shape, x.dtype, "x")
    traced = tf.function(function).get_concrete_function(spec)
    output = traced.outputs[0].name
    graph = lg.fold_constants(traced.graph.as_graph_def(), ["x"], [output])
    for one in passes:
        graph = one(graph)
    answer = lg.function_of(graph, [spec], {"y": output})
    return answer(tf.constant(x))["y"].numpy(), {node.op for node in graph.node}


def test_what_is_constant_is_computed_before_precision_is_lost():
    x = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
    large = tf.constant([1e9 + 1.0, 2e9, 3e9], tf.float64)

    def function(x):
        return tf.cast(x, tf.float64) + (large - tf.constant([1e9, 2e9, 3e9], tf.float64))

    found, names = rewritten(function, x, lg.single_precision)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.add(x, [[1.0, 0.0, 0.0]]), atol=1e-7)
    assert "Cast" not in names and "Sub" not in names


def test_a_bias_moves_in_front_of_its_pooling():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 8, 6, 1)).astype(np.float32)
    kernel, bias = rng.normal(size=(3, 3, 1, 4)), rng.normal(size=4)

    def function(x):
        z = tf.nn.conv2d(x, tf.constant(kernel, tf.float32), 1, "SAME")
        z = tf.nn.max_pool2d(z, 2, 2, "SAME")
        return tf.nn.relu(tf.nn.bias_add(z, tf.constant(bias, tf.float32)))

    found, _ = rewritten(function, x, lg.bias_before_pooling)
    np.testing.assert_allclose(found, function(tf.constant(x)), atol=1e-6)

    def twice(x):  # the pooled values are read by another one too: all stays as it is
        z = tf.nn.max_pool2d(
            tf.nn.conv2d(x, tf.constant(kernel, tf.float32), 1, "SAME"), 2, 2, "SAME"
        )
        return tf.nn.bias_add(z, tf.constant(bias, tf.float32)) + z

    found, _ = rewritten(twice, x, lg.bias_before_pooling)
    np.testing.assert_allclose(found, twice(tf.constant(x)), atol=1e-6)


@pytest.mark.parametrize("broadcast", [False, True])
def test_a_number_that_meets_a_row(broadcast):
    x = np.array([[0.7]], np.float32)
    c, W = np.arange(1.0, 5.0), np.random.default_rng(0).normal(size=(4, 2))

    def function(x):
        z = tf.broadcast_to(x, (1, 4)) if broadcast else x
        return tf.matmul(z + tf.constant(c, tf.float32), tf.constant(W, tf.float32))

    found, names = rewritten(function, x, lg.with_products_for_repeats)
    np.testing.assert_allclose(found, (x + c) @ W, rtol=1e-6)
    assert "BroadcastTo" not in names


def test_plain_operations_in_a_graph():
    x = np.linspace(-2, 2, 6).reshape(1, 6).astype(np.float32)

    def function(x):
        counts = tf.raw_ops.DenseBincount(
            input=tf.cast(x + 2, tf.int32), size=5, weights=tf.zeros([0], tf.int32)
        )
        return tf.math.erfc(x) + tf.math.erf(x) * tf.cast(tf.reduce_sum(counts), tf.float32)

    found, names = rewritten(function, x, lg.with_plain_operations)
    np.testing.assert_allclose(found, function(tf.constant(x)), atol=5e-6)
    assert not names & {"Erf", "Erfc", "DenseBincount"}
