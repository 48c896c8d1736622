"""Fig. 2 of the second paper, measured: do swapped codes make the wanted face and expression?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.datasets.expressions.store import ExpressionFrames
from deepcoder_tf.evaluation.judges import judge_swaps, train_judge
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.system import ExpressionSystem

__all__ = ["can_swap", "measure_swaps", "swap_pairs"]

BATCH = 64

MOST_TRAINING = 4000
"""Training pictures that the judge of expressions learns from at most."""


class Halves(NamedTuple):
    """Rows of people with several pictures: those a judge learns from, and the others."""

    learnt: np.ndarray
    judged: np.ndarray


def can_swap(model: ExpressionSystem, frames: ExpressionFrames) -> bool:
    """Whether the model has a decoder and the pictures tell who they show."""
    return (
        isinstance(model, Disentangler)
        and model.decoder is not None
        and len(halves(frames).judged) > 1
    )


def halves(frames: ExpressionFrames) -> Halves:
    """Every second picture of each person and expression, and the rest."""
    learnt: list[int] = []
    judged: list[int] = []
    known = np.flatnonzero((frames.labels != MISSING) & (frames.subjects != ""))
    seen: dict[tuple[str, int], int] = {}
    for row in known:
        key = (str(frames.subjects[row]), int(frames.labels[row]))
        seen[key] = seen.get(key, -1) + 1
        (judged if seen[key] % 2 else learnt).append(int(row))
    return Halves(np.array(learnt, np.int64), np.array(judged, np.int64))


def swap_pairs(frames: ExpressionFrames, rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """For each row another of them, of another person with another expression.

    Args:
      frames: whose.
      rows: which.
      seed: of the draw.

    Returns:
      `[len(rows)]` rows; a row for which there is no such partner has itself.
    """
    rng = np.random.default_rng(seed)
    partners = rows.copy()
    for place, row in enumerate(rows):
        apart = (frames.subjects[rows] != frames.subjects[row]) & (
            frames.labels[rows] != frames.labels[row]
        )
        if apart.any():
            partners[place] = rng.choice(rows[apart])
    return partners


def measure_swaps(
    model: Disentangler, train: ExpressionFrames, frames: ExpressionFrames, seed: int = 0
) -> dict[str, Any]:
    """Swaps the expressions of people whom the model has not seen, and has judges look.

    The judge of expressions learns from training pictures, that of people from half of the
    pictures of the people in question; the other half is reconstructed and swapped.

    Args:
      model: with a decoder.
      train: training pictures.
      frames: pictures of a split, with subjects.
      seed: of pairs and judges.

    Returns:
      The rates of `judges.SwapRates`, what chance would give, and how many pictures.
    """
    own = halves(frames)
    show = graph_of(model.pictures)
    pictures = batched(lambda x: show(tf.constant(x)), frames.images, own.judged)
    partners = swap_pairs(frames, own.judged, seed)
    others = batched(lambda x: show(tf.constant(x)), frames.images, partners)
    rebuild = graph_of(model.reconstruct)
    swap = graph_of(lambda a, b: model.swap(a, b)[0])
    reconstructed = in_batches(rebuild, pictures)
    swapped = in_batches(swap, pictures, others)
    known = np.flatnonzero(train.labels != MISSING)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(known, min(len(known), MOST_TRAINING), replace=False))
    expression = train_judge(
        batched(lambda x: show(tf.constant(x)), train.images, chosen),
        train.labels[chosen],
        len(EXPRESSIONS),
        seed,
    )
    names, people = np.unique(frames.subjects, return_inverse=True)
    identity = train_judge(
        batched(lambda x: show(tf.constant(x)), frames.images, own.learnt),
        people[own.learnt],
        len(names),
        seed,
    )
    rates = judge_swaps(
        expression,
        identity,
        pictures,
        reconstructed,
        swapped,
        frames.labels[own.judged],
        frames.labels[partners],
        people[own.judged],
    )
    return {
        "pictures": len(own.judged),
        "people": len(np.unique(people[own.judged])),
        "chance_expression": float(np.bincount(frames.labels[partners]).max() / len(own.judged)),
        "chance_identity": float(np.bincount(people[own.judged]).max() / len(own.judged)),
        **rates._asdict(),
    }


def batched(
    function: Callable[[np.ndarray], tf.Tensor], images: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """A function of stored pictures, some at a time."""
    parts = [
        function(np.asarray(images[rows[start : start + BATCH]])).numpy()
        for start in range(0, len(rows), BATCH)
    ]
    return np.concatenate(parts)


def in_batches(function: Callable[..., tf.Tensor], *arrays: np.ndarray) -> np.ndarray:
    """A function of arrays, some rows at a time."""
    parts = [
        function(*(tf.constant(array[start : start + BATCH]) for array in arrays)).numpy()
        for start in range(0, len(arrays[0]), BATCH)
    ]
    return np.concatenate(parts)
