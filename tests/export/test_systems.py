"""Every row of Table 1, trained for a moment: its export is the model, with the inputs it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.config import SYSTEMS, Config
from deepcoder_tf.export import CARD, export_model
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.models.system import System
from deepcoder_tf.training.registry import make_trainer
from tests.training.tiny_run import ACTION_UNITS, TINY, frames

OPTIONS: dict[str, Any] = {
    **TINY,
    "lbp_rows": 2,
    "lbp_columns": 1,
    "cnn_filters": (4,),
    "cnn_kernels": (3,),
    "cnn_pools": (1,),
    "cnn_features": 12,
    "vgg16_side": 32,
    "vgg16_units": 5,
    "gp_block": 12,
    "gp_init_steps": 2,
    "gp_steps": 2,
    "dgp_latents": (3, 2),
    "dgp_inducing": 5,
    "dense_units": 6,
    "iterations": 1,
    "warmup_iterations": 1,
}

ROWS: dict[str, dict[str, Any]] = {
    "2dc": {"system": "2dc"},
    "2dc-sparse": {"system": "2dc", "gp": "sparse"},
    "dcp": {"system": "dcp", "coders": "conv:4,dense:2"},
    "cnn": {"system": "cnn"},
    "or_cnn": {"system": "or_cnn"},
    "vgg16": {"system": "vgg16"},
    "vogpae-lbp": {"system": "vogpae", "features": "lbp"},
    "vae_dgp": {"system": "vae_dgp"},
    "gp": {"system": "gp"},
    "sor-lbp": {"system": "sor", "features": "lbp"},
    "mlr-lbp": {"system": "mlr", "features": "lbp", "mlr_penalty": 0.1},
}

FRAMES = frames()
FACE = FRAMES.landmarks[0].tolist()
"""The mean shape; near it the regressions on landmarks say something."""

DESCRIPTION = {"action_units": ["AU01", "AU12"], "mean_shape": FACE}


def trained(row: str, folder: Path) -> System:
    """A system after one iteration; vgg16 as it is made, since its weights are not at hand."""
    config = Config(**{**OPTIONS, **ROWS[row]})
    keras.utils.set_random_seed(config.seed)
    labelled = np.flatnonzero((FRAMES.labels >= 0).all(axis=1))
    owned = labelled[:12] if config.system in ("2dc", "vogpae", "gp") else labelled[:0]
    model = build_system(config, ACTION_UNITS, len(owned))
    if config.system != "vgg16":
        scores = {"icc": 0.5, "ordinal_log_score": 1.0}
        make_trainer(model, FRAMES, owned, folder, lambda *seen: scores, lambda report: None).fit()
    return model


def test_every_system_has_a_row():
    assert {options["system"] for options in ROWS.values()} == set(SYSTEMS)


@pytest.mark.parametrize("row", ROWS)
def test_the_export_is_the_model(row, systems, tmp_path):
    model = systems(row)
    path = export_model(model, DESCRIPTION, tmp_path / "served")  # compares every signature
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (5, 24, 16, 1)).repeat(10, axis=1).repeat(10, axis=2)
    given = {"crops": tf.constant(coarse, tf.uint8)}
    if "lbp" in row:
        points = np.asarray(FACE) + rng.normal(0, 2, (5, 49, 2))
        given["landmarks"] = tf.constant(points, tf.float32)
    card = json.loads((path / CARD).read_text())
    assert set(card["signatures"]["serving_default"]["inputs"]) == set(given)
    assert set(signature.structured_input_signature[1]) == set(given)
    here, there = model(*given.values()), signature(**given)
    assert set(here) == set(there)
    for name, value in here.items():
        np.testing.assert_allclose(there[name], value, atol=1e-5, err_msg=name)
    # Numbers that an export could get wrong: not all faces alike, not all levels ruled out.
    assert np.ptp(there["intensity"].numpy(), axis=0).max() > 1e-4
    assert there["standard_deviation"].numpy().max() > 1e-2
    for name in given:
        others = {**given, name: tf.roll(given[name], 1, axis=0)}
        assert np.abs(signature(**others)["intensity"] - there["intensity"]).max() > 1e-4, name


def test_a_card_must_tell_what_the_signatures_say_of_it(tmp_path):
    model = build_system(Config(**{**OPTIONS, **ROWS["mlr-lbp"]}), ACTION_UNITS)
    with pytest.raises(ValueError, match="needs action_units and mean_shape"):
        export_model(model, {}, tmp_path)
    with pytest.raises(ValueError, match="needs mean_shape"):
        export_model(model, {"action_units": ["AU01", "AU12"]}, tmp_path)
    assert not list(tmp_path.iterdir())
