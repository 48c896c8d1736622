"""A cnn gives its features only to runs that know no more subjects and labels than it saw."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepcoder_tf.config import preset
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment import running
from deepcoder_tf.training.run import RunInfo


class Layer:
    """Keeps what it is given."""

    def __init__(self, weights: list[int]) -> None:
        self.weights = weights

    def get_weights(self) -> list[int]:
        return self.weights

    def set_weights(self, weights: list[int]) -> None:
        self.weights = weights


def run_of(**options) -> RunInfo:
    """A run on subjects a and b."""
    return RunInfo(
        config=preset("small", **options),
        action_units=("AU12",),
        mean_shape=[],
        points=0,
        source="disfa",
        subjects={"train": ["a"], "validation": ["b"], "test": ["c"]},
        versions={},
    )


def take_over(monkeypatch, theirs: RunInfo, **options) -> list[int]:
    """Weights of the extractor afterwards."""
    model = SimpleNamespace(extractor=Layer([0]))
    cnn = SimpleNamespace(trunk=Layer([1, 2]))
    monkeypatch.setattr(running, "load_model", lambda folder: (cnn, theirs))
    running.take_over(model, Path("CNN"), run_of(system="mlr", **options))
    return model.extractor.weights


def test_the_weights_go_over(monkeypatch):
    assert take_over(monkeypatch, run_of(system="cnn", iterations=99, seed=3)) == [1, 2]


@pytest.mark.parametrize(
    ("theirs", "mine", "message"),
    [
        ({"system": "or_cnn"}, {}, "holds a or_cnn, wanted a cnn"),
        ({"fold": 1}, {}, "trained with --fold=1, this run has 0"),
        ({"cnn_features": 7}, {}, "--cnn_features=7"),
        ({"labelled_share": 0.5}, {}, "--labelled_share=0.5"),
        (
            {"labelled_share": 0.5, "seed": 1},
            {"labelled_share": 0.5},
            "--seed=1, this run has 0",
        ),
    ],
)
def test_another_cnn_is_refused(monkeypatch, theirs, mine, message):
    with pytest.raises(UserError, match=message):
        take_over(monkeypatch, run_of(**{"system": "cnn", **theirs}), **mine)


@pytest.mark.parametrize(
    "change",
    [{"subjects": {"train": ["c"], "validation": ["b"], "test": ["a"]}}, {"source": "fera2015"}],
)
def test_a_cnn_of_other_data_is_refused(monkeypatch, change):
    theirs = dataclasses.replace(run_of(system="cnn"), **change)
    with pytest.raises(UserError, match=r"other data \(s\w+ differs\)"):
        take_over(monkeypatch, theirs)
