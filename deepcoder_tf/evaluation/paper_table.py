"""Table 1 of the paper as data, and which of its averages do not follow from its cells."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Deviation", "PaperTable", "average_deviation", "deviations", "paper_table"]

FILE = Path(__file__).with_name("paper_table1.json")

HALF = 0.005
"""Half a unit in the second decimal: what rounding can take from a printed number."""


@dataclass(frozen=True)
class PaperTable:
    """The figures of one data set, as printed.

    Attributes:
      dataset: `"disfa"` or `"fera2015"`.
      source: where they are printed.
      labels: the paper's name of each system.
      action_units: columns.
      cells: by metric (`"icc"`, `"mse"`) and system, one figure for each action unit.
      averages: by metric and system, as printed.
    """

    dataset: str
    source: str
    labels: dict[str, str]
    action_units: tuple[str, ...]
    cells: dict[str, dict[str, tuple[float, ...]]]
    averages: dict[str, dict[str, float]]


class Deviation(NamedTuple):
    """A printed average that differs from the mean of its printed cells by more than its rounding.

    Attributes:
      dataset: of the table.
      metric: `"icc"` or `"mse"`.
      system: row.
      printed: the average as printed.
      recomputed: mean of the printed cells.
      rounding: whether the rounding of the cells can explain it.
    """

    dataset: str
    metric: str
    system: str
    printed: float
    recomputed: float
    rounding: bool


@functools.cache
def paper_table(dataset: str) -> PaperTable:
    """The paper's figures.

    Args:
      dataset: `"disfa"` or `"fera2015"`.

    Returns:
      The table.

    Raises:
      ValueError: the paper has no such data set.

    Source: DeepCoder (ICCV 2017), Table 1.

    >>> table = paper_table("fera2015")
    >>> table.action_units, table.cells["icc"]["2dc"], table.averages["icc"]["2dc"]
    (('AU06', 'AU10', 'AU12', 'AU14', 'AU17'), (0.76, 0.71, 0.85, 0.45, 0.53), 0.66)
    """
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    if dataset not in content["datasets"]:
        known = ", ".join(content["datasets"])
        raise ValueError(f"the paper has no data set {dataset!r}; known are {known}")
    found = content["datasets"][dataset]
    metrics = [name for name in found if name != "action_units"]
    return PaperTable(
        dataset=dataset,
        source=content["source"],
        labels=content["labels"],
        action_units=tuple(found["action_units"]),
        cells={m: {s: tuple(row["cells"]) for s, row in found[m].items()} for m in metrics},
        averages={m: {s: row["average"] for s, row in found[m].items()} for m in metrics},
    )


def average_deviation(cells: Sequence[float], average: float) -> float:
    """How far an average is from the mean of its cells, in the unit of the cells.

    >>> round(average_deviation([0.5, 0.7], 0.61), 6)
    0.01
    """
    return abs(float(np.mean(cells)) - average)


def deviations(table: PaperTable) -> list[Deviation]:
    """The printed averages that do not recompute.

    Args:
      table: as printed, to two decimals.

    Returns:
      Those that differ from the mean of their cells by more than half a unit of the last decimal;
      one that the rounding of the cells can explain (up to a whole unit) says so.
    """
    found = []
    for metric, rows in table.cells.items():
        for system, cells in rows.items():
            printed = table.averages[metric][system]
            off = average_deviation(cells, printed)
            if off > HALF + 1e-9:
                mean, rounding = float(np.mean(cells)), off <= 2 * HALF + 1e-9
                found.append(Deviation(table.dataset, metric, system, printed, mean, rounding))
    return found
