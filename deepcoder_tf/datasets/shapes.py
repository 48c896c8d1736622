"""The mean shape of each fold, from its training subjects alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from deepcoder_tf.datasets.analysis import Analysis
from deepcoder_tf.datasets.folds import Fold, no_fold_error
from deepcoder_tf.datasets.prepared import (
    STATUSES_WITH_CROP,
    fold_folder,
    mean_shape_file,
)
from deepcoder_tf.datasets.works import Work
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.faces.registration import CROP_SHAPE, mean_shape, place_in_crop
from deepcoder_tf.files import write_json

__all__ = ["mean_shapes"]

SHAPES_PER_SUBJECT = 1000
"""Frames of each training subject, evenly spread, that enter the mean shape."""


def mean_shapes(
    folder: Path,
    folds: dict[int, Fold],
    unusable: dict[int, str],
    works: list[Work],
    analyses: dict[str, Analysis],
    first_rows: dict[str, int],
) -> dict[int, np.ndarray]:
    """Computes and stores each fold's mean shape; notes folds that have none as unusable.

    Args:
      folder: the prepared folder.
      folds: the folds that can be used so far.
      unusable: gets a reason for every fold whose training subjects show no face.
      works: all recordings.
      analyses: what pass 1 found in each.
      first_rows: row of `frames.csv` at which each recording begins; stored beside the mean
        shape, since the crops hold it too.

    Returns:
      `[49, 2]` float64 in crop pixels for each usable fold.

    Raises:
      UserError: no fold has a face among its training subjects.
    """
    shapes = {}
    for number, fold in folds.items():
        found = training_shapes(fold, works, analyses)
        if not found:
            unusable[number] = (
                "no face was found in any frame of its training subjects (they must be upright, "
                "frontal and at least 80 pixels wide)"
            )
            continue
        shapes[number] = place_in_crop(mean_shape(list(found.values())))
        content = {
            "mean_shape": shapes[number].tolist(),
            "subjects": sorted(found),
            "crop_shape": list(CROP_SHAPE),
            "first_rows": first_rows,
        }
        store_mean_shape(folder, number, content)
    if not shapes:
        raise no_fold_error(unusable)
    return shapes


def store_mean_shape(folder: Path, number: int, content: dict[str, Any]) -> None:
    """Writes `mean_shape.json`; first drops shards that were cut by another mean shape."""
    path = mean_shape_file(folder, number)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = {}
    if stored != content:
        shutil.rmtree(fold_folder(folder, number), ignore_errors=True)
        write_json(path, content)


def training_shapes(
    fold: Fold, works: list[Work], analyses: dict[str, Analysis]
) -> dict[str, np.ndarray]:
    """Landmarks `[frames, 49, 2]` of each training subject that has a face, evenly spread."""
    by_subject: dict[str, list[np.ndarray]] = {}
    for work in works:
        if work.source.subject in fold.train:
            analysis = analyses[work.name]
            found = np.isin(analysis.status, STATUSES_WITH_CROP)
            by_subject.setdefault(work.source.subject, []).append(
                analysis.landmarks[found][:, INNER_49]
            )
    shapes = {name: np.concatenate(parts) for name, parts in by_subject.items()}
    return {name: spread(frames) for name, frames in shapes.items() if len(frames)}


def spread(frames: np.ndarray) -> np.ndarray:
    """At most `SHAPES_PER_SUBJECT` frames, evenly spread."""
    count = min(len(frames), SHAPES_PER_SUBJECT)
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
