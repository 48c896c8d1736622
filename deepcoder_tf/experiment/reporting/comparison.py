"""Systems side by side: how good each is, and whether it differs from 2DC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepcoder_tf.evaluation import figures
from deepcoder_tf.experiment.reporting.cells import AbsentError, BenchFolder

__all__ = ["averages", "differences", "mean_icc"]

AVERAGE = "average"

COLUMNS = (
    ("icc", "ICC(3,1)", 3),
    ("mse", "MSE, levels²", 3),
    ("mae", "MAE, levels", 3),
    ("ordinal_log_score", "NLPD, nats", 3),
    ("calibration_error", "calibration error", 3),
)
"""Of the table of averages: metric, heading with unit, decimals."""


def mean_icc(bench: BenchFolder, path: Path) -> str:
    """The mean ICC of each system with its interval."""
    table = table_of(bench)
    estimates = {}
    for name, system in table["systems"].items():
        value = average(table, system, "icc")
        if value is not None:
            estimates[label(name, system)] = value
    if not estimates:
        raise AbsentError("table1.json has no ICC")
    reference = table["systems"].get(table.get("reference") or "", {})
    marked = [label(table["reference"], reference)] if reference else []
    figures.intervals(
        path, estimates, "mean ICC(3,1) over action units, test subjects", marked=marked
    )
    return (
        f"Mean ICC(3,1) of the {point_name(table)} over {len(bench.action_units)} action units on "
        f"test subjects, with {level_of(table)} intervals from {replicates(table)} resamples of "
        "the test subjects. Source: table1.json, averaged over the seeds and folds of each row."
    )


def differences(bench: BenchFolder, path: Path) -> str:
    """What the reference has more than each system, paired over test subjects."""
    table = table_of(bench)
    reference = table.get("reference")
    if not reference:
        raise AbsentError("the bench has no finished cell of the reference system")
    estimates, held = {}, []
    for name, system in table["systems"].items():
        value = average(table, system, "icc", "difference")
        if value is not None:
            estimates[label(name, system)] = value
            if value.low is not None and value.high is not None and value.low * value.high > 0:
                held.append(label(name, system))
    if not estimates:
        raise AbsentError("no other system was tested on the folds of the reference")
    own = label(reference, table["systems"][reference])
    figures.intervals(path, estimates, f"mean ICC of {own} minus the system's", difference=True)
    return (
        f"Paired difference of mean ICC, {own} minus each system, on the same test subjects, with "
        f"{level_of(table)} bootstrap intervals: right of zero {own} is better. Grey: the interval "
        f"holds zero. The difference holds against {', '.join(held) or 'no system'}. "
        "Source: table1.json."
    )


def averages(bench: BenchFolder) -> tuple[list[str], list[list[str]]]:
    """The averages of `table1.json` as the cells of a table.

    Returns:
      Headings, and a row for each system.

    Raises:
      AbsentError: there is no table.
    """
    table = table_of(bench)
    rows = []
    for name, system in table["systems"].items():
        row = [label(name, system)]
        for metric, _, digits in COLUMNS:
            value = average(table, system, metric)
            row.append("–" if value is None else shown(value, digits))
        rows.append(row)
    return ["system", *(heading for _, heading, _ in COLUMNS)], rows


def shown(value: figures.Estimate, digits: int) -> str:
    """A number, and its interval where it has one."""
    text = f"{value.value:.{digits}f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def table_of(bench: BenchFolder) -> dict[str, Any]:
    """The content of `table1.json`."""
    if bench.table is None or not isinstance(bench.table.get("systems"), dict):
        raise AbsentError("no table1.json; deepcoder-benchmark --table_only makes it")
    return bench.table


def average(
    table: dict[str, Any], system: dict[str, Any], metric: str, kind: str = "metrics"
) -> figures.Estimate | None:
    """One metric's mean over action units; None where it was not measured."""
    found = system.get(kind, {}).get(metric, {})
    cell = found.get(table.get("point", "mean"), found).get(AVERAGE)
    if not cell or cell.get("value") is None:
        return None
    return figures.Estimate(cell["value"], cell.get("low"), cell.get("high"))


def label(name: str, system: dict[str, Any]) -> str:
    """The name of a row."""
    return str(system.get("label", name))


def point_name(table: dict[str, Any]) -> str:
    """Which point prediction was measured."""
    return "most probable level" if table.get("point") == "mode" else "expected level"


def level_of(table: dict[str, Any]) -> str:
    """Such as 95 %."""
    return f"{100 * table.get('bootstrap', {}).get('level', 0.95):g} %"


def replicates(table: dict[str, Any]) -> str:
    """How many resamples."""
    return f"{table.get('bootstrap', {}).get('replicates', 0):,}".replace(",", " ")
