"""What all figures share: palette, sizes, legends, and how a figure becomes files.

Drawn without a screen: figures are made directly, no window toolkit and no pyplot.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcoder_tf import files

__all__ = [
    "DPI",
    "FAINT",
    "GRID",
    "INK",
    "LEVEL_COLOURS",
    "SERIES_COLOURS",
    "STYLE",
    "WIDTH",
    "canvas",
    "columns_for",
    "cycle",
    "dot_size",
    "legend_below",
    "save",
    "subject_marks",
]

DPI = 130
"""Pixels per inch of a PNG."""

WIDTH = 4.8
"""Inches: a column that a phone shows at three quarters of its size, with text still readable."""

INK = "#222222"
"""Text and what must be seen."""

FAINT = "#767676"
"""Axes and references; dark enough to be read on white."""

GRID = "#e6e6e6"
"""Lines behind the data."""

SERIES_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#a6761d",
    "#56b4e9",
    "#444444",
    "#e69f00",
)
"""After Okabe and Ito, Color Universal Design: told apart with any kind of colour vision. Yellow,
too pale for lines on white, is left out."""

SUBJECT_MARKERS = "osD^vPX*"
"""Colour alone does not name thirty subjects."""

LEVEL_COLOURS = ("#c9ced6", "#7cc7c0", "#3f9fb5", "#2f6fa8", "#343d8c", "#1d1147")
"""Level 0 is pale, since most frames have it; then darker with intensity, colour-blind safe."""

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # Without a salt the names inside an SVG differ from run to run.
    "svg.hashsalt": "deepcoder",
}
"""Settings of Matplotlib, for `matplotlib.rc_context`, with which every figure is drawn."""


def canvas(
    height: float, rows: int = 1, columns: int = 1, *, width: float = WIDTH, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure that lays itself out.

    Functions that draw are decorated with `matplotlib.rc_context(STYLE)`.

    Args:
      height: inches.
      rows: of axes.
      columns: of axes.
      width: inches.
      **options: of `Figure.subplots`.

    Returns:
      The figure and its axes `[rows, columns]`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, path: str | Path) -> None:
    """Writes a figure under a temporary name and renames it.

    Args:
      figure: to be written.
      path: ends in `.png` or `.svg`; without an ending both are written.

    Raises:
      UserError: the operating system refused.
    """
    path = Path(path)
    known = path.suffix in (".png", ".svg")
    for target in [path] if known else [path.with_name(f"{path.name}.{e}") for e in ("png", "svg")]:
        kind = target.suffix[1:]
        with matplotlib.rc_context(STYLE), files.replacing(target, "wb") as stream:
            # No date inside, so that the same figure gives the same file.
            metadata = {"Date": None} if kind == "svg" else {}
            figure.savefig(stream, format=kind, dpi=DPI, metadata=metadata)


def cycle(values: Sequence[Any], count: int) -> list[Any]:
    """The first `count` of values that are repeated as often as needed."""
    return [values[i % len(values)] for i in range(count)]


def subject_marks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each subject, in the order given."""
    count = len(SERIES_COLOURS)
    return {
        name: (SERIES_COLOURS[i % count], SUBJECT_MARKERS[i // count % len(SUBJECT_MARKERS)])
        for i, name in enumerate(names)
    }


def dot_size(count: int) -> float:
    """Area of a scattered dot in square points, smaller where there are many."""
    return float(np.clip(6000 / max(count, 1), 8, 18))


def columns_for(names: Sequence[str], width: float = WIDTH) -> int:
    """How many legend entries stand side by side in `width` inches."""
    longest = max((len(name) for name in names), default=1)
    return max(1, min(len(names), int(width / (0.075 * longest + 0.38))))


def legend_below(figure: Figure, axis: Axes, title: str | None = None) -> None:
    """The entries of an axis under the whole figure, where they cover nothing."""
    handles, labels = axis.get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, title=title, loc="outside lower center", fontsize=8, title_fontsize=8,
        ncols=columns_for(labels, figure.get_figwidth()), handletextpad=0.4, columnspacing=1.0,
        labelspacing=0.3,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_alpha(1)
            handle.set_sizes([28])
