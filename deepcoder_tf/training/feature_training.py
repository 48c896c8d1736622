"""Trainers of the systems of features: the extractor is frozen, its features are computed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from deepcoder_tf import files
from deepcoder_tf.action_units import MISSING
from deepcoder_tf.errors import UserError
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.feature_system import Extractor, FeatureSystem
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.trainer import Report, Trainer

__all__ = ["FeatureTrainer"]

FEATURE_BATCH = 64
"""Frames whose features are computed at a time."""


class FeatureTrainer(Trainer):
    """Trains the head of a system of features on the labelled frames.

    The features are computed when they are first asked for, hence with the weights that the
    extractor has then, and kept in the run's cache under a name that follows from these weights:
    a resumed run finds them again, and never those of another extractor.

    Args:
      model: the system, built; its extractor is not trained.
      frames: the training frames of all training subjects.
      subset: rows of X_L among `frames`, all of them labelled; empty where no GP owns points.
      folder: of the run.
      validate: see `Trainer`.
      report: see `Trainer`.
      optimizers: see `Trainer`.

    Attributes:
      features: `[N, F]` float32 memory map, of the N frames with at least one label.
      labels: `[N, Q]` int32, -1 where missing.
      subjects: `[N]` names.
      subset: rows of X_L among these N.

    Raises:
      UserError: there is no labelled frame; later, some features are not finite.
      ValueError: a row of `subset` has no label, or landmarks are needed and missing.
    """

    def __init__(
        self,
        model: FeatureSystem,
        frames: Frames,
        subset: np.ndarray,
        folder: Path,
        validate: Callable[..., dict[str, float]],
        report: Callable[[Report], None] = lambda report: None,
        optimizers: dict[str, keras.optimizers.Optimizer] | None = None,
    ) -> None:
        super().__init__(model, folder, validate, report, optimizers or {})
        self.system = model
        self.frames = frames
        self.rows = np.flatnonzero(np.any(frames.labels != MISSING, axis=1))
        if not len(self.rows):
            raise UserError(f"{folder}: no training frame has a label, there is nothing to learn")
        if not np.isin(subset, self.rows).all():
            raise ValueError("every frame of the subset must have a label")
        if model.needs_landmarks and frames.landmarks is None:
            raise ValueError(f"{type(model.extractor).__name__} needs the frames' landmarks")
        self.subset = np.searchsorted(self.rows, subset)
        self.labels = frames.labels[self.rows]
        self.subjects = frames.subjects[self.rows]

    @cached_property
    def features(self) -> np.ndarray:
        """Features of the labelled frames, `[N, F]` float32, memory mapped."""
        name = f"features-{fingerprint(self.system.extractor, self.rows)}.npy"
        path = self.folder / "cache" / name
        if not path.exists():
            self.write_features(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def write_features(self, path: Path) -> None:
        """Computes the features batch by batch; memory does not grow with the frames."""
        landmarks = self.frames.landmarks if self.system.needs_landmarks else None
        extract = graph_of(self._extract)
        shape = (len(self.rows), self.system.extractor.feature_dim)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        bad: list[int] = []
        # Written, not memory mapped: a full disk kills a process that writes through a map.
        with files.replacing(path, "wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            starts = range(0, len(self.rows), FEATURE_BATCH)
            for start in tqdm(starts, desc="features", unit="batch"):
                rows = self.rows[start : start + FEATURE_BATCH]
                features = extract(
                    tf.constant(np.asarray(self.frames.images[rows])),
                    None if landmarks is None else tf.constant(landmarks[rows], tf.float32),
                ).numpy()
                bad.extend(rows[~np.isfinite(features).all(axis=1)])
                stream.write(features.astype("<f4").tobytes())
            if bad:
                extractor = type(self.system.extractor).__name__
                raise UserError(
                    f"{self.folder}: features of {extractor} are not finite (NaN) in {len(bad)} of "
                    f"{len(self.rows)} labelled training frames, first in row "
                    f"{self.frames.rows[bad[0]]} of frames.csv; look at its landmarks there, or "
                    "train the extractor again"
                )

    def _extract(self, images: tf.Tensor, landmarks: tf.Tensor | None) -> tf.Tensor:
        return self.system.features(to_unit_range(images), landmarks)


def fingerprint(extractor: Extractor, rows: np.ndarray) -> str:
    """Tells features apart: by the extractor's kind, options and weights, and by the frames."""
    options = {**extractor.get_config(), "name": type(extractor).__name__}
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode())
    for weight in extractor.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).tobytes())
    digest.update(np.ascontiguousarray(rows, np.int64).tobytes())
    return digest.hexdigest()[:16]
