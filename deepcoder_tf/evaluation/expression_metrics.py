"""How good predicted distributions over the eight expressions are.

NumPy in float64. Labels of -1 (a picture without a class) are skipped everywhere. What a split
cannot tell, such as the recall of a class that it does not hold, is None, never NaN.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf.evaluation.metrics import ReliabilityTable
from deepcoder_tf.expressions import EXPRESSIONS

__all__ = [
    "NO_CLASS",
    "TOP_LABEL_BINS",
    "ClassMetrics",
    "ExpressionMetrics",
    "confusion_matrix",
    "measure_expressions",
    "top_label_calibration_error",
    "top_label_reliability",
]

NO_CLASS = -1
"""The label of a picture without a class."""

TOP_LABEL_BINS = 15
"""Equal-width bins of the calibration error, as Guo et al. (ICML 2017) and most after them."""

PROBABILITY_FLOOR = float(np.finfo(np.float32).tiny)
"""A softmax in float32 is known to a share of itself; only what underflows is read as this, so that
one zero does not make a whole score infinite."""


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class; None where there is nothing to measure.

    Attributes:
      pictures: labelled with the class.
      precision: share of the pictures predicted so that are so; None where none was.
      recall: share of the pictures of the class that were found; None where the split has none.
      f1: harmonic mean of both; None where the split has no picture of the class.
    """

    pictures: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class ExpressionMetrics:
    """What a recogniser reached on the labelled pictures of a split.

    Attributes:
      pictures: of the split, labelled or not.
      labelled: pictures that are scored.
      accuracy: share of them whose most probable class is the label.
      balanced_accuracy: mean recall of the classes that the split holds.
      macro_f1: mean F1 of the same classes.
      log_loss: mean negative log probability of the label, nats.
      calibration_error: expected calibration error of the most probable class.
      majority_rate: share of the most frequent class: the accuracy of always saying it.
      absent_classes: classes without a labelled picture.
      per_class: by class name.
      confusion: `[8][8]` pictures; rows are labels, columns predictions.
    """

    pictures: int
    labelled: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    majority_rate: float
    absent_classes: tuple[str, ...]
    per_class: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        content = asdict(self)
        content["absent_classes"] = list(self.absent_classes)
        content["confusion"] = [list(row) for row in self.confusion]
        return content


def measure_expressions(labels: ArrayLike, probabilities: ArrayLike) -> ExpressionMetrics:
    """Every metric of predicted distributions over the eight classes.

    Args:
      labels: `[N]` index into `EXPRESSIONS`, -1 = none.
      probabilities: `[N, 8]`, rows that sum to 1.

    Returns:
      The metrics.

    Raises:
      ValueError: shapes that do not fit, no labelled picture, a label outside -1..7, or rows that
        are no distributions.

    Source: balanced accuracy of Brodersen et al. (ICPR 2010); F1 averaged over classes as in
    Opitz and Burst, Macro F1 and macro F1 (2019), the mean of the classes' F1.
    """
    P, y = labelled_pictures(labels, probabilities)
    table = confusion_matrix(y, P.argmax(1))
    of_class, predicted, right = table.sum(1), table.sum(0), np.diag(table)
    per_class = {
        name: class_metrics(int(of_class[k]), int(predicted[k]), int(right[k]))
        for k, name in enumerate(EXPRESSIONS)
    }
    chosen = np.maximum(P[np.arange(len(y)), y], PROBABILITY_FLOOR)
    return ExpressionMetrics(
        pictures=len(np.asarray(labels)),
        labelled=len(y),
        accuracy=float(right.sum() / len(y)),
        balanced_accuracy=mean_of([m.recall for m in per_class.values()]),
        macro_f1=mean_of([m.f1 for m in per_class.values()]),
        log_loss=float(-np.mean(np.log(chosen))),
        calibration_error=top_label_calibration_error(y, P),
        majority_rate=float(of_class.max() / len(y)),
        absent_classes=tuple(name for name, m in per_class.items() if not m.pictures),
        per_class=per_class,
        confusion=tuple(tuple(row) for row in table.tolist()),
    )


def class_metrics(of_class: int, predicted: int, right: int) -> ClassMetrics:
    """Metrics of one class from its row sum, its column sum and its place on the diagonal."""
    return ClassMetrics(
        pictures=of_class,
        precision=right / predicted if predicted else None,
        recall=right / of_class if of_class else None,
        # 2 TP / (2 TP + FP + FN); defined where the class occurs, even if it is never predicted.
        f1=2 * right / (of_class + predicted) if of_class else None,
    )


def mean_of(values: list[float | None]) -> float:
    """The mean of what is there."""
    return float(np.mean([value for value in values if value is not None]))


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike) -> np.ndarray:
    """How many pictures of each class were taken for which.

    Args:
      labels: `[N]` classes, -1 = none.
      predictions: `[N]` classes.

    Returns:
      `[8, 8]` int64; rows are labels, columns predictions.

    Raises:
      ValueError: lengths that differ, or a class outside its range.
    """
    y, f = np.asarray(labels), np.asarray(predictions)
    classes = len(EXPRESSIONS)
    if y.shape != f.shape or y.ndim != 1:
        raise ValueError(f"labels {y.shape} and predictions {f.shape} must be equal [N]")
    if np.any((y < NO_CLASS) | (y >= classes)) or np.any((f < 0) | (f >= classes)):
        raise ValueError(f"classes must be 0..{classes - 1}, and labels may be {NO_CLASS}")
    known = y != NO_CLASS
    pairs = y[known].astype(np.int64) * classes + f[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def top_label_reliability(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = TOP_LABEL_BINS
) -> ReliabilityTable:
    """Probability of the most probable class against how often it is right.

    Args:
      labels: `[N]` classes, -1 = none.
      probabilities: `[N, 8]`.
      bins: number of equal-width bins of the probability.

    Returns:
      The table.

    Raises:
      ValueError: as `measure_expressions`, or fewer than one bin.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    P, y = labelled_pictures(labels, probabilities)
    confidence = np.minimum(P.max(1), 1.0)
    right = P.argmax(1) == y
    # Bins are closed at their upper ends, as in the source.
    bin_of = np.maximum(np.ceil(confidence * bins).astype(np.int64) - 1, 0)
    count = np.bincount(bin_of, minlength=bins)
    weight = np.where(count > 0, count, np.nan)
    return ReliabilityTable(
        edges=np.linspace(0, 1, bins + 1),
        probability=np.bincount(bin_of, confidence, bins) / weight,
        frequency=np.bincount(bin_of, right, bins) / weight,
        count=count,
    )


def top_label_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = TOP_LABEL_BINS
) -> float:
    """Mean distance of confidence and accuracy over `top_label_reliability`, weighted by count.

    Args:
      labels: `[N]` classes, -1 = none.
      probabilities: `[N, 8]`.
      bins: number of equal-width bins.

    Returns:
      0 (calibrated) to 1.

    Raises:
      ValueError: as `top_label_reliability`.
    """
    return top_label_reliability(labels, probabilities, bins).calibration_error


def labelled_pictures(labels: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Distributions and labels of the pictures that have a class, checked."""
    y, P = np.asarray(labels), np.asarray(probabilities, np.float64)
    if y.ndim != 1 or P.shape != (len(y), len(EXPRESSIONS)):
        raise ValueError(f"labels {y.shape} and probabilities {P.shape} are not [N] and [N, 8]")
    if np.any((y < NO_CLASS) | (y >= len(EXPRESSIONS))):
        raise ValueError(f"labels must be {NO_CLASS}..{len(EXPRESSIONS) - 1}")
    known = y != NO_CLASS
    if not known.any():
        raise ValueError("there is no labelled picture to score")
    P, y = P[known], y[known]
    bad = ~(np.isfinite(P).all(1) & (P >= 0).all(1) & (np.abs(P.sum(1) - 1) < 1e-3))
    if bad.any():
        raise ValueError(f"row {int(np.argmax(bad))} of the probabilities is no distribution")
    return P, y
