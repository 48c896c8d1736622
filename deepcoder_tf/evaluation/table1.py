"""The paper's Table 1 from the cells of a bench: metrics, intervals and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf.evaluation.bootstrap import (
    METRICS,
    Interval,
    Measured,
    SubjectSums,
    draw_subjects,
    interval,
    mean_over,
    measure,
    minus,
)
from deepcoder_tf.evaluation.paper_table import average_deviation, paper_table

__all__ = ["AVERAGE", "Failure", "Row", "Table1", "Values", "build_table"]

AVERAGE = "average"
"""Key of the mean over action units."""

Values = dict[tuple[str, str], dict[str, Interval]]
"""By metric and point prediction, then by action unit or `AVERAGE`."""


class Failure(NamedTuple):
    """A cell that is not in the table.

    Attributes:
      system: row.
      fold: number.
      seed: number.
      reason: one line.
    """

    system: str
    fold: int
    seed: int
    reason: str


@dataclass(frozen=True)
class Row:
    """What one system reached.

    Attributes:
      system: name of the row.
      folds: over which it is averaged.
      seeds: by fold.
      values: every metric; empty where no cell could be measured.
      by_seed: averages of the metrics over folds and action units, for each seed alone.
      difference: reference minus this row, on the folds that both have; empty for the reference.
      difference_folds: those folds.
    """

    system: str
    folds: tuple[int, ...]
    seeds: dict[int, tuple[int, ...]]
    values: Values
    by_seed: dict[int, dict[tuple[str, str], float | None]]
    difference: Values
    difference_folds: tuple[int, ...]

    @property
    def label(self) -> str:
        """The paper's name, or the row's own."""
        return paper_table("disfa").labels.get(self.system, self.system)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Seeds of any fold."""
        return tuple(sorted({seed for seeds in self.seeds.values() for seed in seeds}))


@dataclass(frozen=True)
class Table1:
    """The table.

    Attributes:
      action_units: columns.
      folds: of any row.
      rows: in order.
      failures: cells that are not in it.
      notes: what a reader must know, one line each.
      reference: the row that the others are compared with; None where it is not there.
      replicates: resamples of the bootstrap.
      level: of the intervals.
      seed: of the bootstrap.
    """

    action_units: tuple[str, ...]
    folds: tuple[int, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    reference: str | None
    replicates: int
    level: float
    seed: int

    def average_errors(self) -> list[str]:
        """Averages that do not follow from their cells; none, or the table is wrong."""
        wrong = []
        for row in self.rows:
            for (metric, point), values in row.values.items():
                cells = [v.value for unit, v in values.items() if unit != AVERAGE]
                present = [value for value in cells if value is not None]
                mean = values[AVERAGE].value
                if (mean is None) != (not present) or (
                    mean is not None and average_deviation(present, mean) > 1e-9
                ):
                    wrong.append(
                        f"{row.system} {metric} {point}: {mean} is not the mean of {cells}"
                    )
        return wrong

    def to_json(self) -> dict[str, Any]:
        """Plain types, None in place of NaN."""
        return {
            "format": 1,
            "action_units": list(self.action_units),
            "folds": list(self.folds),
            "bootstrap": {
                "unit": "test subjects, within folds",
                "replicates": self.replicates,
                "level": self.level,
                "seed": self.seed,
            },
            "reference": self.reference,
            "systems": {row.system: row_json(row) for row in self.rows},
            "failed": [failure._asdict() for failure in self.failures],
            "notes": list(self.notes),
        }


def row_json(row: Row) -> dict[str, Any]:
    """A row as plain types."""
    return {
        "label": row.label,
        "folds": list(row.folds),
        "seeds": {str(fold): list(seeds) for fold, seeds in row.seeds.items()},
        "metrics": nested(row.values, holds=False),
        "average_by_seed": {
            str(seed): {f"{metric}:{point}".strip(":"): v for (metric, point), v in values.items()}
            for seed, values in row.by_seed.items()
        },
        "difference_folds": list(row.difference_folds),
        "difference": nested(row.difference, holds=True),
    }


def nested(values: Values, holds: bool) -> dict[str, Any]:
    """`metric -> point -> unit -> {value, low, high}`; without point where there is none."""
    found: dict[str, Any] = {}
    for (metric, point), units in values.items():
        cells = {
            unit: {**v._asdict(), **({"holds": v.excludes_zero} if holds else {})}
            for unit, v in units.items()
        }
        if point:
            found.setdefault(metric, {})[point] = cells
        else:
            found[metric] = cells
    return found


def build_table(
    action_units: Sequence[str],
    systems: Sequence[str],
    cells: Mapping[tuple[str, int, int], SubjectSums],
    failures: Sequence[Failure] = (),
    *,
    reference: str = "2dc",
    replicates: int = 10000,
    level: float = 0.95,
    seed: int = 0,
) -> Table1:
    """Measures every system on its folds, with intervals, and against one of them.

    Args:
      action_units: Q names.
      systems: rows, in order; one without a cell becomes an empty row.
      cells: sums of the test subjects by system, fold and seed.
      failures: cells that could not be measured.
      reference: row that the others are compared with.
      replicates: resamples, at least 1.
      level: of the intervals, 0..1.
      seed: of the resamples.

    Returns:
      The table.

    Raises:
      ValueError: systems that were tested on different subjects of the same fold.
    """
    subjects = subjects_of(cells)
    counts = {
        fold: draw_subjects(len(names), replicates, seed, fold) if len(names) > 1 else None
        for fold, names in sorted(subjects.items())
    }

    def measured(system: str) -> dict[int, Measured]:
        return {
            fold: measure_fold([cells[key] for key in sorted(keys)], counts[fold])
            for fold in counts
            if (keys := [key for key in cells if key[:2] == (system, fold)])
        }

    base = measured(reference)
    rows = []
    for system in systems:
        own = base if system == reference else measured(system)
        rows.append(make_row(system, action_units, cells, own, base, reference, level))
    return Table1(
        action_units=tuple(action_units),
        folds=tuple(counts),
        rows=tuple(rows),
        failures=tuple(failures),
        notes=tuple(notes(action_units, rows, cells, subjects)),
        reference=reference if base else None,
        replicates=replicates,
        level=level,
        seed=seed,
    )


def subjects_of(cells: Mapping[tuple[str, int, int], SubjectSums]) -> dict[int, list[str]]:
    """The test subjects of each fold.

    Raises:
      ValueError: they differ between systems.
    """
    found: dict[int, list[str]] = {}
    for (system, fold, seed), sums in cells.items():
        names = sums.subjects.tolist()
        if found.setdefault(fold, names) != names:
            raise ValueError(
                f"{system}, fold {fold}, seed {seed} was tested on {', '.join(names)}, others on "
                f"{', '.join(found[fold])}"
            )
    return found


def measure_fold(seeds: Sequence[SubjectSums], counts: np.ndarray | None) -> Measured:
    """The mean over seeds of the metrics of one fold, its test subjects pooled."""
    value = np.mean([measure(one.sums.sum(0)) for one in seeds], axis=0)
    if counts is None:
        return Measured(value, None)
    total = sum(measure(np.tensordot(counts, one.sums, 1)) for one in seeds)
    return Measured(value, np.asarray(total) / len(seeds))


def make_row(
    system: str,
    action_units: Sequence[str],
    cells: Mapping[tuple[str, int, int], SubjectSums],
    own: Mapping[int, Measured],
    base: Mapping[int, Measured],
    reference: str,
    level: float,
) -> Row:
    """One row and its difference to the reference."""
    common = {} if system == reference else {f: (base[f], own[f]) for f in own if f in base}
    seeds = {f: tuple(sorted(key[2] for key in cells if key[:2] == (system, f))) for f in own}
    by_seed = {}
    for seed in sorted({seed for of_fold in seeds.values() for seed in of_fold}):
        folds = {f: [measure(cells[system, f, seed].sums.sum(0))] for f in own if seed in seeds[f]}
        average = unit_mean(mean_over(folds))
        by_seed[seed] = {
            key: None if np.isnan(average[m]) else float(average[m])
            for m, key in enumerate(METRICS)
        }
    return Row(
        system=system,
        folds=tuple(own),
        seeds=seeds,
        values=intervals(action_units, own, level) if own else {},
        by_seed=by_seed,
        difference=intervals(
            action_units, {f: minus(one, two) for f, (one, two) in common.items()}, level
        )
        if common
        else {},
        difference_folds=tuple(common),
    )


def intervals(action_units: Sequence[str], folds: Mapping[int, Measured], level: float) -> Values:
    """Folds averaged, for each action unit and over them."""
    value = mean_over({f: [found.value] for f, found in folds.items()})
    resampled = None
    if all(found.resampled is not None for found in folds.values()):
        resampled = mean_over({f: [np.asarray(found.resampled)] for f, found in folds.items()})
    average = unit_mean(value)
    average_resampled = None if resampled is None else unit_mean(resampled)
    found: Values = {}
    for m, key in enumerate(METRICS):
        found[key] = {
            unit: interval(value[q, m], None if resampled is None else resampled[:, q, m], level)
            for q, unit in enumerate(action_units)
        }
        over = None if average_resampled is None else average_resampled[:, m]
        found[key][AVERAGE] = interval(average[m], over, level)
    return found


def unit_mean(values: np.ndarray) -> np.ndarray:
    """The mean over action units of `[..., Q, M]`, over those that have something to measure."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(-2) / there.sum(-2)


def notes(
    action_units: Sequence[str],
    rows: Sequence[Row],
    cells: Mapping[tuple[str, int, int], SubjectSums],
    subjects: Mapping[int, list[str]],
) -> list[str]:
    """What a reader must know about the averages."""
    lines = []
    for fold, names in sorted(subjects.items()):
        if len(names) < 2:
            lines.append(
                f"Fold {fold} has one test subject, {names[0]}: averages with it have no interval."
            )
        sums = next(found.sums for key, found in cells.items() if key[1] == fold).sum(0)
        for q, unit in enumerate(action_units):
            if sums[q, 0] == 0:
                lines.append(f"{unit} is not labelled in fold {fold}: averaged over the others.")
            elif sums[q, 1] == 0:
                lines.append(f"{unit} has no positive frame in fold {fold}: its ICC is 0 there.")
    for row in rows:
        if not row.folds:
            lines.append(f"{row.label} has no finished cell.")
        elif set(row.folds) != set(subjects):
            lines.append(
                f"{row.label} is averaged over fold {listed(row.folds)} alone, "
                "and is left out of the choice of the best."
            )
        if len({*row.seeds.values()}) > 1:
            each = "; ".join(f"fold {fold}: {listed(of)}" for fold, of in row.seeds.items())
            lines.append(f"{row.label} has other seeds in other folds ({each}).")
    return lines


def listed(numbers: Sequence[int]) -> str:
    """Numbers with commas."""
    return ", ".join(map(str, numbers))
