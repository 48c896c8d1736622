"""The manifest: the door most users come through, so every mistake is told with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.datasets.manifest import read_manifest
from deepcoder_tf.errors import UserError

Make = Callable[[str], Path]


def test_reads_pictures_and_video(make_manifest: Make) -> None:
    manifest = read_manifest(
        make_manifest(
            "path,subject,frame,AU1,au12_r\n"
            "pictures/0.png,ann,,0,5\n"
            "pictures/1.png,ann,,,9\n"
            "pictures/2.png,eve,,2,1\n"
            "clip.avi,bob,3,1,\n"
            "clip.avi,bob,0,4,3\n"
        )
    )
    assert manifest.action_units == ("AU01", "AU12")
    assert manifest.split_of == {}
    ann, bob, eve = manifest.sources
    assert (ann.subject, ann.video, ann.is_video) == ("ann", "pictures", False)
    np.testing.assert_array_equal(ann.labels, [[0, 5], [-1, -1]])
    assert (bob.video, bob.is_video) == ("clip", True)
    np.testing.assert_array_equal(bob.label_numbers, [0, 3])
    np.testing.assert_array_equal(bob.labels, [[4, 3], [1, -1]])
    assert [path.name for path in eve.files] == ["2.png"]


def test_frame_numbers_of_pictures_are_kept(make_manifest: Make) -> None:
    manifest = read_manifest(
        make_manifest("path,subject,frame,AU12\npictures/1.png,a,40,1\npictures/0.png,a,30,2\n")
    )
    source = manifest.sources[0]
    np.testing.assert_array_equal(source.numbers, [30, 40])
    assert [path.name for path in source.files] == ["0.png", "1.png"]
    np.testing.assert_array_equal(source.labels, [[2], [1]])


def test_same_names_in_two_folders_stay_apart(make_manifest: Make) -> None:
    path = make_manifest("path,subject,frame,AU12\nclip.avi,a,0,1\nother/clip.avi,a,0,1\n")
    (path.parent / "other").mkdir()
    (path.parent / "other" / "clip.avi").write_bytes((path.parent / "clip.avi").read_bytes())
    names = [source.video for source in read_manifest(path).sources]
    assert names == ["clip", "clip-2"]


def test_split_column(make_manifest: Make) -> None:
    manifest = read_manifest(
        make_manifest(
            "path,subject,AU12,split\npictures/0.png,a,1,train\npictures/1.png,b,1,TEST\n"
        )
    )
    assert manifest.split_of == {"a": "train", "b": "test"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"manifest\.csv:1: the column 'path' is missing; found nothing"),
        ("path,AU12\n", r"manifest\.csv:1: the column 'subject' is missing; found path, AU12"),
        ("path,subject,frame\n", r"manifest\.csv:1: there is no column of an action unit"),
        ("path,subject,AU03\n", r"manifest\.csv:1: unknown column: 'AU03' is no action unit"),
        ("path,subject,AU12,smile\n", r"manifest\.csv:1: unknown column: 'smile' is no action"),
        ("path,subject,AU12,AU12_r\n", r"manifest\.csv:1: AU12 has two columns; remove one"),
        ("path,subject,AU12\n", r"manifest\.csv: has no row below the header"),
    ],
)
def test_header_mistakes(make_manifest: Make, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_manifest(make_manifest(text))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("pictures/0.png,a,,7,train", r"manifest\.csv:2: AU12: level 7 is not one of 0-5"),
        ("pictures/0.png,a,,hi,train", r"manifest\.csv:2: AU12: 'hi' is no number"),
        ("pictures/9.png,a,,1,train", r"manifest\.csv:2: no such file .*9\.png"),
        ("notes.txt,a,,1,train", r"manifest\.csv:2: 'notes\.txt' is neither a picture"),
        ("pictures/0.png,,,1,train", r"manifest\.csv:2: the subject is empty"),
        ("pictures/0.png,a,-1,1,train", r"manifest\.csv:2: frame '-1' is no frame number"),
        ("clip.avi,a,,1,train", r"manifest\.csv:2: clip\.avi is a video and the frame is empty"),
        (
            "clip.avi,a,4,1,train",
            r"manifest\.csv:2: frame 4 of clip\.avi, which has frames 0-3 .*--ignore_extra_labels",
        ),
        ("pictures/0.png,a,1", r"manifest\.csv:2: 3 cells, the header has 5"),
        (
            "pictures/0.png,a,,1,train\n\npictures/0.png,a,,2,train",
            r"manifest\.csv:4: the same picture as line 2",
        ),
        (
            "clip.avi,a,0,1,train\nclip.avi,b,1,1,train",
            r"manifest\.csv:3: clip\.avi shows 'b' here and 'a' in line 2",
        ),
        ("pictures/0.png,a,,1,dev", r"manifest\.csv:2: split 'dev' is not one of train, valid"),
        (
            "pictures/0.png,a,,1,train\npictures/1.png,a,,1,test",
            r"manifest\.csv:3: subject 'a' is in test here and in train above; a person must",
        ),
    ],
)
def test_row_mistakes(make_manifest: Make, rows: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_manifest(make_manifest(f"path,subject,frame,AU12,split\n{rows}\n"))


def test_all_mistakes_are_listed(make_manifest: Make) -> None:
    rows = "".join(f"pictures/{k}.png,a,{k + 7}\n" for k in range(3, 6))
    with pytest.raises(UserError, match=r"^3 mistakes:") as caught:
        read_manifest(make_manifest("path,subject,AU12\n" + rows))
    assert [f"manifest.csv:{line}:" in str(caught.value) for line in (2, 3, 4)] == [True] * 3


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; give a CSV with --manifest=FILE"):
        read_manifest(tmp_path / "none.csv")


def test_rows_beyond_a_video_can_be_left_out(make_manifest: Make) -> None:
    path = make_manifest("path,subject,frame,AU12\nclip.avi,a,3,1\nclip.avi,a,4,1\n")
    assert read_manifest(path, ignore_extra_labels=True).sources[0].label_numbers.tolist() == [3]
