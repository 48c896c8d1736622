"""Trunks by name: their parts, weights of every kind of file, and every mistake in one line."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.inception_resnet_v1 import InceptionResNetV1
from deepcoder_tf.models.named_weights import write_weights
from deepcoder_tf.models.trunks import Trunk, application, build_trunk

TINY = {"width": 1 / 16, "repeats": (1, 1, 1)}
MOBILE = {"alpha": 0.1}
X = np.random.default_rng(0).uniform(-1, 1, (2, 75, 75, 3)).astype(np.float32)


def facenet(**given) -> Trunk:
    """A small one of ours."""
    return build_trunk("inception_resnet_v1", options=TINY, **given)


def mobile(**given) -> Trunk:
    """The smallest of Keras with batch norm and shortcuts."""
    return build_trunk("MobileNet_V2", options=MOBILE, **given)


@pytest.fixture(scope="module")
def donor() -> keras.Model:
    """What stands in for published weights: every number is drawn."""
    model = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(None, None, 3), **MOBILE
    )
    random = np.random.default_rng(5)
    model.set_weights([w + random.uniform(0, 0.1, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def files(donor, tmp_path_factory) -> dict[str, Path]:
    """As Keras writes them, and as it wrote those that it fetches."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {"new": folder / "a.weights.h5", "older": folder / "a.h5"}
    donor.save_weights(paths["new"])
    with h5py.File(paths["older"], "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in donor.layers]
        for layer in donor.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{n}:0" for n in range(len(layer.weights))]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.get_weights(), strict=True):
                group[name] = weight
    return paths


@pytest.mark.parametrize(
    ("make", "frozen", "endpoint"),
    [
        (facenet, "", ""),
        (facenet, "Mixed_6a", "Block17"),
        (facenet, "Block8", "Block8"),
        (mobile, "", ""),
        (mobile, "block_3_project_BN", "block_6_project_BN"),
        (mobile, "block_6_project_BN", "block_6_project_BN"),
    ],
)
def test_the_two_parts_make_the_whole(make, frozen, endpoint):
    trunk = make(frozen=frozen, endpoint=endpoint)
    kept = trunk.lower(tf.constant(X))
    with tf.GradientTape() as tape:
        features = trunk.upper(kept, training=False)
        loss = tf.reduce_sum(features**2)
    np.testing.assert_allclose(tf.function(trunk)(tf.constant(X)), features, atol=1e-4)
    assert features.shape[-1] == trunk.channels()
    trainable = trunk.trainable_variables
    assert all(g is not None for g in tape.gradient(loss, trainable))
    assert bool(trainable) == (frozen != endpoint or not frozen)


def test_the_frozen_part_learns_nothing_not_even_its_averages():
    trunk = mobile(frozen="block_3_project_BN")
    frozen = [np.array(w) for w in trunk.below.weights]
    free = [np.array(w) for w in trunk.above.weights]
    trunk(tf.constant(X), training=True)
    assert all(np.array_equal(a, b) for a, b in zip(frozen, trunk.below.weights, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(free, trunk.above.weights, strict=True))


@pytest.mark.parametrize("kind", ["new", "older"])
@pytest.mark.parametrize("cut", ["", "block_3_project_BN"])
def test_keras_weights_come_over_in_both_parts(kind, cut, files, donor):
    trunk = mobile(weights=str(files[kind]), frozen=cut)
    expected = donor(keras.applications.mobilenet_v2.preprocess_input((X + 1) * 127.5))
    np.testing.assert_allclose(trunk(tf.constant(X)), expected, rtol=1e-3, atol=1e-4)


def test_pictures_enter_as_the_network_of_keras_wants_them():
    levels = (X + 1) * 127.5
    trunk = build_trunk("vgg16", endpoint="block1_conv1")
    expected = keras.applications.vgg16.preprocess_input(levels.copy())
    np.testing.assert_allclose(trunk.lower(tf.constant(X)), expected, atol=1e-3)


def test_names_do_without_case_and_underscores():
    assert application("efficientnet_b0") is keras.applications.EfficientNetB0
    assert application("VGG16") is keras.applications.VGG16


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network": "vgg61"}, "trunk vgg61: no such network; choose inception_resnet_v1 or"),
        ({"network": "vgg16", "endpoint": "b"}, "'b' is no layer of vgg16; choose of .*block1"),
        ({"network": "inception_resnet_v1", "frozen": "b"}, "'b' is no endpoint of this network"),
        ({"network": "vgg16", "weights": "none.h5"}, "none.h5: no such file; give Keras weights"),
        ({"network": "inception_resnet_v1", "weights": "none.h5"}, "none.h5: no such file"),
        ({"network": "inception_resnet_v1", "weights": "imagenet"}, "deepcoder-import-facenet"),
        (
            {"network": "mobilenet_v2", "options": MOBILE, "frozen": "block_4_depthwise"},
            "cannot be cut at 'block_4_depthwise', since a path to the end goes around it",
        ),
    ],
)
def test_mistakes_are_one_line(given, message):
    options = {"options": TINY} if given["network"].startswith("inception") else {}
    with pytest.raises(UserError, match=message) as caught:
        build_trunk(**{**options, **given})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["new", "older", "named", "text"])
def test_weights_of_another_network_are_one_line(kind, files, tmp_path):
    path = files.get(kind, tmp_path / "w.h5")
    if kind == "named":
        write_weights(path, {"a": np.zeros(2)}, {"network": "inception_resnet_v1"})
    elif kind == "text":
        path.write_text("no HDF5")
    with pytest.raises(UserError, match="no Keras weights of vgg16 without its top") as caught:
        build_trunk("vgg16", str(path))
    assert "\n" not in str(caught.value)
    if kind != "named":
        with pytest.raises(UserError, match=r"no named weights|not a file of weights"):
            facenet(weights=str(path))


def test_weights_without_statistics_are_not_for_training_with_batch_norm(tmp_path, caplog):
    net = InceptionResNetV1(folded=True, **TINY)
    net.build(None)
    path = tmp_path / "w.h5"
    write_weights(path, net.arrays(), {"network": "inception_resnet_v1", "batch_norm": "folded"})
    facenet(weights=str(path))
    assert not caplog.text
    options = {**TINY, "folded": False}
    trunk = build_trunk("inception_resnet_v1", str(path), options=options)
    assert "no statistics of batch norm" in caplog.text
    expected = net.between(tf.constant(X * np.float32(127.5 / 128)), until="Block8")
    np.testing.assert_allclose(trunk(tf.constant(X)), expected, atol=1e-5)


def test_a_failed_download_is_one_line(monkeypatch):
    trunk = mobile()

    def fail(weights):
        raise Exception("URL fetch failure: None\nmore")

    monkeypatch.setattr(trunk, "whole", fail)
    with pytest.raises(UserError, match=r"could not fetch .* \(URL fetch failure: None\)"):
        trunk.load("imagenet")
