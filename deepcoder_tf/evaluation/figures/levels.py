"""Levels of action units: how often they occur, how they are confused, whether chances hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.evaluation.figures.style import (
    FAINT,
    GRID,
    SERIES_COLOURS,
    STYLE,
    WIDTH,
    canvas,
    cycle,
    legend_below,
    save,
)
from deepcoder_tf.evaluation.metrics import ReliabilityTable

__all__ = [
    "confusion_matrices",
    "label_distribution",
    "reliability_by_unit",
    "reliability_diagram",
]

LEVELS_POOLED = "Reliability of P(level ≥ s), s = 1..5 pooled"

DIAGONAL: dict[str, Any] = {"color": FAINT, "lw": 1, "ls": (0, (4, 3))}


@matplotlib.rc_context(STYLE)
def label_distribution(path: str | Path, counts: Mapping[str, Mapping[str, ArrayLike]]) -> None:
    """How many frames have each level of each action unit, on a logarithmic axis.

    Args:
      path: the file, see `save`.
      counts: split -> action unit -> `[L]` frames at each level.

    Raises:
      ValueError: nothing to count, or splits with different action units.
      UserError: the operating system refused.
    """
    units = list(next(iter(counts.values()), {}))
    if not units or any(list(by_unit) != units for by_unit in counts.values()):
        raise ValueError("label counts need a split, and the same action units in each")
    figure, axes = _panels(units, 3, 1.35, "level", "frames", sharex=True, sharey=True)
    for unit, axis in zip(units, axes, strict=False):
        for i, (split, by_unit) in enumerate(counts.items()):
            n = np.asarray(by_unit[unit], np.float64)
            level = np.arange(len(n)) + 0.14 * (i - 0.5 * (len(counts) - 1))
            axis.plot(
                level, np.where(n > 0, n, np.nan), color=SERIES_COLOURS[i], lw=0.8,
                marker="os^D"[i % 4], ms=3.8, label=split,
            )  # fmt: skip
        axis.set(yscale="log", xticks=range(LEVELS))
        axis.set_title(unit, loc="left", fontsize=9, pad=3)
        axis.grid(axis="y", color=GRID, lw=0.6)
    legend_below(figure, axes[0])
    save(figure, path)


@matplotlib.rc_context(STYLE)
def confusion_matrices(path: str | Path, counts: Mapping[str, ArrayLike]) -> None:
    """For each action unit, annotated level against predicted level.

    The colour is the share of the row, the number the frames.

    Args:
      path: the file, see `save`.
      counts: by action unit, `[L, L]` frames; rows are annotated levels.

    Raises:
      ValueError: nothing to draw, or a matrix that is not square.
      UserError: the operating system refused.
    """
    tables = {unit: np.asarray(table) for unit, table in counts.items()}
    if not tables or any(t.ndim != 2 or t.shape[0] != t.shape[1] for t in tables.values()):
        raise ValueError("confusion matrices must be square, and there must be one at least")
    figure, axes = _panels(list(tables), 2, 2.3, "most probable level", "annotated level")
    for (unit, table), axis in zip(tables.items(), axes, strict=False):
        total = table.sum(1, keepdims=True)
        share = np.where(total > 0, table / np.maximum(total, 1), np.nan)
        picture = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in zip(*np.nonzero(table), strict=True):
            text = str(table[i, j])
            axis.text(
                j, i, text, ha="center", va="center", fontsize=7 - len(text) // 5,
                color="white" if share[i, j] > 0.55 else "black",
            )  # fmt: skip
        ticks = range(len(table))
        axis.set(xticks=ticks, yticks=ticks)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(unit, loc="left", fontsize=9, pad=3)
    bar = figure.colorbar(picture, ax=axes, location="top", shrink=0.6, aspect=40, pad=0.01)
    bar.set_label("share of the frames of that annotated level", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    save(figure, path)


@matplotlib.rc_context(STYLE)
def reliability_diagram(
    path: str | Path, tables: Mapping[str, ReliabilityTable], title: str = LEVELS_POOLED
) -> None:
    """Observed frequency against predicted probability, with how often each was predicted.

    Args:
      path: the file, see `save`.
      tables: by system, from `metrics.reliability` or `top_label_reliability`.
      title: which events are meant.

    Raises:
      ValueError: no table.
      UserError: the operating system refused.
    """
    if not tables:
        raise ValueError("there is no reliability table to draw")
    figure, axes = canvas(5.4, 2, 1, sharex=True, height_ratios=[3.4, 1])
    curve, counts = axes[:, 0]
    curve.plot([0, 1], [0, 1], label="calibrated", **DIAGONAL)
    for colour, (name, table) in zip(
        cycle(SERIES_COLOURS, len(tables)), tables.items(), strict=True
    ):
        filled = table.count > 0
        curve.plot(
            table.probability[filled], table.frequency[filled],
            color=colour, lw=1.4, marker="o", ms=4, label=name,
        )  # fmt: skip
        counts.stairs(np.maximum(table.count, 0.5), table.edges, color=colour, lw=1.4)
    curve.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed frequency")
    curve.set_title(title, loc="left")
    curve.grid(color=GRID, lw=0.6)
    curve.legend(loc="upper left")
    counts.set(yscale="log", xlabel="predicted probability", ylabel="events")
    counts.set_ylim(bottom=0.8)
    save(figure, path)


@matplotlib.rc_context(STYLE)
def reliability_by_unit(path: str | Path, tables: Mapping[str, ReliabilityTable]) -> None:
    """A reliability diagram for each action unit, with 95 % Wilson intervals.

    Args:
      path: the file, see `save`.
      tables: by action unit, from `metrics.reliability`.

    Raises:
      ValueError: no table.
      UserError: the operating system refused.
    """
    if not tables:
        raise ValueError("there is no reliability table to draw")
    figure, axes = _panels(
        list(tables),
        3,
        1.5,
        "predicted probability",
        "observed frequency",
        sharex=True,
        sharey=True,
    )
    for (unit, table), axis in zip(tables.items(), axes, strict=False):
        filled = table.count > 0
        p, f, n = table.probability[filled], table.frequency[filled], table.count[filled]
        low, high = wilson(f, n)
        axis.plot([0, 1], [0, 1], **DIAGONAL)
        axis.vlines(p, low, high, color=SERIES_COLOURS[0], lw=1, alpha=0.6)
        axis.plot(p, f, color=SERIES_COLOURS[0], lw=1.2, marker="o", ms=3)
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axis.set_xticklabels(("0", ".5", "1"))
        axis.set_title(unit, loc="left", fontsize=9, pad=3)
        axis.grid(color=GRID, lw=0.6)
    save(figure, path)


def wilson(frequency: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % score interval of binomial frequencies.

    Args:
      frequency: `[B]`, 0..1.
      count: `[B]`, positive.

    Returns:
      Lower and upper ends, `[B]` each.

    Source: Wilson, JASA 22 (1927).
    """
    z = 1.959964
    centre = (frequency + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = frequency * (1 - frequency) / count + z**2 / (4 * count**2)
    half = z / (1 + z**2 / count) * np.sqrt(spread)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def _panels(
    names: Sequence[str], columns: int, height: float, xlabel: str, ylabel: str, **options: bool
) -> tuple[matplotlib.figure.Figure, list[Axes]]:
    """A grid with an axis for each name; the lowest of each column names the horizontal axis."""
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure, grid = canvas(height * rows + 0.8, rows, columns, width=WIDTH, **options)
    axes = list(grid.ravel())
    for number, axis in enumerate(axes):
        if number >= len(names):
            axis.set_axis_off()
        elif number + columns >= len(names):
            axis.set_xlabel(xlabel)
            axis.tick_params(labelbottom=True)
    figure.supylabel(ylabel, fontsize=9)
    return figure, axes
