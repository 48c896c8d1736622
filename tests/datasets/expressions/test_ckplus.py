"""CK+: apex and neutral frames, subjects, and files that are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from deepcoder_tf.datasets.expressions.ckplus import read_ckplus
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS

Make = Callable[..., Path]


def test_apex_and_first_frame_of_every_sequence(make_ckplus: Make) -> None:
    source = read_ckplus(make_ckplus(2))
    assert source.align == "dlib"
    assert {s.split for s in source.samples} == {""}
    assert Counter(s.subject for s in source.samples) == {"S005": 18, "S006": 18}
    first = [s for s in source.samples if s.subject == "S005"]
    names = {s.file.name[5:-4]: EXPRESSIONS[s.expression] for s in first if s.expression >= 0}
    apex = ["neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"]
    assert {name: names[name] for name in names if name.endswith("10")} == {
        f"{k:03d}_00000010": expression for k, expression in enumerate(apex, start=1)
    }
    assert {names[name] for name in names if name.endswith("01")} == {"neutral"}
    assert not any(s.file.name.endswith("02.png") for s in first), "frames between are no samples"


def test_a_sequence_without_label_has_no_class(make_ckplus: Make) -> None:
    samples = [s for s in read_ckplus(make_ckplus(1)).samples if "_009_" in s.file.name]
    assert [s.status for s in samples] == ["no_label"] * 2
    assert {s.expression for s in samples} == {-1}


def test_an_apex_that_is_lost_keeps_its_row(make_ckplus: Make) -> None:
    root = make_ckplus(1)
    apex = root / "cohn-kanade-images" / "S005" / "002" / "S005_002_00000010.png"
    apex.unlink()
    found = [s for s in read_ckplus(root).samples if s.file == apex]
    assert [EXPRESSIONS[s.expression] for s in found] == ["anger"]


def test_files_that_are_wrong(make_ckplus: Make) -> None:
    root = make_ckplus(1)
    emotion = root / "Emotion" / "S005"
    (emotion / "002" / "S005_002_00000010_emotion.txt").write_text("8.0")
    (emotion / "003" / "S005_003_00000010_emotion.txt").write_text("")
    (emotion / "004" / "S005_004_00000009_emotion.txt").write_text("1")
    (emotion / "077").mkdir()
    (emotion / "077" / "S005_077_00000010_emotion.txt").write_text("1")
    for path in (root / "cohn-kanade-images" / "S005" / "005").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"^5 mistakes:") as caught:
        read_ckplus(root)
    for told in (
        "S005_002_00000010_emotion.txt:1: emotion '8.0' is not one of 0-7",
        "S005_003_00000010_emotion.txt:1: emotion '' is not one of 0-7",
        "S005_004_00000010_emotion.txt: S005_004_00000009_emotion.txt labels the same sequence",
        "S005_077_00000010_emotion.txt: its sequence has no pictures",
        "005: holds no picture",
    ):
        assert told in str(caught.value)


def test_folders_that_are_not_ckplus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no folder cohn-kanade-images"):
        read_ckplus(tmp_path)
    (tmp_path / "cohn-kanade-images").mkdir()
    with pytest.raises(UserError, match="holds no folder Emotion"):
        read_ckplus(tmp_path)
    (tmp_path / "Emotion").mkdir()
    with pytest.raises(UserError, match=r"holds no picture like S005/001"):
        read_ckplus(tmp_path)
