"""CNN and OR-CNN: sizes, likelihood against a loop, export, the trunk handed on as extractor."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.export import check_parity
from deepcoder_tf.export.savedmodel import write_archive
from deepcoder_tf.export.signatures import signatures_of
from deepcoder_tf.models.facs_network import FACSNetwork, FACSTrunk, facs_trunk
from deepcoder_tf.models.feature_system import FeatureSystem, Head
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.types import LevelPrediction

Q = 2
CONFIG = Config(
    system="cnn",
    image_height=24,
    image_width=16,
    cnn_filters=(3, 4, 5),
    cnn_kernels=(3, 3, 2),
    cnn_pools=(1, 0, 1),
    cnn_features=7,
    dropout=0.3,
    weight_decay=0.01,
)

each_kind = pytest.mark.parametrize("system", ["cnn", "or_cnn"])


def network(system: str = "cnn") -> FACSNetwork:
    """Small, built."""
    return build_system(dataclasses.replace(CONFIG, system=system), Q)


def images(count: int, seed: int = 0) -> np.ndarray:
    """As the model sees them."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, 24, 16, 1)).astype(np.float32)


def test_the_papers_size_has_the_expected_weights():
    trunk = facs_trunk(Config(system="cnn"))
    assert trunk.sizes == [(60, 40), (30, 20), (30, 20), (15, 10)]
    assert trunk.feature_dim == 2000
    trunk.build(None)
    shapes = [tuple(w.shape) for w in trunk.weights]
    assert shapes == [
        (5, 5, 1, 64),
        (64,),
        (5, 5, 64, 64),
        (64,),
        (4, 4, 64, 128),
        (128,),
        (15 * 10 * 128, 2000),
        (2000,),
    ]
    assert trunk.count_params() == 1664 + 102_464 + 131_200 + 38_402_000


@each_kind
def test_each_action_unit_has_its_own_classifiers(system):
    head = network(system).head
    per_unit = {"cnn": 6, "or_cnn": 5}[system]
    assert tuple(head.W.shape) == (7, Q * per_unit)


def test_pooling_and_convolution_equal_keras_layers():
    trunk, x = network().trunk, images(3)
    pool = keras.layers.MaxPooling2D(3, 2, padding="same")
    first, second, third = trunk.convolutions
    z = pool(third(second(pool(first(x)))))
    expected = trunk.dense(keras.layers.Flatten()(z))
    np.testing.assert_allclose(trunk.features(x), expected, atol=1e-6)


def test_a_larger_input_is_averaged_first():
    trunk = FACSTrunk((240, 160), (3,), (3,), (1,), 4)
    trunk.build(None)
    large = np.random.default_rng(0).uniform(-1, 1, (2, 240, 160, 1)).astype(np.float32)
    small = large.reshape(2, 60, 4, 40, 4, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(trunk.features(large), trunk.features(small), atol=1e-5)


def test_the_masked_cross_entropy_equals_a_loop():
    model, x = network(), images(4)
    y = np.array([[0, 5], [-1, 2], [3, -1], [-1, -1]], np.int32)
    model.trunk.dropout = 0.0
    p = model.predict(tf.constant(x)).probabilities.numpy().astype(np.float64)
    expected = np.zeros(4)
    for i in range(4):
        for q in range(Q):
            if y[i, q] >= 0:
                expected[i] += np.log(p[i, q, y[i, q]])
    np.testing.assert_allclose(model.log_prob(x, y, tf.constant([0, 1])), expected, rtol=1e-5)


def test_the_penalty_is_half_the_squared_kernels():
    model = network()
    kernels = [w.numpy() for w in model.trainable_weights if w.name in ("kernel", "W")]
    assert len(kernels) == 5
    expected = 0.01 * 0.5 * sum(np.sum(np.square(k)) for k in kernels)
    np.testing.assert_allclose(model.penalty(), expected, rtol=1e-5)


def test_dropout_acts_in_training_alone_and_follows_the_seed():
    model, x, y = network(), images(6), np.zeros((6, Q), np.int32)
    once = model.log_prob(x, y, tf.constant([1, 2])).numpy()
    np.testing.assert_array_equal(once, model.log_prob(x, y, tf.constant([1, 2])))
    assert not np.array_equal(once, model.log_prob(x, y, tf.constant([1, 3])))
    first = model.predict(x).probabilities.numpy()
    np.testing.assert_array_equal(first, model.predict(x).probabilities)


@each_kind
def test_the_export_equals_the_model_in_memory(system, tmp_path):
    model = network(system)
    rng = np.random.default_rng(0)
    for v in model.trainable_variables:
        v.assign_add(0.3 * rng.standard_normal(v.shape))
    face = np.random.default_rng(4).uniform(60, 150, (49, 2)).tolist()
    card = {"action_units": ["AU01", "AU12"], "mean_shape": face}
    write_archive(signatures_of(model, card), tmp_path / "saved")
    assert check_parity(model, tmp_path / "saved", card) <= 1e-5
    intensity = model(
        tf.cast(255 * np.abs(np.random.default_rng(0).random((4, 240, 160, 1))), tf.uint8)
    )
    assert np.std(intensity["intensity"]) > 0


class MeanHead(Head):
    """A head without weights."""

    def predict(self, features: tf.Tensor) -> LevelPrediction:
        """The same distribution for two action units, moved by the mean feature."""
        logits = tf.reduce_mean(features, axis=1)[:, None, None] * tf.range(6.0)
        return LevelPrediction(tf.nn.softmax(tf.tile(logits, (1, Q, 1))))


def test_the_trunk_of_a_network_becomes_the_extractor_of_a_system_of_features():
    model, x = network(), images(5)
    system = FeatureSystem(CONFIG, Q, 0, extractor=facs_trunk(CONFIG), head=MeanHead())
    system.build(None)
    assert not np.allclose(system.features(x), model.features(x))
    system.extractor.set_weights(model.trunk.get_weights())
    np.testing.assert_array_equal(system.features(x), model.features(x))
    assert system.features(x).shape == (5, system.extractor.feature_dim)
    assert np.any(system.features(x)) and system.predict(x).probabilities.shape == (5, Q, 6)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(UserError, match=r"--cnn_filters, .* have 2, 3 and 3 entries"):
        dataclasses.replace(CONFIG, cnn_filters=(3, 4))
