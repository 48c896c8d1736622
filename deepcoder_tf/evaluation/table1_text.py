"""The paper's Table 1 as Markdown in the paper's layout, and as tidy CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from deepcoder_tf import action_units
from deepcoder_tf.evaluation.bootstrap import METRICS, Interval
from deepcoder_tf.evaluation.markdown import DASH, compared, grid, level_text, number
from deepcoder_tf.evaluation.paper_table import PaperTable, deviations, paper_table
from deepcoder_tf.evaluation.table1 import AVERAGE, Row, Table1, Values

__all__ = ["COLUMNS", "csv_text", "markdown", "paper_of"]

BLOCKS: tuple[tuple[str, str, bool, int], ...] = (
    ("icc", "ICC(3,1), higher is better", True, 2),
    ("mse", "MSE, squared levels, lower is better", False, 2),
    ("mae", "MAE, levels, lower is better", False, 2),
    ("ordinal_log_score", "NLPD of the ordinal prediction, nats, lower is better", False, 2),
    ("calibration_error", "Calibration error, lower is better", False, 3),
)
"""Metric, heading, whether higher is better, decimals."""

NAMES = {
    "icc": "ICC",
    "mse": "MSE",
    "mae": "MAE",
    "ordinal_log_score": "NLPD",
    "calibration_error": "calibration",
}

COLUMNS = (
    "system",
    "au",
    "metric",
    "point",
    "value",
    "low",
    "high",
    "folds",
    "seeds",
    "against",
    "holds",
)
"""Of the CSV. With `against`, the value is that system's minus this one's, on the folds of both."""


def paper_of(units: Sequence[str]) -> PaperTable | None:
    """The paper's figures for a set of action units, or None where it has none."""
    for dataset, own in (("disfa", action_units.DISFA), ("fera2015", action_units.FERA2015)):
        if tuple(units) == own:
            return paper_table(dataset)
    return None


def markdown(table: Table1, point: str = "mean", paper: PaperTable | None = None) -> str:
    """The table for people.

    Args:
      table: the figures.
      point: whose ICC, MSE and MAE are shown: `"mean"` or `"mode"`.
      paper: figures to print below ours, row by row.

    Returns:
      Markdown with a final newline.

    Raises:
      ValueError: another `point`.
    """
    if point not in ("mean", "mode"):
        raise ValueError(f"point must be 'mean' or 'mode', got {point!r}")
    percent = level_text(table.level)
    what = {"mean": "expected level", "mode": "most probable level"}[point]
    lines = [
        "# Table 1",
        "",
        f"Test subjects of each fold ({listed(table.folds)}), pooled within it; seeds, then folds "
        f"averaged. ICC, MSE and MAE are of the {what}. Intervals: {percent}, {table.replicates} "
        "bootstrap resamples of the test subjects. Best in bold.",
        "\\* deep features of the CNN, † LBP and landmarks.",
    ]
    for metric, heading, higher, digits in BLOCKS:
        key = (metric, point) if (metric, point) in METRICS else (metric, "")
        lines += ["", f"## {heading}", ""]
        lines += block(table, key, higher, digits, percent, paper)
        if metric == "calibration_error":
            lines += ["", "Resampling adds noise, which can only raise it: its intervals lie high."]
    if table.reference is not None and any(row.difference for row in table.rows):
        lines += ["", *difference_block(table, point, percent)]
    if table.notes or table.failures:
        lines += ["", "## Notes", ""]
        lines += [f"- {note}" for note in table.notes]
        lines += [f"- {f.system}, fold {f.fold}, seed {f.seed}: {f.reason}" for f in table.failures]
    if paper is not None:
        lines += ["", "## The paper's figures", "", *paper_notes(paper)]
    return "\n".join(lines) + "\n"


def block(
    table: Table1,
    key: tuple[str, str],
    higher: bool,
    digits: int,
    percent: str,
    paper: PaperTable | None,
) -> list[str]:
    """One metric: a row for each system, a column for each action unit, and the average."""
    units = (*table.action_units, AVERAGE)
    best = {unit: best_of(table, key, unit, higher, digits) for unit in units}
    rows = []
    for row in table.rows:
        rated = best if complete(row, table) else {}
        texts = [cell(row.values, key, unit, digits, rated.get(unit)) for unit in units]
        span = bounds(row.values[key][AVERAGE], digits) if key in row.values else DASH
        rows.append([row.label + ("" if complete(row, table) else " ¹"), *texts, span, runs(row)])
        if paper is not None and row.system in paper.cells.get(key[0], {}):
            printed = (*paper.cells[key[0]][row.system], paper.averages[key[0]][row.system])
            rows.append(["*paper*", *(f"*{number(v, digits)}*" for v in printed), "", ""])
    head = ["", *(short(unit) for unit in table.action_units), "Avg.", percent, "folds × seeds"]
    lines = grid(head, rows)
    if any("¹" in row[0] for row in rows):
        lines += ["", "¹ not on every fold, see the notes."]
    return lines


def best_of(
    table: Table1, key: tuple[str, str], unit: str, higher: bool, digits: int
) -> str | None:
    """The best text of a column among the systems that were tested on every fold."""
    found = [
        value
        for row in table.rows
        if complete(row, table) and (value := row.values[key][unit].value) is not None
    ]
    choose: Callable[[list[float]], float] = max if higher else min
    return number(choose(found), digits) if len(found) > 1 else None


def complete(row: Row, table: Table1) -> bool:
    """Whether a system was tested on every fold of the table."""
    return bool(row.folds) and set(row.folds) == set(table.folds)


def cell(values: Values, key: tuple[str, str], unit: str, digits: int, best: str | None) -> str:
    """One figure; bold where no other is better as printed."""
    if key not in values or values[key][unit].value is None:
        return DASH
    text = number(values[key][unit].value, digits)
    return f"**{text}**" if text == best else text


def difference_block(table: Table1, point: str, percent: str) -> list[str]:
    """The reference against each other system, on average over action units."""
    reference = next(row for row in table.rows if row.system == table.reference)
    keys = [(metric, point) for metric in ("icc", "mse", "mae")]
    keys += [("ordinal_log_score", ""), ("calibration_error", "")]
    head = ["", *(NAMES[metric] for metric, _ in keys), "folds"]
    rows = []
    for row in table.rows:
        if row.difference:
            texts = [compared(row.difference[key][AVERAGE]) for key in keys]
            rows.append([row.label, *texts, listed(row.difference_folds)])
    return [
        f"## {reference.label} minus each other, on average",
        "",
        f"On the folds of both, with the same resampled subjects. Bold: the {percent} interval "
        "excludes zero, each pair by itself.",
        "",
        *grid(head, rows),
    ]


def paper_notes(paper: PaperTable) -> list[str]:
    """Where the paper's figures are from, and which of its averages do not recompute."""
    lines = [
        f"- {paper.source}, {paper.dataset.upper()}: the real data set, the paper's own subjects.",
        "- Averages that are not the mean of their cells:",
    ]
    for found in deviations(paper):
        why = " (the cells' rounding can explain it)" if found.rounding else ""
        lines.append(
            f"  - {paper.labels[found.system]}, {NAMES[found.metric]}: printed "
            f"{number(found.printed, 2)}, the cells give {number(found.recomputed, 3)}{why}"
        )
    return lines


def csv_text(table: Table1) -> str:
    """Every figure, one a line, both point predictions; columns as `COLUMNS`.

    Args:
      table: the figures.

    Returns:
      CSV with a header; what is not there is empty.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table.rows:
        seeds = " ".join(map(str, row.all_seeds))
        for values, folds, against in (
            (row.values, row.folds, ""),
            (row.difference, row.difference_folds, table.reference or ""),
        ):
            for (metric, point), units in values.items():
                for unit, found in units.items():
                    holds = int(found.excludes_zero) if against else ""
                    numbers = ["" if v is None else f"{v:.6g}" for v in found]
                    where = " ".join(map(str, folds))
                    writer.writerow(
                        [row.system, unit, metric, point, *numbers, where, seeds, against, holds]
                    )
    return stream.getvalue()


def bounds(found: Interval, digits: int) -> str:
    """An interval."""
    if found.low is None:
        return DASH
    return f"[{number(found.low, digits)}, {number(found.high, digits)}]"


def runs(row: Row) -> str:
    """How many folds and seeds a row is of."""
    counts = {len(seeds) for seeds in row.seeds.values()}
    if not counts:
        return "0"
    several = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)}–{max(counts)}"
    return f"{len(row.folds)} × {several}"


def short(unit: str) -> str:
    """An action unit's number: `AU01` is `1`."""
    return str(int(unit.removeprefix("AU")))


def listed(numbers: Sequence[int]) -> str:
    """Numbers with commas."""
    return ", ".join(map(str, numbers))
