"""What a report reads from a bench's folder; nothing in it needs TensorFlow."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from deepcoder_tf.datasets.expressions.store import KIND as EXPRESSIONS
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.paper_table import paper_table
from deepcoder_tf.experiment.bench_cells import read_json, unusable
from deepcoder_tf.experiment.benchmarking import kind_of, read_bench

__all__ = ["AbsentError", "BenchFolder", "CellFolder", "Predictions", "open_bench", "present"]

Content = TypeVar("Content")

SYSTEM = "2dc"
"""The system whose single runs are shown."""


class AbsentError(Exception):
    """There is nothing to draw a figure from; the text says what is missing, in one line."""


class Predictions(NamedTuple):
    """The test frames of a cell.

    Attributes:
      probabilities: `[N, Q, L]`.
      labels: `[N, Q]`, -1 = missing.
      subjects: `[N]`.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray


@dataclass(frozen=True)
class CellFolder:
    """A trained and tested cell.

    Attributes:
      variant: name of the row.
      fold: number.
      seed: number.
      folder: of the cell.
      reason: why it cannot be used; empty where it can.
    """

    variant: str
    fold: int
    seed: int
    folder: Path
    reason: str = ""

    @property
    def name(self) -> str:
        """As a caption says it."""
        return f"{self.variant}, fold {self.fold}, seed {self.seed}"

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    @property
    def test(self) -> Path:
        """The folder of the test's results."""
        return self.folder / "test"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its options; empty where they cannot be read."""
        return dict((read_json(self.run / "run.json") or {}).get("config", {}))

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The lines of `history.jsonl`, up to one that is damaged."""
        lines: list[dict[str, Any]] = []
        try:
            for text in (self.run / "history.jsonl").read_text(encoding="utf-8").splitlines():
                lines.append(json.loads(text))
        except (OSError, ValueError):
            pass
        return lines

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Iterations and values of one quantity; None where the run did not write it."""
        found = [(line["iteration"], line[name]) for line in self.history if name in line]
        if not found:
            return None
        steps, values = np.array(found, np.float64).T
        return steps, values

    @property
    def best_iteration(self) -> int:
        """The outer iteration whose model was chosen; -1 where that is not known."""
        better = [line["iteration"] for line in self.history if line.get("improved")]
        return better[-1] if better else -1

    @cached_property
    def predictions(self) -> Predictions:
        """The test's predictions.

        Raises:
          AbsentError: there are none, or they are damaged.
        """
        path = self.test / "predictions.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return Predictions(*(arrays[name] for name in Predictions._fields))
        except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise AbsentError(f"{path} cannot be read ({error})") from error


@dataclass(frozen=True)
class BenchFolder:
    """A bench as far as it has come.

    Attributes:
      folder: of the bench.
      source: name of the data set.
      action_units: Q names.
      splits: subjects by fold and split.
      variants: rows in order.
      cells: that were begun, in order of row, fold and seed.
      table: content of `table1.json`; None where it is not there.
    """

    folder: Path
    source: str
    action_units: tuple[str, ...]
    splits: dict[int, dict[str, list[str]]]
    variants: tuple[str, ...]
    cells: tuple[CellFolder, ...]
    table: dict[str, Any] | None

    def of(self, variant: str) -> list[CellFolder]:
        """Usable cells of a row."""
        return [cell for cell in self.cells if cell.variant == variant and not cell.reason]

    def pooled(self, variant: str) -> list[CellFolder]:
        """Usable cells of the lowest seed of a row: each test frame once."""
        cells = self.of(variant)
        lowest = min((cell.seed for cell in cells), default=0)
        return [cell for cell in cells if cell.seed == lowest]

    def shown(self) -> CellFolder:
        """The one whose latent spaces and faces are shown: of 2DC where there is one.

        Raises:
          AbsentError: no usable cell kept them.
        """
        order = sorted(self.variants, key=lambda variant: variant != SYSTEM)
        for variant in order:
            for cell in self.of(variant):
                if (cell.run / "latents").is_dir():
                    return cell
        raise AbsentError("no finished cell with saved codes; only stacks of coders have them")

    def label(self, variant: str) -> str:
        """The paper's name of a row, or its own."""
        return paper_table("disfa").labels.get(variant, variant)


def present(read: Callable[[Path], Content], path: Path) -> Content:
    """Reads a cell's file; one that is damaged costs the figures that need it, not the page.

    Raises:
      AbsentError: it cannot be read.
    """
    try:
        return read(path)
    except UserError as error:
        raise AbsentError(str(error)) from error


def open_bench(folder: Path) -> BenchFolder:
    """Reads what a bench's folder holds.

    Args:
      folder: that `deepcoder-benchmark` wrote.

    Returns:
      Its cells and its table.

    Raises:
      UserError: it is no bench, of another version, or of expressions.
    """
    bench = read_bench(folder)
    if kind_of(bench) == EXPRESSIONS:
        raise UserError(
            f"{folder} holds a bench of expressions, for which no report is made yet; its tables "
            f"are {folder / 'expressions.md'}, and each cell's pictures lie in its folder test"
        )
    data = bench["data"]
    folds = data.get("folds", {})
    return BenchFolder(
        folder=folder,
        source=str(data.get("source", "")),
        action_units=tuple(data["action_units"]),
        splits={int(number): splits for number, splits in folds.items()},
        variants=tuple(bench["rows"]),
        cells=tuple(find_cells(folder, bench["rows"])),
        table=read_json(folder / "table1.json"),
    )


def find_cells(folder: Path, rows: Mapping[str, dict[str, Any]]) -> list[CellFolder]:
    """Every cell that was begun, in order of row, fold and seed."""
    cells = []
    for variant, row in rows.items():
        for path in (folder / "cells" / variant).glob("fold*/seed*"):
            numbers = re.fullmatch(r"fold(\d+)/seed(\d+)", f"{path.parent.name}/{path.name}")
            if numbers:
                reason = unusable(folder, path, row)
                cells.append(CellFolder(variant, int(numbers[1]), int(numbers[2]), path, reason))
    order = list(rows)
    return sorted(cells, key=lambda c: (order.index(c.variant), c.fold, c.seed))
