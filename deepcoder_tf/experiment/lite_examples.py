"""Prepared faces for the variants of a model: to take ranges from, and to measure the loss on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepcoder_tf.datasets.expressions.store import (
    ExpressionFrames,
    expression_info,
    load_expressions,
)
from deepcoder_tf.datasets.landmarks import load_landmarks
from deepcoder_tf.datasets.prepared import dataset_info, load_index
from deepcoder_tf.datasets.records import read_fold
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.expression_metrics import NO_CLASS
from deepcoder_tf.evaluation.metrics import icc31
from deepcoder_tf.experiment.evaluating import check_compatible
from deepcoder_tf.experiment.evaluating_expressions import check_fits, check_scored
from deepcoder_tf.export.lite_parity import Faces, HeldOut
from deepcoder_tf.export.tflite import Examples
from deepcoder_tf.face_model import EXPRESSIONS_KIND, KINDS
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.models.system import System
from deepcoder_tf.training.expression_run import ExpressionRun
from deepcoder_tf.training.run import RunInfo

__all__ = ["lite_examples", "lite_expressions"]

REPRESENTATIVE = 200
"""Training faces, evenly spread, from which the ranges of int8 are taken."""

HELD_OUT = 1000
"""Validation faces, evenly spread, on which a variant is measured."""

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
    rows = evenly(len(labels), most)
    crops, start = [], 0
    for batch in read_fold(data_dir, fold, split).batch(BATCH):
        part = batch["crop"].numpy()
        crops.append(part[rows[(rows >= start) & (rows < start + len(part))] - start])
        start += len(part)
    points = load_landmarks(data_dir, fold, split)[rows] if model.needs_landmarks else None
    return Faces(np.concatenate(crops), points), labels[rows]


def lite_expressions(
    model: ExpressionSystem, run: ExpressionRun, model_dir: Path, data_dir: Path
) -> Examples:
    """Pictures of expressions, prepared as those that a recogniser was trained on.

    Args:
      model: whose pictures are wanted.
      run: that trained it.
      model_dir: of the run, for errors.
      data_dir: folder of expressions that `deepcoder-prepare` wrote.

    Returns:
      Training pictures, and validation pictures that have a class, with accuracy on them.

    Raises:
      UserError: the model and the data do not belong together, there is no training picture, or no
        validation picture with a class.
    """
    info = expression_info(data_dir)
    check_fits(model_dir, model, info)
    everything = load_expressions(data_dir)
    train, validation = everything.of("train"), everything.of("validation")
    mixed = sorted(set(run.identities) & set(validation.subjects.tolist()))
    if run.source == info.source and mixed:
        raise UserError(
            f"{data_dir}: {mixed[0]} is a validation subject, but {model_dir} was trained on it; "
            "give the data that it was trained on"
        )
    if not len(train.labels):
        raise UserError(f"{data_dir}: the train split has no picture; prepare data that has one")
    check_scored(data_dir, validation, "validation")
    labelled = np.flatnonzero(validation.labels != NO_CLASS)
    held_out = validation.take(labelled[evenly(len(labelled), HELD_OUT)])
    ranges = train.take(evenly(len(train.labels), REPRESENTATIVE))

    def accuracy(probabilities: np.ndarray) -> float:
        return float(np.mean(probabilities.argmax(axis=-1) == held_out.labels))

    step = 1.0 / len(held_out.labels)
    return Examples(squares_of(model, ranges), HeldOut(squares_of(model, held_out), accuracy, step))


def squares_of(model: ExpressionSystem, frames: ExpressionFrames) -> Faces:
    """Pictures as a recogniser takes them."""
    points = frames.landmarks if model.needs_landmarks else None
    return Faces(frames.images, points, KINDS[EXPRESSIONS_KIND].faces)


def evenly(count: int, most: int) -> np.ndarray:
    """Places of at most so many of `count` things in a row, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))
