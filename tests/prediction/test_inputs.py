"""What people give to predict, good and bad."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.prediction.inputs import Input, count_frames, find_inputs, read_frames


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_folders_are_searched_in_order_and_hidden_files_left_out(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a.mp4", "notes.txt", ".hidden.png", ".git/x.png"):
        touch(tmp_path / name)
    found = [entry.path.relative_to(tmp_path).as_posix() for entry in find_inputs([tmp_path])]
    assert found == ["a.mp4", "b/1.png", "b/2.JPG"]


def test_a_bad_path_beside_a_good_one_becomes_an_entry(tmp_path):
    good, odd = touch(tmp_path / "a.png"), touch(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    found = find_inputs([tmp_path / "empty", good, odd, tmp_path / "gone.png"])
    assert [entry.path.name for entry in found] == ["empty", "a.png", "notes.txt", "gone.png"]
    assert [bool(entry.problem) for entry in found] == [True, False, True, True]
    assert "holds no photo and no video" in found[0].problem
    assert "unknown ending '.txt'; known are .avi" in found[2].problem
    assert found[3].problem == "no such file; check the path"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no input was given"),
        (["gone.png"], r"nothing to predict: .*gone\.png: no such file; check the path$"),
        (["gone.png", "b.png"], r"gone\.png: no such file; check the path \(and 1 more\)$"),
        (["."], "the folder holds no photo and no video"),
    ],
)
def test_nothing_at_all_is_an_error(tmp_path, names, message):
    with pytest.raises(UserError, match=message):
        find_inputs([tmp_path / name for name in names])


def test_frames_of_photo_and_video_are_counted_and_numbered(photo, video, tmp_path):
    broken = tmp_path / "broken.avi"
    broken.write_bytes(b"not a video")
    inputs = [Input(photo), Input(video), Input(broken)]
    assert count_frames(inputs) == 1 + 13 + 1
    frames = list(read_frames(Input(video)))
    assert [frame.number for frame in frames] == list(range(13))
    assert frames[4].timestamp == pytest.approx(4 / 25)
    assert frames[4].frame_rate == pytest.approx(25)
    assert frames[4].image is not None and frames[4].image.shape == (240, 320, 3)
    (only,) = read_frames(Input(photo))
    assert only.image is None and only.timestamp is None and not only.problem
    (bad,) = read_frames(Input(broken))
    assert bad.number == 0 and "cannot be opened as a video" in bad.problem
    assert str(broken) not in bad.problem


def test_a_video_cut_short_keeps_every_promised_frame(video, tmp_path):
    cut = tmp_path / "cut.avi"
    shutil.copy(video, cut)
    with cut.open("r+b") as stream:
        stream.truncate(int(video.stat().st_size * 0.6))
    frames = list(read_frames(Input(cut)))
    assert [frame.number for frame in frames] == list(range(len(frames)))
    readable = [frame for frame in frames if not frame.problem]
    lost = [frame for frame in frames if frame.problem]
    assert 4 <= len(readable) <= 9
    assert lost and {frame.problem for frame in lost} == {"the frame cannot be decoded"}
