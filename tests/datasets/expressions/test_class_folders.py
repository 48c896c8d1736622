"""Folders of classes and manifests of expressions: what a user has, and how it goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deepcoder_tf.datasets.expressions.folders import read_folders
from deepcoder_tf.datasets.expressions.manifest import read_expression_manifest
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS, class_of
from tests.datasets.expressions.layouts import write_picture

Make = Callable[..., Path]


def test_names_of_classes() -> None:
    assert [class_of(name) for name in EXPRESSIONS] == list(range(8))
    words = ["Neutral", "happy", "SAD", "surprised", "fearful", "disgusted", "Angry", "contempt"]
    assert [class_of(f" {word} ") for word in words] == list(range(8))
    with pytest.raises(ValueError, match=r"'bored' is none of neutral, happiness"):
        class_of("bored")
    with pytest.raises(ValueError, match=r"'3' is a number, which means another class in each"):
        class_of("3")


def test_folders_with_splits(make_folders: Make) -> None:
    source = read_folders(make_folders(("train", "val", "test")))
    splits = [sample.split for sample in source.samples]
    assert {split: splits.count(split) for split in splits} == {
        "train": 32,
        "validation": 32,
        "test": 32,
    }
    for sample in source.samples:
        assert sample.file.parent.name == EXPRESSIONS[sample.expression]


def test_class_folders_alone_other_names_and_folders_below(tmp_path: Path) -> None:
    write_picture(tmp_path / "Happy" / "ann" / "0.png", 0)
    write_picture(tmp_path / "SAD" / "1.jpg", 1)
    (tmp_path / "SAD" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    samples = read_folders(tmp_path).samples
    assert [(s.file.name, EXPRESSIONS[s.expression], s.split) for s in samples] == [
        ("0.png", "happiness", ""),
        ("1.jpg", "sadness", ""),
    ]


def test_folders_that_are_wrong(make_folders: Make, tmp_path: Path) -> None:
    root = make_folders()
    (root / "train" / "boredom").mkdir()
    (root / "val" / "fear" / "sub").mkdir()
    for path in (root / "val" / "anger").iterdir():
        path.unlink()
    (root / "spare").mkdir()
    (root / "test").mkdir()
    with pytest.raises(UserError, match=r"^4 mistakes:") as caught:
        read_folders(root)
    for told in (
        "boredom: expression 'boredom' is none of neutral",
        "anger: holds no picture; add some or remove the folder",
        "spare: is none of train, validation and test",
        "test: holds no folder of a class",
    ):
        assert told in str(caught.value)
    with pytest.raises(UserError, match="no such folder"):
        read_folders(tmp_path / "none")


def test_manifest(make_manifest: Callable[[str], Path]) -> None:
    source = read_expression_manifest(
        make_manifest("Path,Expression,subject,split\n0.png,Happy,ann,TRAIN\n\n1.png,,bob,test\n")
    )
    happy, none = source.samples
    assert (happy.expression, happy.subject, happy.split, happy.status) == (1, "ann", "train", "ok")
    assert (none.expression, none.status) == (-1, "no_label")
    plain = read_expression_manifest(make_manifest("path,expression\n0.png,fear\n")).samples
    assert [(s.subject, s.split) for s in plain] == [("", "")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"manifest\.csv:1: the column 'path' is missing; found nothing; wanted path,expr"),
        ("path\n", r"manifest\.csv:1: the column 'expression' is missing; found path"),
        ("path,expression,subjet\n", r"manifest\.csv:1: unknown column 'subjet'; correct or rem"),
        ("path,expression,path\n", r"manifest\.csv:1: 'path' has two columns; remove one"),
        ("path,expression\n", r"manifest\.csv: has no row below the header"),
        ("path,expression\n0.png,smug\n", r"manifest\.csv:2: expression 'smug' is none of"),
        ("path,expression\n0.png,1\n", r"manifest\.csv:2: expression '1' is a number"),
        ("path,expression\nx.png,fear\n", r"manifest\.csv:2: no such file .*x\.png"),
        ("path,expression\na.txt,fear\n", r"manifest\.csv:2: 'a\.txt' is no picture"),
        ("path,expression\n0.png\n", r"manifest\.csv:2: 1 cells, the header has 2"),
        ("path,expression\n0.png,fear\n0.png,joy\n", r"\.csv:3: the same picture as line 2"),
        ("path,expression,split\n0.png,fear,dev\n", r"\.csv:2: split 'dev' is not one of train"),
        (
            "path,expression,subject,split\n0.png,fear,ann,train\n1.png,fear,ann,test\n",
            r"manifest\.csv:3: subject 'ann' is in test here and in train above",
        ),
    ],
)
def test_manifests_that_are_wrong(
    make_manifest: Callable[[str], Path], text: str, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        read_expression_manifest(make_manifest(text))


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; give a CSV with --manifest=FILE"):
        read_expression_manifest(tmp_path / "none.csv")
