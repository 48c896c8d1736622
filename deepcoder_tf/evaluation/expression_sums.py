"""Metrics of expressions as functions of sums, so that ten thousand resamples are a matrix product.

The metrics are those of `expression_metrics`, and the accuracy of the adversary beside them. What
is resampled are people, whose pictures resemble one another; a picture whose subject is not known
stands for itself. The same are drawn for every cell, so that differences are paired.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf.evaluation.bootstrap import draw_subjects
from deepcoder_tf.evaluation.expression_metrics import (
    PROBABILITY_FLOOR,
    TOP_LABEL_BINS,
    labelled_pictures,
)
from deepcoder_tf.expressions import EXPRESSIONS

__all__ = ["METRICS", "measure_sums", "resample", "sums_of", "unit_names", "units_of"]

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "log_loss",
    "calibration_error",
    "adversary_accuracy",
)
"""In the order of the last axis of `measure_sums`."""

CLASSES = len(EXPRESSIONS)

BLOCK = 500
"""Resamples at a time: a table of counts for all pictures would not fit into memory."""

Key = TypeVar("Key", bound=Hashable)


def units_of(labels: ArrayLike, subjects: ArrayLike) -> np.ndarray:
    """What is resampled: the number of the person, or of the picture, of each labelled picture.

    Args:
      labels: `[N]` classes, -1 = none.
      subjects: `[N]` names, empty where not known.

    Returns:
      `[M]` int64 from 0, for the M pictures with a class.
    """
    known = np.asarray(labels) >= 0
    names = [
        str(name) or f"\0{row}" for row, name in enumerate(np.asarray(subjects)[known].tolist())
    ]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def unit_names(labels: ArrayLike, subjects: ArrayLike) -> str:
    """What `units_of` resamples, in words."""
    named = np.asarray(subjects)[np.asarray(labels) >= 0] != ""
    if named.all():
        return "subjects"
    return "subjects, and pictures of unknown subjects" if named.any() else "pictures"


def sums_of(
    labels: ArrayLike, probabilities: ArrayLike, adversary: ArrayLike | None, units: np.ndarray
) -> np.ndarray:
    """Sums over the labelled pictures of each unit.

    Args:
      labels: `[N]` classes, -1 = none.
      probabilities: `[N, 8]`.
      adversary: `[N, 8]` probabilities that C_adv gives; None where there is no adversary.
      units: `[M]` of `units_of`.

    Returns:
      `[U, K]` float64.

    Raises:
      ValueError: as `measure_expressions`, also of the adversary.
    """
    P, y = labelled_pictures(labels, probabilities)
    one = np.eye(CLASSES)
    chosen, confidence = P.argmax(1), np.minimum(P.max(1), 1.0)
    right = chosen == y
    # Bins are closed at their upper ends, as in `top_label_reliability`.
    place = np.maximum(np.ceil(confidence * TOP_LABEL_BINS).astype(np.int64) - 1, 0)
    of_bin = np.eye(TOP_LABEL_BINS)[place]
    loss = -np.log(np.maximum(P[np.arange(len(y)), y], PROBABILITY_FLOOR))
    if adversary is None:
        fooled = np.full(len(y), np.nan)
    else:
        fooled = (labelled_pictures(labels, adversary)[0].argmax(1) == y).astype(np.float64)
    columns = [
        one[y],
        one[chosen],
        one[y] * right[:, None],
        of_bin,
        of_bin * confidence[:, None],
        of_bin * right[:, None],
        loss[:, None],
        fooled[:, None],
    ]
    pictures = np.concatenate(columns, axis=1)
    sums = np.zeros((int(units.max()) + 1, pictures.shape[1]))
    np.add.at(sums, units, pictures)
    return sums


def measure_sums(sums: np.ndarray) -> np.ndarray:
    """The metrics of pooled pictures.

    Args:
      sums: `[..., K]` of `sums_of`, added up over units.

    Returns:
      `[..., len(METRICS)]`; NaN for the adversary where there is none.
    """
    ends = np.cumsum([CLASSES] * 3 + [TOP_LABEL_BINS] * 3)
    of_class, predicted, right, count, confidence, correct, last = np.split(sums, ends, axis=-1)
    n = of_class.sum(-1)
    there = of_class > 0
    recall = right / np.where(there, of_class, 1)
    # 2 TP / (2 TP + FP + FN), of the classes that occur.
    f1 = 2 * right / np.where(there, of_class + predicted, 1) * there
    return np.stack(
        [
            right.sum(-1) / n,
            recall.sum(-1) / there.sum(-1),
            f1.sum(-1) / there.sum(-1),
            last[..., 0] / n,
            # Σ_b (count_b / n) |mean confidence_b − accuracy_b|
            np.abs(confidence - correct).sum(-1) / count.sum(-1),
            last[..., 1] / n,
        ],
        axis=-1,
    )


def resample(
    cells: Mapping[Key, np.ndarray], replicates: int, seed: int = 0
) -> dict[Key, np.ndarray] | None:
    """The metrics of every cell in the same resamples.

    Args:
      cells: `[U, K]` sums of each, of the same units.
      replicates: R, at least 1.
      seed: of the draw.

    Returns:
      `[R, len(METRICS)]` of each; None where one unit leaves nothing to resample.
    """
    units = {len(sums) for sums in cells.values()}
    assert len(units) == 1, "cells of different units"
    count = units.pop()
    if count < 2:
        return None
    found: dict[Key, list[np.ndarray]] = {key: [] for key in cells}
    for block, start in enumerate(range(0, replicates, BLOCK)):
        counts = draw_subjects(count, min(BLOCK, replicates - start), seed, block)
        for key, sums in cells.items():
            found[key].append(measure_sums(counts @ sums))
    return {key: np.concatenate(parts) for key, parts in found.items()}
