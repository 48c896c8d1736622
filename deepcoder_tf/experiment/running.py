"""Training: from a prepared folder and a configuration to a run's folder."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.config import FEATURE_SYSTEMS, Config
from deepcoder_tf.datasets.prepared import Index, dataset_info, load_index, mean_shape_of
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.expression_running import train_recogniser
from deepcoder_tf.experiment.frames import choose_subset, load_frames, select, used_labels
from deepcoder_tf.experiment.monitor import Monitor
from deepcoder_tf.experiment.versions import library_versions
from deepcoder_tf.experiment.watching import Watch
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.feature_system import FeatureSystem
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.models.vgg16 import weights_source
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.training.registry import make_trainer
from deepcoder_tf.training.run import RunInfo, load_model, open_run
from deepcoder_tf.training.trainer import Progress

__all__ = ["train"]

log = logging.getLogger(__name__)

SAME_FOR_FEATURES = (
    "fold",
    "image_height",
    "image_width",
    "cnn_filters",
    "cnn_kernels",
    "cnn_pools",
    "cnn_features",
    "labelled_share",
)
"""Options that a run must share with the cnn whose features it sees."""


def train(data_dir: Path, model_dir: Path, config: Config | RecogniserConfig) -> Progress:
    """Trains what a configuration describes, or goes on with a killed run.

    Args:
      data_dir: folder that `deepcoder-prepare` wrote, of the kind that the system wants.
      model_dir: of the run; made if it does not exist.
      config: every option; of its type is the system.

    Returns:
      How far it came and why it ended.

    Raises:
      UserError: as `train_system` and `train_recogniser`.
    """
    if isinstance(config, RecogniserConfig):
        return train_recogniser(data_dir, model_dir, config)
    return train_system(data_dir, model_dir, config)


def train_system(data_dir: Path, model_dir: Path, config: Config) -> Progress:
    """Trains a system on one fold of a prepared folder, or goes on with a killed run.

    Args:
      data_dir: folder that `deepcoder-prepare` wrote.
      model_dir: of the run; made if it does not exist.
      config: every option.

    Returns:
      How far it came and why it ended.

    Raises:
      UserError: the data cannot be used, the folder holds another run, a term is not finite, or
        the disk is full.
    """
    if config.system == "vgg16":
        weights_source(config)  # before images are made for nothing
    info = dataset_info(data_dir)
    fold = info.fold(config.fold)
    index = {split: load_index(data_dir, config.fold, split) for split in ("train", "validation")}
    check_trainable(data_dir, index, info.action_units)
    extractor = trained_extractor(data_dir, model_dir, config)
    tf.keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    labels, rows = used_labels(index["train"], config)
    chosen = choose_subset(labels[rows], index["train"].subjects[rows], config)
    run = RunInfo(
        config=config,
        action_units=info.action_units,
        mean_shape=mean_shape_of(data_dir, config.fold).tolist(),
        points=len(chosen),
        source=info.source,
        subjects={split: list(fold.subjects(split)) for split in ("train", "validation", "test")},
        versions=library_versions(),
    )
    open_run(model_dir, run)
    model = build_system(config, len(info.action_units), len(chosen))
    if extractor is not None:
        take_over(model, extractor, run)
    frames = select(
        load_frames(model, data_dir, model_dir, config.fold, "train", index["train"]), labels, rows
    )
    validation = load_frames(
        model, data_dir, model_dir, config.fold, "validation", index["validation"]
    )
    watch = (
        Monitor(model, frames.take(chosen), validation, model_dir, run, frames)
        if isinstance(model, DeepCoder)
        else Watch(model, validation, model_dir, run)
    )
    progress = make_trainer(model, frames, chosen, model_dir, watch.validate, watch.report).fit()
    watch.finish()
    log.info(
        "%s: %s; iteration %d is kept (validation %s %.3f)",
        model_dir,
        progress.finished,
        progress.best_iteration,
        config.selection,
        progress.best_score,
    )
    return progress


def trained_extractor(data_dir: Path, model_dir: Path, config: Config) -> Path | None:
    """The run of the cnn whose last layer a system of deep features sees; trained where needed."""
    if config.system not in FEATURE_SYSTEMS or config.features != "deep":
        return None
    if config.features_from:
        return Path(config.features_from)
    folder = model_dir / "cnn"
    log.info("%s: the cnn comes first, its last layer gives the features", folder)
    train_system(data_dir, folder, dataclasses.replace(config, system="cnn"))
    return folder


def take_over(model: FeatureSystem, folder: Path, mine: RunInfo) -> None:
    """Gives a system of deep features the weights of a trained cnn.

    Raises:
      UserError: no trained cnn is there, or one that saw other subjects or labels, or of other
        sizes.
    """
    cnn, theirs = load_model(folder)
    if theirs.config.system != "cnn":
        raise UserError(f"--features_from={folder}: holds a {theirs.config.system}, wanted a cnn")
    seed = ("seed",) if mine.config.labelled_share < 1 else ()
    for name in (*SAME_FOR_FEATURES, *seed):
        wanted, found = getattr(mine.config, name), getattr(theirs.config, name)
        if wanted != found:
            raise UserError(
                f"--features_from={folder}: trained with --{name}={found}, this run has {wanted}"
            )
    for name in ("source", "subjects", "action_units"):
        if getattr(mine, name) != getattr(theirs, name):
            raise UserError(
                f"--features_from={folder}: trained on other data ({name} differs), whose labels "
                "may be those of test subjects here; train the cnn on this folder and fold"
            )
    model.extractor.set_weights(cnn.trunk.get_weights())


def check_trainable(data_dir: Path, index: dict[str, Index], action_units: tuple[str, ...]) -> None:
    """Raises `UserError` where a split has no frame, or nothing that could be learnt."""
    for split, part in index.items():
        if not np.any(part.labels != MISSING):
            raise UserError(
                f"{data_dir}: the {split} split has no labelled frame with a face in it; "
                "look at the status column of frames.csv"
            )
    for column, name in enumerate(action_units):
        if not np.any(index["train"].labels[:, column] > 0):
            log.warning("%s: %s is never active in the training frames", data_dir, name)
