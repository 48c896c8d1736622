"""Faces and what a stack of coders decodes them to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from deepcoder_tf.evaluation.figures.style import STYLE, save

__all__ = ["reconstructions"]

CELL, MARGIN, TITLES = 1.15, 0.9, 0.22
"""Inches: a crop's column, the names of the rows at the left, the titles above a band."""


@matplotlib.rc_context(STYLE)
def reconstructions(
    path: str | Path,
    originals: ArrayLike,
    reconstructed: ArrayLike,
    titles: Sequence[str] | None = None,
    columns: int = 8,
    cell: float = CELL,
) -> None:
    """Original crops with their reconstructions below them, and the error below those.

    Args:
      path: the file, see `save`.
      originals: `[N, H, W]` or `[N, H, W, 1]`, any scale.
      reconstructed: as `originals`, on the same scale.
      titles: N short texts, for example subjects.
      columns: crops in a row.
      cell: width of a crop, inches.

    Raises:
      ValueError: shapes that differ, or nothing to draw.
      UserError: the operating system refused.
    """
    X, R = _pictures(originals), _pictures(reconstructed)
    if X.shape != R.shape or len(X) == 0:
        raise ValueError(f"originals {X.shape} and reconstructions {R.shape} must be equal, N >= 1")
    columns = min(columns, len(X))
    bands = -(-len(X) // columns)
    low, high = float(X.min()), float(X.max())
    error = R - X
    # The 99.5th percentile: one bad pixel must not turn the rest of the map white.
    limit = float(np.quantile(np.abs(error), 0.995)) or 1.0
    height = 0.94 * cell * X.shape[1] / X.shape[2]
    width = cell * columns + MARGIN
    # Above each band a row of its own for the titles, which would otherwise cover the band before.
    total = bands * (3 * height + TITLES)
    figure = Figure(figsize=(width, total))
    ratios = [TITLES, height, height, height] * bands
    grid = figure.subplots(4 * bands, columns, squeeze=False, height_ratios=ratios)
    figure.subplots_adjust(MARGIN / width, 0.01, 0.995, 1, 0.05, 0.03)
    axes = grid[np.arange(4 * bands) % 4 > 0]
    for axis in grid.ravel():
        axis.set_axis_off()
    for i in range(len(X)):
        band, column = divmod(i, columns)
        original, copy, difference = axes[3 * band : 3 * band + 3, column]
        original.imshow(X[i], cmap="gray", vmin=low, vmax=high)
        copy.imshow(R[i], cmap="gray", vmin=low, vmax=high)
        difference.imshow(error[i], cmap="RdBu_r", vmin=-limit, vmax=limit)
        if titles is not None:
            original.set_title(titles[i], fontsize=8, pad=3)
    for band in range(bands):
        for row, text in enumerate(("original", "reconstruction", "difference")):
            axes[3 * band + row, 0].text(
                -0.06, 0.5, text, transform=axes[3 * band + row, 0].transAxes,
                ha="right", va="center", fontsize=8,
            )  # fmt: skip
    save(figure, path)


def _pictures(images: ArrayLike) -> np.ndarray:
    X = np.asarray(images, np.float64)
    if X.ndim == 4 and X.shape[-1] == 1:
        X = X[..., 0]
    if X.ndim != 3:
        raise ValueError(f"pictures must be [N, H, W] or [N, H, W, 1], got {X.shape}")
    return X
