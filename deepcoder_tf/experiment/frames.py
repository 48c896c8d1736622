"""The frames that a run trains on: which labels are used, which frames a GP owns, their images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.config import STACKS, Config
from deepcoder_tf.datasets.landmarks import load_landmarks
from deepcoder_tf.datasets.prepared import Index
from deepcoder_tf.datasets.records import read_fold
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.system import System
from deepcoder_tf.preprocessing.scale import to_uint8
from deepcoder_tf.training.balance import subset
from deepcoder_tf.training.data import Frames, RowView, open_store, write_store

__all__ = ["choose_subset", "load_frames", "select", "used_labels"]

BATCH = 64
"""Crops turned into images at a time."""

OWNS_POINTS = ("vogpae", "gp")
"""Systems of features whose Gaussian process is trained on X_L."""


def used_labels(index: Index, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Plays the case of few labelled and many unlabelled frames (`--labelled_share`).

    The frames that keep their labels are drawn subject by subject from the seed alone, so that all
    systems learn from the same ones.

    Args:
      index: of the training split.
      config: every option.

    Returns:
      Labels `[N, Q]` int32, -1 where they are not used, and the rows `[n]` of the frames that are
      trained on: all, or the labelled ones where `unlabelled` is 0.
    """
    labels = index.labels.astype(np.int32)
    if config.labelled_share < 1:
        rng = np.random.default_rng([config.seed, 2])
        kept = np.zeros(len(labels), bool)
        for subject in np.unique(index.subjects):
            rows = np.flatnonzero((index.subjects == subject) & np.any(labels != MISSING, axis=1))
            count = min(len(rows), max(1, round(config.labelled_share * len(rows))))
            kept[rng.choice(rows, count, replace=False)] = True
        labels[~kept] = MISSING
    rows = np.arange(len(labels))
    return labels, rows if config.unlabelled else rows[np.any(labels != MISSING, axis=1)]


def choose_subset(labels: np.ndarray, subjects: np.ndarray, config: Config) -> np.ndarray:
    """X_L: rows of labelled training frames, balanced in subjects and levels.

    With `gp=sparse` they are the anchors of the GP encoder, and nothing is kept from them: the
    coders train on all frames.

    Args:
      labels: `[N, Q]`, -1 where missing.
      subjects: `[N]` names.
      config: every option.

    Returns:
      Sorted rows; none where no Gaussian process owns frames.
    """
    stack = config.system in STACKS and config.stack[-1].kind == "gp"
    if not stack and config.system not in OWNS_POINTS:
        return np.empty(0, np.int64)
    labelled = np.flatnonzero(np.any(labels != MISSING, axis=1))
    sparse = config.gp == "sparse" and config.system != "gp"
    # A stack leaves half of the labelled frames to its convolutional coder.
    split = stack and config.labelled_share == 1 and not config.overlap and not sparse
    most = config.gp_inducing if sparse else config.gp_points
    rows = subset(
        labels[labelled],
        subjects[labelled],
        min(most, max(2, len(labelled) // 2 if split else len(labelled))),
        np.random.default_rng([config.seed, 0]),
        config.balance_ess,
        config.balance,
    )
    return labelled[rows]


def load_frames(
    model: System, data_dir: Path, model_dir: Path, fold: int, split: str, index: Index
) -> Frames:
    """The frames of a split with their images at the model's size, made once per run.

    Args:
      model: whose input the images are made for.
      data_dir: folder that `deepcoder-prepare` wrote.
      model_dir: of the run; the images are kept in its `cache`.
      fold: subject fold.
      split: `train`, `validation` or `test`.
      index: of the split.

    Returns:
      The frames, images memory mapped.

    Raises:
      UserError: the data cannot be read, or the disk is full.
    """
    shape = (model.config.image_height, model.config.image_width)
    path = model_dir / "cache" / f"{split}.npy"
    if not path.exists():
        write_store(path, small_images(model, data_dir, fold, split), len(index.rows), shape)
    landmarks = load_landmarks(data_dir, fold, split) if model.needs_landmarks else None
    return Frames(
        open_store(path), index.labels.astype(np.int32), index.subjects, index.rows, landmarks
    )


def select(frames: Frames, labels: np.ndarray, rows: np.ndarray) -> Frames:
    """Some frames with other labels, their images left on disk.

    Args:
      frames: all of a split.
      labels: `[N, Q]` for all of them.
      rows: which are kept.
    """
    if len(rows) == len(frames.labels):
        return frames._replace(labels=labels)
    return Frames(
        cast("np.ndarray", RowView(frames.images, rows)),
        labels[rows],
        frames.subjects[rows],
        frames.rows[rows],
        None if frames.landmarks is None else frames.landmarks[rows],
    )


def small_images(model: System, data_dir: Path, fold: int, split: str) -> Iterator[np.ndarray]:
    """Equalised and resized images `[b, H, W, 1]` uint8, batch by batch."""
    to_image = graph_of(model.images)
    for batch in read_fold(data_dir, fold, split).batch(BATCH):
        images = to_image(batch["crop"])
        yield to_uint8(images).numpy()
