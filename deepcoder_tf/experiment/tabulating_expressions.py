"""From the cells of a bench of expressions to Tables 1 and 2 of the second paper."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.expression_bench import (
    ExpressionTables,
    ScoredCell,
    ScoredPictures,
    build_expression_tables,
)
from deepcoder_tf.evaluation.expression_bench_text import expression_csv, expression_markdown
from deepcoder_tf.evaluation.expression_metrics import measure_expressions
from deepcoder_tf.evaluation.expression_sums import sums_of, unit_names, units_of
from deepcoder_tf.evaluation.paper_expressions import paper_expressions
from deepcoder_tf.evaluation.table1 import Failure
from deepcoder_tf.experiment.bench_cells import begun_cells, costs, read_json, unusable
from deepcoder_tf.files import replacing, write_json

__all__ = ["tabulate_expressions"]

SAME = 1e-4
"""By how much the accuracy of saved predictions may differ from the one in `metrics.json`."""


class Pictures(NamedTuple):
    """The pictures of a test; they must be the same for every cell."""

    labels: np.ndarray
    subjects: np.ndarray
    rows: np.ndarray


def tabulate_expressions(
    output_dir: Path, bench: dict[str, Any], reference: str, replicates: int, show_paper: bool
) -> str:
    """Measures the cells of a bench and writes `expressions.md`, `.csv` and `.json`.

    Args:
      output_dir: of the bench.
      bench: content of `bench.json`.
      reference: row that the others are compared with.
      replicates: resamples of the bootstrap.
      show_paper: print the paper's figures below ours.

    Returns:
      The content of `expressions.md`.

    Raises:
      UserError: no cell that could be measured, or the operating system refused.
    """
    cells, failures, tested = measured_cells(output_dir, bench)
    if tested is None:
        why = f"; {failures[0].system}: {failures[0].reason}" if failures else ""
        raise UserError(f"{output_dir}: no cell is finished{why}")
    rows = {name: float(row.get("beta_reconstruction", 0)) for name, row in bench["rows"].items()}
    tables = build_expression_tables(
        rows, cells, tested, failures, reference=reference, replicates=replicates
    )
    wrong = tables.average_errors()
    assert not wrong, wrong[0]
    text = expression_markdown(tables, paper_expressions() if show_paper else None)
    write(output_dir, bench, tables, text)
    return text


def write(output_dir: Path, bench: dict[str, Any], tables: ExpressionTables, text: str) -> None:
    """Writes the three files."""
    finished = [(row.name, 0, seed) for row in tables.rows for seed in row.seeds]
    write_json(
        output_dir / "expressions.json",
        {**tables.to_json(), "data": bench["data"], **costs(output_dir, finished)},
    )
    contents = {"expressions.csv": expression_csv(tables), "expressions.md": text}
    for name, content in contents.items():
        with replacing(output_dir / name) as stream:
            stream.write(content)


def measured_cells(
    output_dir: Path, bench: dict[str, Any]
) -> tuple[dict[tuple[str, int], ScoredCell], list[Failure], ScoredPictures | None]:
    """Every good cell, why the others are none, and what they were tested on."""
    cells: dict[tuple[str, int], ScoredCell] = {}
    failures: list[Failure] = []
    split = str(bench["data"].get("split", "test"))
    first: Pictures | None = None
    tested: ScoredPictures | None = None
    for name, row in bench["rows"].items():
        for fold, seed, folder in begun_cells(output_dir, name):
            reason = unusable(output_dir, folder, row)
            if not reason:
                try:
                    cell, pictures, told = read_cell(folder / "test", split)
                    reason = difference(first or pictures, pictures)
                except ValueError as error:
                    reason = str(error)
            if reason:
                failures.append(Failure(name, fold, seed, reason))
                continue
            cells[name, seed] = cell
            first, tested = first or pictures, tested or tested_on(split, pictures, told)
    return cells, failures, tested


def tested_on(split: str, pictures: Pictures, told: dict[str, Any]) -> ScoredPictures:
    """What the cells were tested on."""
    labels = pictures.labels[pictures.labels >= 0]
    return ScoredPictures(
        split=split,
        pictures=len(pictures.labels),
        labelled=len(labels),
        majority_rate=float(np.bincount(labels).max() / len(labels)),
        units=unit_names(pictures.labels, pictures.subjects),
        similarity=str((told.get("similarity") or {}).get("comparison", "any pair")),
    )


def read_cell(folder: Path, split: str) -> tuple[ScoredCell, Pictures, dict[str, Any]]:
    """A cell's sums and scores, the pictures that they are of, and its `metrics.json`.

    Raises:
      ValueError: a file is damaged, of another split, or they do not fit; one line.
    """
    path = folder / "predictions.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        pictures = Pictures(
            found["labels"].astype(np.int64), found["subjects"].astype(str), found["rows"]
        )
        probabilities = found["probabilities"]
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from error
    told = read_json(folder / "metrics.json")
    if told is None:
        raise ValueError(f"{folder / 'metrics.json'}: cannot be read")
    if told.get("split") != split:
        raise ValueError(f"{folder}: tested on the {told.get('split')} split, not on {split}")
    accuracy = measure_expressions(pictures.labels, probabilities).accuracy
    said = told.get("accuracy")
    if not isinstance(said, int | float) or abs(said - accuracy) > SAME:
        raise ValueError(
            f"{folder}: metrics.json says accuracy {said}, its predictions give {accuracy:.4f}"
        )
    sums = sums_of(
        pictures.labels,
        probabilities,
        found.get("adversary_probabilities"),
        units_of(pictures.labels, pictures.subjects),
    )
    return ScoredCell(sums, scores_of(told)), pictures, told


def scores_of(told: dict[str, Any]) -> dict[str, float | None]:
    """What is taken from `metrics.json` as it is; None where the system has no such thing."""
    scores: dict[str, float | None] = {"similarity_auc": inner(told, "similarity", "auc")}
    for prefix, code in (("", "non_expression"), ("expression_", "expression")):
        for probe in ("linear", "mlp"):
            scores[f"{prefix}probe_{probe}"] = inner(told, "probes", code, probe, "accuracy")
    return scores


def inner(content: Any, *names: str) -> float | None:
    """A number inside of nested objects; None where there is none."""
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return float(content) if isinstance(content, int | float) else None


def difference(one: Pictures, two: Pictures) -> str:
    """What differs between the pictures of two tests, or an empty text."""
    for name in Pictures._fields:
        if not np.array_equal(getattr(one, name), getattr(two, name)):
            return f"tested on other pictures than the cells before it ({name} differ)"
    return ""
