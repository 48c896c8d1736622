"""Tables of metrics for people, and the CSV of every prediction."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf import files, levels
from deepcoder_tf.action_units import MISSING
from deepcoder_tf.evaluation.metrics import AUMetrics, Metrics

__all__ = ["metrics_table", "write_arrays", "write_predictions"]

CHUNK = 4096
"""Rows turned into text at a time; bounds the memory of a large split."""


def metrics_table(
    systems: Sequence[Metrics],
    columns: Sequence[str] = ("icc", "mse"),
    *,
    markdown: bool = False,
) -> str:
    """Systems side by side, a row for each action unit and one for the mean.

    Args:
      systems: what each reached on the same frames and action units.
      columns: of `icc`, `mse`, `mae`, `nlpd`, `ordinal_log_score`, `calibration_error`; grouped by
        metric, so that systems stand beside each other. A column that no system has is left out.
      markdown: pipes around the cells.

    Returns:
      Lines of text without a final newline; a value that is not there is a dash.

    Raises:
      ValueError: no system, or systems with different action units.
    """
    if not systems or any(list(s.per_au) != list(systems[0].per_au) for s in systems):
        raise ValueError("a table needs at least one system, and the same action units in each")
    names = {"ordinal_log_score": "LOG-SCORE", "calibration_error": "ECE"}
    cells = [(metric, system) for metric in columns for system in systems]
    cells = [
        (metric, system)
        for metric, system in cells
        if any(_value(row, metric, system.point) is not None for row in _rows(system).values())
    ]
    head = ["", *(f"{system.system} {names.get(m, m.upper())}" for m, system in cells)]
    body = [
        [name, *(_text(_value(_rows(system)[name], m, system.point)) for m, system in cells)]
        for name in (*systems[0].per_au, "mean")
    ]
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    left, between, right = ("| ", " | ", " |") if markdown else ("", "  ", "")

    def line(row: Sequence[str]) -> str:
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return left + between.join(padded) + right

    if markdown:
        # A colon at the right end of its rule makes Markdown align a column right.
        lines = [line(head), line([rule[0], *(cell[:-1] + ":" for cell in rule[1:])])]
        return "\n".join([*lines, *map(line, body)])
    return "\n".join([line(head), line(rule), *map(line, body[:-1]), line(rule), line(body[-1])])


def _rows(system: Metrics) -> dict[str, AUMetrics]:
    return {**system.per_au, "mean": system.mean}


def _value(row: AUMetrics, metric: str, point: str) -> float | None:
    return (
        getattr(row.points[point], metric, None)
        if metric in ("icc", "mse", "mae")
        else (getattr(row, metric))
    )


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def write_arrays(path: str | Path, **arrays: np.ndarray) -> None:
    """Writes named arrays as a compressed `.npz`, under a temporary name first; never a pickle.

    Args:
      path: the file.
      **arrays: by name; of numbers or of fixed-width text.

    Raises:
      ValueError: an array of Python objects.
      UserError: the operating system refused.
    """
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise ValueError(f"{path}: {objects[0]} holds Python objects; only a pickle keeps them")
    with files.replacing(path, "wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def write_predictions(
    path: str | Path,
    action_units: Sequence[str],
    *,
    rows: Sequence[int],
    file_names: Sequence[str],
    subjects: Sequence[str],
    frames: Sequence[int],
    labels: ArrayLike,
    probabilities: ArrayLike,
) -> None:
    """Writes one line for each evaluated frame, in the columns of `deepcoder-predict`.

    Columns: `row,file,subject,frame`, then for each action unit `AU01_label` (empty where nobody
    annotated), `AU01_r`, `AU01_c`, `AU01_sd`, `AU01_p0`..`AU01_p5`, all from one distribution.

    Args:
      path: the CSV; written under a temporary name first.
      action_units: Q names.
      rows: `[N]` row numbers in `frames.csv`.
      file_names: `[N]` sources.
      subjects: `[N]`.
      frames: `[N]` frame numbers as in the source.
      labels: `[N, Q]` levels, -1 = missing.
      probabilities: `[N, Q, L]`.

    Raises:
      ValueError: lengths that differ, or rows that are no distributions.
      UserError: the operating system refused.
    """
    Y, P = np.asarray(labels), np.asarray(probabilities)
    lengths = {len(rows), len(file_names), len(subjects), len(frames), len(Y), len(P)}
    if len(lengths) != 1 or P.shape[:2] != Y.shape or Y.shape[1:] != (len(action_units),):
        raise ValueError(
            f"{len(rows)} rows, {len(file_names)} files, {len(subjects)} subjects, {len(frames)} "
            f"frames, labels {list(Y.shape)} and probabilities {list(P.shape)} do not fit "
            f"{len(action_units)} action units"
        )
    head = ["row", "file", "subject", "frame"]
    for name in action_units:
        head += [f"{name}_label", *levels.columns(name, P.shape[-1])]
    with files.replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        for start in range(0, len(P), CHUNK):
            summary = levels.summarise(P[start : start + CHUNK])
            for offset in range(len(summary.presence)):
                i = start + offset
                line = [rows[i], file_names[i], subjects[i], frames[i]]
                for q in range(len(action_units)):
                    label = "" if Y[i, q] == MISSING else int(Y[i, q])
                    line += [label, *levels.format_cells(*(view[offset, q] for view in summary))]
                writer.writerow(line)
