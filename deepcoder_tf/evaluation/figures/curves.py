"""Quantities over the outer iterations of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from deepcoder_tf.evaluation.figures.style import (
    GRID,
    SERIES_COLOURS,
    STYLE,
    canvas,
    cycle,
    legend_below,
    save,
)

__all__ = ["over_iterations"]

DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))


@matplotlib.rc_context(STYLE)
def over_iterations(
    path: str | Path,
    series: Mapping[str, Sequence[tuple[ArrayLike, ArrayLike]]],
    quantity: str,
    xlabel: str = "outer iteration",
    *,
    logarithmic: bool = False,
    colours: Mapping[str, str] | None = None,
) -> None:
    """A bold line for each series: the mean over its runs, with the runs as thin lines behind it.

    The mean goes as far as all its runs do: runs that stop early would otherwise bend it.

    Args:
      path: the file, see `save`.
      series: by name, runs of (steps, values). Values that are not finite are left out.
      quantity: what is on the vertical axis, with its unit.
      xlabel: what is on the horizontal axis.
      logarithmic: a logarithmic vertical axis; all values must then be positive.
      colours: of the series by name, where they must be the same in several figures.

    Raises:
      ValueError: no series, or a run whose steps and values have different lengths.
      UserError: the operating system refused.
    """
    if not any(series.values()):
        raise ValueError("there is no curve to draw")
    figure, axes = canvas(3.2 if len(series) > 1 else 2.9)
    axis = axes[0, 0]
    for i, (name, runs) in enumerate(series.items()):
        colour = (colours or {}).get(name, cycle(SERIES_COLOURS, i + 1)[i])
        finite = [_finite(steps, values) for steps, values in runs]
        if len(finite) > 1:
            for steps, values in finite:
                axis.plot(steps, values, color=colour, lw=0.7, alpha=0.4)
        steps, values = _mean(finite)
        axis.plot(
            steps, values, color=colour, lw=1.8, ls=cycle(DASHES, i + 1)[i],
            marker="o" if len(steps) < 12 else None, ms=3, label=name,
        )  # fmt: skip
    axis.set(xlabel=xlabel, ylabel=quantity, yscale="log" if logarithmic else "linear")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(color=GRID, lw=0.6)
    axis.margins(x=0.03)
    if len(series) > 1:
        legend_below(figure, axis)
    save(figure, path)


def _finite(steps: ArrayLike, values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    s, v = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    if s.shape != v.shape:
        raise ValueError(f"a run has {s.shape} steps and {v.shape} values")
    kept = np.isfinite(v)
    return s[kept], v[kept]


def _mean(runs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean at the steps that every run has."""
    shared = runs[0][0]
    for steps, _ in runs[1:]:
        shared = np.intersect1d(shared, steps)
    table = [values[np.isin(steps, shared)] for steps, values in runs]
    return shared, np.mean(table, axis=0)
