"""Fig. 4 and what a system confuses: label distribution, confusion matrices, reliability."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepcoder_tf.action_units import LEVELS, MISSING
from deepcoder_tf.datasets.prepared import load_index
from deepcoder_tf.evaluation import figures
from deepcoder_tf.evaluation.metrics import reliability
from deepcoder_tf.experiment.reporting.cells import AbsentError, BenchFolder
from deepcoder_tf.experiment.reporting.training import told
from deepcoder_tf.levels import mode

__all__ = ["confusion", "label_distribution", "reliability_by_unit"]

SPLITS = ("train", "validation", "test")

Draw = Callable[[BenchFolder, Path], str]


def label_distribution(data_dir: Path | None) -> Draw:
    """Fig. 4.

    Args:
      data_dir: the prepared folder of the bench; None to count the frames that were tested.

    Returns:
      What draws it.
    """

    def draw(bench: BenchFolder, path: Path) -> str:
        fold = min(bench.splits, default=0)
        if data_dir is None:
            labels = tested_labels(bench, fold)
            source = "the labels that the bench's test results carry"
        else:
            labels = {split: load_index(data_dir, fold, split).labels for split in SPLITS}
            source = "the prepared folder"
        counts = {
            split: {
                unit: np.bincount(y[y[:, q] != MISSING, q], minlength=LEVELS)
                for q, unit in enumerate(bench.action_units)
            }
            for split, y in labels.items()
        }
        figures.label_distribution(path, counts)
        absent = [s for s in SPLITS if s not in labels]
        note = f" No labels of {', '.join(absent)}: not all folds were tested." if absent else ""
        frames = ", ".join(f"{split} {len(y)}" for split, y in labels.items())
        return (
            f"How many frames of {bench.source or 'the data'} have each level of each action unit, "
            f"on a logarithmic axis, by split of fold {fold} (frames: {frames}); a level without a "
            f"frame has no mark. From {source}.{note}"
        )

    return draw


def tested_labels(bench: BenchFolder, fold: int) -> dict[str, np.ndarray]:
    """Labels `[n, Q]` of the splits whose subjects were all tested in some fold of the bench."""
    seen: dict[str, np.ndarray] = {}
    for cell in bench.cells:
        if not cell.reason and set(bench.splits.get(cell.fold, {}).get("test", [])) - seen.keys():
            found = cell.predictions
            for name in np.unique(found.subjects):
                seen.setdefault(str(name), found.labels[found.subjects == name])
    labels = {
        split: np.concatenate([seen[name] for name in subjects])
        for split, subjects in bench.splits.get(fold, {}).items()
        if subjects and all(name in seen for name in subjects)
    }
    if not labels:
        raise AbsentError("no test result to take labels from; give --data_dir")
    return {split: labels[split] for split in SPLITS if split in labels}


def confusion(variant: str) -> Draw:
    """Confusion matrices of one system."""

    def draw(bench: BenchFolder, path: Path) -> str:
        labels, probabilities, source = pooled(bench, variant)
        predicted = mode(probabilities)
        tables = {}
        for q, unit in enumerate(bench.action_units):
            kept = labels[:, q] != MISSING
            table = np.zeros((LEVELS, LEVELS), np.int64)
            np.add.at(table, (labels[kept, q], predicted[kept, q]), 1)
            tables[unit] = table
        figures.confusion_matrices(path, tables)
        return (
            "Annotated against most probable level on test subjects. The colour is the share of "
            f"the row, the number counts frames. From {source}."
        )

    return draw


def reliability_by_unit(variant: str) -> Draw:
    """Reliability diagrams of one system."""

    def draw(bench: BenchFolder, path: Path) -> str:
        labels, probabilities, source = pooled(bench, variant)
        tables = {
            unit: reliability(probabilities[:, q], labels[:, q])
            for q, unit in enumerate(bench.action_units)
            if np.any(labels[:, q] != MISSING)
        }
        figures.reliability_by_unit(path, tables)
        return (
            "How often “level s or more” was true (s = 1..5 pooled) where it was predicted with "
            "some probability, on test subjects; on the dashed line the probabilities hold. Bars: "
            "95 % Wilson intervals as if frames were independent, so rather too short. "
            f"From {source}."
        )

    return draw


def pooled(bench: BenchFolder, variant: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Labels and probabilities of each test frame once, and which cells they are of."""
    cells = bench.pooled(variant)
    if not cells:
        raise AbsentError("no finished cell")
    found = [cell.predictions for cell in cells]
    return (
        np.concatenate([one.labels for one in found]),
        np.concatenate([one.probabilities for one in found]),
        told(cells),
    )
