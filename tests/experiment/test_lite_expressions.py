"""Prepared pictures for the variants of a recogniser, and the command that takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepcoder_tf.cli.export import main
from deepcoder_tf.datasets.expressions.store import expression_info, load_expressions
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.expression_metrics import NO_CLASS
from deepcoder_tf.experiment import lite_examples
from deepcoder_tf.experiment.lite_examples import evenly, lite_expressions
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.lite_model import LiteModel
from deepcoder_tf.training.expression_run import load_recogniser
from tests.experiment.expression_folders import SIZE, prepared_folder, saved_run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Sixteen pictures of a person, two people in each split, and one picture without a class."""
    return prepared_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory) -> Path:
    """An untrained baseline."""
    return saved_run(tmp_path_factory.mktemp("run") / "run", prepared, system="baseline")


@pytest.fixture(scope="module")
def find(run) -> Callable[..., lite_examples.Examples]:
    """The examples of that run, with parts of what it says changed, in some data."""
    model, told = load_recogniser(run)

    def examples(data: Path, **changes: Any) -> lite_examples.Examples:
        return lite_expressions(model, dataclasses.replace(told, **changes), Path("RUN"), data)

    return examples


def test_every_split_gives_its_own_pictures(prepared, find, monkeypatch):
    monkeypatch.setattr(lite_examples, "REPRESENTATIVE", 5)
    found, frames = find(prepared), load_expressions(prepared)
    train, validation = frames.of("train"), frames.of("validation")
    some = found.representative
    assert some.name == "faces" and some.landmarks is None
    np.testing.assert_array_equal(some.crops, train.images[evenly(len(train.labels), 5)])
    labels = validation.labels[validation.labels >= 0]
    held_out = found.held_out
    assert len(held_out.faces.crops) == len(labels) == len(validation.labels) - 1
    np.testing.assert_array_equal(held_out.faces.crops, validation.images[validation.labels >= 0])
    P = np.eye(len(EXPRESSIONS))[labels]
    assert held_out.score(P) == 1.0
    P[:4] = P[:4, ::-1]
    assert held_out.score(P) == pytest.approx(1.0 - 4 * held_out.step)


def test_places_are_evenly_spread():
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert evenly(1, 1).tolist() == [0]
    assert evenly(101, 5).tolist() == [0, 25, 50, 75, 100]


def test_people_that_the_model_has_seen_are_refused(prepared, find):
    with pytest.raises(UserError, match="cyd is a validation subject, but RUN was trained on it"):
        find(prepared, identities=["ann", "cyd"])
    find(prepared, identities=["ann", "cyd"], source="elsewhere")  # others of the same name


def test_data_of_another_form_are_told(prepared, find, monkeypatch):
    info = dataclasses.replace(expression_info(prepared), size=SIZE // 2)
    monkeypatch.setattr(lite_examples, "expression_info", lambda folder: info)
    with pytest.raises(UserError, match=rf"--size={SIZE} --channels=3"):
        find(prepared)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": "validation"}, "the train split has no picture; prepare data"),
        ({"splits": "train"}, "the validation split has no picture; choose"),
        ({"labels": NO_CLASS}, "the validation split has no picture with a class"),
    ],
)
def test_a_split_without_pictures_is_told(prepared, find, monkeypatch, changes, message):
    frames = load_expressions(prepared)
    parts = {name: np.full_like(getattr(frames, name), value) for name, value in changes.items()}
    monkeypatch.setattr(lite_examples, "load_expressions", lambda folder: frames._replace(**parts))
    with pytest.raises(UserError, match=message):
        find(prepared, identities=[])


def test_the_command_makes_variants(prepared, run, tmp_path, caplog):
    pytest.importorskip("ai_edge_quantizer", reason="the extra `lite` is not installed")
    caplog.set_level("INFO", "deepcoder_tf")
    arguments = ["", f"--model_dir={run}", f"--output_dir={tmp_path}", "--version=1"]
    assert main([*arguments, "--tflite=float16,int8", f"--data_dir={prepared}"]) == 0
    files = sorted((tmp_path / "1" / "tflite").iterdir())
    assert [file.name for file in files] == ["float16.tflite", "int8.tflite"]
    for file in files:
        assert f"{file.name}: {file.stat().st_size / 1e6:.2f} MB" in caplog.text
        description = LiteModel(file).description
        assert description.names == EXPRESSIONS and description.face_shape == (SIZE, SIZE, 3)
        assert set(description.signatures) == {"serving_default"}
    assert caplog.text.count("in total variation, accuracy") == len(files)


def test_wrong_data_are_one_line_and_nothing_is_published(run, tmp_path, capsys):
    arguments = ["", f"--model_dir={run}", f"--output_dir={tmp_path / 'served'}"]
    assert main([*arguments, "--tflite=float16", f"--data_dir={tmp_path / 'none'}"]) == 1
    assert main([*arguments, "--tflite=int8"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "data_dir" in line]
    assert len(lines) == 1 and "--tflite=int8 takes its ranges from prepared" in lines[0]
    assert not (tmp_path / "served").exists() or not list((tmp_path / "served").iterdir())
