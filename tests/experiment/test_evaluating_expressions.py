"""Evaluation of a recogniser: its numbers against the model's own, its files, and poor input."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.cli import evaluate as cli
from deepcoder_tf.datasets.expressions.store import load_expressions
from deepcoder_tf.evaluation.expression_metrics import measure_expressions
from deepcoder_tf.experiment.drawing_expressions import swap_pairs
from deepcoder_tf.experiment.evaluating import evaluate
from deepcoder_tf.experiment.reading_expressions import tell
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.training.expression_run import load_recogniser
from tests.experiment.expression_folders import prepared_folder, saved_run

PICTURES = {"confusion.png", "similarity.png", "reliability.png"}
TABLES = {"metrics.json", "predictions.csv", "predictions.npz"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two people in training, two in validation, none in test."""
    return prepared_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """A disentangling network with a decoder, untrained."""
    return saved_run(tmp_path_factory.mktemp("runs") / "run", data, beta_reconstruction=1.0)


@pytest.fixture(scope="module")
def results(run, data, tmp_path_factory) -> Path:
    """Of the command on the validation pictures."""
    folder = tmp_path_factory.mktemp("results")
    assert cli.main(["evaluate", *flags_of(run, data, folder)]) == 0
    return folder


def flags_of(run: Path, data: Path, folder: Path, split: str = "validation") -> list[str]:
    where = (f"--model_dir={run}", f"--data_dir={data}", f"--output_dir={folder}")
    return [*where, f"--split={split}"]


def metrics_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def error_of(capsys, arguments: list[str], code: int = 1) -> str:
    capsys.readouterr()
    assert cli.main(["evaluate", *arguments]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_every_file_is_there(results):
    faces = {"reconstructions.png", "swaps.png"}
    assert {path.name for path in results.iterdir()} == PICTURES | TABLES | faces
    for name in PICTURES | faces:
        assert min(cv2.imread(str(results / name)).shape[:2]) > 100


def test_the_numbers_are_those_of_the_model(results, run, data):
    model, _ = load_recogniser(run)
    frames = load_expressions(data).of("validation")
    told = model(tf.constant(np.asarray(frames.images)))
    P = told["expression_probabilities"].numpy()
    found = metrics_of(results)
    assert found["kind"] == "expressions" and found["system"] == "disentangled"
    assert found["split"] == "validation" and (found["pictures"], found["labelled"]) == (33, 32)
    expected = measure_expressions(frames.labels, P).to_json()
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "majority_rate"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5)
    assert found["confusion"] == expected["confusion"]
    adversary = model.adversary_logits(model.pictures(tf.constant(np.asarray(frames.images))))
    wrong = adversary.numpy().argmax(1) == frames.labels
    assert found["adversary_accuracy"] == pytest.approx(wrong.sum() / 32)
    with np.load(results / "predictions.npz") as arrays:
        np.testing.assert_allclose(arrays["probabilities"], P, atol=1e-6)
        np.testing.assert_array_equal(arrays["labels"], frames.labels)
        np.testing.assert_array_equal(arrays["rows"], frames.rows)
        np.testing.assert_array_equal(arrays["subjects"], frames.subjects)
        np.testing.assert_allclose(
            arrays["adversary_probabilities"], tf.nn.softmax(adversary), atol=1e-6
        )


def test_reconstruction_error_is_the_mean_distance(results, run, data):
    model, _ = load_recogniser(run)
    frames = load_expressions(data).of("validation")
    x = model.pictures(tf.constant(np.asarray(frames.images)))
    difference = 0.5 * (x - model.reconstruct(x)).numpy()
    found = metrics_of(results)
    lengths = np.sqrt(np.square(difference).sum((1, 2, 3)))
    assert found["reconstruction_error"] == pytest.approx(lengths.mean(), rel=1e-4)
    rms = np.sqrt(np.mean(difference.astype(np.float64) ** 2))
    assert found["reconstruction_rms"] == pytest.approx(rms, rel=1e-4)


def test_every_picture_has_a_line_and_an_unlabelled_one_an_empty_cell(results, data):
    with (results / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (data / "frames.csv").open(newline="") as stream:
        frames = list(csv.DictReader(stream))
    assert len(rows) == 33 and sum(row["label"] == "" for row in rows) == 1
    for row in rows:
        source = frames[int(row["row"])]
        assert source["file"] == row["file"] and source["expression"] == row["label"]
        assert source["subject"] == row["subject"] in ("cyd", "dan")
        P = [float(row[f"p_{name}"]) for name in EXPRESSIONS]
        assert sum(P) == pytest.approx(1, abs=1e-5)
        assert EXPRESSIONS[int(np.argmax(P))] == row["predicted"]


def test_similarity_and_probes_are_told_for_each_code(results):
    found = metrics_of(results)
    assert found["similarity"]["comparison"] == "across identities"
    # 2 people, 8 classes, 2 pictures: 8 * 2 * 2 pairs of people, 2 * 28 * 4 of classes.
    assert found["similarity"]["same"]["pairs"] == 32
    assert found["similarity_non_expression"]["other"]["pairs"] == 224
    assert (found["probes"]["train_pictures"], found["probes"]["test_pictures"]) == (32, 32)
    assert found["identity_probes"]["people"] == 2
    for probes in (found["probes"], found["identity_probes"]):
        for code in ("expression", "non_expression"):
            for kind in ("linear", "mlp"):
                assert 0 <= probes[code][kind]["accuracy"] <= 1
    assert found["reasons"] == {}


def test_the_same_command_gives_the_same_files(results, run, data, tmp_path, capsys):
    assert cli.main(["evaluate", *flags_of(run, data, tmp_path)]) == 0
    assert metrics_of(tmp_path) == metrics_of(results)
    printed = capsys.readouterr().out
    for word in ("disentangled", "contempt", "balanced accuracy", "C_adv", "mlp probe"):
        assert word in printed
    for name in ("predictions.csv", "swaps.png"):
        assert (tmp_path / name).read_bytes() == (results / name).read_bytes()


def test_batches_and_order_change_nothing(run, data, monkeypatch):
    from deepcoder_tf.experiment import reading_expressions

    model, _ = load_recogniser(run)
    frames, rows = load_expressions(data).of("validation"), np.array([3, 1, 20, 8, 9])
    whole = tell(model, frames, rows)
    monkeypatch.setattr(reading_expressions, "BATCH", 2)
    parts = tell(model, frames, rows)
    np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-6)
    alone = tell(model, frames, rows[2:3])
    np.testing.assert_allclose(alone.codes["expression"], whole.codes["expression"][2:3], atol=1e-5)


def test_the_baseline_has_no_second_code_and_strangers_no_identity(tmp_path):
    data = prepared_folder(tmp_path, known=False, channels=1)
    run = saved_run(tmp_path / "run", data, system="baseline")
    found = evaluate(run, data, tmp_path / "out", 0, "validation")
    assert found == metrics_of(tmp_path / "out")
    absent = ("adversary_accuracy", "reconstruction_error", "similarity_non_expression")
    for name in (*absent, "identity_probes"):
        assert found[name] is None and name in found["reasons"]
    assert found["similarity"]["comparison"] == "any pair"
    assert "non_expression" not in found["probes"]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == PICTURES | TABLES


def test_what_nobody_can_learn_is_not_probed(run, tmp_path):
    alone = prepared_folder(tmp_path, ("train", "test"), learnt=1, copies=1)
    found = evaluate(run, alone, tmp_path / "out", 0, "test")
    assert found["probes"] is None and "two classes" in found["reasons"]["probes"]
    # One person only: there is nobody to be taken for.
    assert found["identity_probes"] is None and found["similarity"]["comparison"] == "any pair"
    assert found["source"] == found["trained_on"]


def test_a_class_that_the_split_lacks_is_said_to_be_absent(run, tmp_path):
    data = prepared_folder(tmp_path, learnt=5, copies=1)
    found = evaluate(run, data, tmp_path / "out", 0, "train")
    assert found["absent_classes"] == list(EXPRESSIONS[5:]) and "per_class" in found["reasons"]
    assert found["per_class"]["anger"]["recall"] is None
    assert found["probes"]["train_pictures"] == 10


def test_swaps_are_of_one_person_where_there_is_one():
    labels = np.array([0, 0, 1, 2, -1, 3, 3])
    subjects = np.array(["a", "a", "a", "b", "b", "", ""])
    first, second = swap_pairs(labels, subjects, 8, 0)
    assert {*zip(first.tolist(), second.tolist(), strict=True)} <= {(0, 2), (2, 0), (1, 2), (2, 1)}
    assert len(first) == 2
    first, second = swap_pairs(labels, np.full(7, ""), 8, 0)
    assert len(first) == 8 and np.all(labels[first] != labels[second])
    assert 4 not in (*first, *second)
    again = swap_pairs(labels, np.full(7, ""), 8, 0)
    np.testing.assert_array_equal(again[0], first)
    assert len(swap_pairs(np.array([1, 1, -1]), np.full(3, ""), 8, 0)[0]) == 0


# Poor input ---------------------------------------------------------------------------------------


def test_a_split_without_pictures_is_named(run, data, tmp_path, capsys):
    told = error_of(capsys, flags_of(run, data, tmp_path, "test"))
    assert "test split has no picture" in told and "--split" in told


def test_a_split_without_classes_is_named(run, tmp_path, capsys):
    data = prepared_folder(tmp_path, labelled=False, copies=1)
    told = error_of(capsys, flags_of(run, data, tmp_path / "out"))
    assert "validation split has no picture with a class" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 48}, "colour pictures of 48 x 48"),
        ({"channels": 1}, "grey pictures of 32 x 32"),
    ],
)
def test_pictures_of_another_form_are_named(run, tmp_path, capsys, changes, words):
    data = prepared_folder(tmp_path, copies=1, **changes)
    told = error_of(capsys, flags_of(run, data, tmp_path / "out"))
    assert words in told and "colour pictures of 32 x 32" in told
    assert "--size=32 --channels=3" in told


def test_other_runs_and_other_folders_are_named(run, data, tmp_path, capsys):
    units = tmp_path / "units"
    units.mkdir()
    (units / "dataset.json").write_text('{"format": 1, "action_units": ["AU12"]}')
    told = error_of(capsys, flags_of(run, units, tmp_path / "out"))
    assert "action units" in told and "expressions" in told
    other = tmp_path / "run"
    other.mkdir()
    (other / "run.json").write_text('{"format": 1}')
    told = error_of(capsys, flags_of(other, data, tmp_path / "out"))
    assert "run.json" in told


def test_a_missing_model_is_named(run, data, tmp_path, capsys):
    told = error_of(capsys, flags_of(tmp_path / "none", data, tmp_path / "out"))
    assert "none" in told and "deepcoder-train" in told
    shutil.copytree(run, tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "best")
    told = error_of(capsys, flags_of(tmp_path / "begun", data, tmp_path / "out"))
    assert "no complete trained model" in told


def test_flags_of_action_units_are_refused(run, data, tmp_path, capsys):
    told = error_of(capsys, [*flags_of(run, data, tmp_path), "--fold=1"])
    assert "--fold=1" in told
    told = error_of(capsys, [*flags_of(run, data, tmp_path), "--references"])
    assert "--references" in told and not list(tmp_path.iterdir())
