"""Writers of the folder layouts of DISFA, of FERA 2015 (BP4D), and of pictures of expressions."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.files import replacing
from deepcoder_tf.synthesis.movement import FRAME_RATE

__all__ = [
    "LAYOUTS",
    "UNFINISHED",
    "DisfaLayout",
    "ExpressionsLayout",
    "Fera2015Layout",
    "Layout",
]

Frames = Iterator[NDArray[np.uint8]]

INDEX_HEADER = struct.Struct("<4sI")
"""Name and length of the index of an AVI file."""
INDEX_ENTRY = 16
"""Bytes of the index for each frame."""
UNFINISHED = ".unfinished"
"""Folder below the output folder for videos that are still being written."""


class Layout(Protocol):
    """What a data set's folder looks like."""

    @property
    def action_units(self) -> tuple[str, ...]:
        """Q names that its labels cover."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects in the order in which a smaller data set takes them."""

    def gender(self, subject: str) -> str | None:
        """`"female"`, `"male"`, or None where the subject's name does not tell."""

    def is_written(self, root: Path, subject: str) -> bool:
        """Whether all files of a subject are there."""

    def write(
        self, root: Path, subject: str, labels: NDArray[np.int64], images: Frames, quality: int
    ) -> None:
        """Writes labels `[F, Q]` and F images `[H, W, 3]` (red, green, blue) of one subject."""

    def finish(self, root: Path, subjects: tuple[str, ...]) -> None:
        """Writes what speaks of all subjects, once they are there."""


def alternate(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Takes the first of each group, then the second of each, and so on.

    >>> alternate(("a", "b"), ("c",))
    ('a', 'c', 'b')
    """
    longest = max(len(group) for group in groups)
    return tuple(group[i] for i in range(longest) for group in groups if i < len(group))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a small text file in one piece."""
    with replacing(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)


def code_lines(column: NDArray[np.int64]) -> Iterator[str]:
    """`frame,intensity` for the levels `[F]` of one action unit, frames from 1."""
    return (f"{frame},{level}" for frame, level in enumerate(column, 1))


def write_video(root: Path, path: Path, images: Frames, frames: int, quality: int) -> None:
    """Writes a Motion JPEG video of `frames` images to `path`, which lies below `root`.

    Raises:
      UserError: the file came out shorter than it should, as it does on a full disk.
    """
    # OpenCV insists on the ending .avi: what is unfinished is told by its folder, not by its name.
    partial = root / UNFINISHED / path.name
    for folder in (partial.parent, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        encode_video(partial, images, quality)
        check_video(partial, path, frames)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def encode_video(path: Path, images: Frames, quality: int) -> None:
    """Encodes images `[H, W, 3]` (red, green, blue) one after the other."""
    first = next(images)
    height, width = first.shape[:2]
    code = cv2.VideoWriter.fourcc(*"MJPG")
    # OpenCV's own encoder: every build has it, and the same images give the same bytes.
    backend = cv2.CAP_OPENCV_MJPEG
    writer = cv2.VideoWriter(str(path), backend, code, float(FRAME_RATE), (width, height))
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, quality)
    for image in itertools.chain([first], images):
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    writer.release()


def check_video(partial: Path, path: Path, frames: int) -> None:
    """OpenCV's writer reports no errors: looks for the index that ends a complete AVI file.

    Raises:
      UserError: it is not there.
    """
    index = INDEX_HEADER.size + INDEX_ENTRY * frames
    found = b""
    if partial.is_file() and partial.stat().st_size > index:
        with partial.open("rb") as stream:
            stream.seek(-index, os.SEEK_END)
            found = stream.read(INDEX_HEADER.size)
    if found != INDEX_HEADER.pack(b"idx1", INDEX_ENTRY * frames):
        free = shutil.disk_usage(path.parent).free
        raise UserError(
            f"{path}: the video's {frames} frames could not be written, {free // 2**20} MiB are "
            "free on that disk; free some space and run the same command again: finished "
            "subjects are kept"
        )


@dataclasses.dataclass(frozen=True)
class DisfaLayout:
    """DISFA: one video and one label file per action unit for each subject.

    Beyond DISFA's own 27 the subjects are numbered from 101 and join the folds in turn.
    """

    action_units: tuple[str, ...] = DISFA
    # The three usual subject-independent folds, so that a smaller data set fills them evenly.
    subjects: tuple[str, ...] = alternate(
        ("001", "002", "009", "010", "016", "026", "027", "030", "032"),
        ("006", "011", "012", "013", "018", "021", "024", "028", "031"),
        ("003", "004", "005", "007", "008", "017", "023", "025", "029"),
    ) + tuple(str(number) for number in range(101, 173))

    def gender(self, subject: str) -> str | None:
        """DISFA's numbers do not tell."""
        return None

    def video(self, root: Path, subject: str) -> Path:
        """The left camera's video."""
        return root / "Videos_LeftCamera" / f"LeftVideoSN{subject}_comp.avi"

    def codes(self, root: Path, subject: str, name: str) -> Path:
        """The labels of one action unit."""
        folder = root / "ActionUnit_Labels" / f"SN{subject}"
        return folder / f"SN{subject}_au{int(name[2:])}.txt"

    def is_written(self, root: Path, subject: str) -> bool:
        """Whether the labels of the last action unit, which are written last, are there."""
        return self.codes(root, subject, self.action_units[-1]).is_file()

    def write(
        self, root: Path, subject: str, labels: NDArray[np.int64], images: Frames, quality: int
    ) -> None:
        """Writes the video, then labels `[F, 12]`."""
        write_video(root, self.video(root, subject), images, len(labels), quality)
        for name, column in zip(self.action_units, labels.T, strict=True):
            write_lines(self.codes(root, subject, name), code_lines(column))

    def finish(self, root: Path, subjects: tuple[str, ...]) -> None:
        """Nothing speaks of all subjects."""


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

    def codes(self, root: Path, subject: str, task: int, name: str) -> Path:
        """The intensities of one action unit in one task."""
        return root / "AU Intensity Codes3.0" / name / f"{subject}_T{task}_{name}.csv"

    def is_written(self, root: Path, subject: str) -> bool:
        """Whether the last task's last labels, which are written last, are there."""
        return self.codes(root, subject, self.tasks, self.action_units[-1]).is_file()

    def write(
        self, root: Path, subject: str, labels: NDArray[np.int64], images: Frames, quality: int
    ) -> None:
        """Writes images, occurrences and intensities task by task."""
        for task, part in enumerate(np.array_split(labels, self.tasks), 1):
            folder = self.images(root, subject, task)
            folder.mkdir(parents=True, exist_ok=True)
            for frame in range(1, len(part) + 1):
                write_image(folder / f"{frame:04d}.jpg", next(images), quality)
            self._write_codes(root, subject, task, part)

    def finish(self, root: Path, subjects: tuple[str, ...]) -> None:
        """Nothing speaks of all subjects."""

    def _write_codes(self, root: Path, subject: str, task: int, labels: NDArray[np.int64]) -> None:
        """Writes one task's occurrences and intensities, `[F, 5]`."""
        header = ["0", *(str(int(name[2:])) for name in self.action_units)]
        rows = [
            [str(frame), *(str(int(level > 0)) for level in row)]
            for frame, row in enumerate(labels, 1)
        ]
        occurrence = root / "AUCoding" / f"{subject}_T{task}.csv"
        write_lines(occurrence, (",".join(row) for row in [header, *rows]))
        for name, column in zip(self.action_units, labels.T, strict=True):
            write_lines(self.codes(root, subject, task, name), code_lines(column))


@dataclasses.dataclass(frozen=True)
class ExpressionsLayout:
    """Pictures of expressions with a manifest: path, expression, subject.

    Labels are `[F, 1]`, indices into `EXPRESSIONS`.
    """

    action_units: tuple[str, ...] = ()
    subjects: tuple[str, ...] = tuple(f"S{number:03d}" for number in range(1, 1000))

    def gender(self, subject: str) -> str | None:
        """The numbers do not tell."""
        return None

    def table(self, root: Path, subject: str) -> Path:
        """The manifest's lines of one subject."""
        return root / "pictures" / subject / "expressions.csv"

    def is_written(self, root: Path, subject: str) -> bool:
        """Whether the subject's lines, which are written last, are there."""
        return self.table(root, subject).is_file()

    def write(
        self, root: Path, subject: str, labels: NDArray[np.int64], images: Frames, quality: int
    ) -> None:
        """Writes the pictures, then their lines."""
        table = self.table(root, subject)
        table.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, (label, image) in enumerate(zip(labels[:, 0], images, strict=True), 1):
            name = EXPRESSIONS[label]
            path = table.parent / f"{subject}_{number:04d}_{name}.jpg"
            write_image(path, image, quality)
            lines.append(f"{path.relative_to(root).as_posix()},{name},{subject}")
        write_lines(table, lines)

    def finish(self, root: Path, subjects: tuple[str, ...]) -> None:
        """Writes `manifest.csv`, which `deepcoder-prepare` reads."""
        lines = ["path,expression,subject"]
        for subject in subjects:
            lines += self.table(root, subject).read_text(encoding="utf-8").splitlines()
        write_lines(root / "manifest.csv", lines)


def write_image(path: Path, image: NDArray[np.uint8], quality: int) -> None:
    """Writes one JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
    assert done, "an uint8 picture can always be encoded"
    path.write_bytes(encoded.tobytes())


LAYOUTS = ("disfa", "fera2015", "expressions")
"""Names of the layouts."""
