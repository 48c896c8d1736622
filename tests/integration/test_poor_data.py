"""Data from which little or nothing can be learnt: finite numbers, or one line that says what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.cli import evaluate, train
from tests.integration.tiny_job import TRAIN, Data, do, evaluation, fails

pytestmark = pytest.mark.slow

SYSTEMS = {
    "2dc": ["--system=2dc"],
    "or_cnn": ["--system=or_cnn"],
    "vogpae": ["--system=vogpae", "--features=lbp"],
    "gp": ["--system=gp", "--features=lbp"],
    "sor": ["--system=sor", "--features=lbp"],
}
"""One of each kind."""


def changed(data: Data, folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> Path:
    """A copy of the prepared data whose landmark files are changed."""
    shutil.copytree(data.prepared, folder)
    for path in (folder / "landmarks").iterdir():
        with np.load(path) as arrays:
            kept = dict(arrays)
        change(kept)
        np.savez(path, **kept)
    return folder


@pytest.fixture(scope="module")
def sparse(data, tmp_path_factory) -> Path:
    """AU01 is never active; AU12 is 0 or 3, its other levels are in no fold; of AU26 nothing."""

    def change(arrays):
        labels = arrays["labels"]
        labels[:, 0] = 0
        labels[:, 5] = np.where(np.arange(len(labels)) % 3, 0, 3)
        labels[:, 11] = -1

    return changed(data, tmp_path_factory.mktemp("sparse") / "prepared", change)


@pytest.mark.parametrize("name", SYSTEMS)
def test_units_without_an_active_frame_and_folds_without_a_level(sparse, tmp_path, name):
    run, results = tmp_path / "run", tmp_path / "results"
    do(train.main, *TRAIN, *SYSTEMS[name], f"--data_dir={sparse}", f"--model_dir={run}")
    do(evaluate.main, *evaluation(run, sparse, results))
    with np.load(results / "predictions.npz") as arrays:
        P, F = arrays["probabilities"], arrays["expected"]
    assert np.isfinite(P).all() and np.isfinite(F).all()
    np.testing.assert_allclose(P.sum(-1), 1, atol=1e-5)
    if name in ("gp", "sor"):  # the others would need more than a moment
        assert P[:, 0, 0].mean() > 0.9
    metrics = json.loads((results / "metrics.json").read_text())
    assert np.isfinite(metrics["mean"]["icc"])
    assert metrics["per_au"]["AU26"]["icc"] is None


@pytest.mark.parametrize("name", ["vogpae", "sor"])
def test_landmarks_that_are_not_finite_are_named(data, capsys, tmp_path, name):
    def change(arrays):
        arrays["landmarks"][1] = np.nan

    broken = changed(data, tmp_path / "prepared", change)
    arguments = [f"--data_dir={broken}", f"--model_dir={tmp_path / 'run'}"]
    line = fails(capsys, train.main, *TRAIN, *SYSTEMS[name], *arguments)
    assert "landmarks of frame 2 are not finite" in line and "landmarks/SN" in line


def test_one_subject_alone(data, capsys, tmp_path):
    alone = tmp_path / "prepared"
    shutil.copytree(data.prepared, alone)
    info = json.loads((alone / "dataset.json").read_text())
    info["unusable"] = {"0": "needs two training subjects"}
    info["folds"] = {}
    (alone / "dataset.json").write_text(json.dumps(info))
    arguments = [f"--data_dir={alone}", f"--model_dir={tmp_path / 'run'}"]
    line = fails(capsys, train.main, *TRAIN, "--system=cnn", *arguments)
    assert "--fold=0" in line and "needs two training subjects" in line
    assert not (tmp_path / "run").exists()


def test_a_system_that_does_not_exist(data, capsys, tmp_path):
    arguments = [f"--data_dir={data.prepared}", f"--model_dir={tmp_path / 'run'}"]
    assert train.main(["train", *TRAIN, "--system=3dc", *arguments]) == 2
    told = capsys.readouterr().err
    assert "3dc" in told and "2dc" in told and "Traceback" not in told
