"""Prepared folders of expressions: their layout, and reading them without TensorFlow.

PREPARED/settings.json  written first: what a resumed run must match
PREPARED/parts/         pictures that are done, while the preparation runs
PREPARED/images.npy     uint8 [N, S, S, C], C = 1 grey or 3 red, green, blue
PREPARED/samples.npz    labels int32 [N], votes float32 [N, 8], annotations uint8 [N, 10] (or
                        [0, 10]), subjects, splits, rows int64 [N]
PREPARED/landmarks.npy  float32 [N, 49, 2], NaN where no face was found; only if asked for
PREPARED/frames.csv     one row for every picture of the input
PREPARED/dataset.json   written last, with "kind": "expressions": the folder is complete

The N pictures are those with status `ok` and `no_label`, training before validation before test.

Columns of `frames.csv`: `row` from 0; `file` relative to the data set; `subject`; `split`;
`expression`, empty for none; `score` of the detector and box `x,y,width,height` in pixels of the
picture, where there is one; `status` (`ok`, `no_label`, `left_out`, `no_face`, `unreadable`,
`missing`); `reason` for any other status than `ok`.
"""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf.datasets.folds import SPLITS
from deepcoder_tf.datasets.prepared import prepared_content
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.squares import ANCHORS

__all__ = [
    "KIND",
    "ExpressionFrames",
    "ExpressionInfo",
    "expression_info",
    "images_file",
    "landmarks_file",
    "load_expressions",
    "samples_file",
]

LOG = logging.getLogger(__name__)

KIND = "expressions"
"""What `dataset.json` says of such a folder."""


@dataclass(frozen=True)
class ExpressionInfo:
    """What a prepared folder of expressions holds.

    Attributes:
      folder: where it is.
      source: the data set's name.
      expressions: the classes, in the order of the labels.
      size: side of the pictures, pixels.
      channels: 1 grey or 3 red, green, blue.
      align: how they were cut: `"dlib"`, `"box"` or `"none"`.
      anchors: where the two eyes' centres and the base of the nose lie in them, (x, y) as shares of
        the side: what a face to be predicted is brought to.
      has_landmarks: whether landmarks are stored.
      counts: split -> expression (and `none`) -> stored pictures.
      statuses: status -> rows of `frames.csv`.
      reasons: reason -> rows of `frames.csv` that were left out or have no class.
      settings: what the preparation was told.
    """

    folder: Path
    source: str
    expressions: tuple[str, ...]
    size: int
    channels: int
    align: str
    anchors: tuple[tuple[float, float], ...]
    has_landmarks: bool
    counts: dict[str, dict[str, int]]
    statuses: dict[str, int]
    reasons: dict[str, int]
    settings: dict[str, Any]


class ExpressionFrames(NamedTuple):
    """Pictures of expressions, row by row; those of one split lie together.

    Attributes:
      images: `[N, S, S, C]` uint8, grey or red, green, blue; a memory map.
      labels: `[N]` int32 index into `EXPRESSIONS`, -1 for none.
      votes: `[N, 8]` float32, the annotators' votes for the classes without those that stand alone,
        as shares; where the data set has no votes, 1 for the class; zeros without any.
      subjects: `[N]` names, empty where not known.
      splits: `[N]` `"train"`, `"validation"` or `"test"`.
      rows: `[N]` int64 rows of `frames.csv`, from 0.
      landmarks: `[N, 49, 2]` float32, x and y in pixels of the stored picture, NaN where no face
        was found; None where they were not asked for.
      annotations: `[N, 10]` uint8, how many annotators chose each class, unknown and not-a-face;
        None where the data set has no votes.
    """

    images: np.ndarray
    labels: np.ndarray
    votes: np.ndarray
    subjects: np.ndarray
    splits: np.ndarray
    rows: np.ndarray
    landmarks: np.ndarray | None = None
    annotations: np.ndarray | None = None

    def of(self, split: str) -> ExpressionFrames:
        """One split; the pictures stay on disk.

        Raises:
          ValueError: an unknown split.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
        found = np.flatnonzero(self.splits == split)
        if len(found) and found[-1] - found[0] + 1 == len(found):
            return self.take(slice(int(found[0]), int(found[-1]) + 1))
        return self.take(found)

    def take(self, index: np.ndarray | slice) -> ExpressionFrames:
        """Some rows: copied into memory for an array of numbers, a view for a slice."""
        parts: dict[str, Any] = {
            name: None if part is None else part[index] for name, part in self._asdict().items()
        }
        return self._replace(**parts)


def images_file(folder: Path) -> Path:
    """`images.npy`."""
    return folder / "images.npy"


def samples_file(folder: Path) -> Path:
    """`samples.npz`."""
    return folder / "samples.npz"


def landmarks_file(folder: Path) -> Path:
    """`landmarks.npy`."""
    return folder / "landmarks.npy"


def expression_info(prepared: str | Path) -> ExpressionInfo:
    """Reads `dataset.json` of a prepared folder of expressions.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.

    Returns:
      What it holds.

    Raises:
      UserError: it is no such folder, not finished, of another kind or version, or damaged.
    """
    folder = Path(prepared)
    content = prepared_content(folder, KIND)
    path = folder / "dataset.json"
    try:
        info = ExpressionInfo(
            folder=folder,
            source=content["source"],
            expressions=tuple(content["expressions"]),
            size=int(content["size"]),
            channels=int(content["channels"]),
            align=content["align"],
            anchors=anchors_of(content, path),
            has_landmarks=bool(content["has_landmarks"]),
            counts=content["counts"],
            statuses=content["statuses"],
            reasons=content["reasons"],
            settings=content["settings"],
        )
        total = sum(sum(of_split.values()) for of_split in info.counts.values())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error!r}); prepare the folder again") from error
    if info.expressions != EXPRESSIONS:
        raise UserError(f"{path}: holds other classes than {', '.join(EXPRESSIONS)}; prepare again")
    if total < 1:
        raise UserError(f"{path}: damaged (no picture); prepare the folder again")
    return info


def anchors_of(content: dict[str, Any], path: Path) -> tuple[tuple[float, float], ...]:
    """The anchors of a folder; those of `--align=dlib` where it was prepared before they were told.

    Raises:
      ValueError: not three places.
    """
    if "anchors" not in content and content["align"] != "dlib":
        LOG.warning(
            "warning: %s does not say where eyes and nose lie in its pictures (an older "
            "deepcoder-prepare wrote it): faces to predict will be cut as --align=dlib cuts them; "
            "prepare the folder again",
            path,
        )
    places = np.asarray(content.get("anchors", ANCHORS), np.float64)
    if places.shape != ANCHORS.shape or not np.isfinite(places).all():
        raise ValueError(f"anchors {places.tolist()} are not 3 places (x, y)")
    return tuple((float(x), float(y)) for x, y in places)


def load_expressions(prepared: str | Path) -> ExpressionFrames:
    """The pictures of a prepared folder, memory mapped, with their labels.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.

    Returns:
      All splits; see `ExpressionFrames.of`.

    Raises:
      UserError: it is no such folder, or one of its files is damaged.
    """
    info = expression_info(prepared)
    images = read_array(images_file(info.folder))
    path = samples_file(info.folder)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = {name: arrays[name] for name in arrays.files}
        frames = ExpressionFrames(
            images,
            parts["labels"],
            parts["votes"],
            parts["subjects"],
            parts["splits"],
            parts["rows"],
            read_array(landmarks_file(info.folder)) if info.has_landmarks else None,
            parts["annotations"] if len(parts["annotations"]) else None,
        )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); prepare the folder again") from error
    check(info, frames)
    return frames


def read_array(path: Path) -> np.ndarray:
    """A memory map of a NumPy file."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); prepare the folder again") from error


def check(info: ExpressionInfo, frames: ExpressionFrames) -> None:
    """Makes sure that the files belong together."""
    total = sum(sum(of_split.values()) for of_split in info.counts.values())
    wanted = {
        "images": ((total, info.size, info.size, info.channels), np.uint8),
        "labels": ((total,), np.int32),
        "votes": ((total, len(EXPRESSIONS)), np.float32),
        "rows": ((total,), np.int64),
        "landmarks": ((total, 49, 2), np.float32),
        "annotations": ((total, len(EXPRESSIONS) + 2), np.uint8),
    }
    for name, (shape, kind) in wanted.items():
        part = getattr(frames, name)
        if part is not None and (part.shape != shape or part.dtype != kind):
            raise UserError(
                f"{info.folder}: {name} are {part.dtype} {part.shape} and should be "
                f"{np.dtype(kind)} {shape}; prepare the folder again"
            )
    for name in ("subjects", "splits"):
        if getattr(frames, name).shape != (total,):
            raise UserError(f"{info.folder}: {name} do not fit; prepare the folder again")
    if frames.labels.min() < -1 or frames.labels.max() >= len(EXPRESSIONS):
        raise UserError(
            f"{info.folder}: a label lies outside -1..{len(EXPRESSIONS) - 1}; prepare it again"
        )
