"""Prepared folders: their layout, and what can be read from them without TensorFlow.

PREPARED/settings.json                       written first: what a resumed run must match
PREPARED/landmarks/<subject>__<video>.npz    pass 1, per video: faces, landmarks, labels
PREPARED/fold<K>/mean_shape.json             mean shape of the fold's training subjects
PREPARED/fold<K>/<subject>__<video>.tfrecord pass 2, per video: registered crops
PREPARED/frames.csv                          one row for every frame of the input
PREPARED/dataset.json                        written last: the folder is complete

This is the layout of action units, `"kind": "action_units"` in `dataset.json`; `expressions.store`
has that of expressions.

Columns of `frames.csv`: `row` from 0; `file` relative to the data set; `subject`; `video`; `frame`
as numbered in the source; `timestamp` in seconds from the container; `faces` found; `choice`, which
of them, surest first, from 0; `score` of the detector; box `x,y,width,height` in pixels; `status`.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf.datasets.folds import Fold, check_disjoint
from deepcoder_tf.errors import UserError

__all__ = [
    "FORMAT",
    "KIND",
    "STATUSES_WITH_CROP",
    "Index",
    "PreparedInfo",
    "Recording",
    "dataset_info",
    "fold_folder",
    "landmarks_file",
    "load_fold",
    "load_index",
    "mean_shape_file",
    "mean_shape_of",
    "prepared_content",
    "prepared_kind",
    "shard_file",
]

FORMAT = 1
"""Version of the layout."""

KIND = "action_units"
"""What `dataset.json` says of such a folder; folders of before this entry say nothing."""

STATUSES_WITH_CROP = ("ok", "no_label")
"""`ok`: face found, something annotated; `no_label`: face found, nothing annotated. Without a crop:
`no_face`, `unreadable` (promised but not decodable), `missing` (a label without a picture)."""


@dataclass(frozen=True)
class Recording:
    """One video or picture sequence of a prepared folder.

    Attributes:
      subject: who is seen.
      video: name of the recording.
      name: stem of its files.
      frames: rows in `frames.csv`.
      crops: frames with a registered crop.
    """

    subject: str
    video: str
    name: str
    frames: int
    crops: int


@dataclass(frozen=True)
class PreparedInfo:
    """What a prepared folder holds.

    Attributes:
      folder: where it is.
      action_units: the columns of the labels.
      crop_shape: rows and columns of a crop, pixels.
      folds: the folds that can be used, by number.
      unusable: the reason why, by number, for those that cannot.
      recordings: in the order of `frames.csv`.
      source: the data set's name.
      seed: seed of the folds.
      settings: detector and reader settings.
    """

    folder: Path
    action_units: tuple[str, ...]
    crop_shape: tuple[int, int]
    folds: dict[int, Fold]
    unusable: dict[int, str]
    recordings: tuple[Recording, ...]
    source: str
    seed: int
    settings: dict[str, Any]

    def fold(self, number: int) -> Fold:
        """One fold.

        Raises:
          UserError: there is no such fold, or it cannot be used; names those that can.
        """
        if number in self.folds:
            return self.folds[number]
        usable = f"choose from {', '.join(map(str, sorted(self.folds)))}"
        if number in self.unusable:
            raise UserError(
                f"--fold={number} of {self.folder} cannot be used: {self.unusable[number]}; "
                f"{usable}"
            )
        raise UserError(f"--fold={number}: {self.folder} has no such fold; {usable}")

    def recordings_of(self, number: int, split: str) -> list[Recording]:
        """Recordings of one side of a fold, in the order of `frames.csv`."""
        subjects = set(self.fold(number).subjects(split))
        return [recording for recording in self.recordings if recording.subject in subjects]

    def landmarks(self, recording: Recording) -> Path:
        """The recording's file of pass 1."""
        return landmarks_file(self.folder, recording.name)

    def shard(self, number: int, recording: Recording) -> Path:
        """The recording's TFRecord file in one fold."""
        return shard_file(self.folder, number, recording.name)


def landmarks_file(folder: Path, name: str) -> Path:
    """`landmarks/<name>.npz`."""
    return folder / "landmarks" / f"{name}.npz"


def fold_folder(folder: Path, number: int) -> Path:
    """`fold<K>`."""
    return folder / f"fold{number}"


def shard_file(folder: Path, number: int, name: str) -> Path:
    """`fold<K>/<name>.tfrecord`."""
    return fold_folder(folder, number) / f"{name}.tfrecord"


def mean_shape_file(folder: Path, number: int) -> Path:
    """`fold<K>/mean_shape.json`."""
    return fold_folder(folder, number) / "mean_shape.json"


def dataset_info(prepared: str | Path) -> PreparedInfo:
    """Reads `dataset.json`.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.

    Returns:
      What it holds.

    Raises:
      UserError: it is no such folder, not finished, of another version, or damaged.
    """
    folder = Path(prepared)
    path = folder / "dataset.json"
    content = prepared_content(folder, KIND)
    try:
        info = PreparedInfo(
            folder=folder,
            action_units=tuple(content["action_units"]),
            crop_shape=(int(content["crop_shape"][0]), int(content["crop_shape"][1])),
            folds={
                int(number): Fold(*(tuple(fold[s]) for s in ("train", "validation", "test")))
                for number, fold in content["folds"].items()
            },
            unusable={int(number): why for number, why in content["unusable"].items()},
            recordings=tuple(Recording(**recording) for recording in content["recordings"]),
            source=content["source"],
            seed=content["seed"],
            settings=content["settings"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error!r}); prepare the folder again") from error
    for number, fold in info.folds.items():
        check_disjoint(fold, f"{path}: fold {number}")
    return info


def prepared_kind(prepared: str | Path) -> str:
    """What a prepared folder is about.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.

    Returns:
      `"action_units"` or `"expressions"`.

    Raises:
      UserError: it is no such folder, not finished, of another version, or damaged.
    """
    folder = Path(prepared)
    path = folder / "dataset.json"
    if not path.is_file():
        if (folder / "settings.json").is_file():
            raise UserError(
                f"{folder}: the preparation is not finished; run the same deepcoder-prepare again"
            )
        raise UserError(f"{folder}: no prepared folder (no dataset.json); run deepcoder-prepare")
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise UserError(
                f"{path}: format {content['format']}, this version reads {FORMAT}; prepare it again"
            )
        return str(content.get("kind", KIND))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error!r}); prepare the folder again") from error


def prepared_content(folder: Path, kind: str) -> dict[str, Any]:
    """`dataset.json` of a folder of the wanted kind.

    Args:
      folder: that `deepcoder-prepare` wrote.
      kind: `"action_units"` or `"expressions"`.

    Returns:
      What it says, unchecked beyond kind and version.

    Raises:
      UserError: as `prepared_kind`, or the folder is of another kind.
    """
    found = prepared_kind(folder)
    if found != kind:
        raise UserError(
            f"{folder}: was prepared for {found.replace('_', ' ')}, not for "
            f"{kind.replace('_', ' ')}; choose another system or another prepared folder"
        )
    return read_json(folder / "dataset.json")


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error!r}); prepare the folder again") from error


def load_fold(prepared: str | Path, fold: int) -> Fold:
    """Subjects of one fold of a prepared folder.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.
      fold: number of the fold, from 0.

    Returns:
      Its subjects.

    Raises:
      UserError: no such folder, no such fold, or one without test subjects.
    """
    return dataset_info(prepared).fold(fold)


def mean_shape_of(prepared: str | Path, fold: int) -> np.ndarray:
    """The mean shape to which the crops of one fold are registered.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.
      fold: number of the fold, from 0.

    Returns:
      `[49, 2]` float64, x and y in crop pixels.

    Raises:
      UserError: no such folder or fold, or the file is damaged.
    """
    info = dataset_info(prepared)
    info.fold(fold)
    path = mean_shape_file(info.folder, fold)
    try:
        shape = np.array(json.loads(path.read_text(encoding="utf-8"))["mean_shape"], np.float64)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}); prepare the folder again") from error
    return shape


class Index(NamedTuple):
    """The crops of one split in the order of `records.read_fold`, without their pixels.

    Attributes:
      labels: `[N, Q]` int8, -1 where missing.
      subjects: `[N]` str.
      videos: `[N]` str.
      frames: `[N]` int64, frame numbers as in the source.
      rows: `[N]` int64, rows of `frames.csv`, from 0.
    """

    labels: np.ndarray
    subjects: np.ndarray
    videos: np.ndarray
    frames: np.ndarray
    rows: np.ndarray


def load_index(prepared: str | Path, fold: int, split: str) -> Index:
    """Labels and identities of one split, without its crops.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.
      fold: number of the fold, from 0.
      split: `"train"`, `"validation"` or `"test"`.

    Returns:
      Arrays in the order of `records.read_fold`.

    Raises:
      UserError: no such folder or fold, or a file of it is damaged.
      ValueError: an unknown split.
    """
    info = dataset_info(prepared)
    wanted = info.recordings_of(fold, split)
    starts = np.cumsum([0, *(recording.frames for recording in info.recordings)])
    start_of = {r.name: int(s) for r, s in zip(info.recordings, starts[:-1], strict=True)}
    parts: list[Index] = []
    for recording in wanted:
        path = info.landmarks(recording)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                status, labels, numbers = arrays["status"], arrays["labels"], arrays["numbers"]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: cannot be read ({error}); prepare it again") from error
        at = np.flatnonzero(np.isin(status, STATUSES_WITH_CROP))
        parts.append(
            Index(
                labels=labels[at],
                subjects=np.full(len(at), recording.subject),
                videos=np.full(len(at), recording.video),
                frames=numbers[at],
                rows=at + start_of[recording.name],
            )
        )
    if not parts:
        return Index(
            np.empty((0, len(info.action_units)), np.int8),
            *(np.empty(0, kind) for kind in ("U1", "U1", np.int64, np.int64)),
        )
    return Index(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
