"""Bootstrap over subjects: how far the metrics of a table would move with other test subjects.

A subject's frames resemble one another, so that subjects are resampled, never frames. Every metric
here is a function of sums over subjects (counts, first and second moments, bins), and one resample
is a row of counts: ten thousand of them are one matrix product, and no frame is touched twice.

Per fold the frames of all test subjects are pooled; folds, and seeds within a fold, are averaged.
The same subjects are drawn for every system and seed, so that differences are paired.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf import levels
from deepcoder_tf.action_units import MISSING
from deepcoder_tf.evaluation.metrics import BINS, PROBABILITY_FLOOR

__all__ = [
    "METRICS",
    "POINTS",
    "POINT_METRICS",
    "PROBABILITY_METRICS",
    "Interval",
    "Measured",
    "SubjectSums",
    "draw_subjects",
    "interval",
    "mean_over",
    "measure",
    "minus",
    "subject_sums",
]

POINTS = ("mean", "mode")
"""Point predictions: the expected level, and the most probable one."""

POINT_METRICS = ("icc", "mse", "mae")
"""Metrics of a point prediction."""

PROBABILITY_METRICS = ("ordinal_log_score", "calibration_error")
"""Metrics of the level probabilities."""

METRICS: tuple[tuple[str, str], ...] = (
    *((metric, point) for point in POINTS for metric in POINT_METRICS),
    *((metric, "") for metric in PROBABILITY_METRICS),
)
"""Metric and point prediction, in the order of the last axis of `measure`."""

LABEL_SUMS = 3
"""n, Σy, Σy²; then of each point prediction `POINT_SUMS`, then the log-score and the bins."""

POINT_SUMS = 4
"""Σe, Σe², Σye, Σ|e|, where e = f − y is the error of the prediction f."""

ROUNDING = 1e-12
"""Share of a sum of squares below which a variance is a rounding error of one that is zero."""


class SubjectSums(NamedTuple):
    """What the metrics need to know of the frames of each subject.

    Attributes:
      subjects: `[S]` str, in alphabetical order.
      sums: `[S, Q, K]` float64.
    """

    subjects: np.ndarray
    sums: np.ndarray


class Measured(NamedTuple):
    """Metrics with the seeds of a row averaged.

    Attributes:
      value: `[..., M]` of the subjects as they are.
      resampled: `[R, ..., M]`, or None where there is nothing to resample.
    """

    value: np.ndarray
    resampled: np.ndarray | None


class Interval(NamedTuple):
    """An estimate and its percentile interval.

    Attributes:
      value: of the subjects as they are; None where there is nothing to measure.
      low: lower end; None where there is no interval.
      high: upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside of the interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def subject_sums(
    labels: ArrayLike,
    expected: ArrayLike,
    probabilities: ArrayLike,
    subjects: ArrayLike,
    bins: int = BINS,
) -> SubjectSums:
    """Sums over the labelled frames of each subject.

    Args:
      labels: `[N, Q]` levels, -1 = missing.
      expected: `[N, Q]` the point prediction called `mean`, in levels.
      probabilities: `[N, Q, L]`; their most probable level is the point prediction called `mode`.
      subjects: `[N]` names.
      bins: of the calibration error.

    Returns:
      The sums.

    Raises:
      ValueError: shapes that do not fit, no frame, a level outside 0..L-1, or something that is
        not finite at a labelled frame.
    """
    Y, F = np.asarray(labels, np.int64), np.asarray(expected, np.float64)
    P, names = np.asarray(probabilities, np.float64), np.asarray(subjects)
    if P.ndim != 3 or P.shape[:2] != Y.shape or F.shape != Y.shape or names.shape != Y.shape[:1]:
        raise ValueError(
            f"labels {list(Y.shape)}, expected {list(F.shape)}, probabilities {list(P.shape)} and "
            f"subjects {list(names.shape)} do not fit; wanted [N, Q], [N, Q], [N, Q, L] and [N]"
        )
    if not len(Y):
        raise ValueError("there is no frame to measure")
    known = Y != MISSING
    if not known.any():
        raise ValueError("none of the frames is labelled")
    if Y[known].min() < 0 or Y.max() >= P.shape[-1]:
        raise ValueError(
            f"levels must lie in 0..{P.shape[-1] - 1}, got {Y[known].min()}..{Y.max()}"
        )
    bad = known & ~(np.isfinite(F) & np.isfinite(P).all(-1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(f"the prediction of frame {row}, column {column} is not finite")
    order, member = np.unique(names, return_inverse=True)
    sums = [
        [unit_sums(Y[at, q], F[at, q], P[at, q], bins) for q, at in enumerate(own & known.T)]
        for own in (member == s for s in range(len(order)))
    ]
    return SubjectSums(order, np.array(sums))


def unit_sums(y: np.ndarray, expected: np.ndarray, P: np.ndarray, bins: int) -> np.ndarray:
    """The sums `[K]` over labelled frames of one subject and action unit.

    Args:
      y: `[n]` levels.
      expected: `[n]` expected level.
      P: `[n, L]`.
      bins: of the calibration error.
    """
    found = [[len(y), y.sum(), (y**2).sum()]]
    for f in (expected, levels.mode(P)):
        # An offset of a rater cancels in the ICC, but it costs digits: squares are of the error,
        # which is small where a system is good.
        e = f - y
        found.append([e.sum(), (e**2).sum(), (y * e).sum(), np.abs(e).sum()])
    chosen = P[np.arange(len(y)), y]
    found.append([-np.log(np.maximum(chosen, PROBABILITY_FLOOR)).sum()])
    # The events `level >= s` and the bins of `metrics.reliability`.
    exceed = np.clip(1 - np.cumsum(P, axis=1)[:, :-1], 0, 1)
    happened = (y[:, None] >= np.arange(1, P.shape[1])).ravel()
    at = np.minimum((exceed * bins).astype(np.int64), bins - 1).ravel()
    weights = (None, exceed.ravel(), happened)
    return np.concatenate([*found, *(np.bincount(at, w, bins) for w in weights)])


def measure(sums: np.ndarray) -> np.ndarray:
    """The metrics of pooled frames, from their sums.

    Args:
      sums: `[..., K]` of `SubjectSums`, added up over subjects.

    Returns:
      `[..., len(METRICS)]`; NaN where no frame is labelled.
    """
    n, y, yy = np.moveaxis(sums[..., :LABEL_SUMS], -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = []
        for k, _ in enumerate(POINTS):
            start = LABEL_SUMS + k * POINT_SUMS
            e, ee, ye, distance = np.moveaxis(sums[..., start : start + POINT_SUMS], -1, 0)
            found += [icc_of(n, y, yy, e, ee, ye), ee / n, distance / n]
        start = LABEL_SUMS + len(POINTS) * POINT_SUMS
        found.append(sums[..., start] / n)
        count, probability, happened = np.moveaxis(
            sums[..., start + 1 :].reshape(*n.shape, 3, -1), -2, 0
        )
        # Σ_b (count_b / count) |mean probability_b − frequency_b|
        found.append(np.abs(probability - happened).sum(-1) / count.sum(-1))
    return np.where(n[..., None] > 0, np.stack(found, -1), np.nan)


def icc_of(
    n: np.ndarray, y: np.ndarray, yy: np.ndarray, e: np.ndarray, ee: np.ndarray, ye: np.ndarray
) -> np.ndarray:
    """ICC(3,1) of y and f = y + e from sums; 0 where neither moves.

    With two raters, BMS = var(y + f) / 2 and EMS = var(y − f) / 2, so that
    (BMS − EMS) / (BMS + EMS) = 2 cov(y, f) / (var y + var f).
    """
    # n var, n cov of y and e; then f = y + e.
    vy, ve, c = (centred(n, *sums) for sums in ((y, y, yy), (e, e, ee), (y, e, ye)))
    vf = vy + 2 * c + ve
    scale = ROUNDING * (yy + ee)
    spread = np.where(vy + vf > scale, vy + vf, 0)
    return np.where(spread > 0, np.clip(2 * (vy + c) / np.where(spread > 0, spread, 1), -1, 1), 0)


def centred(n: np.ndarray, a: np.ndarray, b: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Σ(a − ā)(b − b̄) from sums."""
    return ab - a * b / n


def draw_subjects(count: int, replicates: int, seed: int, fold: int = 0) -> np.ndarray:
    """How often each subject is drawn, with replacement, in each resample.

    Args:
      count: S, number of subjects.
      replicates: R.
      seed: of the draw.
      fold: another one is another draw.

    Returns:
      `[R, S]` float64 whole numbers; each row sums to S.
    """
    rng = np.random.default_rng([seed, fold])
    return rng.multinomial(count, np.full(count, 1 / count), size=replicates).astype(np.float64)


def mean_over(parts: Mapping[int, Sequence[np.ndarray]]) -> np.ndarray:
    """The mean over folds of the mean over seeds.

    Args:
      parts: for each fold, an array `[..., Q, M]` for each seed.

    Returns:
      `[..., Q, M]`; NaN where no fold has anything to measure. An action unit that no test
      subject of a fold is labelled with is averaged over the other folds.
    """
    folds = np.stack([np.mean(np.stack(seeds), 0) for seeds in parts.values()])
    there = ~np.isnan(folds)
    total = np.where(there, folds, 0).sum(0)
    with np.errstate(invalid="ignore"):
        return total / there.sum(0)


def interval(value: float, resampled: np.ndarray | None, level: float = 0.95) -> Interval:
    """An estimate with its percentile interval.

    Args:
      value: of the subjects as they are; NaN for nothing.
      resampled: `[R]`, NaN where a resample has nothing to measure; None for no interval.
      level: share of the resamples inside.

    Returns:
      The interval.
    """
    if np.isnan(value):
        return Interval(None)
    if resampled is None or np.isnan(resampled).all():
        return Interval(float(value))
    tail = (1 - level) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


def minus(one: Measured, two: Measured) -> Measured:
    """The paired difference: resample by resample."""
    if one.resampled is None or two.resampled is None:
        return Measured(one.value - two.value, None)
    return Measured(one.value - two.value, one.resampled - two.resampled)
