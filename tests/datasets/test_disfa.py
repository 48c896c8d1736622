"""The DISFA layout: harmless differences accepted, harmful ones named by file and line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.datasets.disfa import read_disfa
from deepcoder_tf.errors import UserError

Make = Callable[..., Path]


def label_file(root: Path, subject: str = "SN001", unit: int = 12) -> Path:
    return root / "ActionUnit_Labels" / subject / f"{subject}_au{unit}.txt"


def test_reads_the_layout(make_disfa: Make) -> None:
    sources = read_disfa(make_disfa((2, 1)))
    assert [source.subject for source in sources] == ["SN001", "SN002"]
    source = sources[0]
    assert (source.video, source.is_video) == ("LeftVideoSN001_comp", True)
    np.testing.assert_array_equal(source.label_numbers, [1, 2, 3, 4])
    expected = [[(1 + 2 * c + 3 * k) % 6 for c in range(len(DISFA))] for k in range(4)]
    np.testing.assert_array_equal(source.labels, expected)
    np.testing.assert_array_equal(source.labels_of(np.array([3, 9])), [expected[2], [-1] * 12])


@pytest.mark.parametrize(
    "folder", ["Video_RightCamera", "Videos_RightCamera", "videos right camera"]
)
def test_right_camera_under_both_names(make_disfa: Make, folder: str) -> None:
    root = make_disfa((1,))
    (root / "Videos_LeftCamera").rename(root / folder)
    video = next((root / folder).iterdir())
    video.rename(video.with_name("RightVideoSN001_comp.avi"))
    assert read_disfa(root, camera="right")[0].video == "RightVideoSN001_comp"
    with pytest.raises(UserError, match="holds no folder Videos_LeftCamera"):
        read_disfa(root)


def test_harmless_differences(make_disfa: Make) -> None:
    root = make_disfa((1,))
    expected = read_disfa(root)[0].labels
    (root / "ActionUnit_Labels").rename(root / "Action Unit Labels ")
    folder = root / "Action Unit Labels " / "SN001"
    folder.rename(folder.with_name("SN 001"))
    folder = folder.with_name("SN 001")
    (folder / "SN001_au1.txt").rename(folder / "SN001_AU01.txt")
    path = folder / "SN001_au12.txt"
    path.write_text("\ufeff" + path.read_text().replace(",", " , ").replace("\n", "\r\n") + "\n\n")
    (folder / "notes.txt").write_text("by hand")
    np.testing.assert_array_equal(read_disfa(root)[0].labels, expected)


def test_nine_and_empty_are_missing(make_disfa: Make) -> None:
    root = make_disfa((1,))
    label_file(root).write_text("1,9\n2,\n3,5\n")
    labels = read_disfa(root)[0].labels
    np.testing.assert_array_equal(labels[:, DISFA.index("AU12")], [-1, -1, 5, -1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"SN001_au12\.txt: the label file is empty; copy it again"),
        ("1,0\n2,7\n", r"SN001_au12\.txt:2: level 7 is not one of 0-5"),
        ("1,0\n2,2.5\n", r"SN001_au12\.txt:2: level 2\.5 is not one of 0-5"),
        ("1,0\n2,x\n", r"SN001_au12\.txt:2: intensity 'x' is no number"),
        ("1,0\nx,2\n", r"SN001_au12\.txt:2: 'x,2' is not 'frame,intensity'"),
        ("1,0\n1,2\n", r"SN001_au12\.txt:2: frame 1 is already labelled in line 1"),
        (
            "1,0\n5,2\n6,1\n",
            r"SN001_au12\.txt:2: a label for frame 5, but LeftVideoSN001_comp\.avi has frames 1-4 "
            r"\(2 such lines\); .*--ignore_extra_labels",
        ),
        ("0,1\n1,2\n", r"SN001_au12\.txt:1: a label for frame 0"),
    ],
)
def test_harmful_lines_are_named(make_disfa: Make, text: str, told: str) -> None:
    root = make_disfa((1,))
    label_file(root).write_text(text)
    with pytest.raises(UserError, match=told):
        read_disfa(root)


def test_extra_labels_can_be_left_out(make_disfa: Make) -> None:
    root = make_disfa((1,))
    label_file(root).write_text("1,0\n4,2\n5,3\n")
    source = read_disfa(root, ignore_extra_labels=True)[0]
    np.testing.assert_array_equal(source.label_numbers, [1, 2, 3, 4])
    np.testing.assert_array_equal(source.labels[:, 6], [0, -1, -1, 2])


def test_missing_parts_are_named_all_at_once(make_disfa: Make) -> None:
    root = make_disfa((1, 2, 3))
    label_file(root).unlink()
    shutil.rmtree(root / "ActionUnit_Labels" / "SN002")
    (root / "Videos_LeftCamera" / "LeftVideoSN003_comp.avi").unlink()
    with pytest.raises(UserError) as caught:
        read_disfa(root)
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 mistakes:"
    assert "labels of SN003 without a video" in lines[1]
    assert "SN001: no label file for AU12 (SN001_au12.txt); copy it" in lines[2]
    assert "LeftVideoSN002_comp.avi: a video without labels" in lines[3]


def test_no_more_than_twenty_mistakes_are_listed(make_disfa: Make) -> None:
    root = make_disfa((1,), frames=30)
    label_file(root).write_text("".join(f"{k},8\n" for k in range(1, 31)))
    with pytest.raises(UserError) as caught:
        read_disfa(root)
    lines = str(caught.value).splitlines()
    assert (lines[0], len(lines), lines[-1].strip()) == ("30 mistakes:", 22, "and 10 more")


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none: no such folder"):
        read_disfa(tmp_path / "none")
    with pytest.raises(UserError, match="holds no folder Videos_LeftCamera"):
        read_disfa(tmp_path)
    for name in ("Videos_LeftCamera", "ActionUnit_Labels"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"holds no video like LeftVideoSN001_comp\.avi"):
        read_disfa(tmp_path)
    with pytest.raises(ValueError, match="camera 'top' is not one of left, right"):
        read_disfa(tmp_path, camera="top")
