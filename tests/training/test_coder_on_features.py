"""vogpae and vae_dgp on features: what they learn, which frames they see, kill and resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.export import savedmodel
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.coder_epoch import turns
from deepcoder_tf.training.coder_on_features import CoderOnFeatures
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.registry import make_trainer
from deepcoder_tf.training.trainer import Report
from tests.training.killed import left_at
from tests.training.tiny_run import ACTION_UNITS, TINY, frames

OPTIONS: dict[str, Any] = {
    **TINY,
    "lbp_rows": 1,
    "lbp_columns": 1,
    "cnn_filters": (2,),
    "cnn_kernels": (3,),
    "cnn_pools": (1,),
    "cnn_features": 7,
    "iterations": 3,
    "gp_block": 12,
    "gp_inducing_decoder": 6,
    "dgp_latents": (3, 2),
    "dgp_inducing": 5,
    "dense_units": 6,
}

SYSTEMS: dict[str, dict[str, Any]] = {
    "vogpae": {"system": "vogpae"},
    "vogpae-exact": {"system": "vogpae", "gp": "exact", "gp_steps": 2},
    "vogpae-sparse": {"system": "vogpae", "gp": "sparse"},
    "vae_dgp": {"system": "vae_dgp"},
}

each_system = pytest.mark.parametrize("name", SYSTEMS)


def validate(model) -> dict[str, float]:
    """Any number that depends on every weight that predicts."""
    images = tf.constant(np.linspace(-1, 1, 3 * 96, dtype=np.float32).reshape(3, 12, 8, 1))
    p = model.predict(images, tf.fill((3, 49, 2), 80.0)).probabilities.numpy()
    np.testing.assert_allclose(p.sum(-1), 1.0, atol=1e-6)
    return {"icc": float(p @ np.arange(6.0) @ [1.0, 2.0] @ [1.0, 2.0, 3.0]), "ordinal_log_score": 1}


def run(folder: Path, data: Frames | None = None, **options: Any) -> CoderOnFeatures:
    """The trainer of one system on random pictures."""
    report = options.pop("report", lambda report: None)
    config = Config(**{**OPTIONS, **options})
    keras.utils.set_random_seed(config.seed)
    data = frames() if data is None else data
    labelled = np.flatnonzero((data.labels >= 0).any(axis=1))
    subset = labelled[::2] if config.system == "vogpae" else labelled[:0]
    model = build_system(config, ACTION_UNITS, len(subset))
    trainer = make_trainer(model, data, subset, folder, validate, report)
    assert isinstance(trainer, CoderOnFeatures)
    return trainer


@each_system
def test_a_run_keeps_the_best_of_its_rounds_and_saves_it(name, tmp_path):
    reports: list[Report] = []
    trainer = run(tmp_path, report=reports.append, **SYSTEMS[name])
    progress = trainer.fit()
    assert len(reports) == 3 and trainer.bar.n == trainer.steps_until(2)
    system = SYSTEMS[name]["system"]
    for term in ("recon", "kl", "label", "bound", "gradient_norm"):
        assert np.isfinite(reports[0].terms[f"{system}/{term}"])
    assert reports[0].terms["joint/bound"] == reports[0].terms[f"{system}/bound"]
    again = build_system(trainer.config, ACTION_UNITS, trainer.model.points)
    Checkpoints.load_model(tmp_path, again)
    assert validate(again)["icc"] == progress.best_score


@pytest.mark.parametrize("name", ["vogpae", "vae_dgp"])
def test_a_killed_run_goes_on_with_the_same_numbers(name, tmp_path):
    folder, part, options = tmp_path / "whole", tmp_path / "part", SYSTEMS[name]
    whole = run(folder, report=left_at(1, folder, part), **options)
    whole.fit()
    reports: list[Report] = []
    resumed = run(part, report=reports.append, **options)
    resumed.fit()
    assert [report.iteration for report in reports] == [1, 2]
    assert resumed.progress.bounds == pytest.approx(whole.progress.bounds, rel=1e-9)
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@each_system
def test_each_system_trains_on_its_frames_and_without_warm_up_only_the_deep_gp(name, tmp_path):
    data = frames()
    data.labels[[3, 10, 11]] = -1
    trainer = run(tmp_path, data, **SYSTEMS[name])
    labelled = len(data.labels) - 3
    own = labelled if name in ("vogpae-sparse", "vae_dgp") else len(trainer.subset)
    assert len(trainer.trained) == own
    schedule = trainer.schedule(0)
    assert schedule.shape == (trainer.steps_in(0), own if name == "vogpae-exact" else 12)
    assert schedule.max() < own and all(len(set(rows)) == len(rows) for rows in schedule)
    found = [trainer.weights(iteration).kl for iteration in (-1, 0, 1, 2)]
    assert found == ([1.0] * 4 if name == "vae_dgp" else [0.0, 0.0, 0.5, 1.0])
    z_in = trainer.inputs(np.array([2, 0]))
    np.testing.assert_array_equal(z_in.mean[np.array([1])], trainer.features[[0]])
    assert z_in.var.shape == (2, 7) and not z_in.var.any()


def test_blocks_take_turns():
    rng = np.random.default_rng(0)
    rows = turns(10, 3, 7, rng)
    assert rows.shape == (7, 3)
    for epoch in (rows[:3], rows[3:6]):
        assert len(set(epoch.ravel())) == 9
    assert turns(10, 3, 0, rng).shape == (0, 3)


@pytest.mark.parametrize("name", ["vogpae", "vae_dgp"])
def test_a_term_that_is_not_finite_ends_the_run_with_its_name(name, tmp_path):
    trainer = run(tmp_path, gp_steps=4, gp_init_steps=4, **SYSTEMS[name])
    trainer.bar = tqdm(disable=True)
    trainer.round(-1)
    weight = trainer.coder.trainable_variables[0]
    weight.assign(tf.fill(weight.shape, tf.constant(np.nan, weight.dtype)))
    with pytest.raises(UserError, match=rf"{name}: the term '\w+' is not finite at step 0 of iter"):
        trainer.round(0)


def test_the_export_on_deep_features_is_the_system(tmp_path):
    """That of vae_dgp, and of vogpae on landmarks, is in tests/export/test_systems.py."""
    trainer = run(tmp_path, iterations=1, **SYSTEMS["vogpae"])
    trainer.fit()
    face = np.random.default_rng(4).uniform(60, 150, (49, 2)).tolist()
    card = {"action_units": ["AU01", "AU12"], "mean_shape": face}
    path = savedmodel.export_model(trainer.model, card, tmp_path / "served")
    assert savedmodel.check_parity(trainer.model, path, card) <= 1e-5


def test_the_systems_of_the_registry_have_the_sizes_of_their_options():
    vogpae = build_system(Config(**{**OPTIONS, "system": "vogpae"}), 2, 16).head.coder
    assert (vogpae.points, vogpae.input_dims, vogpae.latent_dim) == (16, 7, 2)
    deep = build_system(Config(**{**OPTIONS, "system": "vae_dgp"}), 2).head.coder
    assert (deep.input_dims, deep.latent_dims, deep.inducing, deep.units) == (7, (3, 2), 5, 6)
    lbp = Config(**{**OPTIONS, "system": "vae_dgp", "features": "lbp"})
    assert build_system(lbp, 2).head.coder.input_dims == 59 + 98


@pytest.mark.parametrize("gp", ["minibatch", "sparse"])
def test_the_head_is_told_who_is_seen_and_which_frames_are_the_coders_own(tmp_path, gp):
    trainer = run(tmp_path, system="vogpae", gp=gp, gp_head_steps=3)
    told = {}
    trainer.coder.fit_labels = lambda z_in, labels, subjects, own: told.update(
        z=np.asarray(z_in.mean[own]), subjects=subjects, own=own
    )
    trainer.bar = tqdm(disable=True)
    trainer.round(-1)
    np.testing.assert_array_equal(told["subjects"], trainer.subjects[trainer.trained])
    np.testing.assert_array_equal(trainer.trained[told["own"]], trainer.subset)
    own = (told["z"] - trainer.coder.offset) / trainer.coder.scale
    np.testing.assert_allclose(own, trainer.coder.Z0, atol=1e-5)
