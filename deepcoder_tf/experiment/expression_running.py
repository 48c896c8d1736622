"""Training of a recogniser: from a prepared folder of expressions to a run's folder."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.datasets.expressions.store import (
    ExpressionFrames,
    expression_info,
    load_expressions,
)
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.expression_watching import ExpressionWatch
from deepcoder_tf.experiment.versions import library_versions
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.models.expressions.registry import build_recogniser
from deepcoder_tf.models.expressions.system import trunk_weights
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.training.expression_run import ExpressionRun, open_expression_run
from deepcoder_tf.training.expression_training import ExpressionTrainer, TrainingPictures
from deepcoder_tf.training.trainer import Progress

__all__ = ["train_recogniser"]

log = logging.getLogger(__name__)


def train_recogniser(data_dir: Path, model_dir: Path, config: RecogniserConfig) -> Progress:
    """Trains a recogniser on a prepared folder, or goes on with a killed run.

    Args:
      data_dir: folder that `deepcoder-prepare` wrote, of expressions.
      model_dir: of the run; made if it does not exist.
      config: every option.

    Returns:
      How far it came and why it ended.

    Raises:
      UserError: the data cannot be used, weights that are needed are missing, the folder holds
        another run, a term is not finite, or the disk is full.
    """
    trunk_weights(config)  # before anything is made for nothing
    info = expression_info(data_dir)
    frames = load_expressions(data_dir)
    train, validation = frames.of("train"), frames.of("validation")
    check_trainable(data_dir, train, validation)
    names, identities = identities_of(train)
    if (config.beta_identity or config.beta_identity_adversary) and not names:
        raise UserError(
            f"--beta_identity and --beta_identity_adversary need subjects, and {data_dir} knows of "
            "none; give them in a manifest, or leave both at 0"
        )
    tf.keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    run = ExpressionRun(
        config=config,
        size=info.size,
        channels=info.channels,
        anchors=[list(map(float, point)) for point in info.anchors],
        source=info.source,
        identities=names,
        counts=info.counts,
        versions=library_versions(),
    )
    model = build_recogniser(config, info.size, info.channels, len(names))
    if model.needs_landmarks and train.landmarks is None:
        raise UserError(
            f"--system={config.system} needs landmarks, and {data_dir} has none; prepare the data "
            "with --store_landmarks"
        )
    open_expression_run(model_dir, run)
    watch = ExpressionWatch(model, validation, model_dir)
    pictures = TrainingPictures(
        train.images, train.labels, train.votes, identities, train.landmarks, train.annotations
    )
    trainer = ExpressionTrainer(model, pictures, model_dir, watch.validate, watch.report)
    progress = trainer.fit()
    log.info(
        "%s: %s; epoch %d is kept (validation %s %.3f)",
        model_dir,
        progress.finished,
        progress.best_iteration,
        config.selection,
        abs(progress.best_score or 0.0),
    )
    return progress


def identities_of(frames: ExpressionFrames) -> tuple[list[str], np.ndarray]:
    """The people in some pictures, by name, and each picture's place among them (-1: not known)."""
    names = sorted({str(name) for name in frames.subjects if name})
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place.get(str(name), MISSING) for name in frames.subjects], np.int32)


def check_trainable(data_dir: Path, train: ExpressionFrames, validation: ExpressionFrames) -> None:
    """Raises `UserError` where there is nothing to learn or to choose by."""
    for split, part in (("train", train), ("validation", validation)):
        if not np.any(part.labels != MISSING):
            raise UserError(
                f"{data_dir}: the {split} split has no picture with a class; look at the status "
                "column of frames.csv"
            )
    shown = np.bincount(train.labels[train.labels != MISSING], minlength=len(EXPRESSIONS))
    for name, count in zip(EXPRESSIONS, shown, strict=True):
        if not count:
            log.warning("%s: no training picture shows %s", data_dir, name)
