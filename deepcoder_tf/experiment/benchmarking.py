"""The bench: every system trained and tested on the same folds."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcoder_tf.config import Config
from deepcoder_tf.datasets.folds import SPLITS
from deepcoder_tf.datasets.prepared import PreparedInfo, dataset_info
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.bench_cells import (
    BUILT_IN,
    Cell,
    changed_option,
    plan_cells,
    read_json,
)
from deepcoder_tf.experiment.bench_runner import Commands, claimed, commands_of, run_cells
from deepcoder_tf.files import write_json

__all__ = ["benchmark", "read_bench"]

FORMAT = 1


def benchmark(
    data_dir: Path,
    output_dir: Path,
    variants: Mapping[str, Config],
    seeds: Mapping[str, Sequence[int]],
    folds: Sequence[int] | None = None,
    *,
    workers: int = 1,
    again: bool = False,
    commands: Commands | None = None,
) -> None:
    """Trains and tests systems on the same folds.

    Cells that are finished are kept, so that a bench that was stopped goes on; cells that failed
    are tried again.

    Args:
      data_dir: folder that `deepcoder-prepare` wrote.
      output_dir: of the bench; made if new.
      variants: options of every row that is known, by name.
      seeds: the rows to run, and the seeds of each.
      folds: None for all that can be used.
      workers: cells at once.
      again: run cells anew that were made with other options, instead of refusing.
      commands: steps of a cell; None for training and evaluation.

    Raises:
      UserError: no such data, fold or row; a cell that was made with other options; the folder
        belongs to other data or is in use; the operating system refused to write.
    """
    info = dataset_info(data_dir)
    cells = plan_cells(variants, chosen_folds(info, folds), seeds)
    with claimed(output_dir) as lock:
        bench = bench_of(output_dir, info)
        clear_changed(cells, output_dir, again)
        register(output_dir, bench, {cell.variant: variants[cell.variant] for cell in cells})
        run_cells(
            cells,
            output_dir,
            commands or commands_of(data_dir),
            workers=workers,
            lock=lock,
        )


def chosen_folds(info: PreparedInfo, folds: Sequence[int] | None) -> list[int]:
    """The folds to run.

    Raises:
      UserError: one of them is not there or cannot be used, or none can.
    """
    if not info.folds:
        reasons = "; ".join(f"fold {number}: {why}" for number, why in info.unusable.items())
        raise UserError(
            f"{info.folder}: no fold can be used ({reasons or 'there is none'}); "
            "a bench needs subjects to train on, to validate on and to test on"
        )
    chosen = sorted(info.folds) if folds is None else sorted(set(folds))
    for number in chosen:
        info.fold(number)
    return chosen


def bench_of(output_dir: Path, info: PreparedInfo) -> dict[str, Any]:
    """What a folder says of its bench: the data, and the rows that it has so far.

    Raises:
      UserError: the folder holds a bench on other data, or is damaged.
    """
    data = {
        "source": info.source,
        "action_units": list(info.action_units),
        "seed": info.seed,
        "folds": {
            str(number): {split: list(fold.subjects(split)) for split in SPLITS}
            for number, fold in info.folds.items()
        },
    }
    if not (output_dir / "bench.json").exists():
        return {"format": FORMAT, "data": data, "rows": {}}
    old = read_bench(output_dir)
    for name, value in data.items():
        if old["data"].get(name) != value:
            raise UserError(
                f"{output_dir} holds a bench on other data than {info.folder} ({name} differs); "
                "choose another --output_dir"
            )
    return old


def register(output_dir: Path, bench: dict[str, Any], variants: Mapping[str, Config]) -> None:
    """Adds rows to a bench: the paper's in the paper's order, then others as they came."""
    rows = bench["rows"] | {name: dataclasses.asdict(config) for name, config in variants.items()}
    order = [name for name in BUILT_IN if name in rows]
    order += [name for name in rows if name not in BUILT_IN]
    write_json(output_dir / "bench.json", {**bench, "rows": {name: rows[name] for name in order}})


def read_bench(output_dir: Path) -> dict[str, Any]:
    """The content of `bench.json`.

    Raises:
      UserError: the folder is no bench, or of another version.
    """
    path = output_dir / "bench.json"
    content = read_json(path)
    if content is None:
        raise UserError(
            f"{output_dir}: no bench (no bench.json that can be read); run deepcoder-benchmark "
            "with this --output_dir first"
        )
    if content.get("format") != FORMAT or not {"data", "rows"} <= content.keys():
        raise UserError(f"{path}: written by another version; choose another --output_dir")
    return content


def clear_changed(cells: Sequence[Cell], output_dir: Path, again: bool) -> None:
    """Removes cells that were begun with other options, if that is wanted.

    Raises:
      UserError: there is such a cell and it is not to be made anew.
    """
    changed = {cell: changed_option(cell, output_dir) for cell in cells}
    for cell, change in changed.items():
        if change is not None and not again:
            raise UserError(
                f"{cell.folder(output_dir)} was made with {change}; --again makes such cells "
                "anew, another --output_dir keeps both"
            )
    for cell, change in changed.items():
        if change is not None:
            shutil.rmtree(cell.folder(output_dir))
