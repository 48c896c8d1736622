"""What is said about one face in one frame, its line in the CSV, and its bars in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from deepcoder_tf import levels
from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.levels import DIGITS

__all__ = [
    "EXPRESSION_COLUMNS",
    "NO_FACE",
    "OK",
    "UNREADABLE",
    "AUPrediction",
    "ActionUnit",
    "Bar",
    "ExpressionPrediction",
    "FacePrediction",
    "action_unit_columns",
    "csv_header",
    "csv_line",
]

OK, NO_FACE, UNREADABLE = "ok", "no_face", "unreadable"
"""What became of a frame."""

EXPRESSION_COLUMNS = ["expression", "entropy", *(f"p_{name}" for name in EXPRESSIONS)]
"""What is said of an expression."""

LEADING_COLUMNS = ("file", "frame", "face_id", "timestamp", "confidence", "success", "status")


class Bar(NamedTuple):
    """A number as it is drawn.

    Attributes:
      share: length, 0..1.
      text: beside it.
      bright: whether it stands out.
      whisker: ends of a line over the bar, 0..1; None for none.
    """

    share: float
    text: str
    bright: bool
    whisker: tuple[float, float] | None = None


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
class FacePrediction:
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
    box: tuple[int, int, int, int] | None = None
    landmarks: np.ndarray | None = None

    @property
    def success(self) -> bool:
        """Whether there is a face with its numbers."""
        return self.status == OK

    def cells(self) -> list[str]:
        """The cells of the CSV that say something of the face; none without one."""
        return []

    def bars(self) -> dict[str, Bar]:
        """The bars by name; none without a face."""
        return {}


@dataclass(frozen=True)
class AUPrediction(FacePrediction):
    """One face with its action units.

    Attributes:
      action_units: by name, None without a face.
    """

    action_units: dict[str, ActionUnit] | None = None

    def cells(self) -> list[str]:
        """See `FacePrediction.cells`."""
        found: list[str] = []
        for unit in (self.action_units or {}).values():
            found += levels.format_cells(
                unit.intensity, unit.presence, unit.standard_deviation, unit.probabilities
            )
        return found

    def bars(self) -> dict[str, Bar]:
        """The expected levels, and one standard deviation to both sides."""
        top = LEVELS - 1.0
        return {
            name: Bar(
                unit.intensity / top,
                f"{unit.intensity:.1f}",
                bool(unit.presence),
                (
                    max(0.0, unit.intensity - unit.standard_deviation) / top,
                    min(top, unit.intensity + unit.standard_deviation) / top,
                ),
            )
            for name, unit in (self.action_units or {}).items()
        }


@dataclass(frozen=True)
class ExpressionPrediction(FacePrediction):
    """One face with its expression.

    Attributes:
      expression: the most probable one; empty without a face.
      entropy: of the distribution, nats; 0 to log 8. None without a face.
      probabilities: by name; they sum to 1. None without a face.
    """

    expression: str = ""
    entropy: float | None = None
    probabilities: dict[str, float] | None = None

    def cells(self) -> list[str]:
        """See `FacePrediction.cells`."""
        if self.probabilities is None:
            return []
        numbers = (f"{p:.{DIGITS}f}" for p in self.probabilities.values())
        return [self.expression, f"{self.entropy:.{DIGITS}f}", *numbers]

    def bars(self) -> dict[str, Bar]:
        """The probabilities; the most probable one stands out."""
        return {
            name: Bar(p, f"{p:.2f}", name == self.expression)
            for name, p in (self.probabilities or {}).items()
        }


def action_unit_columns(names: Sequence[str]) -> list[str]:
    """What is said of action units."""
    return [column for name in names for column in levels.columns(name, LEVELS)]


def csv_header(columns: Sequence[str]) -> list[str]:
    """The column names of a CSV, those that each kind of model has first.

    Args:
      columns: of what the model says of a face.
    """
    return [*LEADING_COLUMNS, *columns]


def csv_line(row: FacePrediction, columns: Sequence[str]) -> list[str]:
    """The cells of one row, in the order of `csv_header`.

    A number that does not exist is an empty cell; `status` holds the reason after a colon.

    Args:
      row: what is written.
      columns: of what the model says of a face.

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
    return cells + (row.cells() or [""] * len(columns))
