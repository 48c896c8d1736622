"""What every reader of expressions returns: one sample for each picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.images import is_image
from deepcoder_tf.faces.landmarks import INNER_49, POINTS

__all__ = [
    "LEFT_OUT",
    "NO_LABEL",
    "OK",
    "ExpressionSource",
    "Sample",
    "find_below",
    "inner_landmarks",
    "pictures_in",
]

OK = "ok"
"""Status of a picture with one of the eight classes."""

NO_LABEL = "no_label"
"""Status of a face to which nobody gave one of the eight classes; it is stored, with class -1."""

LEFT_OUT = "left_out"
"""Status of a picture that the data set's own protocol leaves out; it is counted, not stored."""


class Sample(NamedTuple):
    """One picture as its data set describes it.

    Attributes:
      file: where the picture should be.
      expression: index into `expressions.EXPRESSIONS`, -1 for none.
      split: `"train"`, `"validation"` or `"test"`; empty where the data set does not say.
      subject: who is seen; empty where the data set does not say.
      status: `OK`, `NO_LABEL` or `LEFT_OUT`.
      reason: why there is no class; empty with one.
      box: x, y, width, height of the face in pixels of the picture, where the data set gives it.
      landmarks: `[49, 2]` float32, x and y in pixels of the picture, where the data set gives them.
      annotations: how many annotators chose each of the eight classes, unknown and not-a-face;
        empty where the data set does not say.
    """

    file: Path
    expression: int = MISSING
    split: str = ""
    subject: str = ""
    status: str = OK
    reason: str = ""
    box: tuple[float, float, float, float] | None = None
    landmarks: np.ndarray | None = None
    annotations: tuple[int, ...] = ()


@dataclass(frozen=True)
class ExpressionSource:
    """A data set of expressions as its reader found it.

    Attributes:
      root: folder to which names of files are relative.
      samples: one for each picture.
      align: how its pictures are usually cut: `"dlib"`, `"box"` or `"none"`.
    """

    root: Path
    samples: list[Sample]
    align: str


def find_below(root: Path, *names: str) -> Path | None:
    """The first file or folder of one of these names in `root` or up to two folders below it.

    Args:
      root: where to look.
      names: exact names, the preferred one first.

    Returns:
      The path, or None.
    """
    for pattern in ("", "*/", "*/*/"):
        for name in names:
            found = sorted(root.glob(pattern + name))
            if found:
                return found[0]
    return None


def pictures_in(folder: Path) -> Iterator[Path]:
    """The pictures of one folder by name; whatever else lies there is passed over.

    Args:
      folder: which may be missing; then there are none.

    Yields:
      Their paths, sorted.
    """
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if is_image(path) and not path.name.startswith("."):
                yield path


def inner_landmarks(values: np.ndarray) -> np.ndarray:
    """The 49 landmarks among a data set's own 68.

    Args:
      values: `[136]` x1, y1, x2, y2, ...

    Returns:
      `[49, 2]` float32.

    Raises:
      ValueError: another number of values, or one that is not finite.
    """
    if values.size != 2 * POINTS:
        raise ValueError(f"{values.size} landmark coordinates, {2 * POINTS} were wanted")
    points = values.reshape(POINTS, 2)[INNER_49].astype(np.float32)
    if not np.isfinite(points).all():
        raise ValueError("landmarks that are not finite")
    return points


def existing_folder(root: str | Path, holding: str) -> Path:
    """The path as a folder.

    Raises:
      UserError: there is none.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds {holding}")
    return root
