"""Figures of expressions come out as whole files that show what they are given."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepcoder_tf.evaluation import figures
from deepcoder_tf.evaluation.expression_metrics import top_label_reliability
from deepcoder_tf.evaluation.similarity import compare_pairs
from deepcoder_tf.expressions import EXPRESSIONS
from tests.evaluation.drawn import read, words


def test_confusion_shows_shares_and_how_many_pictures_stand_behind_them(tmp_path):
    table = np.diag([300, 50, 0, 1, 1, 1, 1, 1])
    table[0, 1] = 100
    figures.label_confusion(tmp_path / "a", table, EXPRESSIONS)
    told = words(tmp_path / "a.svg")
    assert all(word in told for word in ("neutral (400)", "75", "25", "contempt", "sadness (0)"))
    read(tmp_path / "a.png")


def test_similarities_name_the_pairs_and_the_auc(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 4
    who = [f"p{i}" for i in np.arange(40) // 8]
    codes = {
        name: compare_pairs(scale * np.eye(8)[y] + rng.normal(size=(40, 8)), y, who)
        for name, scale in (("expression", 6), ("non-expression", 0))
    }
    figures.pair_similarities(tmp_path / "a", codes)
    told = words(tmp_path / "a.svg")
    assert "same expression, other identity" in told and "expression code: AUC" in told
    read(tmp_path / "a.png")
    one = compare_pairs(np.ones((2, 2)), [0, 0], ["", ""])
    figures.pair_similarities(tmp_path / "b", {"expression": one})
    assert "AUC none" in words(tmp_path / "b.svg")


def test_reliability_of_the_most_probable_class_has_its_own_title(tmp_path):
    P = np.random.default_rng(0).dirichlet(np.ones(8), 50)
    table = top_label_reliability(P.argmax(1), P)
    figures.reliability_diagram(tmp_path / "a", {"baseline": table}, "Reliability of the class")
    assert "Reliability of the class" in words(tmp_path / "a.svg")


def test_faces_stand_in_their_rows_in_colour(tmp_path):
    red, blue = (np.tile(np.eye(3)[k], (4, 8, 8, 1)) for k in (0, 2))
    figures.face_grid(tmp_path / "a.png", {"x": red, "x'": blue}, ["anger\nto fear"] * 4)
    drawn = cv2.imread(str(tmp_path / "a.png")).astype(int)
    at_red, at_blue = ((drawn[..., k] > 200) & (drawn.sum(-1) < 300) for k in (2, 0))
    assert at_red.sum() == pytest.approx(at_blue.sum(), rel=0.05) and at_red.sum() > 10000
    # The first row is above the second.
    assert np.flatnonzero(at_red.any(1)).max() < np.flatnonzero(at_blue.any(1)).min()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: figures.label_confusion(p, np.ones((2, 3)), ["a", "b"]), "cannot be"),
        (lambda p: figures.label_confusion(p, np.ones((0, 0)), []), "cannot be"),
        (lambda p: figures.pair_similarities(p, {}), "no similarity"),
        (lambda p: figures.face_grid(p, {}), "rows of faces"),
        (lambda p: figures.face_grid(p, {"a": np.ones((0, 2, 2, 3))}), "rows of faces"),
        (
            lambda p: figures.face_grid(
                p, {"a": np.ones((1, 2, 2, 3)), "b": np.ones((2, 2, 2, 3))}
            ),
            "equal",
        ),
        (lambda p: figures.face_grid(p, {"a": np.ones((2, 2, 2, 3))}, ["x"]), "1 titles"),
    ],
)
def test_misuse_is_named_and_leaves_no_file(tmp_path, call, message):
    with pytest.raises(ValueError, match=message):
        call(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
