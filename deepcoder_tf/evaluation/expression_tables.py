"""Tables of expressions for people, and the CSV of every prediction."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf import files
from deepcoder_tf.evaluation.expression_metrics import NO_CLASS, ExpressionMetrics
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.levels import DIGITS

__all__ = ["expression_table", "probability_columns", "write_expression_predictions"]

COLUMNS = ("pictures", "precision", "recall", "F1")


def expression_table(
    metrics: ExpressionMetrics, name: str, more: Mapping[str, float | None] | None = None
) -> str:
    """A row for each class, then a row for each number of the whole.

    Args:
      metrics: what a system reached.
      name: of the system.
      more: further numbers by name, for example of probes; None where there is nothing.

    Returns:
      Lines of text without a final newline; a value that is not there is a dash.
    """
    rows = [
        [k, str(m.pictures), *map(number, (m.precision, m.recall, m.f1))]
        for k, m in metrics.per_class.items()
    ]
    whole = {
        "accuracy": metrics.accuracy,
        "majority's rate": metrics.majority_rate,
        "balanced accuracy": metrics.balanced_accuracy,
        "macro F1": metrics.macro_f1,
        "log loss": metrics.log_loss,
        "calibration error": metrics.calibration_error,
        **(more or {}),
    }
    left = max(len(text) for text in (name, *whole, *metrics.per_class))
    width = max(len(text) for text in COLUMNS)
    rule = "-" * (left + len(COLUMNS) * (width + 2))

    def line(cells: Sequence[str]) -> str:
        return cells[0].ljust(left) + "".join(f"  {cell.rjust(width)}" for cell in cells[1:])

    last = [line([text, "", "", "", number(value)]) for text, value in whole.items()]
    return "\n".join([line([name, *COLUMNS]), rule, *map(line, rows), rule, *last])


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def probability_columns() -> list[str]:
    """`p_neutral` to `p_contempt`."""
    return [f"p_{name}" for name in EXPRESSIONS]


def write_expression_predictions(
    path: str | Path,
    *,
    rows: Sequence[int],
    file_names: Sequence[str],
    subjects: Sequence[str],
    labels: ArrayLike,
    probabilities: ArrayLike,
) -> None:
    """Writes one line for each picture: `row,file,subject,label,predicted,p_neutral,...`.

    Args:
      path: the CSV; written under a temporary name first.
      rows: `[N]` row numbers in `frames.csv`.
      file_names: `[N]` sources.
      subjects: `[N]` names, empty where not known.
      labels: `[N]` classes, -1 = none, which gives an empty cell.
      probabilities: `[N, 8]`.

    Raises:
      ValueError: lengths that differ.
      UserError: the operating system refused.
    """
    y, P = np.asarray(labels), np.asarray(probabilities)
    lengths = {len(rows), len(file_names), len(subjects), len(y), len(P)}
    if len(lengths) != 1 or P.shape[1:] != (len(EXPRESSIONS),):
        raise ValueError(
            f"{len(rows)} rows, {len(file_names)} files, {len(subjects)} subjects, {len(y)} labels "
            f"and probabilities {list(P.shape)} do not fit one another"
        )
    with files.replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", "file", "subject", "label", "predicted", *probability_columns()])
        for i, most in enumerate(P.argmax(1).tolist()):
            label = "" if y[i] == NO_CLASS else EXPRESSIONS[y[i]]
            cells = [f"{p:.{DIGITS}f}" for p in P[i].tolist()]
            writer.writerow([rows[i], file_names[i], subjects[i], label, EXPRESSIONS[most], *cells])
