"""Landmarks of a split's crops, registered as their crops are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from deepcoder_tf.datasets.prepared import STATUSES_WITH_CROP, dataset_info, mean_shape_of
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.faces.registration import register

__all__ = ["load_landmarks"]


def load_landmarks(prepared: str | Path, fold: int, split: str) -> np.ndarray:
    """The 49 landmarks of every crop of one split.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.
      fold: number of the fold, from 0.
      split: `"train"`, `"validation"` or `"test"`.

    Returns:
      `[N, 49, 2]` float32, x and y in crop pixels, in the order of `prepared.load_index`.

    Raises:
      UserError: no such folder or fold, or a file of it is damaged.
      ValueError: an unknown split.
    """
    info = dataset_info(prepared)
    recordings = info.recordings_of(fold, split)
    mean_shape = mean_shape_of(prepared, fold)
    parts = [np.empty((0, *mean_shape.shape), np.float32)]
    for recording in recordings:
        path = info.landmarks(recording)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = np.isin(arrays["status"], STATUSES_WITH_CROP)
                shapes, numbers = arrays["landmarks"][found][:, INNER_49], arrays["numbers"][found]
            broken = np.flatnonzero(~np.isfinite(shapes).all(axis=(1, 2)))
            if len(broken):
                raise ValueError(f"landmarks of frame {numbers[broken[0]]} are not finite")
            parts.append(register(shapes, mean_shape))
        except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: cannot be read ({error}); prepare it again") from error
    return np.concatenate(parts)
