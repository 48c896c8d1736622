"""Systems side by side: a mean with its interval each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np

from deepcoder_tf.evaluation.figures.style import FAINT, GRID, SERIES_COLOURS, STYLE, canvas, save

__all__ = ["Estimate", "intervals"]


class Estimate(NamedTuple):
    """A number and how sure it is.

    Attributes:
      value: the estimate.
      low: lower end of its interval, None where there is none.
      high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


@matplotlib.rc_context(STYLE)
def intervals(
    path: str | Path,
    estimates: Mapping[str, Estimate],
    quantity: str,
    *,
    difference: bool = False,
    marked: Sequence[str] = (),
) -> None:
    """A row for each name: a dot, its interval, and the number.

    Args:
      path: the file, see `save`.
      estimates: by name, drawn from the top down.
      quantity: what is on the horizontal axis, with its unit.
      difference: draw zero; an interval that holds it is grey.
      marked: names whose dots are filled with the second colour.

    Raises:
      ValueError: nothing to draw.
      UserError: the operating system refused.
    """
    if not estimates:
        raise ValueError("there is no estimate to draw")
    figure, axes = canvas(0.27 * len(estimates) + 0.75)
    axis = axes[0, 0]
    if difference:
        axis.axvline(0, color=FAINT, lw=1)
    ends = []
    for row, (name, (value, low, high)) in enumerate(estimates.items()):
        low, high = (value if end is None else end for end in (low, high))
        unsure = difference and low <= 0 <= high
        colour = FAINT if unsure else SERIES_COLOURS[name in marked]
        axis.plot([low, high], [row, row], color=colour, lw=1.6, solid_capstyle="butt")
        axis.plot(value, row, "D" if name in marked else "o", color=colour, ms=5)
        axis.annotate(
            f"{value:+.3f}" if difference else f"{value:.3f}", (1, row), (4, 0), va="center",
            xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8,
        )  # fmt: skip
        ends += [low, high]
    span = np.ptp(ends) or 0.1
    low, high = min([*ends, 0.0] if difference else ends), max([*ends, 0.0] if difference else ends)
    axis.set(xlabel=quantity, xlim=(low - 0.05 * span, high + 0.05 * span))
    axis.set_yticks(range(len(estimates)), list(estimates))
    axis.set_ylim(len(estimates) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=GRID, lw=0.6)
    save(figure, path)
