"""Inception-ResNet-V1: sizes of the literature, endpoints, freezing, folding, and bad arrays."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.models.inception_resnet_v1 import (
    ENDPOINTS,
    InceptionResNetV1,
    facenet_input,
    fold,
    unfold,
)

X = np.random.default_rng(0).uniform(-1, 1, (2, 80, 96, 3)).astype(np.float32)


def tiny(**options) -> InceptionResNetV1:
    """A sixteenth of the filters and one or two of each block."""
    net = InceptionResNetV1(**{"width": 1 / 16, "repeats": (2, 1, 1), "embedding": 6, **options})
    net.build(None)
    return net


@pytest.fixture(scope="module")
def net() -> InceptionResNetV1:
    """With statistics of batch norm that are not those of initialisation."""
    net = tiny()
    random = np.random.default_rng(3)
    arrays = net.arrays()
    for name, value in arrays.items():
        if "BatchNorm" in name:
            arrays[name] = random.uniform(0.3, 1.2, value.shape).astype(np.float32)
    net.take_over(arrays)
    return net


def test_the_number_of_weights_is_the_published_one():
    net = InceptionResNetV1(embedding=128)
    shapes = {}
    shape = (None, None, None, 3)
    for stage in net.stages:
        shapes[stage.name] = shape = stage.compute_output_shape(shape)
    ends = {name: shapes[net.stages[net.end(name) - 1].name][-1] for name in ENDPOINTS}
    assert list(ends.values()) == [256, 256, 896, 896, 1792, 1792, 1792, 128, 128]
    net.build(None)
    assert sum(int(np.prod(w.shape)) for w in net.weights) == 22_808_144


def test_every_endpoint_is_where_it_should_be(net):
    found = net.endpoints(tf.constant(X), ENDPOINTS)
    sizes = {name: tuple(value.shape[1:]) for name, value in found.items()}
    assert sizes == {
        "Conv2d_4b_3x3": (7, 9, 16),
        "Block35": (7, 9, 16),
        "Mixed_6a": (3, 4, 56),
        "Block17": (3, 4, 56),
        "Mixed_7a": (1, 1, 112),
        "Block8": (1, 1, 112),
        "pooled": (112,),
        "Bottleneck": (6,),
        "embedding": (6,),
    }
    embedding = net(tf.constant(X))
    np.testing.assert_allclose(embedding, found["embedding"], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1.0, rtol=1e-5)
    assert np.any(found["Block8"] < 0), "the last block has no ReLU"


@pytest.mark.parametrize("until", ["Block35", "Mixed_6a", "block35_1", "pooled"])
def test_a_network_that_ends_early_has_no_other_weights(net, until):
    part = tiny(until=until)
    part.take_over(net.arrays())
    np.testing.assert_allclose(part(tf.constant(X)), net.between(X, until=until), atol=1e-6)
    assert len(part.weights) < len(net.weights)
    assert part.channels() == part(tf.constant(X)).shape[-1]


@pytest.mark.parametrize("frozen", ENDPOINTS[:-3])
def test_freezing_stops_at_the_endpoint(frozen):
    net = tiny()
    net.freeze(frozen)
    before, constant = len(net.non_trainable_weights), net.end(frozen)
    for stage in net.stages[:constant]:
        assert not stage.trainable_weights
    for stage in net.stages[constant:]:
        assert bool(stage.trainable_weights) == bool(stage.weights)
    x = net.between(tf.constant(X), until=frozen, training=True)
    np.testing.assert_allclose(x, net.between(tf.constant(X), until=frozen), atol=1e-6)
    net.freeze(None)
    assert len(net.non_trainable_weights) < before


def test_folding_changes_no_embedding_there_and_back(net):
    arrays = fold(net.arrays())
    assert not any("BatchNorm" in name for name in arrays)
    folded, again = tiny(folded=True), tiny()
    folded.take_over(arrays)
    again.take_over(arrays)
    assert {"Conv2d_1a_3x3/bias", "Bottleneck/bias"} <= set(folded.weights_by_name())
    expected = net(tf.constant(X))
    np.testing.assert_allclose(folded(tf.constant(X)), expected, atol=1e-5)
    np.testing.assert_allclose(again(tf.constant(X)), expected, atol=1e-5)
    refolded = fold(unfold(arrays, [name.removesuffix("/bias") for name in arrays]))
    for name, value in arrays.items():
        np.testing.assert_allclose(refolded[name], value, rtol=1e-6, atol=1e-7)


def test_graphs_take_pictures_of_any_number_and_size(net):
    graph = tf.function(net, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for x in (X, X[:1, :75, :75]):
        np.testing.assert_allclose(graph(tf.constant(x)), net(tf.constant(x)), atol=1e-5)


def test_the_input_is_that_of_the_published_models():
    levels = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    found = facenet_input(tf.constant(levels / 127.5 - 1.0))
    np.testing.assert_allclose(found, (levels - 127.5) / 128.0, atol=1e-6)


def test_mistakes_are_told(net):
    with pytest.raises(ValueError, match="80x74 pixels are too small"):
        net(tf.constant(X[:, :, :74]))
    with pytest.raises(ValueError, match=r"3 channels .* not 1"):
        InceptionResNetV1(width=1 / 16, repeats=(1, 1, 1)).build((None, 80, 80, 1))
    with pytest.raises(ValueError, match=r"'Mixed_9a' is no endpoint .*Mixed_6a"):
        tiny(until="Mixed_9a")
    arrays = net.arrays()
    with pytest.raises(ValueError, match=r"Conv2d_1a_3x3/kernel and 1 more of the .* are missing"):
        short = {k: v for k, v in arrays.items() if k[:13] != "Conv2d_1a_3x3" or "Norm" in k}
        del short["Block8/Conv2d_1x1/bias"]
        tiny().take_over(short)
    other = tiny(embedding=5)
    with pytest.raises(ValueError, match=r"Bottleneck/kernel has shape \(112, 6\), not \(112, 5\)"):
        other.take_over(arrays)
