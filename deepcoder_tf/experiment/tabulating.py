"""From the cells of a bench to the paper's table; of expressions, to the second paper's tables."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf.datasets.expressions.store import KIND as EXPRESSIONS
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.bootstrap import SubjectSums, subject_sums
from deepcoder_tf.evaluation.table1 import Failure, build_table
from deepcoder_tf.evaluation.table1_text import csv_text, markdown, paper_of
from deepcoder_tf.experiment.bench_cells import begun_cells, built_in, costs, unusable
from deepcoder_tf.experiment.benchmarking import kind_of, read_bench
from deepcoder_tf.experiment.tabulating_expressions import tabulate_expressions
from deepcoder_tf.files import replacing, write_json

__all__ = ["tabulate"]

ARRAYS = ("labels", "expected", "probabilities", "subjects", "rows")
"""Of `predictions.npz`."""


def tabulate(
    output_dir: Path,
    *,
    point: str = "mean",
    reference: str | None = None,
    replicates: int = 10000,
    show_paper: bool = False,
) -> str:
    """Measures the cells of a bench and writes `table1.md`, `table1.csv` and `table1.json`.

    A bench of expressions gets `expressions.md`, `.csv` and `.json`.

    Args:
      output_dir: of the bench.
      point: whose ICC, MSE and MAE `table1.md` shows: `"mean"` or `"mode"`.
      reference: row that the others are compared with; None for 2dc, or disentangled.
      replicates: resamples of the bootstrap.
      show_paper: put the paper's figures below ours, where it has the same action units.

    Returns:
      The content of the Markdown file.

    Raises:
      UserError: no bench, no cell that could be measured, or the operating system refused.
    """
    bench = read_bench(output_dir)
    if reference is None:
        reference = next(iter(built_in(kind_of(bench))))  # a bench may lack it
    elif reference not in bench["rows"]:
        raise UserError(
            f"--against={reference}: {output_dir} has no such row; choose one of "
            f"{', '.join(bench['rows'])}"
        )
    if kind_of(bench) == EXPRESSIONS:
        return tabulate_expressions(output_dir, bench, reference, replicates, show_paper)
    units = bench["data"]["action_units"]
    cells, failures = measured_cells(output_dir, bench)
    if not cells:
        why = f"; {failures[0].system}: {failures[0].reason}" if failures else ""
        raise UserError(f"{output_dir}: no cell is finished{why}")
    table = build_table(
        units, list(bench["rows"]), cells, failures, reference=reference, replicates=replicates
    )
    wrong = table.average_errors()
    assert not wrong, wrong[0]
    text = markdown(table, point, paper_of(units) if show_paper else None)
    write_json(
        output_dir / "table1.json",
        {**table.to_json(), "point": point, "data": bench["data"], **costs(output_dir, cells)},
    )
    for name, content in (("table1.csv", csv_text(table)), ("table1.md", text)):
        with replacing(output_dir / name) as stream:
            stream.write(content)
    return text


class Frames(NamedTuple):
    """The test frames of a fold; they must be the same for every system."""

    labels: np.ndarray
    subjects: np.ndarray
    rows: np.ndarray


def measured_cells(
    output_dir: Path, bench: dict[str, Any]
) -> tuple[dict[tuple[str, int, int], SubjectSums], list[Failure]]:
    """The sums of every good cell, and why the others are none."""
    cells: dict[tuple[str, int, int], SubjectSums] = {}
    failures: list[Failure] = []
    first: dict[int, Frames] = {}
    for system, row in bench["rows"].items():
        for fold, seed, folder in begun_cells(output_dir, system):
            reason = unusable(output_dir, folder, row)
            if not reason:
                try:
                    sums, frames = read_predictions(folder / "test" / "predictions.npz")
                    reason = difference(first.setdefault(fold, frames), frames)
                except ValueError as error:
                    reason = str(error)
            if reason:
                failures.append(Failure(system, fold, seed, reason))
            else:
                cells[system, fold, seed] = sums
    return cells, failures


def read_predictions(path: Path) -> tuple[SubjectSums, Frames]:
    """The sums of a test's predictions, and the frames that they are of.

    Raises:
      ValueError: the file is damaged, or a prediction is not finite; one line.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ARRAYS}
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from error
    sums = subject_sums(
        found["labels"], found["expected"], found["probabilities"], found["subjects"]
    )
    return sums, Frames(found["labels"], found["subjects"], found["rows"])


def difference(one: Frames, two: Frames) -> str:
    """What differs between the frames of two tests of a fold, or an empty text."""
    for name in Frames._fields:
        if not np.array_equal(getattr(one, name), getattr(two, name)):
            return f"tested on other frames than the cells before it ({name} differ)"
    return ""
