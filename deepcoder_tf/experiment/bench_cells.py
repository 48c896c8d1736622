"""The cells of a bench: which there are, where each lives, and how it ended.

OUT/bench.json                              the data and the variants that the cells belong to
OUT/cells/VARIANT/foldK/seedS/options.json  written first: every option of the cell
OUT/cells/VARIANT/foldK/seedS/cell.flags    the same as a flag file, to run a step by hand
OUT/cells/VARIANT/foldK/seedS/cell.log      command lines and output
OUT/cells/VARIANT/foldK/seedS/run/          of deepcoder-train
OUT/cells/VARIANT/foldK/seedS/test/         of deepcoder-evaluate
OUT/cells/VARIANT/foldK/seedS/cell.json     written last: `status` ok or failed, `reason`, `seconds`
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf.config import FEATURE_SYSTEMS, NETWORKS, STACKS, Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.files import replacing, write_json
from deepcoder_tf.recogniser_config import EXPRESSION_SYSTEMS, RecogniserConfig

__all__ = [
    "BUILT_IN",
    "FEATURES",
    "Cell",
    "Outcome",
    "RowConfig",
    "begun_cells",
    "built_in",
    "changed_option",
    "changed_row",
    "costs",
    "fits_features",
    "outcome_of",
    "plan_cells",
    "read_json",
    "unusable",
    "write_options",
    "write_outcome",
]

BUILT_IN: dict[str, dict[str, str]] = {
    **{system: {"system": system} for system in (*STACKS, *NETWORKS, "vogpae")},
    "vogpae_lbp": {"system": "vogpae", "features": "lbp"},
    **{system: {"system": system} for system in FEATURE_SYSTEMS if system != "vogpae"},
}
"""The rows of the paper's Table 1 and the options that make them."""

EXPRESSION_ROWS = {system: {"system": system} for system in EXPRESSION_SYSTEMS}
"""Those of the second paper's Table 1, where the data are expressions."""

RowConfig = Config | RecogniserConfig
"""Options of a row: of a system of action units, or of one of expressions."""

FEATURES = "cnn"
"""The variant whose last layer is what systems on deep features see."""


class Cell(NamedTuple):
    """One system, trained and tested on one fold with one seed.

    Attributes:
      variant: name of the row.
      config: every option, with the fold and the seed; `features_from` is empty.
      features: options of the cnn of the same fold and seed whose features it sees, or None.
    """

    variant: str
    config: RowConfig
    features: Config | None = None

    @property
    def name(self) -> str:
        """`VARIANT/foldK/seedS`."""
        return name_of(self.variant, self.config)

    @property
    def needs(self) -> str | None:
        """Name of the cell that must be finished first."""
        return None if self.features is None else name_of(FEATURES, self.features)

    def folder(self, output_dir: Path) -> Path:
        """Where it lives."""
        return output_dir / "cells" / self.name

    def resolved(self, output_dir: Path) -> RowConfig:
        """The options with the path of the cnn filled in."""
        if self.needs is None or isinstance(self.config, RecogniserConfig):
            return self.config
        path = output_dir.resolve() / "cells" / self.needs / "run"
        return dataclasses.replace(self.config, features_from=str(path))


def name_of(variant: str, config: RowConfig) -> str:
    """A cell's name, which is also its folder's."""
    return f"{variant}/fold{config.fold}/seed{config.seed}"


def built_in(kind: str) -> dict[str, dict[str, str]]:
    """The rows that a bench has without any `--variant`, and the options that make them.

    Args:
      kind: of the prepared folder, `"action_units"` or `"expressions"`.

    Returns:
      Options by name; the first row is what others are compared with.
    """
    return EXPRESSION_ROWS if kind == "expressions" else BUILT_IN


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
      status: `ok` or `failed`.
      reason: why it failed, one line; empty when it did not.
      seconds: of each step, by name.
      versions: of the libraries, as the run recorded them.
    """

    status: str
    reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it can be measured."""
        return self.status == "ok"


def plan_cells(
    variants: Mapping[str, RowConfig], folds: Sequence[int], seeds: Mapping[str, Sequence[int]]
) -> list[Cell]:
    """The cells to run, in the order in which they start.

    All systems of one seed and fold stand together, so that a bench that was stopped has whole
    columns; the cnn stands first, since others wait for it.

    Args:
      variants: options of every row that is known; fold, seed and `features_from` are filled in.
      folds: numbers of the folds.
      seeds: for each chosen row its seeds. Cells of the cnn that a chosen row needs are added.

    Returns:
      Distinct cells.

    Raises:
      UserError: a chosen row that is not known.
    """
    for name in seeds:
        if name not in variants:
            raise UserError(f"{name!r} is no row of this bench; known are {', '.join(variants)}")
    wanted: dict[str, set[int]] = {name: set(numbers) for name, numbers in seeds.items()}
    for name, numbers in seeds.items():
        if sees_cnn(variants[name]):
            wanted.setdefault(FEATURES, set()).update(numbers)
    order = sorted(wanted, key=lambda name: name != FEATURES)
    cells = []
    for seed in sorted(set().union(*wanted.values())):
        for fold in folds:
            for name in (name for name in order if seed in wanted[name]):
                config = dataclasses.replace(variants[name], fold=fold, seed=seed)
                cnn = variants[FEATURES] if sees_cnn(config) else None
                features = (
                    dataclasses.replace(cnn, fold=fold, seed=seed)
                    if isinstance(cnn, Config)
                    else None
                )
                cells.append(Cell(name, config, features))
    return cells


def sees_cnn(config: RowConfig) -> bool:
    """Whether a system is one of features that a cnn of this bench makes."""
    return (
        isinstance(config, Config)
        and config.system in FEATURE_SYSTEMS
        and config.features == "deep"
    )


def write_options(cell: Cell, output_dir: Path) -> None:
    """Writes what the cell is, before it starts."""
    folder = cell.folder(output_dir)
    features = None if cell.features is None else dataclasses.asdict(cell.features)
    content = {"config": dataclasses.asdict(cell.config), "features": features}
    with replacing(folder / "cell.flags") as stream:
        stream.write(flag_lines(cell.resolved(output_dir)))
    write_json(folder / "options.json", content)


def flag_lines(config: RowConfig) -> str:
    """Every option as a line of a flag file, so that no default can change what a cell is."""
    lines = []
    for name, value in dataclasses.asdict(config).items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        lines.append(f"--{name}={text}\n")
    return "".join(lines)


def changed_option(cell: Cell, output_dir: Path) -> str | None:
    """How a cell that was begun differs from the one that is wanted.

    Args:
      cell: as wanted.
      output_dir: of the bench.

    Returns:
      Such as `--iterations=8, not 30`, or None where it is the same cell or a new one.
    """
    content = read_json(cell.folder(output_dir) / "options.json")
    if content is None:
        return None
    change = difference(content.get("config"), cell.config)
    if change is None:
        change = difference(content.get("features"), cell.features)
        return None if change is None else f"features of a {FEATURES} with {change}"
    return change


def fits_features(folder: Path, cnn_folder: Path) -> bool:
    """Whether the features that a cell saw are still those of the cnn in the bench.

    Args:
      folder: of the cell.
      cnn_folder: of the cnn's cell of the same fold and seed.

    Returns:
      True for a cell that sees no cnn's features.
    """
    own, cnn = (read_json(path / "options.json") or {} for path in (folder, cnn_folder))
    return own.get("features") is None or own["features"] == cnn.get("config")


def changed_row(folder: Path, row: dict[str, Any]) -> str | None:
    """How a cell differs from its row, whose options may have changed after it was made.

    Args:
      folder: of the cell.
      row: options of the row, from `bench.json`; fold, seed and `features_from` are the cell's own.

    Returns:
      Such as `--iterations=8, not 30`, or None where the cell is of the row, or says nothing.
    """
    content = read_json(folder / "options.json")
    if content is None or not isinstance(own := content.get("config"), dict):
        return None
    alike = {name: own[name] for name in ("fold", "seed", "features_from") if name in own}
    try:
        return difference(own, options_of({**row, **alike}))
    except (UserError, TypeError):
        return None  # a row of another version: nothing to compare with


def unusable(output_dir: Path, folder: Path, row: dict[str, Any]) -> str:
    """Why a cell cannot stand in a table or a figure beside the others of its row.

    Args:
      output_dir: of the bench.
      folder: of the cell, `cells/VARIANT/foldK/seedS`.
      row: options of the row, from `bench.json`.

    Returns:
      One line, or an empty text for a cell that can.
    """
    outcome = outcome_of(folder)
    if outcome is None:
        return "not finished"
    if not outcome.ok:
        return outcome.reason or "failed"
    change = changed_row(folder, row)
    if change is not None:
        return f"made with {change}, as its row has now; run it --again"
    cnn_folder = output_dir / "cells" / FEATURES / folder.parent.name / folder.name
    if not fits_features(folder, cnn_folder):
        return f"made with features of another {FEATURES} than the bench has now; run it --again"
    return ""


def options_of(saved: Mapping[str, Any]) -> RowConfig:
    """The options that were saved of a row or a cell; its system tells of which kind they are.

    Raises:
      UserError: an unknown option, or a value outside its range.
    """
    if saved.get("system") in EXPRESSION_SYSTEMS:
        return RecogniserConfig.from_mapping(saved)
    return Config.from_mapping(saved)


def difference(old: Any, new: RowConfig | None) -> str | None:
    """The first option that differs between a saved configuration and a wanted one."""
    if old is None or new is None:
        return None if old is new else "other features"
    try:
        before = dataclasses.asdict(type(new).from_mapping(old))
    except (UserError, TypeError) as error:
        return f"options of another version ({error})"
    for name, value in dataclasses.asdict(new).items():
        if before[name] != value:
            return f"--{name}={before[name]}, not {value}"
    return None


def outcome_of(folder: Path) -> Outcome | None:
    """How the cell in a folder ended; None where it has not, or `cell.json` is damaged."""
    content = read_json(folder / "cell.json")
    if content is None or content.get("status") not in ("ok", "failed"):
        return None
    return Outcome(
        content["status"],
        str(content.get("reason", "")),
        dict(content.get("seconds", {})),
        dict(content.get("versions", {})),
    )


def write_outcome(cell: Cell, output_dir: Path, outcome: Outcome) -> None:
    """Writes `cell.json`, which makes the cell a finished one."""
    content = {"cell": cell.name, **dataclasses.asdict(outcome)}
    content["config"] = dataclasses.asdict(cell.resolved(output_dir))
    write_json(cell.folder(output_dir) / "cell.json", content)


def begun_cells(output_dir: Path, variant: str) -> list[tuple[int, int, Path]]:
    """The cells of a row that were begun.

    Args:
      output_dir: of the bench.
      variant: name of the row.

    Returns:
      Fold, seed and folder of each, sorted.
    """
    found = []
    for path in (output_dir / "cells" / variant).glob("fold*/seed*"):
        numbers = re.fullmatch(r"fold(\d+)/seed(\d+)", f"{path.parent.name}/{path.name}")
        if numbers:
            found.append((int(numbers[1]), int(numbers[2]), path))
    return sorted(found)


def costs(output_dir: Path, cells: Iterable[tuple[str, int, int]]) -> dict[str, Any]:
    """What cells took.

    Args:
      output_dir: of the bench.
      cells: row, fold and seed of each.

    Returns:
      `seconds`: mean of each step, by row; `versions` of the libraries.
    """
    seconds: dict[str, dict[str, list[float]]] = {}
    versions: dict[str, str] = {}
    for system, fold, seed in cells:
        folder = output_dir / "cells" / system / f"fold{fold}" / f"seed{seed}"
        content = read_json(folder / "cell.json") or {}
        versions |= content.get("versions", {})
        for step, taken in content.get("seconds", {}).items():
            seconds.setdefault(system, {}).setdefault(step, []).append(taken)
    means = {
        system: {step: round(float(np.mean(taken)), 1) for step, taken in steps.items()}
        for system, steps in seconds.items()
    }
    return {"seconds": means, "versions": versions}


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
