"""Video: every promised frame once, at its own number and time, whatever is damaged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.videos import Video, count_lost, is_video, promised_frames

COUNT, RATE = 20, 25.0


def write_video(path: Path, codec: str, count: int = COUNT) -> None:
    """Frame k is of grey 10 k + 20."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), RATE, (64, 48))
    assert writer.isOpened()
    for k in range(count):
        writer.write(np.full((48, 64, 3), 10 * k + 20, np.uint8))
    writer.release()


def number_of(image: np.ndarray) -> int:
    """Which frame a picture is, by its grey."""
    return round((float(image.mean()) - 20) / 10)


@pytest.fixture(params=["mjpg.avi", "mp4v.mp4", "VP80.webm"])
def video_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    codec, suffix = request.param.split(".")
    path = tmp_path / f"clip.{suffix}"
    write_video(path, codec.upper() if codec == "mjpg" else codec)
    return path


def test_whole_video(video_file: Path) -> None:
    frames = list(Video(video_file))
    assert [frame.number for frame in frames] == list(range(COUNT))
    assert [number_of(frame.image) for frame in frames] == list(range(COUNT))
    np.testing.assert_allclose([f.timestamp for f in frames], np.arange(COUNT) / RATE, atol=2e-3)
    assert promised_frames(video_file) == len(frames) == COUNT


def test_goes_round_again(video_file: Path) -> None:
    video = Video(video_file)
    assert [f.image.tobytes() for f in video] == [f.image.tobytes() for f in video]


def frame_places(content: bytes) -> list[tuple[int, int]]:
    """Start and length of each MJPEG frame's data in an AVI."""
    places, at = [], content.find(b"movi")
    while (at := content.find(b"00dc", at + 4)) >= 0 and len(places) < COUNT:
        places.append((at + 8, int.from_bytes(content[at + 4 : at + 8], "little")))
    return places


@pytest.mark.parametrize("bad", [[7], [0], [COUNT - 1], [3, 4, 5], [1, 9, 17]])
def test_damaged_frames_do_not_shift_the_others(tmp_path: Path, bad: list[int]) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, "MJPG")
    content = bytearray(path.read_bytes())
    for number in bad:
        start, length = frame_places(bytes(content))[number]
        content[start : start + length] = bytes(length)
    path.write_bytes(content)
    frames = list(Video(path))
    assert [frame.number for frame in frames] == list(range(COUNT))
    assert [frame.number for frame in frames if frame.image is None] == bad
    assert all(number_of(f.image) == f.number for f in frames if f.image is not None)
    np.testing.assert_allclose([f.timestamp for f in frames], np.arange(COUNT) / RATE, atol=2e-3)


def test_a_shifted_clock_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some decoders tell times one frame late; only a frame that really is missing makes a gap."""
    path = tmp_path / "clip.avi"
    write_video(path, "MJPG")
    real = Video.locate
    monkeypatch.setattr(Video, "locate", lambda self, t, k: real(self, t + 1 / RATE, k))
    frames = list(Video(path))
    assert [number_of(frame.image) for frame in frames] == list(range(COUNT))


def test_truncated_video_tells_its_lost_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, "MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: frame_places(content)[12][0]])
    frames = list(Video(path))
    assert [frame.number for frame in frames] == list(range(COUNT))
    assert [frame.number for frame in frames if frame.image is not None] == list(range(12))
    assert frames[-1].timestamp is None
    assert Video(path).lost == COUNT - 13 or Video(path).lost == COUNT - 12


def test_lost_frames_are_counted_by_duration_too() -> None:
    regular = np.arange(10) / 25.0
    assert count_lost(regular, 25.0, 10) == 0
    assert count_lost(regular, 25.0, 30) == 20
    assert count_lost(np.empty(0), 25.0, 30) == 30
    # Ten frames over the promised second: the header's 25 was an estimate, nothing is lost.
    assert count_lost(np.linspace(0, 0.96, 10), 25.0, 25) == 0


def test_a_new_file_under_the_same_name_is_read_anew(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.avi", "MJPG", 5)
    assert promised_frames(tmp_path / "clip.avi") == 5
    write_video(tmp_path / "clip.avi", "MJPG", 7)
    assert promised_frames(tmp_path / "clip.avi") == 7


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.avi: no such file"):
        Video(tmp_path / "none.avi")
    (tmp_path / "empty.avi").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.avi: is empty \(0 bytes\)"):
        Video(tmp_path / "empty.avi")
    write_video(tmp_path / "clip.mp4", "mp4v")
    content = (tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"half\.mp4: cannot be opened as a video"):
        Video(tmp_path / "half.mp4")
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(UserError, match=r"text\.avi: cannot be opened as a video"):
        promised_frames(tmp_path / "text.avi")


def test_names() -> None:
    assert is_video(Path("A.AVI"))
    assert not is_video(Path("a.jpg"))
