"""Video frame by frame: every frame the container promises, with its timestamp, decoded or not.

OpenCV alone skips a damaged frame and moves the later ones forward, so that each later label would
sit on the wrong picture. Here the container's packets are listed first (no decoding, milliseconds)
and each decoded picture is put at the packet whose timestamp it carries; packets without a picture
come out as frames whose image is None. Where the decoder tells other times than the container (AVI
and MPEG with B-frames) the pictures are counted first. A picture that the decoder patched up passes
for whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np

from deepcoder_tf.errors import UserError

# What FFmpeg and OpenCV print about damaged files is told here by the status of each frame.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
LOG_LEVEL_ERROR = 2
if hasattr(cv2, "setLogLevel"):
    cv2.setLogLevel(LOG_LEVEL_ERROR)
else:  # where OpenCV 5 keeps it
    cv2.utils.logging.setLogLevel(LOG_LEVEL_ERROR)

__all__ = ["VIDEO_SUFFIXES", "Frame", "Video", "is_video", "promised_frames"]

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
)
"""File name endings, in lower case, that are taken for video."""

RAW_PACKETS = (cv2.CAP_PROP_FORMAT, -1)
"""Makes OpenCV hand out packets as they lie in the container, without decoding."""

FALLBACK_FPS = 25.0
"""Frames a second where a container names none; only the count of lost frames depends on it."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
      number: position in the container, from 0.
      timestamp: seconds from the start of the container; None where it holds none.
      image: `[height, width, 3]` uint8 BGR; None when the frame cannot be decoded.
    """

    number: int
    timestamp: float | None
    image: np.ndarray | None


def is_video(path: Path) -> bool:
    """Whether the file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def open_capture(path: Path, *parameters: int) -> cv2.VideoCapture:
    """Opens the container or tells why not."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, list(parameters))
    if not capture.isOpened():
        raise UserError(
            f"{path}: cannot be opened as a video (damaged, cut short or of an unknown format); "
            "copy it again or convert it to MP4"
        )
    return capture


def promised_frames(path: str | Path) -> int:
    """Number of frames that a container promises, decodable or not.

    Args:
      path: a video file.

    Returns:
      The number; frames missing at the end of a file that was cut short count too.

    Raises:
      UserError: the file is not there or is not a video.
    """
    return len(Video(path))


@dataclass(frozen=True)
class Packets:
    """What the container holds: see `Video` for the attributes."""

    timestamps: np.ndarray
    frame_rate: float
    lost: int


@lru_cache(maxsize=256)
def list_packets(path: Path, size: int, modified: int) -> Packets:
    """Lists the packets without decoding; `size` and `modified` only key the cache."""
    del modified
    if size == 0:
        raise UserError(f"{path}: is empty (0 bytes); copy the video again")
    capture = open_capture(path, *RAW_PACKETS)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = float(rate) if rate > 0 else FALLBACK_FPS
        promised = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        times = []
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0)
    finally:
        capture.release()
    timestamps = np.sort(np.asarray(times, np.float64))
    timestamps.setflags(write=False)
    return Packets(timestamps, rate, count_lost(timestamps, rate, promised))


def count_lost(timestamps: np.ndarray, frame_rate: float, promised: int) -> int:
    """Frames missing at the end: by count, but no more than the promised duration leaves.

    A header that only estimates its count (variable frame rate) is thus not taken for damage.
    """
    if len(timestamps) == 0:
        return promised
    seconds = promised / frame_rate - (timestamps[-1] - timestamps[0])
    return max(0, min(promised - len(timestamps), round(seconds * frame_rate) - 1))


class Video:
    """A video file that can be gone through any number of times with flat memory.

    Attributes:
      path: the file.
      timestamps: seconds of every packet, in the order of display.
      frame_rate: frames a second, as the container says.
      lost: frames that the header promises after the last packet (the file is cut short).
    """

    def __init__(self, path: str | Path) -> None:
        """Lists the packets (once for each version of the file).

        Raises:
          UserError: the file is not there or is not a video.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file; check the path")
        stat = self.path.stat()
        packets = list_packets(self.path, stat.st_size, stat.st_mtime_ns)
        self.timestamps = packets.timestamps
        self.frame_rate = packets.frame_rate
        self.lost = packets.lost

    def __len__(self) -> int:
        """Frames that the container promises."""
        return len(self.timestamps) + self.lost

    def __iter__(self) -> Iterator[Frame]:
        """Yields every promised frame in the order of display."""
        return self.frames()

    def frames(self) -> Iterator[Frame]:
        """Yields every promised frame in the order of display; memory stays flat."""
        position = 0
        capture = open_capture(self.path)
        try:
            attempts = len(self)  # a frame that cannot be decoded makes one call fail, not the rest
            while position < len(self.timestamps) and attempts > 0:
                attempts -= 1
                grabbed, image = capture.read()
                if not grabbed:
                    continue
                found = self.locate(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0, position)
                if found > position and self.is_whole:
                    found = position  # no picture is missing: this decoder's clock is shifted
                for number in range(position, found):
                    yield Frame(number, float(self.timestamps[number]), None)
                yield Frame(found, float(self.timestamps[found]), image)
                position = found + 1
        finally:
            capture.release()
        for number in range(position, len(self)):
            known = number < len(self.timestamps)
            yield Frame(number, float(self.timestamps[number]) if known else None, None)

    @cached_property
    def is_whole(self) -> bool:
        """Whether every packet decodes. Decodes the video once more: asked only at a gap."""
        capture = open_capture(self.path)
        try:
            calls = range(len(self.timestamps))
            return sum(capture.grab() for _ in calls) == len(calls)
        finally:
            capture.release()

    def locate(self, timestamp: float, position: int) -> int:
        """The packet, at or after `position`, that carries this timestamp.

        Falls back on `position` where decoder and container tell different times.
        """
        tolerance = 0.5 / self.frame_rate
        start = int(np.searchsorted(self.timestamps, timestamp - tolerance))
        found = max(start, position)
        if found < len(self.timestamps) and abs(self.timestamps[found] - timestamp) <= tolerance:
            return found
        return position
