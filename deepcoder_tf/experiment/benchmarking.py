"""The bench: every system trained and tested on the same folds."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deepcoder_tf.datasets.expressions.store import KIND as EXPRESSIONS
from deepcoder_tf.datasets.expressions.store import ExpressionInfo, expression_info
from deepcoder_tf.datasets.folds import SPLITS
from deepcoder_tf.datasets.prepared import (
    KIND,
    PreparedInfo,
    dataset_info,
    prepared_kind,
)
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.bench_cells import (
    Cell,
    RowConfig,
    built_in,
    changed_option,
    outcome_of,
    plan_cells,
    read_json,
)
from deepcoder_tf.experiment.bench_runner import Commands, claimed, commands_of, run_cells
from deepcoder_tf.files import write_json
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["benchmark", "kind_of", "read_bench"]

FORMAT = 1


class Ground(NamedTuple):
    """What a prepared folder is to a bench.

    Attributes:
      data: what `bench.json` says of it; a bench on another one differs in it.
      folds: to run.
      split: on which cells are tested.
    """

    data: dict[str, Any]
    folds: list[int]
    split: str = "test"


def benchmark(
    data_dir: Path,
    output_dir: Path,
    variants: Mapping[str, RowConfig],
    seeds: Mapping[str, Sequence[int]],
    folds: Sequence[int] | None = None,
    *,
    workers: int = 1,
    again: bool = False,
    commands: Commands | None = None,
) -> None:
    """Trains and tests systems on the same folds.

    Expressions have one fold, and where no picture is for the test, those of the validation split
    stand in for it.

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
      UserError: no such data, fold or row; a system of other data; a cell that was made with other
        options; the folder belongs to other data or is in use; the operating system refused to
        write.
    """
    ground = ground_of(data_dir, folds)
    cells = plan_cells(variants, ground.folds, seeds)
    check_systems(cells, data_dir)
    with claimed(output_dir) as lock:
        bench = bench_of(output_dir, data_dir, ground.data)
        clear_changed(cells, output_dir, again)
        register(output_dir, bench, {cell.variant: variants[cell.variant] for cell in cells})
        run_cells(
            cells,
            output_dir,
            commands or commands_of(data_dir, ground.split),
            workers=workers,
            lock=lock,
        )


def ground_of(data_dir: Path, folds: Sequence[int] | None) -> Ground:
    """What a prepared folder of either kind is to a bench.

    Raises:
      UserError: no such folder, or nothing to test on.
    """
    if prepared_kind(data_dir) == EXPRESSIONS:
        return expression_ground(expression_info(data_dir), folds)
    info = dataset_info(data_dir)
    data = {
        "source": info.source,
        "action_units": list(info.action_units),
        "seed": info.seed,
        "folds": {
            str(number): {split: list(fold.subjects(split)) for split in SPLITS}
            for number, fold in info.folds.items()
        },
    }
    return Ground(data, chosen_folds(info, folds))


def expression_ground(info: ExpressionInfo, folds: Sequence[int] | None) -> Ground:
    """A prepared folder of expressions; tested on the validation split where it has no other.

    Raises:
      UserError: another fold than 0, or a split without a labelled picture.
    """
    for number in folds or ():
        if number != 0:
            raise UserError(f"--folds={number}: {info.folder} has one split, which is fold 0")
    labelled = {
        split: sum(count for name, count in counts.items() if name != "none")
        for split, counts in info.counts.items()
    }
    for split in ("train", "validation"):
        if not labelled.get(split):
            raise UserError(f"{info.folder}: no {split} picture has a class; a bench needs some")
    split = "test" if labelled.get("test") else "validation"
    data = {
        "kind": EXPRESSIONS,
        "source": info.source,
        "size": info.size,
        "channels": info.channels,
        "align": info.align,
        "counts": info.counts,
        "split": split,
    }
    return Ground(data, [0], split)


def check_systems(cells: Sequence[Cell], data_dir: Path) -> None:
    """Makes sure that every row's system is one of the kind of data.

    Raises:
      UserError: one is not; names the row.
    """
    kind = prepared_kind(data_dir)
    for cell in cells:
        if isinstance(cell.config, RecogniserConfig) != (kind == EXPRESSIONS):
            raise UserError(
                f"{cell.variant}: --system={cell.config.system} does not learn from {data_dir}, "
                f"which was prepared for {kind.replace('_', ' ')}; choose from "
                f"{', '.join(built_in(kind))}"
            )


def kind_of(bench: dict[str, Any]) -> str:
    """What the data of a bench are about.

    Args:
      bench: content of `bench.json`.

    Returns:
      `"action_units"` or `"expressions"`.
    """
    return str(bench["data"].get("kind", KIND))


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


def bench_of(output_dir: Path, data_dir: Path, data: dict[str, Any]) -> dict[str, Any]:
    """What a folder says of its bench: the data, and the rows that it has so far.

    Raises:
      UserError: the folder holds a bench on other data, or is damaged.
    """
    if not (output_dir / "bench.json").exists():
        return {"format": FORMAT, "data": data, "rows": {}}
    old = read_bench(output_dir)
    for name, value in data.items():
        if old["data"].get(name) != value:
            raise UserError(
                f"{output_dir} holds a bench on other data than {data_dir} ({name} differs); "
                "choose another --output_dir"
            )
    return old


def register(output_dir: Path, bench: dict[str, Any], variants: Mapping[str, RowConfig]) -> None:
    """Adds rows to a bench: the paper's in the paper's order, then others as they came."""
    rows = bench["rows"] | {name: dataclasses.asdict(config) for name, config in variants.items()}
    first = built_in(kind_of(bench))
    order = [name for name in first if name in rows]
    order += [name for name in rows if name not in first]
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
    """Removes cells that were begun with other options, if that is wanted or nothing is lost.

    Raises:
      UserError: there is such a cell, it holds work, and it is not to be made anew.
    """
    changed = {cell: changed_option(cell, output_dir) for cell in cells}
    for cell, change in changed.items():
        if change is not None and not again and holds_work(cell.folder(output_dir)):
            raise UserError(
                f"{cell.folder(output_dir)} was made with {change}; --again makes such cells "
                "anew, another --output_dir keeps both"
            )
    for cell, change in changed.items():
        if change is not None:
            shutil.rmtree(cell.folder(output_dir))


def holds_work(folder: Path) -> bool:
    """Whether a cell ended well or its training was saved: what took time and would be lost."""
    outcome = outcome_of(folder)
    return (outcome is not None and outcome.ok) or (folder / "run" / "state.json").exists()
