"""The model card: what was measured and told is in it, and what was not is said to be missing."""

from __future__ import annotations

import json

import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.export import model_card

UNITS = ("AU01", "AU12")
METRICS = {
    "split": "test",
    "frames": 321,
    "per_au": {unit: {"icc": 0.25 + n, "mse": 1.5, "mae": 0.5} for n, unit in enumerate(UNITS)},
    "mean": {"icc": 0.75, "mse": 1.5, "mae": 0.5},
}
CARD = {
    "system": "2DC",
    "action_units": list(UNITS),
    "mean_shape": [[1.25, 2.5]] * 49,
    "crop_shape": [240, 160],
    "config": {"coders": "conv:4,gp:2", "fold": 3, "filters": [1, 2]},
    "source": "disfa",
    "subjects": {"train": ["a", "b"], "test": ["c"]},
    "versions": {"tensorflow": "2.21.0"},
    "licences": {**model_card.LICENCES, "weights": "CC0 | public"},
}


def test_the_card_tells_data_folds_numbers_and_terms():
    text = model_card.markdown({**CARD, "metrics": METRICS, "data": "synthetic faces"})
    for line in (
        "# 2DC: intensities of 2 facial action units",
        "| what | synthetic faces |",
        "| fold | 3 |",
        "| subjects | train 2, test 1 |",
        "On 321 frames of the test split",
        "| AU12 | 1.250 | 1.500 | 0.500 |  |  |",
        "| mean | 0.750 | 1.500 | 0.500 |  |  |",
        "| weights | CC0 \\| public |",
        "| code | Apache-2.0 |",
        "| tensorflow | 2.21.0 |",
        '| coders | "conv:4,gp:2" |',
        "(1.25, 2.50)",
    ):
        assert line in text.splitlines() or line in text
    assert "iBUG 300-W, whose terms are non-commercial" in text
    assert "not emotions" in text


def test_what_nobody_told_is_said_to_be_missing():
    text = model_card.markdown({"action_units": ["AU01"], "mean_shape": [[0, 0]]})
    assert "Not measured: this model was exported without --metrics." in text
    assert "| what | not told at export |" in text
    assert "| subjects | not told at export |" in text


def test_metrics_are_those_of_the_model(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(METRICS))
    assert model_card.read_metrics(path, UNITS) == METRICS
    with pytest.raises(UserError, match="is of AU01, AU12, the model of AU02"):
        model_card.read_metrics(path, ("AU02",))
    with pytest.raises(UserError, match=r"--metrics=.*gone: No such file"):
        model_card.read_metrics(tmp_path / "gone", UNITS)
    for text in ("{", "[]", "{}", '{"per_au": {}}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"is no metrics\.json of deepcoder-evaluate"):
            model_card.read_metrics(path, UNITS)
