"""FERPlus: the vote against a loop and by hand, the layout, and lines that are wrong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_tf.datasets.expressions.ferplus import majority, read_ferplus
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS
from tests.datasets.expressions.layouts import FERPLUS, unanimous

Make = Callable[..., Path]


def vote(**counts: int) -> list[int]:
    """Counts in the order of the file."""
    return [counts.get(name, 0) for name in FERPLUS]


def loop_majority(counts: list[int]) -> int:
    """One row, word for word as the module tells the protocol."""
    kept = [0 if count == 1 else count for count in counts]
    for column, count in enumerate(kept):
        if 2 * count > sum(kept):
            return column
    return -1


@given(st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=20))
def test_the_vote_agrees_with_a_loop(rows: list[list[int]]) -> None:
    assert majority(np.array(rows)).tolist() == [loop_majority(row) for row in rows]


@pytest.mark.parametrize(
    ("votes", "expression", "status", "reason"),
    [
        (vote(surprise=10), "surprise", "ok", ""),
        # Single votes do not count: 4 of the remaining 7 are a majority, of 10 they are not.
        (vote(sadness=4, neutral=3, fear=1, disgust=1, anger=1), "sadness", "ok", ""),
        (vote(contempt=5, neutral=5), None, "no_label", "no majority"),
        (vote(anger=4, neutral=3, fear=3), None, "no_label", "no majority"),
        (vote(unknown=6, neutral=4), None, "left_out", "unknown"),
        (vote(NF=10), None, "left_out", "not a face"),
        (vote(neutral=1, fear=1, anger=1), None, "no_label", "no majority"),
    ],
)
def test_what_a_vote_gives(
    make_ferplus: Make, votes: list[int], expression: str | None, status: str, reason: str
) -> None:
    sample = read_ferplus(make_ferplus(["Training", "extra.png", *votes])).samples[-1]
    found = EXPRESSIONS[sample.expression] if sample.expression >= 0 else None
    assert (found, sample.status) == (expression, status)
    assert reason in sample.reason
    named = dict(zip((*EXPRESSIONS, "unknown", "NF"), sample.annotations, strict=True))
    assert named == dict(zip(FERPLUS, votes, strict=True)), "all ten counts are kept"


def test_parts_and_classes(make_ferplus: Make) -> None:
    source = read_ferplus(make_ferplus())
    assert (len(source.samples), source.align) == (24, "none")
    assert [s.split for s in source.samples] == ["train"] * 16 + ["validation"] * 8
    assert [s.expression for s in source.samples] == [*np.repeat(range(8), 2), *range(8)]
    assert source.samples[-1].file == source.root / "data" / "FER2013Valid" / "fer0000023.png"
    assert all(sample.file.is_file() for sample in source.samples)


def test_lines_without_a_picture_and_lines_that_repeat(make_ferplus: Make) -> None:
    nobody = ["Training", "", *vote(NF=10)]
    again = ["Training", "fer0000000.png", *unanimous("neutral")]
    samples = read_ferplus(make_ferplus(nobody, again)).samples
    assert [s.status for s in samples[-2:]] == ["left_out", "left_out"]
    assert ["no picture" in samples[-2].reason, "repeats" in samples[-1].reason] == [True, True]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["Trainig", "x.png", *vote(fear=10)], r"new\.csv:26: Usage 'Trainig' is not one of Train"),
        (["Training", "x.png", *vote()[:-1], "ten"], r"new\.csv:26: 'ten' is no count of votes"),
        (["Training", "x.png", *vote()[:-1], -1], r"new\.csv:26: '-1' is no count of votes"),
        (["Training", "x.png", 10], r"new\.csv:26: 3 cells, the header has 12"),
        (
            ["Training", "fer0000000.png", *vote(fear=10)],
            r"new\.csv:26: fer0000000\.png has other votes in line 2; remove one",
        ),
    ],
)
def test_lines_that_are_wrong(make_ferplus: Make, line: list[object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_ferplus(make_ferplus(line))


def test_folders_that_are_not_ferplus(make_ferplus: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no such folder; give the folder that holds fer"):
        read_ferplus(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no fer2013new\.csv"):
        read_ferplus(tmp_path)
    root = make_ferplus()
    (root / "fer2013new.csv").write_text("Usage,Image name,neutral\n")
    with pytest.raises(UserError, match=r"new\.csv:1: the column 'happiness' is missing"):
        read_ferplus(root)
    (root / "data" / "FER2013Train").rename(root / "elsewhere")
    with pytest.raises(UserError, match=r"holds no folder FER2013Train; write the pictures"):
        read_ferplus(root)


@pytest.mark.skipif("DEEPCODER_FERPLUS" not in os.environ, reason="needs the real FERPlus folder")
def test_the_real_votes() -> None:
    """The figures that papers give for the majority vote, but for repeated lines of a copy."""
    samples = read_ferplus(os.environ["DEEPCODER_FERPLUS"]).samples
    counts = Counter(s.split for s in samples if s.status == "ok")
    repeated = sum("repeats" in s.reason for s in samples)
    assert (counts["train"] + repeated, counts["validation"]) == (25_060, 3_199)
