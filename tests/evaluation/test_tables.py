"""Tables and the predictions' CSV."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from deepcoder_tf.evaluation.metrics import Metrics, evaluate_points, evaluate_predictions
from deepcoder_tf.evaluation.tables import metrics_table, write_predictions
from deepcoder_tf.files import write_json

NAMES = ("AU01", "AU12")


def example(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(6), (n, 2)).astype(np.float32)
    Y = rng.integers(0, 6, (n, 2))
    Y[3, 1] = -1
    return Y, P


def systems() -> list[Metrics]:
    Y, P = example()
    Y[:, 0] = -1
    return [
        evaluate_predictions(NAMES, Y, P, nlpd=0.5),
        evaluate_points(NAMES, Y, P @ np.arange(6), system="ridge_pca"),
    ]


@pytest.mark.parametrize("markdown", [False, True])
def test_systems_stand_side_by_side(markdown):
    both = systems()
    columns = ("icc", "mse", "nlpd", "ordinal_log_score")
    lines = metrics_table(both, columns, markdown=markdown).splitlines()
    assert len({len(line) for line in lines}) == 1
    head = [cell.strip() for cell in lines[0].strip("|").split("|" if markdown else "  ") if cell]
    expected = ["2DC ICC", "ridge_pca ICC", "2DC MSE", "ridge_pca MSE", "2DC NLPD", "2DC LOG-SCORE"]
    assert [cell for cell in head if cell] == expected
    rows = {line.strip("| ").split()[0]: line.replace("|", " ").split()[1:] for line in lines[2:]}
    assert rows["AU01"] == ["-"] * 6
    mean = both[0].mean
    assert rows["mean"][0] == f"{mean.points['mean'].icc:.3f}" == rows["AU12"][0]
    assert rows["mean"][4] == "0.500" and rows["AU12"][4] == "-"


def test_different_action_units_cannot_share_a_table():
    Y, P = example()
    other = evaluate_predictions(("AU01", "AU25"), Y, P)
    with pytest.raises(ValueError, match="the same action units"):
        metrics_table([*systems(), other])


def test_json_refuses_nan(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, systems()[0].to_json())
    assert json.loads(path.read_text())["mean"]["nlpd"] == 0.5
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"icc": float("nan")})
    assert json.loads(path.read_text())["mean"]["nlpd"] == 0.5


def test_every_prediction_can_be_computed_again_from_its_line(tmp_path):
    Y, P = example()
    n = len(Y)
    path = tmp_path / "predictions.csv"
    write_predictions(
        path,
        NAMES,
        rows=range(100, 100 + n),
        file_names=["SN001, left.avi"] * n,
        subjects=["SN001"] * n,
        frames=range(1, n + 1),
        labels=Y,
        probabilities=P,
    )
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert list(lines[0])[:6] == ["row", "file", "subject", "frame", "AU01_label", "AU01_r"]
    assert len(lines) == n and len(lines[0]) == 4 + 2 * 10
    for i, line in enumerate(lines):
        assert (line["row"], line["frame"]) == (str(100 + i), str(i + 1))
        assert line["file"] == "SN001, left.avi"
        for q, name in enumerate(NAMES):
            assert line[f"{name}_label"] == ("" if Y[i, q] < 0 else str(Y[i, q]))
            p = np.array([float(line[f"{name}_p{s}"]) for s in range(6)])
            np.testing.assert_allclose(p, P[i, q] / P[i, q].sum(), atol=1.1e-6)
            assert round(p.sum(), 6) == 1
            assert f"{p @ np.arange(6):.6f}" == line[f"{name}_r"]


def test_lengths_that_differ_are_named(tmp_path):
    Y, P = example()
    with pytest.raises(ValueError, match="39 rows, 40 files"):
        write_predictions(
            tmp_path / "p.csv",
            NAMES,
            rows=range(39),
            file_names=["a"] * 40,
            subjects=["s"] * 40,
            frames=range(40),
            labels=Y,
            probabilities=P,
        )
