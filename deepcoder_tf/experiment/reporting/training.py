"""Fig. 3a-d: what changes over the outer iterations of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepcoder_tf.config import STACKS
from deepcoder_tf.evaluation import figures
from deepcoder_tf.evaluation.figures.style import SERIES_COLOURS
from deepcoder_tf.experiment.bench_cells import BUILT_IN
from deepcoder_tf.experiment.reporting.cells import SYSTEM, AbsentError, BenchFolder, CellFolder

__all__ = ["bound", "icc", "image_error", "nlpd"]

Run = tuple[np.ndarray, np.ndarray]

LINES = 8
"""Systems that still can be told apart in one panel."""

MEAN = "Bold: mean over the runs, as far as all of them went; thin: single runs."


def image_error(bench: BenchFolder, path: Path) -> str:
    """Fig. 3a."""
    cells = stack_cells(bench)
    series = {}
    for n in range(9):
        runs = curves(cells, f"validation/image_mse/z{n}")
        if runs:
            series[f"decoded from Z{n}"] = runs
    if not series:
        raise AbsentError("the runs did not write image_mse; train again with this version")
    figures.over_iterations(path, series, "MSE per pixel, images in −1..1")
    return (
        "Reconstruction error of the input images: validation frames decoded from the mean code "
        f"of each coder. From {told(cells)}. {MEAN}"
    )


def nlpd(bench: BenchFolder, path: Path) -> str:
    """Fig. 3b."""
    series, names = {}, []
    for variant in STACKS:
        runs = curves(bench.of(variant), "validation/nlpd")
        if runs:
            series[bench.label(variant)] = runs
            names.append(told(bench.of(variant)))
    if not series:
        raise AbsentError("no finished cell of a stack with two coders")
    figures.over_iterations(path, series, "NLPD of Z0, nats per dimension")
    return (
        "Reconstruction of Z0 by the second coder: negative log predictive density of the "
        "validation frames' Z0 given their Z1, per frame and dimension; lower is better. Z0 "
        f"itself moves while it is trained. From {'; '.join(names)}. {MEAN}"
    )


def bound(bench: BenchFolder, path: Path) -> str:
    """Fig. 3c."""
    cells = stack_cells(bench)
    with_runs = curves(cells, "validation/bound")
    if not with_runs:
        raise AbsentError(f"no finished cell of {SYSTEM}")
    length = cells[0].config.get("warmup_iterations")
    series = {f"warm-up over {length} iterations": with_runs}
    cold = cold_variant(bench, cells[0])
    note = "no variant of the bench differs from it in --warmup_iterations=1, so there is no line "
    note += "without warm-up"
    if cold is not None:
        series[f"without ({cold})"] = curves(bench.of(cold), "validation/bound")
        note = f"without: {told(bench.of(cold))}"
    figures.over_iterations(path, series, "lower bound, nats per image")
    return (
        "The variational lower bound of the whole stack on validation images (every KL term with "
        f"weight 1, so that iterations can be compared); higher is better. From {told(cells)}; "
        f"{note}. {MEAN}"
    )


def icc(bench: BenchFolder, path: Path) -> str:
    """Fig. 3d."""
    found = {}
    for variant in bench.variants:
        runs = curves(bench.of(variant), "validation/icc")
        if runs and max(len(steps) for steps, _ in runs) > 1:
            found[variant] = runs
    if not found:
        raise AbsentError("no finished cell was trained for more than one iteration")
    rows = [v for v in found if v in BUILT_IN] or list(found)
    rows += [v for v in found if v not in rows]
    series = {bench.label(v): found[v] for v in rows[:LINES]}
    colours = dict(zip(series, SERIES_COLOURS, strict=False))
    figures.over_iterations(path, series, "mean ICC(3,1), validation subjects", colours=colours)
    left = [bench.label(v) for v in rows[LINES:]]
    omitted = f" Not drawn, to keep the lines apart: {', '.join(left)}." if left else ""
    return (
        "Mean ICC(3,1) over action units on validation subjects, by which the model is chosen. "
        f"All finished folds and seeds of each system. {MEAN}{omitted}"
    )


def stack_cells(bench: BenchFolder) -> list[CellFolder]:
    """The cells of 2DC.

    Raises:
      AbsentError: none is finished.
    """
    cells = bench.of(SYSTEM)
    if not cells:
        raise AbsentError(f"no finished cell of {SYSTEM}")
    return cells


def cold_variant(bench: BenchFolder, cell: CellFolder) -> str | None:
    """A row like 2DC whose only other option is that it does not warm up."""
    if cell.config.get("warmup_iterations") == 1:
        return None
    free = {"warmup_iterations", "fold", "seed"}
    for variant in bench.variants:
        for other in bench.of(variant)[:1]:
            same = all(other.config.get(k) == v for k, v in cell.config.items() if k not in free)
            if same and other.config.get("warmup_iterations") == 1:
                return variant
    return None


def curves(cells: Sequence[CellFolder], name: str) -> list[Run]:
    """One quantity in all runs that wrote it."""
    return [run for run in (cell.curve(name) for cell in cells) if run is not None]


def told(cells: Sequence[CellFolder]) -> str:
    """Which cells a figure is of."""
    if len(cells) == 1:
        return cells[0].name
    folds, seeds = ({getattr(cell, part) for cell in cells} for part in ("fold", "seed"))
    return (
        f"{cells[0].variant}, fold {', '.join(map(str, sorted(folds)))}, "
        f"seed {', '.join(map(str, sorted(seeds)))}"
    )
