"""The stack: built as configured, one distribution behind every number."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf import levels
from deepcoder_tf.coders import VOGPAE, ConvVAE, DenseVAE
from deepcoder_tf.config import Config
from deepcoder_tf.models.deepcoder import DeepCoder, build_coders
from deepcoder_tf.models.system import summarise_levels

SIZES = {
    "image_height": 24,
    "image_width": 16,
    "filters": (2, 2),
    "pools": (1, 1),
    "kernel_size": 3,
    "dense_units": 5,
}


@pytest.mark.parametrize(
    ("coders", "kinds", "dims"),
    [
        ("conv:4,gp:2", [ConvVAE, VOGPAE], [384, 4]),
        ("conv:4,dense:3", [ConvVAE, DenseVAE], [384, 4]),
        ("conv:4,dense:3,gp:2", [ConvVAE, DenseVAE, VOGPAE], [384, 4, 3]),
        ("conv:4", [ConvVAE], [384]),
    ],
)
def test_the_depth_of_the_stack_is_configuration(coders, kinds, dims):
    model = DeepCoder(Config(coders=coders, **SIZES), 2, 9)
    model.build()
    assert [type(coder) for coder in model.coders] == kinds
    assert [coder.input_dims for coder in model.coders] == dims
    assert [coder.max_points for coder in model.coders] == [
        9 if k is VOGPAE else None for k in kinds
    ]
    crops = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 240, 160, 1)), tf.uint8)
    codes = model.encode(model.images(crops))
    assert [q.mean.shape[1] for q in codes] == [coder.latent_dim for coder in model.coders]
    assert model.decode(codes[-1].mean).shape == (2, 24, 16, 1)
    assert model(crops)["level_probabilities"].shape == (2, 2, 6)


def test_every_option_reaches_its_coder():
    config = Config(
        coders="conv:4,dense:3,gp:2",
        gp_init="random",
        expectation="sample",
        z0_uncertainty="expected",
        tie_variance="shared",
        test_variance="gp",
        label_head="ordinal",
        dropout=0.25,
        seed=11,
        **SIZES,
    )
    conv, dense, gp = build_coders(config, 7, 9)
    assert (conv.label_head, conv.dropout, conv.outputs) == ("ordinal", 0.25, 7)
    assert (dense.label_head, dense.units, dense.input_dims) == ("ordinal", 5, 4)
    options = (gp.init, gp.expectation, gp.z0_uncertainty, gp.tie_variance, gp.test_variance)
    assert options == ("random", "sample", "expected", "shared", "gp")
    assert (gp.points, gp.input_dims, gp.seed) == (9, 3, 11)


def test_the_summary_says_what_printed_predictions_say():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(6, 0.4), size=(200, 3))
    ours, printed = summarise_levels(tf.constant(p)), levels.summarise(p)
    np.testing.assert_allclose(ours["intensity"], printed.intensity, atol=5e-6)
    np.testing.assert_allclose(ours["standard_deviation"], printed.standard_deviation, atol=1e-4)
    np.testing.assert_array_equal(ours["presence"], printed.presence)
    assert np.all(ours["intensity"].numpy()[ours["presence"] == 1] > 0.5)


def test_a_certain_level_has_no_spread():
    summary = summarise_levels(tf.eye(6)[tf.newaxis])
    np.testing.assert_array_equal(summary["intensity"], [[0, 1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(summary["standard_deviation"], 0)
    np.testing.assert_array_equal(summary["presence"], [[0, 1, 1, 1, 1, 1]])


def test_equalisation_makes_a_change_of_light_disappear():
    model = DeepCoder(Config(coders="conv:4", **SIZES), 2, 0)
    model.build()
    crop = np.random.default_rng(0).integers(0, 120, (1, 240, 160, 1))
    dark, bright = (tf.constant(c, tf.uint8) for c in (crop, 2 * crop + 10))
    for name, value in model(dark).items():
        np.testing.assert_allclose(model(bright)[name], value, atol=1e-5)
