"""VGG16: sizes of the paper, weights of every kind of file, what stays frozen, and bad paths."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.export import check_parity
from deepcoder_tf.export.savedmodel import write_archive
from deepcoder_tf.export.signatures import signatures_of
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.models.vgg16 import VGG16Network, imagenet_input, read_layers
from deepcoder_tf.training.checkpoints import Checkpoints

Q = 2
LABELS = np.zeros((3, Q), np.int32)


def network(weights: str = "", **options) -> VGG16Network:
    """The smallest that Keras builds."""
    sizes = {"image_height": 60, "image_width": 40, "vgg16_side": 32, "vgg16_units": 6}
    return build_system(Config(system="vgg16", vgg16_weights=weights, **{**sizes, **options}), Q)


@pytest.fixture(scope="module")
def donor() -> keras.Model:
    """VGG16 with a small top, its weights drawn at random; stands in for the one of ImageNet."""
    keras.utils.set_random_seed(7)
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    z = keras.layers.Flatten()(base.output)
    for name, units in (("fc1", 6), ("fc2", 6), ("predictions", 10)):
        z = keras.layers.Dense(units, name=name)(z)
    return keras.Model(base.input, z)


@pytest.fixture(scope="module")
def bare(donor) -> keras.Model:
    """The same without its top."""
    return keras.Model(donor.input, donor.get_layer("block5_pool").output)


@pytest.fixture(scope="module")
def files(donor, bare, tmp_path_factory) -> dict[str, Path]:
    """Every kind of file that Keras writes or wrote."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {
        "bare": folder / "bare.weights.h5",
        "top": folder / "top.weights.h5",
        "whole": folder / "whole.h5",
        "older": folder / "older.h5",
    }
    bare.save_weights(paths["bare"])
    donor.save_weights(paths["top"])
    donor.save(paths["whole"])
    with h5py.File(paths["older"], "w") as file:  # as the files that keras.applications fetches
        file.attrs["layer_names"] = [layer.name.encode() for layer in donor.layers]
        for layer in donor.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_W_1:0", f"{layer.name}_b_1:0"][: len(layer.weights)]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.get_weights(), strict=True):
                group[name] = weight
    return paths


def convolutions(model: keras.Model) -> list[np.ndarray]:
    """Their kernels and biases."""
    return [w for layer in model.layers if "conv" in layer.name for w in layer.get_weights()]


def test_the_sizes_are_the_papers():
    model = VGG16Network(Config(system="vgg16"), Q)
    assert model.base.count_params() == 14_714_688
    assert model.code_size == 7 * 7 * 512 == 25_088
    dense = sum(n * m + m for n, m in ((25_088, 4096), (4096, 4096), (4096, 1000)))
    assert model.base.count_params() + dense == 138_357_544  # configuration D with its 1000 classes


def test_the_last_three_layers_are_trained_and_no_other():
    model = network()
    paths = [w.path.removeprefix(f"{model.name}/") for w in model.trainable_weights]
    assert paths == ["fc1/kernel", "fc1/bias", "fc2/kernel", "fc2/bias", "head/W", "head/bias"]
    assert len(model.non_trainable_weights) == 26


def test_the_input_is_that_of_keras_applications():
    grey = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.float32)
    expected = keras.applications.vgg16.preprocess_input(np.repeat(grey, 3, axis=-1))
    found = imagenet_input(tf.constant(grey / 127.5 - 1.0), 32)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert imagenet_input(tf.zeros((2, 60, 40, 1)), 48).shape == (2, 48, 48, 3)


@pytest.mark.parametrize("kind", ["bare", "top", "whole", "older"])
def test_weights_of_every_kind_of_file_are_taken_over(kind, files, donor):
    model = network(str(files[kind]))
    before = model.fc1.get_weights()
    model.start(LABELS)
    for found, expected in zip(convolutions(model.base), convolutions(donor), strict=True):
        np.testing.assert_array_equal(found, expected)
    for layer, name in ((model.fc1, "fc1"), (model.fc2, "fc2")):
        same = np.array_equal(layer.get_weights()[0], donor.get_layer(name).get_weights()[0])
        assert same == (kind != "bare")
    assert (kind != "bare") or np.array_equal(model.fc1.get_weights()[0], before[0])


def test_the_convolutions_compute_what_the_donor_computes(files, bare):
    model = network(str(files["bare"]))
    model.start(LABELS)
    x = imagenet_input(tf.random.stateless_uniform((3, 60, 40, 1), (1, 2), -1.0, 1.0), 32)
    np.testing.assert_allclose(model.base(x), bare(x), rtol=1e-5)


def test_a_top_of_another_size_is_left_out(files):
    model = network(str(files["top"]), vgg16_units=5)
    before = model.fc1.get_weights()[0]
    model.start(LABELS)
    np.testing.assert_array_equal(model.fc1.get_weights()[0], before)


def test_without_weights_training_does_not_start():
    with pytest.raises(UserError, match=r"needs ImageNet weights: .*--vgg16_weights=PATH, or"):
        network().start(LABELS)


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"none\.h5: no such file"):
        read_layers(tmp_path / "none.h5")


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", None])
def test_a_file_that_holds_no_weights(tmp_path, content):
    path = tmp_path / "other.h5"
    if content is None:
        with h5py.File(path, "w") as file:
            file["x"] = np.zeros(3)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="no file of Keras weights") as caught:
        read_layers(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [([4], "1 layers with weights where"), ([64] * 14, r"block1_conv2 has shapes .*in VGG16")],
)
def test_the_weights_of_another_network(tmp_path, filters, expected):
    layers = [keras.layers.Conv2D(count, 3 - (i > 0)) for i, count in enumerate(filters)]
    other = keras.Sequential([keras.Input((40, 40, 3)), *layers])
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)
    with pytest.raises(UserError, match=expected) as caught:
        network(str(path)).start(LABELS)
    assert "\n" not in str(caught.value)


def test_a_failed_download_is_one_line(monkeypatch):
    def fail(**options):
        raise Exception("URL fetch failure on a server: None -- no route to host")

    model = network("imagenet")
    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with pytest.raises(UserError, match=r"could not fetch them \(URL fetch failure") as caught:
        model.start(LABELS)
    assert "\n" not in str(caught.value)


def test_a_saved_model_is_read_without_the_weights_file(files, tmp_path):
    model = network(str(files["bare"]))
    model.start(LABELS)
    Checkpoints.save_model(tmp_path, model)
    again = network(str(tmp_path / "gone.h5"))
    Checkpoints.load_model(tmp_path, again)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 60, 40, 1)).astype(np.float32)
    expected = model.predict(x).probabilities
    np.testing.assert_array_equal(again.predict(x).probabilities, expected)


def test_the_export_equals_the_model_in_memory(tmp_path):
    model = network()
    face = np.random.default_rng(4).uniform(60, 150, (49, 2)).tolist()
    card = {"action_units": ["AU01", "AU12"], "mean_shape": face}
    write_archive(signatures_of(model, card), tmp_path / "saved")
    assert check_parity(model, tmp_path / "saved", card) <= 1e-5
