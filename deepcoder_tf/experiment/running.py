"""Training: from a prepared folder and a configuration to a run's folder."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.config import Config
from deepcoder_tf.datasets.prepared import Index, dataset_info, load_index, mean_shape_of
from deepcoder_tf.datasets.records import read_fold
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.monitor import Monitor
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.preprocessing.scale import to_uint8
from deepcoder_tf.training.balance import subset
from deepcoder_tf.training.data import Frames, open_store, write_store
from deepcoder_tf.training.loop import Algorithm1, Progress
from deepcoder_tf.training.run import RunInfo, open_run

__all__ = ["train"]

log = logging.getLogger(__name__)

BATCH = 64
"""Crops turned into images at a time."""

LIBRARIES = ("tensorflow", "tensorflow-probability", "keras", "numpy", "deepcoder-tf")


def train(data_dir: Path, model_dir: Path, config: Config) -> Progress:
    """Trains a stack of coders on one fold of a prepared folder, or goes on with a killed run.

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
    info = dataset_info(data_dir)
    fold = info.fold(config.fold)
    tf.keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    index = {split: load_index(data_dir, config.fold, split) for split in ("train", "validation")}
    check_trainable(data_dir, index, info.action_units)
    chosen = choose_subset(index["train"], config)
    run = RunInfo(
        config=config,
        action_units=info.action_units,
        mean_shape=mean_shape_of(data_dir, config.fold).tolist(),
        points=len(chosen),
        source=info.source,
        subjects={split: list(fold.subjects(split)) for split in ("train", "validation", "test")},
        versions={name: version_of(name) for name in LIBRARIES},
    )
    open_run(model_dir, run)
    model = DeepCoder(config, len(info.action_units), len(chosen))
    model.build()
    frames = {
        split: stored_frames(model, data_dir, model_dir, config.fold, split, index[split])
        for split in index
    }
    monitor = Monitor(model, frames["train"].take(chosen), frames["validation"], model_dir, run)
    algorithm = Algorithm1(
        model, frames["train"], chosen, model_dir, monitor.validate, monitor.report
    )
    progress = algorithm.fit()
    monitor.finish()
    log.info(
        "%s: %s; iteration %d is kept (validation %s %.3f)",
        model_dir,
        progress.finished,
        progress.best_iteration,
        config.selection,
        progress.best_score,
    )
    return progress


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


def choose_subset(index: Index, config: Config) -> np.ndarray:
    """X_L: rows of labelled training frames, balanced in subjects and levels."""
    if config.stack[-1].kind != "gp":
        return np.empty(0, np.int64)
    labelled = np.flatnonzero(np.any(index.labels != MISSING, axis=1))
    rows = subset(
        index.labels[labelled],
        index.subjects[labelled],
        min(config.gp_points, max(2, len(labelled) // 2)),
        np.random.default_rng([config.seed, 0]),
        config.balance_ess,
        config.balance,
    )
    return labelled[rows]


def stored_frames(
    model: DeepCoder, data_dir: Path, model_dir: Path, fold: int, split: str, index: Index
) -> Frames:
    """The frames of a split with their images at the model's size, made once per run."""
    shape = (model.config.image_height, model.config.image_width)
    path = model_dir / "cache" / f"{split}.npy"
    if not path.exists():
        write_store(path, small_images(model, data_dir, fold, split), len(index.rows), shape)
    return Frames(open_store(path), index.labels.astype(np.int32), index.subjects, index.rows)


def small_images(model: DeepCoder, data_dir: Path, fold: int, split: str) -> Iterator[np.ndarray]:
    """Equalised and resized images `[b, H, W, 1]` uint8, batch by batch."""
    to_image = tf.function(model.images, reduce_retracing=True)
    for batch in read_fold(data_dir, fold, split).batch(BATCH):
        images = to_image(batch["crop"])
        yield to_uint8(images).numpy()


def version_of(name: str) -> str:
    """A library's version, or an empty text."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
