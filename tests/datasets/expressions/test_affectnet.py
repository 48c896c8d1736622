"""AffectNet: both releases, the codes that are no classes, and what is wrong with lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.datasets.expressions.affectnet import read_affectnet
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS
from tests.datasets.expressions.layouts import AFFECTNET, affectnet_row, write_csv

Make = Callable[..., Path]
CODES = [*range(8), *range(11)]


def test_the_common_order_is_affectnets() -> None:
    order = "neutral happiness sadness surprise fear disgust anger contempt"
    assert order.split() == list(EXPRESSIONS)


@pytest.mark.parametrize("header", [False, True])
def test_lists_with_and_without_header(make_affectnet: Make, header: bool) -> None:
    source = read_affectnet(make_affectnet(header=header))
    assert source.align == "box"
    assert [s.split for s in source.samples] == ["train"] * 19 + ["validation"] * 19
    expected = [code if code < 8 else -1 for code in CODES]
    assert [s.expression for s in source.samples] == expected * 2
    assert all(sample.file.is_file() for sample in source.samples)
    assert {sample.box for sample in source.samples} == {(32.0, 32.0, 32.0, 32.0)}
    assert all(sample.landmarks is None for sample in source.samples)


def test_codes_beside_the_classes_are_left_out_and_told_apart(make_affectnet: Make) -> None:
    samples = read_affectnet(make_affectnet()).samples
    reasons = Counter(s.reason for s in samples if s.status == "left_out")
    assert reasons == {
        "AffectNet 8: none of the eight": 2,
        "AffectNet 9: uncertain": 2,
        "AffectNet 10: no face": 2,
    }


def test_landmarks_of_the_list(make_affectnet: Make) -> None:
    sample = read_affectnet(make_affectnet(), landmarks=True).samples[0]
    assert sample.landmarks is not None and sample.landmarks.shape == (49, 2)
    np.testing.assert_allclose(sample.landmarks[0], 32 + 17 / 4)  # the jaw's 17 are left out


def test_a_box_that_the_list_does_not_know(make_affectnet: Make) -> None:
    row = affectnet_row(0, 3)
    row[1] = "NULL"
    assert read_affectnet(make_affectnet(row)).samples[19].box is None


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (affectnet_row(0, 11), r"training\.csv:21: expression 11 is not one of 0-10; correct"),
        (affectnet_row(0, "joy"), r"training\.csv:21: expression 'joy' is no number"),
        (affectnet_row(0, 1)[:4], r"training\.csv:21: 4 cells, 9 were wanted"),
        (
            [*affectnet_row(0, 1)[:5], "1;2;3", 1, 0, 0],
            r"training\.csv:21: 3 landmark coordinates, 136 were wanted",
        ),
    ],
)
def test_lines_that_are_wrong(make_affectnet: Make, row: list[object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_affectnet(make_affectnet(row), landmarks=True)


def test_folders_that_are_not_affectnet(make_affectnet: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds neither training\.csv nor train_set"):
        read_affectnet(tmp_path / "empty")
    root = make_affectnet()
    write_csv(root / "validation.csv", [["path", "expression"]])
    with pytest.raises(UserError, match=r"on\.csv:1: the column 'subDirectory_filePath' is miss"):
        read_affectnet(root)
    write_csv(root / "validation.csv", [["a.jpg", 3]])
    with pytest.raises(UserError, match=r"validation\.csv:1: 2 cells and no header; wanted subDir"):
        read_affectnet(root)
    (root / "validation.csv").unlink()
    with pytest.raises(UserError, match=r"holds no validation\.csv"):
        read_affectnet(root)
    (root / "Manually_Annotated_Images").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="holds no folder Manually_Annotated_Images; unpack"):
        read_affectnet(root)
    assert AFFECTNET[6] == "expression"


def test_the_newer_release(make_newer_affectnet: Make) -> None:
    source = read_affectnet(make_newer_affectnet(), landmarks=True)
    assert source.align == "none"
    assert [s.split for s in source.samples] == ["train"] * 19 + ["validation"] * 19
    assert [s.file.stem for s in source.samples[:19]] == [str(k) for k in range(19)]
    assert [s.expression for s in source.samples[:19]] == [c if c < 8 else -1 for c in CODES]
    assert sum(s.status == "left_out" for s in source.samples) == 6
    assert source.samples[0].landmarks is not None
    np.testing.assert_array_equal(source.samples[0].landmarks[0], [34, 35])


def test_annotation_files_that_are_wrong(make_newer_affectnet: Make) -> None:
    root = make_newer_affectnet()
    annotations = root / "train_set" / "annotations"
    np.save(annotations / "0_exp.npy", 12)
    np.save(annotations / "1_exp.npy", np.array([{"not": "numbers"}], object))
    (annotations / "2_exp.npy").write_bytes(b"")
    (annotations / "3_exp.npy").unlink()
    np.save(annotations / "4_exp.npy", "happy")
    np.save(annotations / "5_lnd.npy", np.arange(3.0))
    np.save(annotations / "6_exp.npy", np.arange(2))
    with pytest.raises(UserError, match=r"^7 mistakes:") as caught:
        read_affectnet(root, landmarks=True)
    for told in (
        "0_exp.npy: expression 12 is not one of 0-10",
        "1_exp.npy: cannot be read",
        "2_exp.npy: cannot be read",
        "3.jpg: has no annotations/3_exp.npy",
        "4_exp.npy: expression happy is not",
        "5_lnd.npy: 3 landmark coordinates",
        "6_exp.npy: expression [0, 1] is not",
    ):
        assert told in str(caught.value)


def test_a_picture_that_the_newer_release_lacks_keeps_its_place(make_newer_affectnet: Make) -> None:
    root = make_newer_affectnet()
    (root / "val_set" / "images" / "4.jpg").unlink()
    sample = read_affectnet(root).samples[19 + 4]
    assert (sample.expression, sample.file.name, sample.file.is_file()) == (4, "4.jpg", False)
    for path in (root / "val_set" / "annotations").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"annotations: holds no file like 0_exp\.npy"):
        read_affectnet(root)
