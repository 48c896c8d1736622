"""What every reader returns: videos or picture sequences of one subject, with their labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepcoder_tf.action_units import LEVELS, MISSING
from deepcoder_tf.errors import UserError

__all__ = ["Codes", "Problems", "Source", "label_table", "parse_level", "read_codes"]

UNKNOWN = 9
"""The code that DISFA and BP4D write where the coder could not tell."""

SHOWN = 20
"""Most mistakes listed in one message."""


@dataclass(frozen=True)
class Source:
    """One video, or one sequence of pictures, of one subject.

    Attributes:
      subject: who is seen, for example `"SN001"`.
      video: name of the recording, unique within the subject.
      files: one video file, or one file per picture.
      numbers: frame number of each picture, `[F]` int64; of a video, of its first frame, `[1]`.
      label_numbers: `[L]` int64, ascending: the frames that labels speak of.
      labels: `[L, Q]` int8 levels 0..5, -1 where nobody annotated.
      is_video: whether `files` holds one video.
    """

    subject: str
    video: str
    files: tuple[Path, ...]
    numbers: np.ndarray
    label_numbers: np.ndarray
    labels: np.ndarray
    is_video: bool

    def labels_of(self, numbers: np.ndarray) -> np.ndarray:
        """Labels of the given frames.

        Args:
          numbers: `[F]` frame numbers.

        Returns:
          `[F, Q]` int8, -1 for frames that the labels do not speak of.
        """
        found = np.full((len(numbers), self.labels.shape[1]), MISSING, np.int8)
        if len(self.label_numbers):
            at = np.searchsorted(self.label_numbers, numbers).clip(max=len(self.label_numbers) - 1)
            known = self.label_numbers[at] == numbers
            found[known] = self.labels[at[known]]
        return found


@dataclass
class Problems:
    """Mistakes found while reading; all are told at once, before hours of work.

    Attributes:
      lines: one line for each mistake.
    """

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Notes a mistake: file, line, value and cure, in one line."""
        self.lines.append(line)

    def raise_if_any(self) -> None:
        """Ends the reading.

        Raises:
          UserError: there were mistakes; lists up to twenty.
        """
        if not self.lines:
            return
        if len(self.lines) == 1:
            raise UserError(self.lines[0])
        more = len(self.lines) - SHOWN
        tail = [f"and {more} more"] if more > 0 else []
        raise UserError("\n  ".join([f"{len(self.lines)} mistakes:", *self.lines[:SHOWN], *tail]))


@dataclass(frozen=True)
class Codes:
    """The content of one label file.

    Attributes:
      path: the file.
      levels: level by frame number; -1 where unknown.
      lines: line by frame number, from 1.
    """

    path: Path
    levels: dict[int, int]
    lines: dict[int, int]


def parse_level(text: str) -> int:
    """Reads an intensity: 0-5; 9 or nothing is a missing label.

    Raises:
      ValueError: anything else.

    >>> parse_level("3"), parse_level("9"), parse_level("")
    (3, -1, -1)
    """
    text = text.strip()
    if not text:
        return MISSING
    value = float(text)
    if value in (UNKNOWN, MISSING):
        return MISSING
    if value not in range(LEVELS):
        raise ValueError(f"level {text} is not one of 0-{LEVELS - 1} (9 or empty: not annotated)")
    return int(value)


def read_codes(path: Path, problems: Problems) -> Codes:
    """Reads a file of `frame,intensity` lines without header; notes what is wrong with it.

    Args:
      path: the label file.
      problems: gets a line for every mistake.

    Returns:
      What could be read.
    """
    codes = Codes(path, {}, {})
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        cells = re.split(r"\s*[,;\t ]\s*", line.strip(), maxsplit=1)
        if number == 1 and not any(character.isdigit() for character in line):
            continue  # a header, which some tools add
        try:
            frame = int(cells[0])
            if frame < 0:
                raise ValueError
        except ValueError:
            problems.add(f"{path}:{number}: {line.strip()!r} is not 'frame,intensity'; correct it")
            continue
        try:
            level = parse_level(cells[1] if len(cells) > 1 else "")
        except ValueError as error:
            told = str(error) if "level" in str(error) else f"intensity {cells[1]!r} is no number"
            problems.add(f"{path}:{number}: {told}; correct the line")
            continue
        if frame in codes.levels:
            problems.add(
                f"{path}:{number}: frame {frame} is already labelled in line {codes.lines[frame]}; "
                "remove one of the two"
            )
            continue
        codes.levels[frame], codes.lines[frame] = level, number
    if not text.strip():
        problems.add(f"{path}: the label file is empty; copy it again or remove the recording")
    return codes


def label_table(columns: Mapping[int, Codes], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Puts the label files of one recording side by side.

    Args:
      columns: the label file of each column.
      width: number of columns.

    Returns:
      Frame numbers `[L]` int64, ascending, and labels `[L, width]` int8, -1 where missing.
    """
    numbers = np.array(sorted({f for codes in columns.values() for f in codes.levels}), np.int64)
    labels = np.full((len(numbers), width), MISSING, np.int8)
    for column, codes in columns.items():
        at = np.searchsorted(numbers, np.fromiter(codes.levels, np.int64, len(codes.levels)))
        labels[at, column] = list(codes.levels.values())
    return numbers, labels
