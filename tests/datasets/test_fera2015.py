"""The FERA 2015 layout, with pictures and with videos, old and new folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.datasets.fera2015 import read_fera2015
from deepcoder_tf.errors import UserError

Make = Callable[..., Path]


@pytest.mark.parametrize("codes", ["AU Intensity Codes3.0", "AUCoding/AU_INT"])
@pytest.mark.parametrize("video", [False, True])
def test_reads_both_layouts(make_fera: Make, codes: str, video: bool) -> None:
    root = make_fera(("F001", "M002"), ("T1", "T8"), video=video, codes=codes)
    sources = read_fera2015(root)
    assert [(s.subject, s.video) for s in sources] == [
        ("F001", "T1"),
        ("F001", "T8"),
        ("M002", "T1"),
        ("M002", "T8"),
    ]
    assert sources[0].is_video == video
    np.testing.assert_array_equal(sources[0].label_numbers, [1, 2, 3, 4])
    np.testing.assert_array_equal(sources[0].labels[1], [3, 5, 1, 3, 5])
    np.testing.assert_array_equal(sources[0].numbers, [1] if video else [1, 2, 3, 4])


def test_occurrence_codes_are_not_intensities(make_fera: Make) -> None:
    root = make_fera(("F001",))
    for folder in (root / "AUCoding", root / "AUCoding" / "AU_OCC" / "AU06"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "AUCoding" / "F001_T1.csv").write_text("0,1,2\n1,0,1\n")
    (root / "AUCoding" / "AU_OCC" / "AU06" / "F001_T1_AU06.csv").write_text("1,1\n")
    np.testing.assert_array_equal(read_fera2015(root)[0].labels[:, 0], [0, 3, 0, 3])


def test_a_video_numbered_from_zero(make_fera: Make) -> None:
    root = make_fera(("F001",), video=True)
    for path in root.rglob("*.csv"):
        path.write_text("0,1\n1,2\n2,3\n3,9\n")
    source = read_fera2015(root)[0]
    assert source.numbers.tolist() == [0]
    np.testing.assert_array_equal(source.labels[:, 0], [1, 2, 3, -1])


def test_missing_pictures_are_harmless_and_labels_beyond_the_end_are_not(make_fera: Make) -> None:
    root = make_fera(("F001",))
    folder = root / "BP4D-training" / "F001" / "T1"
    (folder / "0002.jpg").unlink()
    (folder / "0003.jpg").rename(folder / "frame_003.jpeg")
    source = read_fera2015(root)[0]
    np.testing.assert_array_equal(source.numbers, [1, 3, 4])
    (folder / "0004.jpg").unlink()
    with pytest.raises(UserError) as caught:
        read_fera2015(root)
    assert "F001_T1_AU06.csv:4: a label for frame 4, but the last frame of F001/T1 is 3" in str(
        caught.value
    )
    assert read_fera2015(root, ignore_extra_labels=True)[0].label_numbers.tolist() == [1, 2, 3]


def test_what_is_missing_is_named(make_fera: Make, tmp_path: Path) -> None:
    root = make_fera(("F001", "F003"), ("T1",))
    codes = root / "AU Intensity Codes3.0"
    (codes / "AU10" / "F001_T1_AU10.csv").unlink()
    for path in codes.rglob("F003*"):
        path.unlink()
    (codes / "AU06" / "M001_T2_AU06.csv").write_text("1,0\n")
    (root / "BP4D-training" / "F001" / "T1" / "001.png").write_bytes(b"")
    (root / "BP4D-training" / "F001" / "T1" / "cover.png").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        read_fera2015(root)
    told = str(caught.value)
    assert "labels of M001/T2 without pictures or video" in told
    assert "F001_T1_AU10.csv is missing; copy it" in told
    assert "F003/T1: a recording without labels" in told
    assert "001.png is frame 1 too" in told or "0001.jpg is frame 1 too" in told
    assert "cover.png: no frame number in the name" in told
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no pictures like BP4D-training"):
        read_fera2015(tmp_path / "empty")
    with pytest.raises(UserError, match=r"no such folder"):
        read_fera2015(tmp_path / "none")
    with pytest.raises(UserError, match=r"holds no intensity file"):
        read_fera2015(root / "BP4D-training")
