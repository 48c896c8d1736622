"""The pictures of an evaluation of expressions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from deepcoder_tf.datasets.expressions.store import ExpressionFrames
from deepcoder_tf.evaluation import figures
from deepcoder_tf.evaluation.expression_metrics import (
    NO_CLASS,
    ExpressionMetrics,
    top_label_reliability,
)
from deepcoder_tf.evaluation.similarity import Similarity
from deepcoder_tf.experiment.reading_expressions import Told, pictures_of
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.training.expression_run import ExpressionRun

__all__ = ["draw_expressions", "swap_pairs"]

SHOWN = 8
"""Columns of faces."""


def draw_expressions(
    folder: Path,
    model: ExpressionSystem,
    run: ExpressionRun,
    frames: ExpressionFrames,
    told: Told,
    metrics: ExpressionMetrics,
    similar: dict[str, Similarity],
) -> None:
    """Writes every picture of an evaluation.

    Args:
      folder: for the pictures.
      model: that was measured.
      run: of the model.
      frames: of the split.
      told: what the model says of them.
      metrics: of the same.
      similar: by code.

    Raises:
      UserError: the operating system refused.
    """
    figures.label_confusion(folder / "confusion.png", metrics.confusion, EXPRESSIONS)
    figures.pair_similarities(
        folder / "similarity.png",
        {name.replace("non_", "non-"): found for name, found in similar.items()},
    )
    table = top_label_reliability(frames.labels, told.probabilities)
    figures.reliability_diagram(
        folder / "reliability.png",
        {run.config.system: table},
        "Reliability of the most probable expression",
    )
    if isinstance(model, Disentangler) and model.decoder is not None:
        draw_reconstructions(folder / "reconstructions.png", model, frames)
        draw_swaps(folder / "swaps.png", model, frames, run.config.seed)


def draw_reconstructions(path: Path, model: Disentangler, frames: ExpressionFrames) -> None:
    """Faces of the split and what is decoded from both of their codes."""
    rows = np.unique(np.linspace(0, len(frames.labels) - 1, SHOWN).astype(int))
    pictures = tf.constant(pictures_of(model, frames, rows))
    figures.face_grid(
        path,
        {"x": shown(pictures), "x′, decoded": shown(model.reconstruct(pictures))},
        [name_of(label) for label in frames.labels[rows].tolist()],
    )


def draw_swaps(path: Path, model: Disentangler, frames: ExpressionFrames, seed: int) -> None:
    """The grid of Fig. 2: two faces, their reconstructions, and both with the other's expression.

    Without two labelled pictures of the split there is nothing to swap, and no file.
    """
    first, second = swap_pairs(frames.labels, frames.subjects, SHOWN, seed)
    if not len(first):
        return
    x1, x2 = (tf.constant(pictures_of(model, frames, rows)) for rows in (first, second))
    swapped1, swapped2 = model.swap(x1, x2)
    rows = {
        "x₁": x1,
        "x₂": x2,
        "x₁′, decoded": model.reconstruct(x1),
        "x₂′, decoded": model.reconstruct(x2),
        "x₁″, the face of x₁,\nexpression of x₂": swapped1,
        "x₂″, the face of x₂,\nexpression of x₁": swapped2,
    }
    titles = [
        f"{name_of(a)},\n{name_of(b)}"
        for a, b in zip(frames.labels[first].tolist(), frames.labels[second].tolist(), strict=True)
    ]
    figures.face_grid(path, {name: shown(row) for name, row in rows.items()}, titles)


def swap_pairs(
    labels: np.ndarray, subjects: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pictures to exchange expressions between.

    Of one person with two expressions where there are such people, each as often as the others;
    otherwise any two pictures of different expressions.

    Args:
      labels: `[N]` classes, -1 = none.
      subjects: `[N]` names, empty where not known.
      count: pairs at most; no pair comes twice.
      seed: of the draw.

    Returns:
      Rows of the first and of the second pictures; none where the split has one expression only.
    """
    rng = np.random.default_rng([seed, 6])
    known = labels != NO_CLASS
    names = rng.permutation(np.unique(subjects[known & (subjects != "")]))
    groups = [np.flatnonzero(known & (subjects == name)) for name in names]
    groups = [rows for rows in groups if len(np.unique(labels[rows])) > 1]
    groups = groups or [np.flatnonzero(known)]
    if len(np.unique(labels[groups[0]])) < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    pairs: list[tuple[int, int]] = []
    for number in range(4 * count):
        rows = groups[number % len(groups)]
        classes = rng.choice(np.unique(labels[rows]), 2, replace=False)
        a, b = (int(rng.choice(rows[labels[rows] == k])) for k in classes)
        if len(pairs) < count and (a, b) not in pairs and (b, a) not in pairs:
            pairs.append((a, b))
    first, second = np.array(pairs, np.int64).T
    return first, second


def name_of(label: int) -> str:
    """An expression's name; a dash for none."""
    return "-" if label == NO_CLASS else EXPRESSIONS[label]


def shown(pictures: tf.Tensor) -> np.ndarray:
    """Pictures in -1..1 as they are drawn, 0..1."""
    return 0.5 * (np.asarray(pictures) + 1)
