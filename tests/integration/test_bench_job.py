"""A tiny bench through its commands: stopped, gone on with, a row that fails, table and report."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.cli import benchmark, report
from tests.integration.tiny_job import ROOT, SIZES, Data, do

pytestmark = pytest.mark.slow

ROWS = ("cnn", "lbp", "vgg16")
"""A network; a regression on LBP and landmarks; and one whose weights are not at hand."""


class Bench(NamedTuple):
    """A bench after it was stopped once.

    Attributes:
      out: its folder.
      kept: times of change of the files of the cell that was finished when it was stopped.
      stopped: exit code of the first command.
    """

    out: Path
    kept: dict[Path, int]
    stopped: int


def arguments(data: Data, out: Path) -> list[str]:
    """Of `deepcoder-benchmark`."""
    return [
        *SIZES,
        f"--data_dir={data.prepared}",
        f"--output_dir={out}",
        f"--systems={','.join(ROWS)}",
        "--variant=lbp: --system=mlr --features=lbp --mlr_penalty=1",
        "--folds=0",
        "--replicates=100",
        "--show_paper",
    ]


def cell(out: Path, row: str) -> Path:
    """The folder of a row's cell."""
    return out / "cells" / row / "fold0" / "seed0"


def times(folder: Path) -> dict[Path, int]:
    """When each file was changed."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def bench(data, tmp_path_factory) -> Bench:
    """Begun as a program of its own, stopped after its first cell, and gone on with."""
    out = tmp_path_factory.mktemp("bench") / "out"
    command = [sys.executable, "-m", "deepcoder_tf.cli.benchmark", *arguments(data, out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)
    deadline = time.monotonic() + 600
    while not (cell(out, "cnn") / "cell.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    stopped = process.wait(60)
    assert not (cell(out, "vgg16") / "cell.json").exists()
    kept = times(cell(out, "cnn"))
    do(benchmark.main, *arguments(data, out))
    return Bench(out, kept, stopped)


def anova_icc(Y: np.ndarray, F: np.ndarray) -> float:
    """ICC(3,1) of two raters from the mean squares between frames and of the rest."""
    x = np.stack([Y, F], axis=1)
    n = len(x)
    centred = x - x.mean(axis=0)
    between = 2 * np.square(centred.mean(axis=1)).sum() / (n - 1)
    rest = np.square(centred - centred.mean(axis=1, keepdims=True)).sum() / (n - 1)
    return (between - rest) / (between + rest)


def test_a_stopped_bench_goes_on_and_keeps_what_is_finished(bench):
    assert bench.stopped == 130
    assert times(cell(bench.out, "cnn")) == bench.kept
    outcomes = {row: json.loads((cell(bench.out, row) / "cell.json").read_text()) for row in ROWS}
    assert {row: found["status"] for row, found in outcomes.items()} == {
        "cnn": "ok",
        "lbp": "ok",
        "vgg16": "failed",
    }
    assert set(outcomes["lbp"]["seconds"]) == {"train", "test"}
    assert "tensorflow" in outcomes["lbp"]["versions"]
    assert not (cell(bench.out, "lbp") / "run" / "cache").exists()
    assert (cell(bench.out, "lbp") / "run" / "best").is_dir()


def test_a_row_without_its_weights_is_marked_before_images_are_made(bench):
    found = json.loads((cell(bench.out, "vgg16") / "cell.json").read_text())
    assert found["reason"].startswith("train: --system=vgg16 needs ImageNet weights: give the path")
    assert not (cell(bench.out, "vgg16") / "run").exists()
    assert "vgg16, fold 0, seed 0: train: --system=vgg16" in (bench.out / "table1.md").read_text()
    table = json.loads((bench.out / "table1.json").read_text())
    assert [failure["system"] for failure in table["failed"]] == ["vgg16"]


def test_every_number_of_the_table_is_computed_again_from_the_predictions(bench, data):
    table = json.loads((bench.out / "table1.json").read_text())
    assert tuple(table["action_units"]) == DISFA
    for row in ("cnn", "lbp"):
        with np.load(cell(bench.out, row) / "test" / "predictions.npz") as arrays:
            Y, F, P = (arrays[name] for name in ("labels", "expected", "probabilities"))
            assert set(arrays["subjects"]) == set(data.test_subjects)
        np.testing.assert_allclose(P.sum(-1), 1, atol=1e-5)
        values = table["systems"][row]["metrics"]
        for metric, compute in (
            ("icc", anova_icc),
            ("mse", lambda y, f: np.square(y - f).mean()),
            ("mae", lambda y, f: np.abs(y - f).mean()),
        ):
            found = values[metric]["mean"]
            cells = [found[name]["value"] for name in DISFA]
            for q, name in enumerate(DISFA):
                seen = Y[:, q] >= 0
                y, f = Y[seen, q].astype(float), F[seen, q].astype(float)
                if metric == "icc" and np.ptp(y) == 0:
                    continue  # said of such a unit elsewhere; the mean below holds for it too
                assert found[name]["value"] == pytest.approx(compute(y, f), abs=1e-6), name
            assert found["average"]["value"] == pytest.approx(np.mean(cells), abs=1e-9)
        metrics = json.loads((cell(bench.out, row) / "test" / "metrics.json").read_text())
        average = values["icc"]["mean"]["average"]["value"]
        assert average == pytest.approx(metrics["mean"]["icc"], abs=1e-6)
    with (bench.out / "table1.csv").open(newline="") as stream:
        assert {line["system"] for line in csv.DictReader(stream)} >= {"cnn", "lbp"}


def test_the_table_is_made_again_the_same(bench, capsys):
    before = (bench.out / "table1.csv").read_bytes()
    do(benchmark.main, f"--output_dir={bench.out}", "--table_only", "--replicates=100")
    assert (bench.out / "table1.csv").read_bytes() == before
    assert "CNN" in capsys.readouterr().out


def test_the_report_shows_the_bench_and_what_is_missing(bench, data, tmp_path):
    do(report.main, f"--bench_dir={bench.out}", f"--output_dir={tmp_path}")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "needs ImageNet weights" in page and "lbp" in page
    assert "no finished cell of a stack" in page
    for name in ("icc_by_system", "fig4_labels"):
        assert list(tmp_path.glob(f"*{name}*.png")), name
