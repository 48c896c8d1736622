"""What is said about one face in one frame, and its line in the CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from deepcoder_tf import levels
from deepcoder_tf.action_units import LEVELS

__all__ = ["NO_FACE", "OK", "UNREADABLE", "AUPrediction", "ActionUnit", "csv_header", "csv_line"]

OK, NO_FACE, UNREADABLE = "ok", "no_face", "unreadable"
"""What became of a frame."""

LEADING_COLUMNS = ("file", "frame", "face_id", "timestamp", "confidence", "success", "status")


class ActionUnit(NamedTuple):
    """One action unit of one face: four views of one distribution, see `levels.summarise`.

    Attributes:
      intensity: expected level, 0..5.
      presence: 1 where level 1 or more is more probable than level 0.
      standard_deviation: in levels.
      probabilities: of the levels 0..5; they sum to 1.
    """

    intensity: float
    presence: int
    standard_deviation: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class AUPrediction:
    """One face in one frame, or one frame without a face.

    Attributes:
      file: as it was given, or as it was found in a given folder.
      frame: position in the video from 0; 0 for a photo.
      face_id: which face; the same number follows it through a video. None without a face.
      timestamp: seconds from the start of the video; None for a photo.
      confidence: the face detector's score, higher is surer (above 0, seldom above 3; it is no
        probability). None without a face.
      status: `"ok"`, `"no_face"` or `"unreadable"`.
      reason: why it is unreadable, else empty.
      action_units: by name, empty without a face.
      box: x, y, width, height of the face in pixels.
      landmarks: `[49, 2]` float32, x and y in pixels.
    """

    file: str
    frame: int
    face_id: int | None = None
    timestamp: float | None = None
    confidence: float | None = None
    status: str = OK
    reason: str = ""
    action_units: dict[str, ActionUnit] | None = None
    box: tuple[int, int, int, int] | None = None
    landmarks: np.ndarray | None = None

    @property
    def success(self) -> bool:
        """Whether there are action units."""
        return self.status == OK


def csv_header(action_units: Sequence[str]) -> list[str]:
    """The column names for a model's action units."""
    return [
        *LEADING_COLUMNS,
        *(column for name in action_units for column in levels.columns(name, LEVELS)),
    ]


def csv_line(row: AUPrediction, action_units: Sequence[str]) -> list[str]:
    """The cells of one row, in the order of `csv_header`.

    A number that does not exist is an empty cell; `status` holds the reason after a colon.

    Args:
      row: what is written.
      action_units: the model's, in column order.

    Returns:
      Text cells.
    """
    status = f"{row.status}: {row.reason}" if row.reason else row.status
    cells = [
        # A file name may hold bytes that are no text; the table must stay readable.
        row.file.encode("utf-8", "replace").decode("utf-8"),
        str(row.frame),
        "" if row.face_id is None else str(row.face_id),
        "" if row.timestamp is None else f"{row.timestamp:.3f}",
        "" if row.confidence is None else f"{row.confidence:.4f}",
        str(int(row.success)),
        status,
    ]
    if row.action_units is None:
        return cells + [""] * ((3 + LEVELS) * len(action_units))
    for name in action_units:
        unit = row.action_units[name]
        cells += levels.format_cells(
            unit.intensity, unit.presence, unit.standard_deviation, unit.probabilities
        )
    return cells
