"""mlr, sor and gp from frames to a chosen model: features once, holes, refusals, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training import feature_training
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.registry import make_trainer
from deepcoder_tf.training.trainer import Report, Trainer
from tests.training.killed import left_at
from tests.training.tiny_run import ACTION_UNITS, TINY, frames

OPTIONS: dict[str, Any] = {
    **TINY,
    "features": "deep",
    "lbp_rows": 2,
    "lbp_columns": 1,
    "cnn_filters": (2,),
    "cnn_kernels": (3,),
    "cnn_pools": (1,),
    "cnn_features": 7,
    "iterations": 3,
}


def labelled(data: Frames, count: int = 20) -> np.ndarray:
    """Rows of X_L."""
    return np.flatnonzero((data.labels >= 0).any(axis=1))[::2][:count]


def trainer(folder: Path, data: Frames | None = None, **options: Any) -> Trainer:
    """Of one system on random pictures; `report` can be given with the options."""
    report = options.pop("report", lambda report: None)
    config = Config(**{**OPTIONS, **options})
    keras.utils.set_random_seed(config.seed)
    data = frames() if data is None else data
    subset = labelled(data) if config.system == "gp" else np.empty(0, np.int64)
    model = build_system(config, ACTION_UNITS, len(subset))
    return make_trainer(model, data, subset, folder, score(data), report)


def telling() -> Frames:
    """Frames whose pictures and landmarks tell the levels."""
    data, levels = frames(), np.maximum(frames().labels, 0)
    images = data.images // 4
    images[:, :6] += (30 * levels[:, 0, np.newaxis, np.newaxis, np.newaxis]).astype(np.uint8)
    images[:, 6:] += (30 * levels[:, 1, np.newaxis, np.newaxis, np.newaxis]).astype(np.uint8)
    landmarks = np.tile(40 * levels[:, np.newaxis], (1, 49, 1)).astype(np.float32)
    return data._replace(images=images, landmarks=landmarks + data.landmarks)


def probabilities(model, data: Frames) -> np.ndarray:
    """Of the levels of all frames."""
    images = to_unit_range(tf.constant(data.images))
    return model.predict(images, tf.constant(data.landmarks)).probabilities.numpy()


def score(data: Frames):
    """How the expected level goes with the label; it depends on every weight that predicts."""

    def validate(model) -> dict[str, float]:
        expected = probabilities(model, data) @ np.arange(6)
        kept = [np.flatnonzero(column >= 0) for column in data.labels.T]
        with np.errstate(invalid="ignore"):  # a unit that never varies
            found = [
                np.corrcoef(expected[rows, q], data.labels[rows, q])[0, 1] if len(rows) else 0.0
                for q, rows in enumerate(kept)
            ]
        mean = float(np.nan_to_num(found).mean())
        return {"icc": mean, "ordinal_log_score": -mean}

    return validate


@pytest.mark.parametrize("features", ["lbp", "deep"])
@pytest.mark.parametrize("system", ["mlr", "sor", "gp"])
def test_a_run_learns_and_keeps_its_model(system, features, tmp_path):
    reports: list[Report] = []
    run = trainer(tmp_path, telling(), system=system, features=features, report=reports.append)
    extractor = run.model.extractor.get_weights()
    progress = run.fit()
    assert progress.finished
    assert len(reports) <= (3 if system == "gp" else 1)
    assert progress.best_score > 0.6
    again = build_system(run.config, ACTION_UNITS, run.model.points)
    Checkpoints.load_model(tmp_path, again)
    assert score(run.frames)(again)["icc"] == pytest.approx(progress.best_score, abs=1e-6)
    for ours, theirs in zip(extractor, run.model.extractor.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("system", ["mlr", "gp"])
def test_a_killed_run_goes_on_with_the_same_numbers(system, tmp_path):
    folder, part, last = tmp_path / "whole", tmp_path / "part", 1 if system == "gp" else 0
    whole = trainer(folder, system=system, report=left_at(last, folder, part))
    whole.fit()
    reports: list[Report] = []
    resumed = trainer(part, system=system, report=reports.append)
    resumed.fit()
    assert reports[0].iteration == last
    assert resumed.progress.bounds == pytest.approx(whole.progress.bounds, rel=1e-12)
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_features_are_those_of_the_labelled_frames_and_computed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_training, "FEATURE_BATCH", 7)
    data = frames()
    data.labels[[3, 10, 11]] = -1
    run = trainer(tmp_path, data, system="gp", features="lbp")
    rows = np.setdiff1d(np.arange(len(data.labels)), [3, 10, 11])
    np.testing.assert_array_equal(run.rows, rows)
    expected = run.model.features(
        to_unit_range(tf.constant(data.images[rows])), tf.constant(data.landmarks[rows])
    )
    np.testing.assert_allclose(run.features, expected, atol=1e-6)
    assert isinstance(run.features, np.memmap)
    np.testing.assert_array_equal(run.labels, data.labels[rows])
    np.testing.assert_array_equal(run.labels[run.subset], data.labels[labelled(data)])
    np.testing.assert_array_equal(run.subjects, data.subjects[rows])
    (path,) = (tmp_path / "cache").glob("features-*.npy")
    monkeypatch.setattr(type(run), "write_features", None)
    again = trainer(tmp_path, data, system="gp", features="lbp")
    np.testing.assert_array_equal(again.features, run.features)
    assert list((tmp_path / "cache").iterdir()) == [path]


def test_features_of_other_weights_are_not_taken(tmp_path):
    first = trainer(tmp_path, system="mlr", features="deep")
    second = trainer(tmp_path, system="mlr", features="deep")
    kept = np.array(first.features)
    second.model.extractor.set_weights([2 * w for w in second.model.extractor.get_weights()])
    assert not np.array_equal(second.features, kept)


def test_the_convergence_of_the_gp_ends_the_run(tmp_path):
    run = trainer(tmp_path, system="gp", iterations=40, patience=40, tolerance=0.0)
    progress = run.fit()
    assert progress.finished == "the marginal likelihood has converged"
    assert (np.diff(progress.bounds) > -1e-9).all()
    values, (X, Y, varies) = run.values(), run.data
    best, slope = run.loss(values, X, Y[:, varies])
    inside = [low < v < high for v, (low, high) in zip(values, run.bounds(), strict=True)]
    assert np.abs(slope[inside]).max() < 1e-3
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert run.loss(values + 0.1 * rng.normal(size=3), X, Y[:, varies])[0] >= best - 1e-6


@pytest.mark.parametrize("system", ["mlr", "sor", "gp"])
def test_units_that_nobody_labelled_or_that_never_vary(system, tmp_path):
    """Never labelled: absent for the regressions, unknown for sor; never active: absent."""
    for column, value in ((1, -1), (1, 0)):
        data = frames()
        data.labels[:, column] = value
        run = trainer(tmp_path / str(value), data, system=system)
        run.fit()
        p = probabilities(run.model, data)
        assert np.isfinite(p).all()
        if system == "sor" and value < 0:
            np.testing.assert_allclose(p[:, 1], 1 / 6, atol=0.02)
        else:
            assert (p[:, 1, 0] > 0.8).all()


def test_the_gp_leaves_out_frames_with_a_hole(tmp_path):
    data = frames()
    rows = labelled(data)
    data.labels[rows] = np.maximum(data.labels[rows], 0)
    data.labels[rows[3], 1] = -1
    run = trainer(tmp_path, data, system="gp")
    run.fit()
    np.testing.assert_array_equal(run.rows[run.complete[0]], np.delete(rows, 3))
    inputs = run.model.head.inputs.numpy()
    assert (inputs[-1] == 0).all() and (np.abs(inputs[:-1]).sum(axis=1) > 0).all()


def broken(change: str) -> Frames:
    """Frames that cannot be learnt from."""
    data = frames()
    if change == "nan":
        data.landmarks[[5, 9], 0] = np.nan
    elif change == "no labels":
        data.labels[:] = -1
    elif change == "holes":
        data.labels[::2, 0], data.labels[1::2, 1] = -1, -1
    elif change == "constant":
        data.labels[:] = 0
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "nan",
            r"features of LBPLandmarks are not finite \(NaN\) in 2 of \d+ labelled training frames,"
            " first in row 5 of frames.csv",
        ),
        ("no labels", "no training frame has a label"),
        ("holes", r"every action unit is labelled, and 0 of 20 are; choose --system=mlr or sor"),
        ("constant", "no action unit varies over the 20 frames of the gp"),
    ],
)
def test_what_cannot_be_learnt_is_named(change, message, tmp_path):
    with pytest.raises(UserError, match=message):
        system = "mlr" if change == "no labels" else "gp"
        trainer(tmp_path, broken(change), system=system, features="lbp").fit()
    assert not list(tmp_path.glob("cache/*.partial"))


def test_misuse_is_named(tmp_path):
    data = frames()
    model = build_system(Config(**{**OPTIONS, "system": "mlr", "features": "lbp"}), ACTION_UNITS)
    rest = (tmp_path, score(data), lambda report: None)
    with pytest.raises(ValueError, match="LBPLandmarks needs the frames' landmarks"):
        make_trainer(model, data._replace(landmarks=None), np.empty(0, int), *rest)
    data.labels[4] = -1
    with pytest.raises(ValueError, match="every frame of the subset must have a label"):
        make_trainer(model, data, np.array([4]), *rest)


def test_more_penalty_shrinks_and_the_link_is_used(tmp_path):
    def head(**options):
        run = trainer(tmp_path / "-".join(map(str, options.values())), **options)
        run.fit()
        return run.model.head

    free, held = head(system="mlr", mlr_penalty=0.1), head(system="mlr", mlr_penalty=10.0)
    assert np.abs(held.weight_matrix).sum() < 0.5 * np.abs(free.weight_matrix).sum()
    assert head(system="sor", sor_link="logit").link == "logit"
    assert head(system="gp", gp_kernel="rbf_ard").log_lengthscales.shape == (7,)
