"""VGG16 on expressions: sizes, weights that must be named, what stays constant."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.expressions.registry import build_recogniser
from deepcoder_tf.recogniser_config import RecogniserConfig, recogniser_preset
from tests.models.expressions.rows import a_batch, faces, tiny

VGG = {"trunk": "vgg16", "trunk_endpoint": "block2_pool", "picture_side": 48}
NOTHING = np.zeros(0, np.int32)


def vgg(**changes):
    """The first two blocks."""
    return tiny("expression_vgg16", **{**VGG, **changes})


@pytest.mark.parametrize(("side", "places"), [(48, 1), (64, 2), (100, 3), (224, 7)])
def test_all_places_of_the_last_map_enter_the_first_dense_layer(side, places):
    model = vgg(picture_side=side, trunk_endpoint="")
    assert tuple(model.fc1.kernel.shape) == (places * places * 512, 8)
    assert tuple(model.fc2.kernel.shape) == (8, 8)
    assert tuple(model.head.kernel.shape) == (8, 8)
    found = model(tf.constant(faces()[:1]))["expression_probabilities"]
    np.testing.assert_allclose(np.sum(found), 1.0, rtol=1e-5)


def test_weights_that_are_not_named_are_an_error():
    with pytest.raises(UserError, match="trunk_weights is not given; name a path of Keras weights"):
        vgg(trunk_weights="").start(NOTHING, None)


def test_weights_of_a_file_arrive_before_the_first_step(tmp_path):
    donor = keras.applications.VGG16(weights=None, include_top=False, input_shape=(None, None, 3))
    donor.save_weights(tmp_path / "a.weights.h5")
    model = vgg(trunk_weights=str(tmp_path / "a.weights.h5"), trunk_frozen="block1_pool")
    model.start(NOTHING, None)
    for part in (model.trunk.below, model.trunk.above):
        for layer in part.layers:
            if layer.weights:
                wanted = donor.get_layer(layer.name).get_weights()
                np.testing.assert_array_equal(layer.get_weights()[0], wanted[0], layer.name)
    missing = vgg(trunk_weights=str(tmp_path / "b.weights.h5"))
    with pytest.raises(UserError, match="no such file; give Keras weights of vgg16"):
        missing.start(NOTHING, None)


def test_convolutions_are_constant_up_to_the_frozen_one():
    model = vgg(trunk_frozen="block1_pool")
    (names,) = ([v.path for v in variables] for variables in model.players().values())
    assert not any("block1" in name for name in names)
    assert sum("block2" in name for name in names) == 4
    assert sum("fc1" in name or "fc2" in name or "head" in name for name in names) == 6


def test_dropout_follows_both_dense_layers_in_training_alone():
    model, batch = vgg(dropout=0.5), a_batch(side=48)
    same = [model.code(batch.pictures).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    first, again = (model.losses(batch, tf.constant([1, 2]))["network"] for _ in range(2))
    other = model.losses(batch, tf.constant([7, 2]))["network"]
    assert float(first["expression"]) == float(again["expression"]) != float(other["expression"])


def test_another_trunk_is_refused():
    config = RecogniserConfig(system="expression_vgg16", trunk="resnet50")
    with pytest.raises(UserError, match="--trunk=resnet50: this row is VGG16; say --trunk=vgg16"):
        build_recogniser(config, 48, 1)


@pytest.mark.parametrize("preset", ["paper", "small"])
def test_presets_know_the_row(preset):
    config = recogniser_preset(preset, system="expression_vgg16")
    assert config.trunk == "vgg16"
    assert recogniser_preset(preset, system="expression_vgg16", dropout=0.1).dropout == 0.1
    assert recogniser_preset(preset, system="baseline").trunk == "inception_resnet_v1"
