"""Expressions: which are confused, how similar their codes are, and faces decoded from codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from deepcoder_tf.evaluation.figures.style import (
    FAINT,
    GRID,
    SERIES_COLOURS,
    STYLE,
    WIDTH,
    canvas,
    legend_below,
    save,
)
from deepcoder_tf.evaluation.similarity import Pairs, Similarity

__all__ = ["face_grid", "label_confusion", "pair_similarities"]

CELL, MARGIN, TITLE = 0.8, 1.35, 0.19
"""Inches: a face, the names of the rows at the left, a line of text above a column."""

GAP = 0.03
"""Inches between faces."""

CURVE_BINS = 128
"""Bins of the drawn distributions."""


@matplotlib.rc_context(STYLE)
def label_confusion(path: str | Path, counts: ArrayLike, names: Sequence[str]) -> None:
    """True class against predicted class: the share of the row as colour and number.

    Args:
      path: the file, see `save`.
      counts: `[L, L]` pictures; rows are labels. The pictures of a row stand behind its name.
      names: of the L classes.

    Raises:
      ValueError: a table that is not square, or other names than classes.
      UserError: the operating system refused.
    """
    table = np.asarray(counts)
    if table.shape != (len(names), len(names)) or not len(names):
        raise ValueError(f"a confusion matrix of {len(names)} classes cannot be {table.shape}")
    total = table.sum(1, keepdims=True)
    share = np.where(total > 0, table / np.maximum(total, 1), np.nan)
    figure, axes = canvas(0.9 * WIDTH)
    axis = axes[0, 0]
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, j in zip(*np.nonzero(table), strict=True):
        axis.text(
            j, i, f"{100 * share[i, j]:.0f}" if share[i, j] >= 0.005 else "·",
            ha="center", va="center", fontsize=8, color="white" if share[i, j] > 0.55 else "black",
        )  # fmt: skip
    rows = [f"{name} ({n})" for name, n in zip(names, total[:, 0].tolist(), strict=True)]
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set(xlabel="predicted", ylabel="labelled (pictures)")
    axis.set_title("Confusion, % of the labelled class (· below ½)", loc="left")
    save(figure, path)


@matplotlib.rc_context(STYLE)
def pair_similarities(path: str | Path, codes: Mapping[str, Similarity]) -> None:
    """The distributions of cosine similarity of both kinds of pairs, a panel for each code.

    Args:
      path: the file, see `save`.
      codes: by name of the code, from `similarity.compare_pairs`.

    Raises:
      ValueError: no code.
      UserError: the operating system refused.
    """
    if not codes:
        raise ValueError("there is no similarity to draw")
    figure, axes = canvas(1.8 * len(codes) + 0.8, len(codes), 1, sharex=True)
    lows = [low_end(pairs) for found in codes.values() for pairs in (found.same, found.other)]
    for (name, found), axis in zip(codes.items(), axes[:, 0], strict=True):
        for pairs, colour in ((found.same, SERIES_COLOURS[0]), (found.other, SERIES_COLOURS[1])):
            if not pairs.pairs:
                continue
            density = pairs.counts.reshape(CURVE_BINS, -1).sum(1) / pairs.pairs * CURVE_BINS / 2
            edges = np.linspace(-1, 1, CURVE_BINS + 1)
            axis.stairs(density, edges, color=colour, lw=1.4, label=pairs.kind)
            axis.stairs(density, edges, color=colour, alpha=0.15, fill=True)
            axis.axvline(pairs.mean, color=colour, lw=1, ls=(0, (4, 3)))
        auc = "none" if found.auc is None else f"{found.auc:.3f}"
        title = f"{name} code: AUC {auc}, {found.same.pairs:,} and {found.other.pairs:,} pairs"
        axis.set_title(title, loc="left", fontsize=9)
        axis.set_ylabel("density")
        axis.set_ylim(bottom=0)
        axis.grid(color=GRID, lw=0.6)
    axes[-1, 0].set(xlabel="cosine similarity (dashed: mean)", xlim=(min(lows), 1.0))
    legend_below(figure, axes[0, 0])
    save(figure, path)


def low_end(pairs: Pairs) -> float:
    """Where a distribution begins, a little before all but a thousandth of it."""
    if not pairs.pairs:
        return 0.9
    share = np.cumsum(pairs.counts) / pairs.pairs
    at = int(np.searchsorted(share, 0.001)) / len(pairs.counts) * 2 - 1
    return max(-1.0, at - 0.05)


@matplotlib.rc_context(STYLE)
def face_grid(
    path: str | Path,
    rows: Mapping[str, ArrayLike],
    titles: Sequence[str] | None = None,
    cell: float = CELL,
) -> None:
    """Faces in named rows, a column for each sample: originals and what was decoded.

    Args:
      path: the file, see `save`.
      rows: by name, `[N, H, W, 3]` in 0..1 each; what lies outside is clipped.
      titles: N texts, of one or several lines, above the columns.
      cell: side of a face, inches.

    Raises:
      ValueError: nothing to draw, or rows of different shapes.
      UserError: the operating system refused.
    """
    pictures = {name: np.clip(np.asarray(row, np.float64), 0, 1) for name, row in rows.items()}
    shapes = {row.shape for row in pictures.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 4 or not next(iter(shapes))[0]:
        raise ValueError(f"rows of faces must be equal [N >= 1, H, W, 3], got {sorted(shapes)}")
    columns = next(iter(shapes))[0]
    if titles is not None and len(titles) != columns:
        raise ValueError(f"{len(titles)} titles for {columns} columns")
    lines = max((text.count("\n") + 1 for text in titles or ()), default=0)
    above = TITLE * lines + GAP
    width, height = MARGIN + columns * (cell + GAP), above + len(pictures) * (cell + GAP)
    figure = Figure(figsize=(width, height))
    for r, (name, row) in enumerate(pictures.items()):
        top = height - above - r * (cell + GAP)
        figure.text(
            (MARGIN - 0.08) / width, (top - cell / 2) / height, name, ha="right", va="center",
            fontsize=8,
        )  # fmt: skip
        for c in range(columns):
            left = MARGIN + c * (cell + GAP)
            axis = figure.add_axes(
                (left / width, (top - cell) / height, cell / width, cell / height)
            )
            axis.imshow(row[c], interpolation="nearest", aspect="auto")
            axis.set_axis_off()
            if r == 0 and titles is not None:
                axis.set_title(titles[c], fontsize=7, pad=3, color=FAINT)
    save(figure, path)
