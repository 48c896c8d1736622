"""The folder of a run on expressions."""

from __future__ import annotations

import dataclasses
import json

import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.training.expression_run import (
    ExpressionRun,
    open_expression_run,
    read_expression_run,
    run_kind,
)

RUN = ExpressionRun(
    config=RecogniserConfig(trunk_weights="random", seed=3),
    size=48,
    channels=1,
    anchors=[[0.3, 0.4], [0.7, 0.4], [0.5, 0.6]],
    source="ferplus",
    identities=["a", "b"],
    counts={"train": {"neutral": 2}},
    versions={"keras": "3"},
)


def test_a_run_is_read_as_it_was_written_and_goes_on(tmp_path):
    open_expression_run(tmp_path, RUN)
    assert read_expression_run(tmp_path) == RUN
    assert run_kind(tmp_path) == "expressions"
    open_expression_run(tmp_path, RUN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": RecogniserConfig(trunk_weights="random", seed=4)}, "--seed=3, not 4"),
        ({"identities": ["a"]}, r"other data \(identities differs\)"),
        ({"size": 64}, r"other data \(size differs\)"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(tmp_path, change, message):
    open_expression_run(tmp_path, RUN)
    with pytest.raises(UserError, match=message):
        open_expression_run(tmp_path, dataclasses.replace(RUN, **change))


def test_what_is_no_run_of_expressions_is_told(tmp_path):
    with pytest.raises(UserError, match="no model folder"):
        run_kind(tmp_path)
    path = tmp_path / "run.json"
    path.write_text("{")
    with pytest.raises(UserError, match="damaged"):
        run_kind(tmp_path)
    path.write_text("{}")
    with pytest.raises(UserError, match="a model of action units, wanted one of expressions"):
        read_expression_run(tmp_path)
    path.write_text(json.dumps({**RUN.to_json(), "format": 99}))
    with pytest.raises(UserError, match="another version"):
        read_expression_run(tmp_path)
    path.write_text(json.dumps({**RUN.to_json(), "colour": "red"}))
    with pytest.raises(UserError, match="damaged"):
        read_expression_run(tmp_path)
