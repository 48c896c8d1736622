"""What the user gave to predict: photos, videos, folders of both, and mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.images import IMAGE_SUFFIXES, is_image
from deepcoder_tf.faces.videos import VIDEO_SUFFIXES, Video, is_video, promised_frames

__all__ = ["Input", "InputFrame", "count_frames", "find_inputs", "read_frames"]


class Input(NamedTuple):
    """One file to predict, or one thing that cannot be.

    Attributes:
      path: as given, or as found in a given folder.
      problem: why nothing can be read from it; empty when there is hope.
    """

    path: Path
    problem: str = ""


class InputFrame(NamedTuple):
    """One frame on its way in.

    Attributes:
      path: its file.
      number: position in a video from 0; 0 for a photo.
      timestamp: seconds; None for a photo.
      image: `[H, W, 3]` uint8 BGR; None for a photo (read later, by a worker) and for a frame
        that cannot be read.
      problem: why it cannot be read, else empty.
      frame_rate: frames a second of the video; 0 for a photo.
    """

    path: Path
    number: int = 0
    timestamp: float | None = None
    image: np.ndarray | None = None
    problem: str = ""
    frame_rate: float = 0.0


def find_inputs(paths: Sequence[str | Path]) -> list[Input]:
    """Photos and videos among files and folders.

    Folders are searched with their subfolders, in the order of their names; of a folder only files
    with the ending of a picture or a video are taken, and none whose name begins with a dot.

    Args:
      paths: files and folders.

    Returns:
      One entry for each file, and one with a `problem` for each path that leads to none.

    Raises:
      UserError: nothing was given, or not one of the paths leads to a file.
    """
    if not paths:
        raise UserError("no input was given; name photos, videos or folders of them")
    found = [entry for path in paths for entry in _search(Path(path))]
    if all(entry.problem for entry in found):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UserError(f"nothing to predict: {found[0].path}: {found[0].problem}{more}")
    return found


def _search(path: Path) -> Iterator[Input]:
    if path.is_dir():
        inside = [
            file
            for file in sorted(path.rglob("*"))
            if (is_image(file) or is_video(file))
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        yield from map(Input, inside)
        if not inside:
            yield Input(path, "the folder holds no photo and no video; name another one")
    elif not path.exists():
        yield Input(path, "no such file; check the path")
    elif is_image(path) or is_video(path):
        yield Input(path)
    else:
        known = " ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
        yield Input(path, f"unknown ending {path.suffix!r}; known are {known}")


def count_frames(inputs: Sequence[Input]) -> int:
    """Frames that the inputs promise, from their headers alone; for a progress bar."""
    total = 0
    for entry in inputs:
        try:
            total += promised_frames(entry.path) if _readable_video(entry) else 1
        except (UserError, OSError):
            total += 1
    return total


def read_frames(entry: Input) -> Iterator[InputFrame]:
    """Every frame of one input, in order; one frame with a `problem` where there is nothing.

    Args:
      entry: from `find_inputs`.

    Yields:
      At least one frame. Memory stays flat.
    """
    if not _readable_video(entry):
        yield InputFrame(entry.path, problem=entry.problem)
        return
    number = -1
    try:
        video = Video(entry.path)
        for frame in video:
            number = frame.number
            problem = "" if frame.image is not None else "the frame cannot be decoded"
            yield InputFrame(
                entry.path, number, frame.timestamp, frame.image, problem, video.frame_rate
            )
    except (UserError, OSError) as error:
        yield InputFrame(entry.path, number + 1, problem=problem_of(entry.path, error))
        return
    if number < 0:
        yield InputFrame(entry.path, problem="the video holds no frame; copy it again")


def problem_of(path: Path, error: Exception) -> str:
    """The error's text for a table that names the file already."""
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return text.removeprefix(f"{path}: ")


def _readable_video(entry: Input) -> bool:
    return not entry.problem and is_video(entry.path)
