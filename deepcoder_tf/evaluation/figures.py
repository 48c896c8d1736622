"""Pictures of what a system learnt: reconstructions, latent spaces, curves, reliability.

Drawn without a screen: figures are made directly, no window toolkit and no pyplot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA

from deepcoder_tf import files
from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.evaluation.metrics import ReliabilityTable

__all__ = [
    "latent_spaces",
    "project",
    "reconstructions",
    "reliability_diagram",
    "training_curves",
]

DPI = 130

INK, FAINT = "#222222", "#8a8a8a"

SYSTEM_COLOURS = ("#2b6cb0", "#c2571a", "#2f855a", "#7b4fa3", "#8a6d1d", "#4a5568")

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
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def reconstructions(
    path: str | Path,
    originals: ArrayLike,
    reconstructed: ArrayLike,
    titles: Sequence[str] | None = None,
    columns: int = 8,
) -> None:
    """Original crops with their reconstructions below them, and the error below those.

    Args:
      path: the PNG to write.
      originals: `[N, H, W]` or `[N, H, W, 1]`, any scale.
      reconstructed: as `originals`, on the same scale.
      titles: N short texts, for example subjects.
      columns: crops in a row.

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
    height = 1.08 * X.shape[1] / X.shape[2]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.15 * columns + 0.9, bands * (3 * height + 0.1) + 0.2))
        axes = figure.subplots(3 * bands, columns, squeeze=False)
        figure.subplots_adjust(0.9 / (1.15 * columns + 0.9), 0.01, 0.995, 0.97, 0.05, 0.06)
        for axis in axes.ravel():
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
        _save(figure, path)


def project(Z: ArrayLike) -> np.ndarray:
    """The two leading principal components, for looking at a latent space.

    Args:
      Z: `[N, D]`, N >= 3.

    Returns:
      `[N, 2]`; the second column is 0 where D = 1.

    Raises:
      ValueError: fewer than three points.
    """
    Z = np.asarray(Z, np.float64)
    if Z.ndim != 2 or len(Z) < 3:
        raise ValueError(f"Z must be [N >= 3, D], got {Z.shape}")
    scores = PCA(min(2, Z.shape[1])).fit_transform(Z)
    return np.pad(scores, ((0, 0), (0, 2 - scores.shape[1])))


def latent_spaces(
    path: str | Path,
    spaces: Mapping[str, ArrayLike],
    subjects: Sequence[str],
    levels: ArrayLike,
    action_unit: str = "AU12",
) -> None:
    """Each latent space in two dimensions, coloured by subject and by one unit's level.

    Args:
      path: the PNG to write.
      spaces: by name (`"Z0"`, `"Z1"`), `[N, D]` each.
      subjects: `[N]`.
      levels: `[N]` annotated levels of `action_unit`, -1 = missing (not drawn on that side).
      action_unit: its name.

    Raises:
      ValueError: lengths that differ; see also `project`.
      UserError: the operating system refused.
    """
    y, who = np.asarray(levels), np.asarray(subjects)
    names = sorted(set(who.tolist()))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.1 * len(spaces) + 0.2), layout="constrained")
        axes = figure.subplots(len(spaces), 2, squeeze=False)
        palette = matplotlib.colormaps["tab20" if len(names) <= 20 else "nipy_spectral"]
        steps = np.arange(len(names)) if len(names) <= 20 else np.linspace(0.03, 0.95, len(names))
        for row, (space, Z) in enumerate(spaces.items()):
            if len(np.asarray(Z)) != len(y) or len(who) != len(y):
                raise ValueError(f"{space}, subjects and levels must have one length, {len(y)}")
            points = project(Z)
            by_subject, by_level = axes[row]
            for name, step in zip(names, steps, strict=True):
                _scatter(by_subject, points[who == name], palette(step), name)
            for level in range(LEVELS):
                chosen = points[y == level]
                if len(chosen):
                    _scatter(by_level, chosen, LEVEL_COLOURS[level], str(level))
            by_subject.set_title(f"{space} by subject", loc="left")
            by_level.set_title(f"{space} by level of {action_unit}", loc="left")
            for axis in axes[row]:
                axis.set(xticks=[], yticks=[])
                axis.set_xlabel("principal component 1")
                axis.set_ylabel("principal component 2")
        if len(names) <= 40:
            _legend(axes[0, 0], "subject", columns=1 + (len(names) - 1) // 20)
        _legend(axes[0, 1], action_unit)
        _save(figure, path)


def training_curves(
    path: str | Path, curves: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]]
) -> None:
    """Small panels, one for each quantity, with a line for each series.

    Args:
      path: the PNG to write.
      curves: panel -> series -> (steps, values), for example
        `{"ICC": {"validation": (steps, values)}}`. Values that are not finite are left out.

    Raises:
      ValueError: no panel.
      UserError: the operating system refused.
    """
    if not curves:
        raise ValueError("there is no curve to draw")
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * columns, 2.5 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (title, series) in zip(axes, curves.items(), strict=False):
            for colour, (name, (steps, values)) in zip(
                _cycle(SYSTEM_COLOURS, len(series)), series.items(), strict=True
            ):
                s, v = np.asarray(steps, np.float64), np.asarray(values, np.float64)
                kept = np.isfinite(v)
                marker = "o" if kept.sum() < 3 else None
                axis.plot(s[kept], v[kept], color=colour, lw=1.4, marker=marker, ms=3.5, label=name)
            axis.set_title(title, loc="left")
            axis.grid(color="#e6e6e6", lw=0.6)
            axis.margins(x=0.02)
            if len(series) > 1:
                axis.legend(fontsize=8)
        for axis in axes[len(curves) :]:
            axis.set_axis_off()
        for axis in axes[max(0, len(curves) - columns) : len(curves)]:
            axis.set_xlabel("step")
        _save(figure, path)


def reliability_diagram(path: str | Path, tables: Mapping[str, ReliabilityTable]) -> None:
    """Observed frequency against predicted probability, with how often each was predicted.

    Args:
      path: the PNG to write.
      tables: by system, from `metrics.reliability`.

    Raises:
      ValueError: no table.
      UserError: the operating system refused.
    """
    if not tables:
        raise ValueError("there is no reliability table to draw")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 5.4), layout="constrained")
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
        curve.plot([0, 1], [0, 1], color=FAINT, lw=1, ls=(0, (4, 3)), label="calibrated")
        for colour, (name, table) in zip(
            _cycle(SYSTEM_COLOURS, len(tables)), tables.items(), strict=True
        ):
            filled = table.count > 0
            curve.plot(
                table.probability[filled], table.frequency[filled],
                color=colour, lw=1.4, marker="o", ms=4, label=name,
            )  # fmt: skip
            counts.stairs(np.maximum(table.count, 0.5), table.edges, color=colour, lw=1.4)
        curve.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed frequency")
        curve.set_title("Reliability of P(level ≥ s), s = 1..5 pooled", loc="left")
        curve.grid(color="#e6e6e6", lw=0.6)
        curve.legend(loc="upper left")
        counts.set(yscale="log", xlabel="predicted probability", ylabel="events")
        counts.set_ylim(bottom=0.8)
        _save(figure, path)


def _pictures(images: ArrayLike) -> np.ndarray:
    X = np.asarray(images, np.float64)
    if X.ndim == 4 and X.shape[-1] == 1:
        X = X[..., 0]
    if X.ndim != 3:
        raise ValueError(f"pictures must be [N, H, W] or [N, H, W, 1], got {X.shape}")
    return X


def _scatter(axis: Axes, points: np.ndarray, colour: Any, label: str) -> None:
    size = float(np.clip(6000 / max(len(points), 1), 6, 16))
    axis.scatter(
        points[:, 0], points[:, 1], s=size, color=[colour], alpha=0.75, linewidths=0, label=label
    )


def _legend(axis: Axes, title: str, columns: int = 1) -> None:
    """Beside the panel, with dots large enough to tell colours apart."""
    legend = axis.legend(
        title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, title_fontsize=8,
        ncols=columns, handletextpad=0.2, labelspacing=0.25, borderaxespad=0.2,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
            handle.set_sizes([28])  # type: ignore[attr-defined]


def _cycle(colours: Sequence[str], count: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(count)]


def _save(figure: Figure, path: str | Path) -> None:
    with files.replacing(path, "wb") as stream:
        figure.savefig(stream, format="png", dpi=DPI)
