"""Iterative balanced batches (Eq. 24-25): rare levels more often, every subject equally often.

Expressions, of which a picture has one or none, are balanced by `class_probabilities`.
"""

from __future__ import annotations

import logging

import numpy as np

from deepcoder_tf.action_units import LEVELS

__all__ = [
    "balanced_probabilities",
    "class_probabilities",
    "effective_sample_size",
    "log_frequency",
    "sample_epoch",
    "subset",
]

log = logging.getLogger(__name__)


def log_frequency(labels: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """log f(y_i) = sum over action units of log f_c(y_ic) (Eq. 24), missing labels skipped.

    Frequencies are smoothed by one imagined frame per level, so that an unseen level is rare
    instead of infinitely so.

    Args:
      labels: `[N, Q]`, -1 where missing.
      levels: L.

    Returns:
      `[N]` float64.
    """
    total = np.zeros(len(labels))
    for column in labels.T:
        seen = column[column >= 0]
        counts = np.bincount(seen, minlength=levels) + 1.0
        log_f = np.log(counts / counts.sum())
        total += np.where(column >= 0, log_f[np.maximum(column, 0)], 0.0)
    return total


def effective_sample_size(p: np.ndarray) -> float:
    """1 / sum p², the number of equally likely frames that would scatter as much."""
    return float(1.0 / np.sum(p**2))


def within_subjects(log_weights: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """Softmax inside each subject, subjects equally likely: `[N]` that sums to 1."""
    p = np.empty(len(log_weights))
    names, which = np.unique(subjects, return_inverse=True)
    for k in range(len(names)):
        rows = which == k
        w = np.exp(log_weights[rows] - log_weights[rows].max())
        p[rows] = w / w.sum() / len(names)
    return p


def balanced_probabilities(
    labels: np.ndarray, subjects: np.ndarray, kind: str = "ess", ess: float = 0.1
) -> np.ndarray:
    """How likely each frame is to be drawn.

    `ess`: p_i proportional to f_i^-tau inside each subject, subjects equally likely, with tau in
    [0, 1] found by bisection so that the effective sample size is `ess * N`.

    Differs from the paper: Eq. 25 as printed, exp(1/f), puts all its mass on one frame whenever
    labels are as skewed as action units are; it is kept as `kind="paper"` with a warning.

    Args:
      labels: `[N, Q]`, -1 where missing.
      subjects: `[N]` names.
      kind: `ess`, `paper` (Eq. 25 computed stably) or `off` (uniform).
      ess: target as a share of N; ESS at tau = 0 or 1 is kept where the target lies outside.

    Returns:
      `[N]` float64 that sums to 1.
    """
    count = len(labels)
    if kind == "off":
        return np.full(count, 1.0 / count)
    log_f = log_frequency(labels)
    if kind == "paper":
        inverse = np.exp(np.minimum(-log_f, 700.0))
        p = np.exp(np.maximum(inverse - inverse.max(), -745.0))
        p /= p.sum()
        if effective_sample_size(p) < 32:
            log.warning(
                "balance=paper draws as if only %.1f of %d frames existed; see --balance=ess",
                effective_sample_size(p),
                count,
            )
        return p
    low, high = 0.0, 1.0
    if effective_sample_size(within_subjects(-log_f, subjects)) >= ess * count:
        low = 1.0
    for _ in range(60):
        tau = 0.5 * (low + high)
        if effective_sample_size(within_subjects(-tau * log_f, subjects)) > ess * count:
            low = tau
        else:
            high = tau
    return within_subjects(-low * log_f, subjects)


def class_probabilities(labels: np.ndarray, balance: float = 1.0) -> np.ndarray:
    """How likely each picture is to be drawn when classes are to be seen more evenly.

    A class with n of the pictures is drawn with a probability proportional to n^(1 - balance), and
    its pictures equally likely; those without a class never are.

    Args:
      labels: `[N]` classes, -1 for none.
      balance: 0 leaves the classes as frequent as they are, 1 makes them equally likely.

    Returns:
      `[N]` float64 that sums to 1, for `sample_epoch`.

    Raises:
      ValueError: no picture has a class, or `balance` lies outside 0 to 1.

    >>> class_probabilities(np.array([0, 0, 0, 1, -1])).round(3).tolist()
    [0.167, 0.167, 0.167, 0.5, 0.0]
    """
    if not 0 <= balance <= 1:
        raise ValueError(f"balance {balance} is outside 0 to 1")
    known = labels >= 0
    if not known.any():
        raise ValueError("no picture has a class: there is nothing to draw from")
    counts = np.bincount(labels[known])
    p = np.zeros(len(labels))
    p[known] = counts[labels[known]] ** -float(balance)
    return p / p.sum()


def sample_epoch(
    p: np.ndarray, batch_size: int, batches: int, rng: np.random.Generator
) -> np.ndarray:
    """Batches without repeats inside a batch, by Gumbel top-k.

    Args:
      p: `[N]` probabilities.
      batch_size: frames in a batch; at most N.
      batches: how many.
      rng: source of the draw.

    Returns:
      `[batches, batch_size]` int64 rows.
    """
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    rows = np.empty((batches, batch_size), np.int64)
    for b in range(batches):
        keys = log_p + rng.gumbel(size=len(p))
        rows[b] = rng.permutation(np.argpartition(-keys, batch_size - 1)[:batch_size])
    return rows


def subset(
    labels: np.ndarray,
    subjects: np.ndarray,
    points: int,
    rng: np.random.Generator,
    ess: float = 0.1,
    kind: str = "ess",
) -> np.ndarray:
    """X_L: equally many frames per subject, balanced in levels, spread over time.

    Frames that follow each other in a video are nearly the same, and a near-duplicate inside a GP
    block gives the leave-one-out mean away; a chosen frame therefore excludes its two neighbours
    as long as enough others are left.

    Args:
      labels: `[N, Q]`, in the order of the video inside each subject.
      subjects: `[N]`.
      points: N_L wanted; fewer where a subject has too few frames.
      rng: source of the draw.
      ess: as in `balanced_probabilities`.
      kind: as in `balanced_probabilities`.

    Returns:
      Sorted int64 rows.
    """
    p = balanced_probabilities(labels, subjects, kind, ess)
    names = np.unique(subjects)
    chosen: list[int] = []
    for k, name in enumerate(names):
        rows = np.flatnonzero(subjects == name)
        wanted = min(len(rows), points // len(names) + (k < points % len(names)))
        with np.errstate(divide="ignore"):
            keys = np.log(p[rows]) + rng.gumbel(size=len(rows))
        order = np.argsort(-keys)
        taken = np.zeros(len(rows), bool)
        for gap in (1, 0):
            for position in order:
                if taken.sum() == wanted:
                    break
                neighbours = taken[max(0, position - gap) : position + gap + 1]
                if not neighbours.any():
                    taken[position] = True
        chosen.extend(rows[taken])
    return np.sort(np.asarray(chosen, np.int64))
