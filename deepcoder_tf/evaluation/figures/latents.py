"""Latent spaces in two dimensions: by subject, by level, over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.evaluation.figures.style import (
    FAINT,
    INK,
    LEVEL_COLOURS,
    STYLE,
    canvas,
    dot_size,
    legend_below,
    save,
    subject_marks,
)

__all__ = [
    "latent_spaces",
    "neighbourhood",
    "project",
    "spaces_by_level",
    "spaces_by_subject",
    "t_sne",
]

NAMED_SUBJECTS = 48
"""More than that are not listed in a legend."""

PERPLEXITY = 30.0
"""Neighbours that a point of t-SNE looks at; van der Maaten and Hinton (2008) advise 5 to 50."""

MAX_COMPONENTS = 50
"""Principal components that t-SNE works on; van der Maaten and Hinton (2008), section 4.2."""


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


def t_sne(Z: ArrayLike, seed: int = 0, start: ArrayLike | None = None) -> np.ndarray:
    """A two-dimensional map in which neighbours stay neighbours.

    Distances between clusters and the axes themselves mean nothing in it.

    Args:
      Z: `[N, D]`, N >= 3.
      seed: of scikit-learn's t-SNE.
      start: `[N, 2]` where the points begin, for example the map of an earlier iteration, and
        towards which the map is turned, so that the two can be compared; None starts from the
        principal components.

    Returns:
      `[N, 2]`; zeros where all points are one.

    Raises:
      ValueError: fewer than three points.

    Source: van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 9 (2008).
    """
    X = np.asarray(Z, np.float64)
    if X.ndim == 2 and len(X) >= 3 and not np.ptp(X, axis=0).any():
        return np.zeros((len(X), 2))
    begin = project(X) if start is None else np.array(start, np.float64)
    components = min(MAX_COMPONENTS, *X.shape)
    if X.shape[1] > components:
        X = PCA(components, svd_solver="full").fit_transform(X)
    # 1e-4 is the spread that scikit-learn itself gives to principal components.
    map_ = TSNE(
        perplexity=min(PERPLEXITY, (len(X) - 1) / 3),
        init=(1e-4 * begin / begin[:, 0].std()).astype(np.float32),
        learning_rate="auto",
        random_state=seed,
    )
    # One thread: sums in another order end in another map, and threads that wait for one another
    # take minutes where seconds would do when the cores are busy.
    with threadpool_limits(1):
        points = map_.fit_transform(X.astype(np.float32)).astype(np.float64)
    if start is None:
        return points
    # Any rotation and reflection is as good a map; this one lies closest to the start.
    points -= points.mean(0)
    U, _, Vt = np.linalg.svd(points.T @ (begin - begin.mean(0)))
    return points @ U @ Vt


@matplotlib.rc_context(STYLE)
def latent_spaces(
    path: str | Path,
    spaces: Mapping[str, ArrayLike],
    subjects: Sequence[str],
    levels: ArrayLike,
    action_unit: str = "AU12",
) -> None:
    """Each latent space in two dimensions, coloured by subject and by one unit's level.

    Args:
      path: the file, see `save`.
      spaces: by name (`"Z0"`, `"Z1"`), `[N, D]` each.
      subjects: `[N]`.
      levels: `[N]` annotated levels of `action_unit`, -1 = missing (not drawn on that side).
      action_unit: its name.

    Raises:
      ValueError: lengths that differ; see also `project`.
      UserError: the operating system refused.
    """
    y, who = np.asarray(levels), np.asarray(subjects)
    figure, axes = canvas(4.1 * len(spaces) + 0.2, len(spaces), 2, width=10.4)
    for (space, Z), (by_subject, by_level) in zip(spaces.items(), axes, strict=True):
        if len(np.asarray(Z)) != len(y) or len(who) != len(y):
            raise ValueError(f"{space}, subjects and levels must have one length, {len(y)}")
        points = project(Z)
        _by_subject(by_subject, points, who)
        _by_level(by_level, points, y)
        by_subject.set_title(f"{space} by subject", loc="left")
        by_level.set_title(f"{space} by level of {action_unit}", loc="left")
        for axis in (by_subject, by_level):
            _bare(axis, "principal component")
    if len(set(who.tolist())) <= NAMED_SUBJECTS:
        legend_below(figure, axes[0, 0], "subject")
    axes[0, 1].legend(title=action_unit, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save(figure, path)


@matplotlib.rc_context(STYLE)
def spaces_by_subject(
    path: str | Path,
    maps: Mapping[str, Mapping[str, ArrayLike]],
    subjects: Sequence[str],
) -> None:
    """Maps of latent spaces with the subjects told apart, a row for each moment of training.

    Args:
      path: the file, see `save`.
      maps: row title -> column title -> `[N, 2]` points; one of each for a single panel.
      subjects: `[N]`.

    Raises:
      ValueError: nothing to draw, or lengths that differ.
      UserError: the operating system refused.
    """
    who = np.asarray(subjects)
    _check(maps, len(who))
    columns = len(next(iter(maps.values())))
    height = 4.0 if columns == 1 else 2.3
    listed = len(set(who.tolist())) <= NAMED_SUBJECTS
    figure, axes = canvas(height * len(maps) + 0.2 + 0.9 * listed, len(maps), columns)
    for (title, spaces), row in zip(maps.items(), axes, strict=True):
        for (space, points), axis in zip(spaces.items(), row, strict=True):
            _by_subject(axis, np.asarray(points), who)
            _bare(axis, "t-SNE")
            axis.set_title(", ".join(filter(None, (space, title))), loc="left", fontsize=9)
    if listed:
        legend_below(figure, axes[0, 0], "subject")
    save(figure, path)


@matplotlib.rc_context(STYLE)
def spaces_by_level(
    path: str | Path,
    maps: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    action_unit: str,
) -> None:
    """Maps of single subjects, coloured by the level of one action unit.

    Args:
      path: the file, see `save`.
      maps: row title -> column title -> `[N, 2]` points and their `[N]` levels, -1 = missing (not
        drawn).
      action_unit: its name.

    Raises:
      ValueError: nothing to draw.
      UserError: the operating system refused.
    """
    if not maps:
        raise ValueError("there is no map to draw")
    columns = len(next(iter(maps.values())))
    figure, axes = canvas(1.75 * len(maps) + 0.5, len(maps), columns)
    for (title, panels), row in zip(maps.items(), axes, strict=True):
        for (name, (points, levels)), axis in zip(panels.items(), row, strict=True):
            _by_level(axis, np.asarray(points), np.asarray(levels), size=24)
            _bare(axis, "t-SNE")
            axis.margins(0.12)
            axis.set_title(f"{name}, {title}", loc="left", fontsize=9)
    # Every level once, also those that the first panel does not have.
    for level in range(LEVELS):
        axes[0, 0].scatter([], [], color=LEVEL_COLOURS[level], edgecolors=FAINT, label=str(level))
    legend_below(figure, axes[0, 0], f"level of {action_unit}")
    save(figure, path)


@matplotlib.rc_context(STYLE)
def neighbourhood(
    path: str | Path,
    points: ArrayLike,
    subjects: Sequence[str],
    stranger: str,
    near: Sequence[str] = (),
) -> None:
    """One subject's place among others: theirs faint, the nearest of them in colour.

    Args:
      path: the file, see `save`.
      points: `[N, 2]` a map of all.
      subjects: `[N]`.
      stranger: the subject whose place is asked for.
      near: subjects to be named, nearest first.

    Raises:
      ValueError: lengths that differ, or the stranger has no point.
      UserError: the operating system refused.
    """
    points, who = np.asarray(points), np.asarray(subjects)
    if len(points) != len(who) or stranger not in who:
        raise ValueError(f"{len(points)} points, {len(who)} subjects, {stranger} among them")
    figure, axes = canvas(4.4)
    axis = axes[0, 0]
    rest = ~np.isin(who, [stranger, *near])
    size = dot_size(len(points))
    axis.scatter(
        *points[rest].T, s=size, color="#c4c4c4", linewidths=0, label="other training subjects"
    )
    for name, (colour, marker) in subject_marks(near).items():
        axis.scatter(
            *points[who == name].T, s=1.3 * size, color=colour, marker=marker, linewidths=0,
            label=f"{name} (training)",
        )  # fmt: skip
    axis.scatter(
        *points[who == stranger].T, s=2.6 * size, color="none", edgecolors=INK, linewidths=0.9,
        label=f"{stranger} (test)",
    )  # fmt: skip
    _bare(axis, "t-SNE")
    legend_below(figure, axis)
    save(figure, path)


def _by_subject(axis: Axes, points: np.ndarray, who: np.ndarray) -> None:
    size = dot_size(len(points))
    for name, (colour, marker) in subject_marks(sorted(set(who.tolist()))).items():
        _scatter(axis, points[who == name], size, colour, name, marker=marker)


def _by_level(
    axis: Axes, points: np.ndarray, levels: np.ndarray, size: float | None = None
) -> None:
    for level in range(LEVELS):
        if np.any(levels == level):
            _scatter(
                axis, points[levels == level], size or dot_size(len(points)), LEVEL_COLOURS[level],
                str(level) if size is None else "",
            )  # fmt: skip


def _scatter(
    axis: Axes, points: np.ndarray, size: float, colour: str, label: str, **options: Any
) -> None:
    x, y = points.T
    axis.scatter(x, y, s=size, color=colour, alpha=0.8, linewidths=0, label=label, **options)


def _bare(axis: Axes, kind: str) -> None:
    """No ticks: the numbers on these axes mean nothing."""
    axis.set(xticks=[], yticks=[], xlabel=f"{kind} 1", ylabel=f"{kind} 2")
    axis.xaxis.label.set_fontsize(8)
    axis.yaxis.label.set_fontsize(8)
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color("#c4c4c4")


def _check(maps: Mapping[str, Mapping[str, ArrayLike]], count: int) -> None:
    shapes = {np.shape(points) for spaces in maps.values() for points in spaces.values()}
    if shapes != {(count, 2)}:
        raise ValueError(f"maps must be [{count}, 2], as many points as subjects; got {shapes}")
