"""The main job through its commands: synthesise, prepare, train, evaluate, export, predict."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.cli import evaluate, export, predict, train
from tests.integration.tiny_job import (
    FRAMES,
    ROOT,
    SUBJECTS,
    TRAIN,
    do,
    evaluation,
    fails,
    table,
    video_of,
)

pytestmark = pytest.mark.slow

# What comes out -----------------------------------------------------------------------------------


def test_the_metrics_have_the_agreed_form(job):
    metrics = json.loads((job.results / "metrics.json").read_text())
    assert metrics["system"] == "2DC" and metrics["split"] == "test"
    assert metrics["frames"] == len(table(job.results / "predictions.csv"))
    assert tuple(metrics["per_au"]) == DISFA
    for numbers in metrics["per_au"].values():
        assert {"icc", "mse", "mae"} <= set(numbers)
        assert -1 <= numbers["icc"] <= 1 and 0 <= numbers["mse"] <= 25 and 0 <= numbers["mae"] <= 5
    assert {"icc", "mse", "mae", "nlpd"} <= set(metrics["mean"])
    assert np.isfinite(metrics["mean"]["nlpd"])
    mean = np.mean([numbers["icc"] for numbers in metrics["per_au"].values()])
    assert metrics["mean"]["icc"] == pytest.approx(mean, abs=1e-9)
    assert set(metrics["references"]) == {"mlr_z0", "ridge_pca"}


def test_predictions_are_of_the_test_subjects_with_their_labels(job):
    rows = table(job.results / "predictions.csv")
    assert {row["subject"] for row in rows} == set(job.test_subjects)
    frames = table(job.prepared / "frames.csv")
    for row in rows:
        source = frames[int(row["row"])]
        assert (source["file"], source["subject"]) == (row["file"], row["subject"])
        assert source["frame"] == row["frame"] and source["status"] == "ok"
        folder = job.faces / "ActionUnit_Labels" / row["subject"]
        lines = (folder / f"{row['subject']}_au12.txt").read_text().split()
        assert f"{row['frame']},{row['AU12_label']}" in lines
    for name in ("reconstructions", "latent_spaces", "reliability"):
        assert cv2.imread(str(job.results / f"{name}.png")) is not None


def test_frames_csv_has_a_row_for_every_frame(job):
    rows = table(job.prepared / "frames.csv")
    assert len(rows) == SUBJECTS * FRAMES
    assert [int(row["row"]) for row in rows] == list(range(len(rows)))
    assert sum(row["status"] == "ok" for row in rows) >= 0.9 * len(rows)


def test_the_history_tells_every_term_under_its_own_name(job):
    history = [json.loads(line) for line in (job.run / "history.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in history] == [0, 1]
    for line in history:
        for n in range(2):
            for term in ("recon", "kl", "label", "bound"):
                assert np.isfinite(line[f"coder_{n}/{term}"])
        for name in ("icc", "ordinal_log_score", "nlpd"):
            assert np.isfinite(line[f"validation/{name}"])
        for name in ("ridge_z0", "mlr_z0", "ridge_pca"):
            assert np.isfinite(line[f"validation/health/{name}"])
    assert list((job.run / "log").glob("events.out.tfevents.*"))
    assert (job.run / "log" / "projector_config.pbtxt").exists()


def test_the_export_predicts_what_was_evaluated(job):
    import tensorflow as tf

    from deepcoder_tf.datasets.records import read_fold
    from deepcoder_tf.training.run import load_model

    batch = next(iter(read_fold(job.prepared, 0, "test").batch(1000)))
    model, _ = load_model(job.run)
    here = model(batch["crop"])
    loaded = tf.saved_model.load(str(job.exported))
    there = loaded.signatures["serving_default"](crops=batch["crop"])
    for name in here:
        np.testing.assert_allclose(there[name], here[name], atol=1e-5)
    rows = table(job.results / "predictions.csv")
    for column, name in enumerate(DISFA):
        printed = [float(row[f"{name}_r"]) for row in rows]
        np.testing.assert_allclose(printed, there["intensity"][:, column], atol=2e-5)
    # The run chose among models that had been trained: predictions differ from frame to frame.
    assert np.ptp(there["intensity"], axis=0).max() > 1e-4


def test_prediction_has_a_row_for_every_frame_and_a_bad_file_does_not_stop_it(job, tmp_path):
    photo, broken = tmp_path / "astronaut.png", tmp_path / "broken.jpg"
    cv2.imwrite(str(photo), cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR))
    broken.write_text("not a picture")
    video = video_of(job)
    output = tmp_path / "out.csv"
    do(
        predict.main,
        f"--model={job.exported}",
        f"--output={output}",
        f"--annotate={tmp_path / 'drawn'}",
        photo,
        broken,
        video,
    )
    rows = table(output)
    by_file = {
        p.name: [r for r in rows if Path(r["file"]).name == p.name] for p in (photo, broken, video)
    }
    assert [len(found) for found in by_file.values()] == [1, 1, FRAMES]
    assert by_file["astronaut.png"][0]["status"] == "ok"
    assert by_file["broken.jpg"][0]["status"].startswith("unreadable")
    assert [int(row["frame"]) for row in by_file[video.name]] == list(range(FRAMES))
    for row in rows:
        if row["status"] != "ok":
            continue
        for name in DISFA:
            p = [float(row[f"{name}_p{s}"]) for s in range(6)]
            assert sum(p) == pytest.approx(1.0, abs=1e-9)
            assert float(row[f"{name}_r"]) == pytest.approx(np.dot(p, range(6)), abs=2e-6)
            assert int(row[f"{name}_c"]) == (p[0] < 0.5)
    assert len(list((tmp_path / "drawn").iterdir())) >= 2


def test_a_video_is_predicted_as_its_prepared_crops_are(job, tmp_path):
    video = video_of(job)
    do(predict.main, f"--model={job.exported}", f"--output={tmp_path / 'out.csv'}", video)
    found = [row for row in table(tmp_path / "out.csv") if row["status"] == "ok"]
    prepared = [
        row
        for row in table(job.results / "predictions.csv")
        if row["subject"] == job.test_subjects[0]
    ]
    assert len(found) == len(prepared)
    for name in DISFA:
        ours, theirs = ([float(row[f"{name}_r"]) for row in rows] for rows in (found, prepared))
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_a_model_of_landmarks_from_training_to_a_video(data, tmp_path):
    run, results, served = tmp_path / "run", tmp_path / "results", tmp_path / "served"
    options = ["--system=mlr", "--features=lbp", "--mlr_penalty=1"]
    do(train.main, *TRAIN, *options, f"--data_dir={data.prepared}", f"--model_dir={run}")
    do(evaluate.main, *evaluation(run, data.prepared, results))
    do(export.main, f"--model_dir={run}", f"--output_dir={served}", "--version=3")
    model, output = f"--model={served / '3'}", tmp_path / "out.csv"
    do(predict.main, model, f"--output={output}", video_of(data))
    found = [row for row in table(output) if row["status"] == "ok"]
    subject = data.test_subjects[0]
    prepared = [row for row in table(results / "predictions.csv") if row["subject"] == subject]
    assert len(found) == len(prepared) > 0
    for name in DISFA:
        ours, theirs = (
            np.array([[float(row[f"{name}_p{s}"]) for s in range(6)] for row in rows])
            for rows in (found, prepared)
        )
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
        assert np.ptp(ours) > 1e-3


# Mistakes -----------------------------------------------------------------------------------------


def test_a_fold_that_is_not_there(job, capsys, tmp_path):
    line = fails(capsys, evaluate.main, *evaluation(job.run, job.prepared, tmp_path / "o", fold=9))
    assert "--fold=9" in line and "choose from 0" in line
    arguments = [*TRAIN, f"--data_dir={job.prepared}", f"--model_dir={tmp_path / 'm'}", "--fold=9"]
    assert "--fold=9" in fails(capsys, train.main, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_fold_whose_test_subjects_were_trained_on(job, capsys, tmp_path):
    line = fails(capsys, evaluate.main, *evaluation(job.run, job.prepared, tmp_path / "o", fold=1))
    assert "trained on fold 0" in line and "use --fold=0" in line


def test_a_model_folder_that_is_not_one(job, capsys, tmp_path):
    for folder in (tmp_path, tmp_path / "none", job.prepared):
        line = fails(capsys, evaluate.main, *evaluation(folder, job.prepared, tmp_path / "o"))
        assert f"{folder}: no model folder" in line and "deepcoder-train" in line
        output = f"--output_dir={tmp_path / 's'}"
        assert str(folder) in fails(capsys, export.main, f"--model_dir={folder}", output)
        arguments = [f"--model={folder}", f"--output={tmp_path / 'o.csv'}", video_of(job)]
        assert str(folder) in fails(capsys, predict.main, *arguments)
    line = fails(capsys, evaluate.main, *evaluation(job.run, tmp_path / "none", tmp_path / "o"))
    assert "no prepared folder" in line
    assert not list(tmp_path.iterdir())


def test_data_with_other_action_units(job, capsys, tmp_path):
    other = tmp_path / "prepared"
    shutil.copytree(job.prepared, other)
    text = (other / "dataset.json").read_text()
    (other / "dataset.json").write_text(text.replace('"AU26"', '"AU10"'))
    line = fails(capsys, evaluate.main, *evaluation(job.run, other, tmp_path / "o"))
    assert "AU26" in line and "AU10" in line and "evaluate on data with" in line
    line = fails(capsys, train.main, *TRAIN, f"--data_dir={other}", f"--model_dir={job.run}")
    assert "other data (action_units differs)" in line


def test_a_run_with_other_options_is_not_continued(job, capsys):
    before = (job.run / "run.json").read_bytes()
    arguments = [*TRAIN, f"--data_dir={job.prepared}", f"--model_dir={job.run}", "--seed=1"]
    line = fails(capsys, train.main, *arguments)
    assert "--seed=0, not 1" in line
    assert (job.run / "run.json").read_bytes() == before


def test_an_existing_version_is_kept(job, capsys):
    arguments = [f"--model_dir={job.run}", f"--output_dir={job.exported.parent}", "--version=1"]
    assert "exists; choose another --version" in fails(capsys, export.main, *arguments)


def test_a_killed_run_is_told_and_goes_on_to_the_same_numbers(job, capsys, tmp_path):
    run = tmp_path / "run"
    arguments = [*TRAIN, f"--data_dir={job.prepared}", f"--model_dir={run}"]
    code = f"from deepcoder_tf.cli.train import main; main({['train', *arguments]!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # The first save is that of the initial epochs: no model has been chosen yet.
    deadline = time.monotonic() + 300
    while not (run / "state.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (run / "history.jsonl").exists()
    line = fails(capsys, evaluate.main, *evaluation(run, job.prepared, tmp_path / "o"))
    assert "no complete trained model is here" in line and "deepcoder-train" in line
    output = f"--output_dir={tmp_path / 's'}"
    assert "no complete trained" in fails(capsys, export.main, f"--model_dir={run}", output)
    assert not (tmp_path / "o").exists() and not (tmp_path / "s").exists()

    do(train.main, *arguments)
    assert (run / "history.jsonl").read_text() == (job.run / "history.jsonl").read_text()
    do(evaluate.main, *evaluation(run, job.prepared, tmp_path / "o"))
    again, whole = (d / "predictions.csv" for d in (tmp_path / "o", job.results))
    assert again.read_text() == whole.read_text()
