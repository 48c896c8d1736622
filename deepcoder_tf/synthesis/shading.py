"""The colour of the points that rays meet: reflectance of each material, then light on it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.synthesis.appearance import CHART_SIZE, expression_lines
from deepcoder_tf.synthesis.expression import MAXIMUM
from deepcoder_tf.synthesis.figure import (
    EYE,
    TEETH,
    TONGUE,
    Figure,
    Moment,
    rotation,
    unit,
)

__all__ = ["Hits", "Shader"]

IRIS_RADIUS, PUPIL_RADIUS = 0.42, 0.17
"""Sines of the angles that iris and pupil span from the middle of the eye."""
SCLERA = (0.46, 0.42, 0.39)
TEETH_COLOUR = (0.50, 0.45, 0.35)
TONGUE_COLOUR = (0.30, 0.08, 0.07)
CAVITY_COLOUR = (0.07, 0.018, 0.015)
"""Reflectances, linear light; the mouth's inside is dark because little light gets there."""
LID_SHADOW = 0.75
"""Share of the light that the upper lid keeps from the top of the eyeball."""

SCATTER = (0.30, 0.15, 0.10)
"""Light under the skin softens the edge of the shade, red light most."""
SKIN_GLOSS, LIP_GLOSS, EYE_GLOSS, TEETH_GLOSS = 0.035, 0.09, 0.5, 0.12
DULL, SHARP = 16.0, 120.0
"""Exponents of the highlight on skin and on the wet eye."""


@dataclasses.dataclass(frozen=True)
class Hits:
    """Where rays met the mesh.

    Attributes:
      met: `[N]` numbers of the rays that met it.
      faces: `[N]` triangles.
      weights: `[N, 3]` barycentric weights of the triangle's corners.
      directions: `[N, 3]` of the rays, not normalised.
      distance: `[N]` in units of the direction's length.
    """

    met: NDArray[np.int64]
    faces: NDArray[np.int32]
    weights: NDArray[np.float32]
    directions: NDArray[np.float32]
    distance: NDArray[np.float32]


@functools.cache
def shared_lines() -> dict[str, NDArray[np.float32]]:
    """The expression lines, drawn once for each process."""
    return expression_lines()


def sample(image: NDArray[np.float32], coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bilinear samples `[N, ...]` of a chart at coordinates `[N, 2]` in [0, 1]."""
    # OpenCV takes maps of at most 32767 rows: fold the list into rows of 256.
    total = len(coordinates)
    x, y = (np.resize(c, (-(-total // 256), 256)) for c in coordinates.T * CHART_SIZE - 0.5)
    sampled = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, dtype=np.float32).reshape(-1, *image.shape[2:])[:total]


class Shader:
    """Colours hits on one posed figure.

    Args:
      figure: the mesh.
      albedo: `[CHART_SIZE, CHART_SIZE, 3]`, see `appearance.paint_albedo`.
      intensities: action unit -> 0 to 5.
      moment: pose, gaze and light.
      vertices: `[V, 3]` the posed figure.
    """

    def __init__(
        self,
        figure: Figure,
        albedo: NDArray[np.float32],
        intensities: Mapping[str, float],
        moment: Moment,
        vertices: NDArray[np.float32],
    ) -> None:
        self.figure, self.subject, self.moment = figure, figure.subject, moment
        self.albedo = albedo
        self.values = np.concatenate([figure.normals(vertices), figure.carried], axis=1)
        lines = shared_lines()
        depth = self.subject.wrinkles / MAXIMUM
        self.lines: NDArray[np.float32] | None = None
        for name in sorted(lines.keys() & intensities.keys()):
            drawn = np.float32(depth * intensities[name]) * lines[name]
            self.lines = drawn if self.lines is None else self.lines + drawn

    def __call__(self, hits: Hits) -> NDArray[np.float32]:
        """Colours `[N, 3]`: red, green, blue, linear light, 1 is white."""
        corners = self.figure.triangles[hits.faces]
        values = np.einsum("nk,nkc->nc", hits.weights, self.values[corners])
        normals, kinds = unit(values[:, :3]), self.figure.kinds[hits.faces]
        albedo = self._skin(values[:, 3:])
        gloss = SKIN_GLOSS + (LIP_GLOSS - SKIN_GLOSS) * values[:, 5]
        power = np.full(len(gloss), DULL, dtype=np.float32)
        albedo[kinds == TEETH], gloss[kinds == TEETH] = TEETH_COLOUR, TEETH_GLOSS
        albedo[kinds == TONGUE] = TONGUE_COLOUR
        eye = np.flatnonzero(kinds == EYE)
        if len(eye):
            albedo[eye], gloss[eye], power[eye] = self._eye(normals[eye]), EYE_GLOSS, SHARP
        return self._light(albedo, normals, unit(-hits.directions), gloss, power)

    def _skin(self, carried: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reflectance `[N, 3]` with the expression's lines, from carried values `[N, 4]`."""
        coordinates, lips, cavity = carried[:, :2], carried[:, 2:3], carried[:, 3:4]
        albedo = sample(self.albedo, coordinates)
        albedo += lips * (np.array(self.subject.lips, dtype=np.float32) - albedo)
        albedo += cavity * (np.array(CAVITY_COLOUR, dtype=np.float32) - albedo)
        if self.lines is not None:
            albedo *= np.exp(sample(self.lines, coordinates))[:, None]
        return albedo

    def _eye(self, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reflectance `[N, 3]` of the eyeball where it faces `normals`."""
        moment = self.moment
        head = rotation(moment.yaw, moment.pitch, moment.roll)
        local = normals @ (head @ rotation(moment.gaze[0], -moment.gaze[1], 0.0))
        behind = local[:, 2] < 0
        radius = np.hypot(local[:, 0], local[:, 1]) + behind
        angle = np.arctan2(local[:, 1], local[:, 0])
        streaks = 1 + 0.25 * np.sin(23 * angle) * np.sin(37 * angle + 1)
        rim = np.clip((IRIS_RADIUS - radius) / 0.06, 0.25, 1)
        coloured = np.array(self.subject.iris, dtype=np.float32) * (streaks * rim)[:, None]
        coloured[radius < PUPIL_RADIUS] = 0.005
        inside = np.clip((IRIS_RADIUS - radius) / 0.03 + 0.5, 0, 1)[:, None]
        white = np.array(SCLERA, dtype=np.float32)
        upward = np.clip((normals @ head)[:, 1:2] * 1.6, 0, 1)
        return (white + inside * (coloured - white)) * (1 - LID_SHADOW * upward)

    def _light(
        self,
        albedo: NDArray[np.float32],
        normals: NDArray[np.float32],
        towards: NDArray[np.float32],
        gloss: NDArray[np.float32],
        power: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Adds up key light, fill light from the camera, the sky, and the key's highlight."""
        scene = self.subject.scene
        key = np.array(scene.light, dtype=np.float32)
        scatter = np.array(SCATTER, dtype=np.float32)
        warm = np.array([1 + scene.warmth, 1.0, 1 - scene.warmth], dtype=np.float32)
        diffuse = np.clip(((normals @ key)[:, None] + scatter) / (1 + scatter), 0, None)
        fill = scene.fill * np.clip(np.einsum("ni,ni->n", normals, towards), 0, None)
        sky = scene.ambient * (0.7 + 0.3 * normals[:, 1])
        total = np.float32(scene.key) * warm * diffuse + (fill + sky)[:, None]
        half = unit(towards + key)
        aligned = np.clip(np.einsum("ni,ni->n", normals, half), 0, 1)
        highlight = np.float32(scene.key) * gloss * aligned**power
        return np.float32(self.moment.light) * (albedo * total + highlight[:, None])
