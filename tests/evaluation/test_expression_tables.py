"""The printed table and the CSV of predicted expressions."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from deepcoder_tf.evaluation.expression_metrics import measure_expressions
from deepcoder_tf.evaluation.expression_tables import (
    expression_table,
    write_expression_predictions,
)
from deepcoder_tf.expressions import EXPRESSIONS


def test_the_table_has_every_class_and_a_dash_for_what_is_not_there():
    metrics = measure_expressions([0, 0, 1, 1], np.eye(8)[[0, 1, 1, 1]])
    text = expression_table(metrics, "disentangled", {"C_adv": 0.41, "AUC": None})
    lines = text.splitlines()
    assert lines[0].split() == ["disentangled", "pictures", "precision", "recall", "F1"]
    assert lines[2].split() == ["neutral", "2", "1.000", "0.500", "0.667"]
    assert lines[9].split() == ["contempt", "0", "-", "-", "-"]
    assert lines[11].split() == ["accuracy", "0.750"] and lines[-1].split() == ["AUC", "-"]
    assert "C_adv" in lines[-2] and len({len(line) for line in lines}) == 1


def test_every_picture_has_a_line(tmp_path):
    P = np.full((2, 8), 0.1)
    P[0, 3] = P[1, 7] = 0.3
    write_expression_predictions(
        tmp_path / "p.csv",
        rows=[4, 9],
        file_names=["a, b.png", "c.png"],
        subjects=["", "S1"],
        labels=[-1, 7],
        probabilities=P,
    )
    with (tmp_path / "p.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [*rows[0]][:5] == ["row", "file", "subject", "label", "predicted"]
    assert [*rows[0]][5:] == [f"p_{name}" for name in EXPRESSIONS]
    assert rows[0]["file"] == "a, b.png" and rows[0]["label"] == ""
    assert (rows[0]["predicted"], rows[1]["label"]) == ("surprise", "contempt")
    assert float(rows[1]["p_contempt"]) == 0.3


def test_lengths_that_differ_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="do not fit"):
        write_expression_predictions(
            tmp_path / "p.csv",
            rows=[1],
            file_names=["a", "b"],
            subjects=[""],
            labels=[0],
            probabilities=np.ones((1, 8)),
        )
    assert not list(tmp_path.iterdir())
