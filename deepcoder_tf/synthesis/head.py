"""The head model: a mesh, its regions and its morphs, read from the asset beside this file.

Coordinates are decimetres: x to the head's left, y up, z forward out of the face. See
HEAD_ASSET.md for where the data come from.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["ASSET", "Head", "Morphs", "chart", "eye_sphere", "load_head"]

ASSET = Path(__file__).with_name("head_asset.npz")
"""The file; HEAD_ASSET.md beside it tells its licence and how it was built."""

CHART_AXIS = 0.45
"""Depth z, in decimetres, of the vertical axis about which the chart unrolls the head."""
CHART_ANGLE = 120.0
"""The chart spans this many degrees to either side of the nose."""
CHART_LOW, CHART_HIGH = 5.2, 8.6
"""Heights y, in decimetres, of the chart's lower and upper edge."""


@dataclasses.dataclass(frozen=True)
class Morphs:
    """A family of morphs as sparse vertex offsets.

    Attributes:
      names: one for each morph.
      splits: `[M + 1]`, morph m owns rows `splits[m]:splits[m + 1]` of the next two.
      vertices: `[R]` vertex numbers.
      offsets: `[R, 3]` decimetres at weight 1.
    """

    names: tuple[str, ...]
    splits: NDArray[np.int32]
    vertices: NDArray[np.uint16]
    offsets: NDArray[np.float16]

    def dense(self, name: str, total: int) -> NDArray[np.float32]:
        """The offsets of one morph at all `total` vertices, `[total, 3]` decimetres.

        Raises:
          ValueError: there is no such morph.
        """
        if name not in self.names:
            raise ValueError(f"{name!r} is no morph of the head; known: {', '.join(self.names)}")
        morph = self.names.index(name)
        rows = slice(self.splits[morph], self.splits[morph + 1])
        offsets = np.zeros((total, 3), dtype=np.float32)
        offsets[self.vertices[rows]] = self.offsets[rows]
        return offsets

    def combine(self, weights: Mapping[str, float], total: int) -> NDArray[np.float32]:
        """The weighted sum of several morphs, `[total, 3]` decimetres."""
        offsets = np.zeros((total, 3), dtype=np.float32)
        for name, weight in weights.items():
            offsets += np.float32(weight) * self.dense(name, total)
        return offsets


@dataclasses.dataclass(frozen=True)
class Head:
    """The neutral androgynous head of the asset and everything that may change its shape.

    Attributes:
      vertices: `[V, 3]` decimetres.
      triangles: `[T, 3]` vertex numbers, counter-clockwise seen from outside.
      part_names: names of the parts of the mesh.
      parts: `[T]` the part of each triangle, an index into `part_names`.
      masks: name -> `[V]` in [0, 1]: `ears`, `lips`, `mouth` (its inside).
      eyes: `left`, `right` -> the vertices on that eyeball's surface.
      units: face units (expression), of both halves of the face.
      macro: ancestry, gender, age, weight.
      identity: local shape; a name ends in `+` or `-`, two directions of one measure.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    part_names: tuple[str, ...]
    parts: NDArray[np.uint8]
    masks: dict[str, NDArray[np.float32]]
    eyes: dict[str, NDArray[np.uint16]]
    units: Morphs
    macro: Morphs
    identity: Morphs


@functools.cache
def load_head() -> Head:
    """Reads the asset once for each process.

    Returns:
      The head, whose arrays must not be written to.
    """
    with np.load(ASSET, allow_pickle=False) as asset:
        arrays = {name: asset[name] for name in asset.files}
    families = {
        family: Morphs(
            names=tuple(str(name) for name in arrays[f"{family}_names"]),
            splits=arrays[f"{family}_splits"],
            vertices=arrays[f"{family}_vertices"],
            offsets=arrays[f"{family}_offsets"],
        )
        for family in ("unit", "macro", "identity")
    }
    return Head(
        vertices=arrays["vertices"],
        triangles=arrays["triangles"].astype(np.int32),
        part_names=tuple(str(name) for name in arrays["part_names"]),
        parts=arrays["parts"],
        masks={
            name: arrays[f"mask_{name}"].astype(np.float32) / 255
            for name in ("ears", "lips", "mouth")
        },
        eyes={side: arrays[f"eye_{side}"] for side in ("left", "right")},
        units=families["unit"],
        macro=families["macro"],
        identity=families["identity"],
    )


def chart(vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unrolls points of the neutral head onto the chart on which appearance is painted.

    The chart is a cylinder about the vertical axis, cut open at the back of the head.

    Args:
      vertices: `[..., 3]` decimetres, on the neutral head.

    Returns:
      `[..., 2]`: u from 0 (the head's right) to 1 (its left), v from 0 (top) to 1 (bottom).
    """
    angle = np.degrees(np.arctan2(vertices[..., 0], vertices[..., 2] - CHART_AXIS))
    u = 0.5 + 0.5 * angle / CHART_ANGLE
    v = (CHART_HIGH - vertices[..., 1]) / (CHART_HIGH - CHART_LOW)
    return np.stack([u, v], axis=-1).astype(np.float32)


def eye_sphere(rings: int = 12, sectors: int = 20) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A unit sphere of triangles with a pole at +z, where the iris looks out.

    Args:
      rings: bands from pole to pole.
      sectors: triangles around a pole.

    Returns:
      points `[P, 3]` and triangles `[T, 3]`, counter-clockwise seen from outside.
    """
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.linspace(0, 2 * np.pi, sectors, endpoint=False)
    ring = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(around),
            np.sin(polar)[:, None] * np.sin(around),
            np.repeat(np.cos(polar)[:, None], sectors, axis=1),
        ],
        axis=-1,
    )
    points = np.concatenate([[[0, 0, 1]], ring.reshape(-1, 3), [[0, 0, -1]]])
    last = len(points) - 1
    here = np.arange(sectors)
    following = (here + 1) % sectors
    triangles = [np.stack([np.zeros_like(here), 1 + here, 1 + following], axis=1)]
    for band in range(rings - 2):
        a, b = 1 + band * sectors + here, 1 + band * sectors + following
        triangles.append(np.stack([a, a + sectors, b + sectors], axis=1))
        triangles.append(np.stack([a, b + sectors, b], axis=1))
    base = 1 + (rings - 2) * sectors
    triangles.append(np.stack([base + here, np.full_like(here, last), base + following], axis=1))
    return points.astype(np.float32), np.concatenate(triangles).astype(np.int32)
