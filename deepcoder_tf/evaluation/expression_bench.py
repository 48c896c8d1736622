"""Tables 1 and 2 of the second paper from the cells of a bench: metrics, intervals, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf.evaluation.bootstrap import Interval, Measured, interval, minus
from deepcoder_tf.evaluation.expression_sums import METRICS, measure_sums, resample
from deepcoder_tf.evaluation.paper_expressions import paper_expressions
from deepcoder_tf.evaluation.table1 import Failure

__all__ = [
    "SCORES",
    "ExpressionRow",
    "ExpressionTables",
    "ScoredCell",
    "ScoredPictures",
    "build_expression_tables",
]

SCORES = (
    "similarity_auc",
    "probe_linear",
    "probe_mlp",
    "expression_probe_linear",
    "expression_probe_mlp",
)
"""Taken from a cell's `metrics.json` as they are, without intervals: AUC of similar expression
codes, and what probes read off the non-expression code and off the expression code."""

Cells = Mapping[tuple[str, int], "ScoredCell"]
"""By row and seed."""


class ScoredCell(NamedTuple):
    """One trained and tested network.

    Attributes:
      sums: `[U, K]` of `sums_of`.
      scores: by name in `SCORES`; None where there is nothing.
    """

    sums: np.ndarray
    scores: Mapping[str, float | None]


class ScoredPictures(NamedTuple):
    """The pictures that all cells are tested on.

    Attributes:
      split: their name, `test` or `validation`.
      pictures: of the split.
      labelled: those that are scored.
      majority_rate: share of the most frequent class.
      units: what is resampled, in words.
      similarity: which pairs the AUC compares.
    """

    split: str
    pictures: int
    labelled: int
    majority_rate: float
    units: str
    similarity: str


@dataclass(frozen=True)
class ExpressionRow:
    """What one row reached, seeds averaged.

    Attributes:
      name: of the row.
      label: the paper's name of it, or its own.
      beta1: weight of the reconstruction.
      seeds: of its cells.
      values: metrics and scores; empty where no cell could be measured.
      by_seed: the same of each seed alone.
      difference: reference minus this row; empty for the reference.
      difference_by_seed: of the accuracies, for each seed of both.
    """

    name: str
    label: str
    beta1: float
    seeds: tuple[int, ...]
    values: dict[str, Interval]
    by_seed: dict[int, dict[str, float | None]]
    difference: dict[str, Interval]
    difference_by_seed: dict[int, float]

    @property
    def has_adversary(self) -> bool:
        """Whether it stands in Table 2."""
        found = self.values.get("adversary_accuracy")
        return found is not None and found.value is not None


@dataclass(frozen=True)
class ExpressionTables:
    """Both tables.

    Attributes:
      tested: the pictures.
      rows: in order.
      failures: cells that are not in it.
      notes: what a reader must know, one line each.
      reference: row that the others are compared with; None where it has no cell.
      replicates: resamples of the bootstrap.
      level: of the intervals.
      seed: of the bootstrap.
    """

    tested: ScoredPictures
    rows: tuple[ExpressionRow, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    reference: str | None
    replicates: int
    level: float
    seed: int

    def average_errors(self) -> list[str]:
        """Averages that do not follow from their seeds; none, or the tables are wrong."""
        wrong = []
        for row in self.rows:
            for name, found in row.values.items():
                cells = [of_seed[name] for of_seed in row.by_seed.values()]
                there = [value for value in cells if value is not None]
                if (found.value is None) != (not there) or (
                    found.value is not None and abs(float(np.mean(there)) - found.value) > 1e-9
                ):
                    wrong.append(f"{row.name} {name}: {found.value} is not the mean of {cells}")
        return wrong

    def to_json(self) -> dict[str, Any]:
        """Plain types, None in place of NaN."""
        return {
            "format": 1,
            "kind": "expressions",
            "tested": self.tested._asdict(),
            "bootstrap": {
                "unit": self.tested.units,
                "replicates": self.replicates,
                "level": self.level,
                "seed": self.seed,
            },
            "reference": self.reference,
            "systems": {row.name: row_json(row) for row in self.rows},
            "failed": [failure._asdict() for failure in self.failures],
            "notes": list(self.notes),
        }


def row_json(row: ExpressionRow) -> dict[str, Any]:
    """A row as plain types."""
    return {
        "label": row.label,
        "beta1": row.beta1,
        "seeds": list(row.seeds),
        "metrics": {name: found._asdict() for name, found in row.values.items()},
        "by_seed": {str(seed): values for seed, values in row.by_seed.items()},
        "difference": {
            name: {**found._asdict(), "holds": found.excludes_zero}
            for name, found in row.difference.items()
        },
        "accuracy_difference_by_seed": {
            str(seed): value for seed, value in row.difference_by_seed.items()
        },
    }


def build_expression_tables(
    rows: Mapping[str, float],
    cells: Cells,
    tested: ScoredPictures,
    failures: Sequence[Failure] = (),
    *,
    reference: str = "disentangled",
    replicates: int = 10000,
    level: float = 0.95,
    seed: int = 0,
) -> ExpressionTables:
    """Measures every row, with intervals, and against one of them.

    Args:
      rows: beta1 of each row, in order; one without a cell becomes an empty row.
      cells: at least one, all of the same pictures.
      tested: those pictures.
      failures: cells that could not be measured.
      reference: row that the others are compared with.
      replicates: resamples, at least 1.
      level: of the intervals, 0..1.
      seed: of the resamples.

    Returns:
      The tables.
    """
    resampled = resample({key: cell.sums for key, cell in cells.items()}, replicates, seed)
    measured = {
        name: average(keys, cells, resampled)
        for name in rows
        if (keys := [key for key in cells if key[0] == name])
    }
    base = measured.get(reference)
    made = []
    for name, beta1 in rows.items():
        own = measured.get(name)
        compared = None if name == reference or own is None or base is None else minus(base, own)
        made.append(make_row(name, beta1, cells, own, compared, reference, level))
    return ExpressionTables(
        tested=tested,
        rows=tuple(made),
        failures=tuple(failures),
        notes=tuple(notes(made, tested)),
        reference=reference if base else None,
        replicates=replicates,
        level=level,
        seed=seed,
    )


def average(
    keys: Sequence[tuple[str, int]],
    cells: Cells,
    resampled: Mapping[tuple[str, int], np.ndarray] | None,
) -> Measured:
    """The mean over seeds."""
    value = np.mean([measure_sums(cells[key].sums.sum(0)) for key in keys], axis=0)
    if resampled is None:
        return Measured(value, None)
    return Measured(value, np.mean([resampled[key] for key in keys], axis=0))


def make_row(
    name: str,
    beta1: float,
    cells: Cells,
    own: Measured | None,
    compared: Measured | None,
    reference: str,
    level: float,
) -> ExpressionRow:
    """One row and its difference to the reference."""
    by_seed = {seed: alone(cells[row, seed]) for row, seed in sorted(cells) if row == name}
    values = {} if own is None else intervals(own, level)
    if by_seed:
        values |= {score: mean_score(by_seed, score) for score in SCORES}
    of_reference = {seed: alone(cell) for (row, seed), cell in cells.items() if row == reference}
    return ExpressionRow(
        name=name,
        label=paper_expressions().labels.get(name, name),
        beta1=beta1,
        seeds=tuple(by_seed),
        values=values,
        by_seed=by_seed,
        difference={} if compared is None else intervals(compared, level),
        difference_by_seed={}
        if compared is None
        else {
            seed: float(of_reference[seed]["accuracy"] or 0) - float(found["accuracy"] or 0)
            for seed, found in by_seed.items()
            if seed in of_reference
        },
    )


def alone(cell: ScoredCell) -> dict[str, float | None]:
    """Metrics and scores of one cell."""
    value = measure_sums(cell.sums.sum(0))
    found = {
        name: None if np.isnan(value[m]) else float(value[m]) for m, name in enumerate(METRICS)
    }
    return {**found, **{score: cell.scores.get(score) for score in SCORES}}


def mean_score(by_seed: Mapping[int, Mapping[str, float | None]], score: str) -> Interval:
    """The mean of a score over the seeds that have it."""
    there = [value for found in by_seed.values() if (value := found[score]) is not None]
    return Interval(float(np.mean(there)) if there else None)


def intervals(found: Measured, level: float) -> dict[str, Interval]:
    """Every metric with its interval."""
    return {
        name: interval(
            found.value[m], None if found.resampled is None else found.resampled[:, m], level
        )
        for m, name in enumerate(METRICS)
    }


def notes(rows: Sequence[ExpressionRow], tested: ScoredPictures) -> list[str]:
    """What a reader must know."""
    lines = []
    if tested.split == "validation":
        lines.append(
            "The data have no test pictures: cells are measured on the validation pictures, on "
            "which the epoch of each was chosen too, so that all figures are somewhat too good."
        )
    if tested.labelled < tested.pictures:
        lines.append(f"{tested.pictures - tested.labelled} pictures without a class do not count.")
    for row in rows:
        if not row.seeds:
            lines.append(f"{row.label} has no finished cell.")
    counts = {len(row.seeds) for row in rows if row.seeds}
    if len(counts) > 1:
        lines.append(
            "Rows have different numbers of seeds; intervals are of the choice of test pictures "
            "alone, and a row of one seed moves with another seed too."
        )
    return lines
