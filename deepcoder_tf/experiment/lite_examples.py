"""Prepared frames for the variants of a model: to take ranges from, and to measure the loss on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepcoder_tf.datasets.landmarks import load_landmarks
from deepcoder_tf.datasets.prepared import dataset_info, load_index
from deepcoder_tf.datasets.records import read_fold
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.metrics import icc31
from deepcoder_tf.experiment.evaluating import check_compatible
from deepcoder_tf.export.lite_parity import Faces, HeldOut
from deepcoder_tf.export.tflite import Examples
from deepcoder_tf.models.system import System
from deepcoder_tf.training.run import RunInfo

__all__ = ["lite_examples"]

REPRESENTATIVE = 200
"""Training frames, evenly spread, from which the ranges of int8 are taken."""

HELD_OUT = 1000
"""Validation frames, evenly spread, on which a variant is measured."""

BATCH = 64


def lite_examples(model: System, run: RunInfo, model_dir: Path, data_dir: Path) -> Examples:
    """Frames of the fold that a model was trained on.

    Args:
      model: whose frames are wanted.
      run: that trained it.
      model_dir: of the run, for errors.
      data_dir: folder that `deepcoder-prepare` wrote.

    Returns:
      Training frames, and frames of validation subjects with the mean ICC over the action units
      that are annotated in them.

    Raises:
      UserError: the model and the data do not belong together, or a split has no face.
    """
    fold = run.config.fold
    check_compatible(model_dir, run, data_dir, fold)
    info = dataset_info(data_dir)
    mixed = sorted(set(run.subjects["train"]) & set(info.fold(fold).subjects("validation")))
    if run.source == info.source and mixed:
        raise UserError(
            f"{data_dir}: {mixed[0]} is a validation subject of fold {fold}, but {model_dir} was "
            "trained on it; give the data that it was trained on"
        )
    train, _ = spread(model, data_dir, fold, "train", REPRESENTATIVE)
    validation, labels = spread(model, data_dir, fold, "validation", HELD_OUT)
    known = np.flatnonzero((labels >= 0).any(axis=0))
    if not len(known):
        raise UserError(f"{data_dir}: the validation subjects of fold {fold} have no labels")

    def score(intensity: np.ndarray) -> float:
        return float(np.mean([icc31(labels[:, q], intensity[:, q]) for q in known]))

    return Examples(train, HeldOut(validation, score))


def spread(
    model: System, data_dir: Path, fold: int, split: str, most: int
) -> tuple[Faces, np.ndarray]:
    """At most so many frames of a split, evenly spread, and their labels."""
    labels = load_index(data_dir, fold, split).labels
    if not len(labels):
        raise UserError(f"{data_dir}: the {split} split of fold {fold} has no frame with a face")
    rows = np.unique(np.linspace(0, len(labels) - 1, min(most, len(labels))).astype(np.int64))
    crops, start = [], 0
    for batch in read_fold(data_dir, fold, split).batch(BATCH):
        part = batch["crop"].numpy()
        crops.append(part[rows[(rows >= start) & (rows < start + len(part))] - start])
        start += len(part)
    points = load_landmarks(data_dir, fold, split)[rows] if model.needs_landmarks else None
    return Faces(np.concatenate(crops), points), labels[rows]
