"""Agreement, error and calibration of predicted action unit intensities.

NumPy in float64. Labels of -1 (nobody annotated) are skipped everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf import levels
from deepcoder_tf.action_units import MISSING

__all__ = [
    "BINS",
    "AUMetrics",
    "Metrics",
    "PointMetrics",
    "ReliabilityTable",
    "evaluate_points",
    "evaluate_predictions",
    "expected_calibration_error",
    "icc31",
    "intraclass_correlation",
    "mae",
    "mse",
    "nlpd",
    "ordinal_log_score",
    "reliability",
]

BINS = 10
"""Equal-width probability bins of the reliability table."""

PROBABILITY_FLOOR = 2.0**-24
"""A probability telescoped in float32 is only known to half a unit in the last place of 1; less
than that is read as that, so that one rounded-off zero does not make a whole score infinite."""

NOT_LABELLED = "no labelled frame in this split"


def intraclass_correlation(ratings: ArrayLike) -> float:
    """ICC(3,1), consistency of k fixed raters: (BMS - EMS) / (BMS + (k - 1) EMS).

    BMS is the mean square between targets, EMS the residual mean square of the two-way layout.
    0/0 (no rater ever moves) is 0.

    Args:
      ratings: `[n, k]`, a row for each target, a column for each rater, k >= 2.

    Returns:
      The coefficient, -1/(k-1) to 1.

    Raises:
      ValueError: not a table with at least one row and two columns, or an entry is not finite.

    Source: Shrout and Fleiss, Intraclass correlations, Psychological Bulletin 86 (1979), case 3.

    >>> round(intraclass_correlation([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8],
    ...                               [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]), 7)
    0.7148407
    """
    X = np.asarray(ratings, np.float64)
    if X.ndim != 2 or X.shape[0] < 1 or X.shape[1] < 2:
        raise ValueError(f"ratings must be [n >= 1, k >= 2], got {list(X.shape)}")
    if not np.isfinite(X).all():
        raise ValueError(f"ratings must be finite; row {_first_bad_row(X)} is not")
    k = X.shape[1]
    # A rater's offset cancels in the consistency form. Taking each rater's first rating away
    # before the mean makes a rater who never moves exactly 0, and not rounding noise.
    X = X - X[:1]
    X = X - X.mean(0)
    target = X.mean(1, keepdims=True)
    # BMS and EMS share the factor 1/(n - 1), which cancels.
    BMS = k * np.sum(target**2)
    EMS = np.sum((X - target) ** 2) / (k - 1)
    spread = BMS + (k - 1) * EMS
    return float((BMS - EMS) / spread) if spread > 0 else 0.0


def icc31(labels: ArrayLike, predictions: ArrayLike) -> float:
    """ICC(3,1) of labels and predictions as two raters, over all frames pooled.

    Args:
      labels: `[N]` levels, -1 = missing.
      predictions: `[N]` levels, real or whole.

    Returns:
      -1 to 1; 0 where neither moves.

    Raises:
      ValueError: lengths differ, no labelled frame, or a prediction is not finite.

    Source: DeepCoder section 5; Shrout and Fleiss (1979).
    """
    y, f = _labelled(labels, predictions)
    return intraclass_correlation(np.stack([y, f], axis=1))


def mse(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Mean squared error in squared levels; arguments and errors as `icc31`."""
    y, f = _labelled(labels, predictions)
    return float(np.mean((y - f) ** 2))


def mae(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Mean absolute error in levels; arguments and errors as `icc31`."""
    y, f = _labelled(labels, predictions)
    return float(np.mean(np.abs(y - f)))


def nlpd(Z: ArrayLike, mean: ArrayLike, var: ArrayLike) -> float:
    """Negative log predictive density of a reconstruction, per point and dimension, in nats.

    -(1 / (N D)) sum_i log N(z_i | mean_i, diag var_i)

    Args:
      Z: `[N, D]` what was to be reconstructed.
      mean: `[N, D]` predictive means, in the units of `Z`.
      var: `[N, D]`, or anything that broadcasts to it: predictive variances, positive.

    Returns:
      Nats; lower is better.

    Raises:
      ValueError: shapes differ, nothing to score, or a variance is not positive.

    Source: DeepCoder Fig. 3b; Rasmussen and Williams, GPML, section 2.5.
    """
    Z = np.asarray(Z, np.float64)
    mean = np.asarray(mean, np.float64)
    if Z.ndim != 2 or Z.shape != mean.shape or Z.size == 0:
        raise ValueError(f"Z and mean must be equal [N, D], got {Z.shape} and {mean.shape}")
    var = np.broadcast_to(np.asarray(var, np.float64), Z.shape)
    if not (var > 0).all():
        raise ValueError(f"predictive variances must be positive, got {var.min():.6g}")
    return float(0.5 * np.mean(np.log(2 * np.pi * var) + (Z - mean) ** 2 / var))


def ordinal_log_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log probability of the level that was annotated, in nats.

    Args:
      probabilities: `[N, L]`, or `[N, Q, L]` for several action units.
      labels: `[N]` or `[N, Q]` levels, -1 = missing.

    Returns:
      Nats; 0 is certainty and right, lower is better.

    Raises:
      ValueError: shapes that do not fit, no labelled frame, or a level outside 0..L-1.

    Source: the logarithmic score of Gneiting and Raftery, JASA 102 (2007).
    """
    P, y = _labelled_rows(probabilities, labels)
    chosen = P[np.arange(len(y)), y]
    return float(-np.mean(np.log(np.maximum(chosen, PROBABILITY_FLOOR))))


@dataclass(frozen=True)
class ReliabilityTable:
    """Predicted probability against observed frequency, by bins of predicted probability.

    Attributes:
      edges: `[B + 1]` bin borders, 0..1.
      probability: `[B]` mean predicted probability of a bin, NaN where nothing fell into it.
      frequency: `[B]` how often the event happened, NaN where nothing fell into it.
      count: `[B]` int64, events in a bin.
    """

    edges: np.ndarray
    probability: np.ndarray
    frequency: np.ndarray
    count: np.ndarray

    @property
    def calibration_error(self) -> float:
        """Mean distance of probability and frequency, weighted by count: 0 to 1."""
        filled = self.count > 0
        distance = np.abs(self.probability[filled] - self.frequency[filled])
        return float(np.average(distance, weights=self.count[filled]))


def reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> ReliabilityTable:
    """The reliability table of the events `level >= s`, pooled over s = 1..L-1.

    Cumulative events are what an ordinal model predicts: each is binary, none needs a choice of a
    top label, and an error of two levels counts at two thresholds.

    Args:
      probabilities: `[N, L]`, or `[N, Q, L]` to pool action units as well.
      labels: `[N]` or `[N, Q]` levels, -1 = missing.
      bins: number of equal-width bins.

    Returns:
      The table.

    Raises:
      ValueError: as `ordinal_log_score`, or fewer than one bin.

    Source: Gneiting, Balabdaoui and Raftery, JRSS B 69 (2007); Niculescu-Mizil and Caruana (2005).
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    P, y = _labelled_rows(probabilities, labels)
    # P(level >= s) = 1 - P(level < s), s = 1..L-1; the clip takes float rounding away.
    exceed = np.clip(1 - np.cumsum(P, axis=1)[:, :-1], 0, 1)
    happened = y[:, None] >= np.arange(1, P.shape[1])
    bin_of = np.minimum((exceed * bins).astype(np.int64), bins - 1).ravel()
    count = np.bincount(bin_of, minlength=bins)
    weight = np.where(count > 0, count, np.nan)
    return ReliabilityTable(
        edges=np.linspace(0, 1, bins + 1),
        probability=np.bincount(bin_of, exceed.ravel(), bins) / weight,
        frequency=np.bincount(bin_of, happened.ravel(), bins) / weight,
        count=count,
    )


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS
) -> float:
    """Mean distance of probability and frequency in the `reliability` table, weighted by count.

    Args:
      probabilities: `[N, L]` or `[N, Q, L]`.
      labels: `[N]` or `[N, Q]` levels, -1 = missing.
      bins: number of equal-width bins.

    Returns:
      0 (calibrated) to 1.

    Raises:
      ValueError: as `reliability`.
    """
    return reliability(probabilities, labels, bins).calibration_error


@dataclass(frozen=True)
class PointMetrics:
    """Metrics of one point prediction; None where there is nothing to measure.

    Attributes:
      icc: ICC(3,1), -1 to 1.
      mse: mean squared error, squared levels.
      mae: mean absolute error, levels.
    """

    icc: float | None
    mse: float | None
    mae: float | None


@dataclass(frozen=True)
class AUMetrics:
    """Metrics of one action unit, or their mean over the units that have labels.

    Attributes:
      points: by point prediction, `"mean"` (expected level) and `"mode"` (most probable level).
      frames: labelled frames; of the mean, their sum over the action units.
      ordinal_log_score: nats; None without probabilities.
      calibration_error: 0 to 1; None without probabilities.
      nlpd: nats per latent dimension; of the mean only.
      reason: why something is None, or None.
    """

    points: dict[str, PointMetrics]
    frames: int
    ordinal_log_score: float | None = None
    calibration_error: float | None = None
    nlpd: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Metrics:
    """What one system reached on one split.

    Attributes:
      system: for example `"2DC"` or `"ridge_pca"`.
      split: `"train"`, `"validation"` or `"test"`.
      frames: frames of the split, labelled or not.
      point: whose figures stand under `icc`, `mse` and `mae`: `"mean"` or `"mode"`.
      per_au: by action unit, in column order.
      mean: unweighted mean over the action units that have a labelled frame.
    """

    system: str
    split: str
    frames: int
    point: str
    per_au: dict[str, AUMetrics]
    mean: AUMetrics

    def to_json(self) -> dict[str, Any]:
        """The content of `metrics.json`: plain types only, null (with a reason) in place of NaN."""
        mean = self._flat(self.mean)
        del mean["frames"]
        mean["nlpd"] = self.mean.nlpd
        return {
            "system": self.system,
            "split": self.split,
            "frames": self.frames,
            "point": self.point,
            "per_au": {name: self._flat(value) for name, value in self.per_au.items()},
            "mean": mean,
        }

    def _flat(self, value: AUMetrics) -> dict[str, Any]:
        """One action unit: the chosen point's figures on top, the other point's under its name."""
        flat: dict[str, Any] = asdict(value.points[self.point])
        flat["frames"] = value.frames
        if value.ordinal_log_score is not None or len(value.points) > 1:
            flat["ordinal_log_score"] = value.ordinal_log_score
            flat["calibration_error"] = value.calibration_error
        for name, point in value.points.items():
            if name != self.point:
                flat[name] = asdict(point)
        if value.reason is not None:
            flat["reason"] = value.reason
        return flat


def evaluate_predictions(
    action_units: Sequence[str],
    labels: ArrayLike,
    probabilities: ArrayLike,
    nlpd: float | None = None,
    point: str = "mean",
    *,
    expected: ArrayLike | None = None,
    system: str = "2DC",
    split: str = "test",
    bins: int = BINS,
) -> Metrics:
    """Every metric of predicted level probabilities, for each action unit and on average.

    Args:
      action_units: Q names, in column order.
      labels: `[N, Q]` levels, -1 = missing.
      probabilities: `[N, Q, L]`.
      nlpd: of the reconstruction of Z0, from `nlpd`; None for a system that does not reconstruct.
      point: `"mean"` or `"mode"`: which point prediction comes first.
      expected: `[N, Q]` levels of a system that regresses them, to stand under `"mean"`; None where
        they are the expectation of the probabilities.
      system: name of what is measured.
      split: name of what it is measured on.
      bins: of the calibration error.

    Returns:
      The metrics.

    Raises:
      ValueError: shapes that do not fit, an unknown `point`, a level outside 0..L-1, or something
        that is not finite.
    """
    if point not in ("mean", "mode"):
        raise ValueError(f"point must be 'mean' or 'mode', got {point!r}")
    if nlpd is not None and not np.isfinite(nlpd):
        raise ValueError(f"nlpd must be finite, got {nlpd}")
    P = np.asarray(probabilities, np.float64)
    if P.ndim != 3:
        raise ValueError(f"probabilities must be [N, Q, levels], got {P.shape}")
    Y = _label_table(action_units, labels, P.shape[:2])
    E = P @ np.arange(P.shape[-1]) if expected is None else np.asarray(expected, np.float64)
    if E.shape != P.shape[:2]:
        raise ValueError(f"expected levels are {list(E.shape)}, wanted {list(P.shape[:2])}")
    estimates = {"mean": E, "mode": levels.mode(P)}
    per_au = {}
    for column, name in enumerate(action_units):
        y, p = Y[:, column], P[:, column]
        labelled = int(np.sum(y != MISSING))
        points = {key: _point(y, value[:, column]) for key, value in estimates.items()}
        per_au[name] = AUMetrics(
            points=points,
            frames=labelled,
            ordinal_log_score=ordinal_log_score(p, y) if labelled else None,
            calibration_error=expected_calibration_error(p, y, bins) if labelled else None,
            reason=None if labelled else NOT_LABELLED,
        )
    return Metrics(system, split, len(Y), point, per_au, _mean(per_au, nlpd))


def evaluate_points(
    action_units: Sequence[str],
    labels: ArrayLike,
    predictions: ArrayLike,
    *,
    system: str,
    split: str = "test",
) -> Metrics:
    """ICC, MSE and MAE of a system that predicts levels without probabilities.

    Args:
      action_units: Q names, in column order.
      labels: `[N, Q]` levels, -1 = missing.
      predictions: `[N, Q]` levels, real.
      system: name of what is measured.
      split: name of what it is measured on.

    Returns:
      The metrics; everything about probabilities is None.

    Raises:
      ValueError: shapes that do not fit, or a prediction that is not finite.
    """
    F = np.asarray(predictions, np.float64)
    Y = _label_table(action_units, labels, F.shape)
    per_au = {}
    for column, name in enumerate(action_units):
        labelled = int(np.sum(Y[:, column] != MISSING))
        per_au[name] = AUMetrics(
            points={"mean": _point(Y[:, column], F[:, column])},
            frames=labelled,
            reason=None if labelled else NOT_LABELLED,
        )
    return Metrics(system, split, len(Y), "mean", per_au, _mean(per_au, None))


def _point(labels: np.ndarray, predictions: np.ndarray) -> PointMetrics:
    if not np.any(labels != MISSING):
        return PointMetrics(None, None, None)
    return PointMetrics(
        icc31(labels, predictions), mse(labels, predictions), mae(labels, predictions)
    )


def _mean(per_au: dict[str, AUMetrics], nlpd: float | None) -> AUMetrics:
    """The unweighted mean over the action units that have labels."""
    measured = [value for value in per_au.values() if value.frames]

    def over(values: list[float | None]) -> float | None:
        present = [value for value in values if value is not None]
        return float(np.mean(present)) if present else None

    points = {
        name: PointMetrics(
            **{
                field.name: over([getattr(value.points[name], field.name) for value in measured])
                for field in fields(PointMetrics)
            }
        )
        for name in next(iter(per_au.values())).points
    }
    return AUMetrics(
        points=points,
        frames=sum(value.frames for value in measured),
        ordinal_log_score=over([value.ordinal_log_score for value in measured]),
        calibration_error=over([value.calibration_error for value in measured]),
        nlpd=nlpd,
        reason=None if measured else NOT_LABELLED,
    )


def _label_table(
    action_units: Sequence[str], labels: ArrayLike, shape: tuple[int, ...]
) -> np.ndarray:
    """The labels as `[N, Q]` integers, checked against names and predictions."""
    Y = np.asarray(labels)
    if not action_units or Y.shape != shape or Y.ndim != 2 or Y.shape[1] != len(action_units):
        raise ValueError(
            f"labels are {list(Y.shape)}, predictions {list(shape)} and action units "
            f"{len(action_units)}; wanted [N, Q], [N, Q] and Q"
        )
    return Y


def _labelled(labels: ArrayLike, predictions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The labelled frames of both, float64 `[n]`."""
    y = np.asarray(labels, np.float64)
    f = np.asarray(predictions, np.float64)
    if y.shape != f.shape or y.ndim != 1:
        raise ValueError(f"labels are {list(y.shape)}, predictions {list(f.shape)}; wanted [N]")
    kept = y != MISSING
    if not kept.any():
        raise ValueError(f"none of {len(y)} frames is labelled")
    if not np.isfinite(f[kept]).all():
        raise ValueError(f"prediction {_first_bad_row(f[:, None])} is not finite")
    return y[kept], f[kept]


def _labelled_rows(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The labelled rows, probabilities `[n, L]` and levels int64 `[n]`, action units pooled."""
    P = np.asarray(probabilities, np.float64)
    y = np.asarray(labels)
    if P.ndim < 2 or P.shape[:-1] != y.shape or P.shape[-1] < 2:
        raise ValueError(
            f"probabilities are {list(P.shape)}, labels {list(y.shape)}; wanted [..., L] and [...]"
        )
    kept = y != MISSING
    P, y = P[kept], y[kept].astype(np.int64)
    if len(y) == 0:
        raise ValueError("no frame is labelled")
    if y.min() < 0 or y.max() >= P.shape[-1]:
        raise ValueError(f"levels must lie in 0..{P.shape[-1] - 1}, got {y.min()} to {y.max()}")
    return P, y


def _first_bad_row(X: np.ndarray) -> int:
    return int(np.argmax(~np.isfinite(X).all(1)))
