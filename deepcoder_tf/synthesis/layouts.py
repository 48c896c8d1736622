"""Writers of the folder layouts of DISFA and of FERA 2015 (BP4D)."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.errors import UserError
from deepcoder_tf.synthesis.movement import FRAME_RATE

__all__ = ["LAYOUTS", "DisfaLayout", "Fera2015Layout", "Layout"]

Frames = Iterator[NDArray[np.uint8]]

PARTIAL = "partial-"
"""Prefix of names that are still being written."""


class Layout(Protocol):
    """What a data set's folder looks like.

    Attributes:
      action_units: Q names that its labels cover.
      subjects: names of the subjects in the order in which a smaller data set takes them.
      genders: name -> `"female"`, `"male"`, or None where the name does not tell.
    """

    action_units: tuple[str, ...]
    subjects: tuple[str, ...]

    def gender(self, subject: str) -> str | None:
        """`"female"`, `"male"`, or None where the subject's name does not tell."""

    def is_written(self, root: Path, subject: str, frames: int) -> bool:
        """Whether all files of a subject are there."""

    def write(
        self, root: Path, subject: str, labels: NDArray[np.int64], images: Frames, quality: int
    ) -> None:
        """Writes labels `[F, Q]` and F images `[H, W, 3]` (red, green, blue) of one subject."""


def alternate(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Takes the first of each group, then the second of each, and so on.

    >>> alternate(("a", "b"), ("c",))
    ('a', 'c', 'b')
    """
    longest = max(len(group) for group in groups)
    return tuple(group[i] for i in range(longest) for group in groups if i < len(group))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name to write to; what was written takes the name `path` once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a small text file in one piece."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="ascii")


def write_video(path: Path, images: Frames, frames: int, quality: int) -> None:
    """Writes a Motion JPEG video.

    Raises:
      UserError: the file came out shorter than it should, as it does on a full disk.
    """
    with replacing(path) as partial:
        writer: cv2.VideoWriter | None = None
        for image in images:
            if writer is None:
                height, width = image.shape[:2]
                code = cv2.VideoWriter.fourcc(*"MJPG")
                backend = cv2.CAP_OPENCV_MJPEG  # the one that every build has, and reproducible
                writer = cv2.VideoWriter(
                    str(partial), backend, code, float(FRAME_RATE), (width, height)
                )
                writer.set(cv2.VIDEOWRITER_PROP_QUALITY, quality)
            writer.write(np.ascontiguousarray(image[..., ::-1]))
        if writer is not None:
            writer.release()
        check_video(partial, path, frames)


def check_video(partial: Path, path: Path, frames: int) -> None:
    """OpenCV's writer reports no errors: reads the last frame back.

    Raises:
      UserError: it is not there.
    """
    reader = cv2.VideoCapture(str(partial), cv2.CAP_OPENCV_MJPEG)
    count = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
    reader.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
    complete = count == frames and reader.read()[0]
    reader.release()
    if not complete:
        free = shutil.disk_usage(path.parent).free
        raise UserError(
            f"{path}: only {count} of {frames} frames could be written, {free // 2**20} MiB are "
            "free on that disk; free some space and run the same command again: finished "
            "subjects are kept"
        )


@dataclasses.dataclass(frozen=True)
class DisfaLayout:
    """DISFA: one video and one label file per action unit for each of 27 subjects."""

    action_units: tuple[str, ...] = DISFA
    # The three usual subject-independent folds, so that a smaller data set fills them evenly.
    subjects: tuple[str, ...] = alternate(
        ("001", "002", "009", "010", "016", "026", "027", "030", "032"),
        ("006", "011", "012", "013", "018", "021", "024", "028", "031"),
        ("003", "004", "005", "007", "008", "017", "023", "025", "029"),
    )

    def gender(self, subject: str) -> str | None:
        """DISFA's numbers do not tell."""
        return None

    def video(self, root: Path, subject: str) -> Path:
        """The left camera's video."""
        return root / "Videos_LeftCamera" / f"LeftVideoSN{subject}_comp.avi"

    def is_written(self, root: Path, subject: str, frames: int) -> bool:
        """Whether the video, which is written last, is there."""
        return self.video(root, subject).is_file()

    def write(
        self, root: Path, subject: str, labels: NDArray[np.int64], images: Frames, quality: int
    ) -> None:
        """Writes labels `[F, 12]`, then the video."""
        folder = root / "ActionUnit_Labels" / f"SN{subject}"
        for name, column in zip(self.action_units, labels.T, strict=True):
            lines = "".join(f"{frame},{level}\n" for frame, level in enumerate(column, 1))
            write_text(folder / f"SN{subject}_au{int(name[2:])}.txt", lines)
        write_video(self.video(root, subject), images, len(labels), quality)


@dataclasses.dataclass(frozen=True)
class Fera2015Layout:
    """FERA 2015 (BP4D): numbered images and coded intensities for each subject and task.

    Attributes:
      tasks: over how many tasks, T1 to T8, the frames of a subject are spread.
    """

    tasks: int = 2
    action_units: tuple[str, ...] = FERA2015
    # Odd numbers are for training, even ones for development: both groups grow together.
    subjects: tuple[str, ...] = alternate(
        tuple(f"F{k:03d}" for k in range(1, 24, 2)),
        tuple(f"F{k:03d}" for k in range(2, 23, 2)),
        tuple(f"M{k:03d}" for k in range(1, 18, 2)),
        tuple(f"M{k:03d}" for k in range(2, 19, 2)),
    )

    def gender(self, subject: str) -> str | None:
        """The first letter of a subject's name tells."""
        return {"F": "female", "M": "male"}[subject[0]]

    def images(self, root: Path, subject: str, task: int) -> Path:
        """The folder of one task's images."""
        return root / "BP4D-training" / subject / f"T{task}"

    def is_written(self, root: Path, subject: str, frames: int) -> bool:
        """Whether the last task's images, which are written last, are there."""
        return self.images(root, subject, self.tasks).is_dir()

    def write(
        self, root: Path, subject: str, labels: NDArray[np.int64], images: Frames, quality: int
    ) -> None:
        """Writes labels `[F, 5]` and images task by task."""
        for task, part in enumerate(np.array_split(labels, self.tasks), 1):
            self._write_codes(root, f"{subject}_T{task}", part)
            with replacing(self.images(root, subject, task)) as folder:
                folder.mkdir()
                for frame in range(1, len(part) + 1):
                    write_image(folder / f"{frame:04d}.jpg", next(images), quality)

    def _write_codes(self, root: Path, name: str, labels: NDArray[np.int64]) -> None:
        """Writes one task's intensities and occurrences."""
        for unit, column in zip(self.action_units, labels.T, strict=True):
            lines = "".join(f"{frame},{level}\n" for frame, level in enumerate(column, 1))
            write_text(root / "AU Intensity Codes3.0" / unit / f"{name}_{unit}.csv", lines)
        header = ",".join(["0", *(str(int(unit[2:])) for unit in self.action_units)])
        rows = [
            ",".join([str(frame), *(str(int(level > 0)) for level in row)])
            for frame, row in enumerate(labels, 1)
        ]
        write_text(root / "AUCoding" / f"{name}.csv", "\n".join([header, *rows]) + "\n")


def write_image(path: Path, image: NDArray[np.uint8], quality: int) -> None:
    """Writes one JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
    assert done, "an uint8 picture can always be encoded"
    path.write_bytes(encoded.tobytes())


LAYOUTS = ("disfa", "fera2015")
"""Names of the layouts."""
