"""One subject's body in space: the mesh at rest, what it carries, and how it moves."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.synthesis.appearance import hair_thickness
from deepcoder_tf.synthesis.expression import unit_weights
from deepcoder_tf.synthesis.head import CHART_ANGLE, chart, eye_sphere, load_head
from deepcoder_tf.synthesis.subject import Subject

__all__ = [
    "EYE",
    "SKIN",
    "TEETH",
    "TONGUE",
    "Figure",
    "Moment",
    "VertexNormals",
    "rotation",
    "unit",
]

SKIN, EYE, TEETH, TONGUE = 0, 1, 2, 3
"""Kinds of triangle."""

PIVOT = (0.0, 6.5, 0.25)
"""The top of the neck, about which the head turns, decimetres."""
SEAL = {"mouthLowerDown": -0.18, "mouthUpperUp": -0.10}
"""Face units that close the mouth at rest: identities leave a gap, which would read as AU25."""
STIFF_BELOW, FREE_ABOVE = 5.75, 6.35
"""The neck bends between these heights: shoulders stay, the head turns fully."""


@dataclasses.dataclass(frozen=True)
class Moment:
    """Everything about one frame but the action units.

    Attributes:
      yaw: the head turns to its left, degrees.
      pitch: the head nods down, degrees.
      roll: the head leans to its left shoulder, degrees.
      shift: the head moves left and up, decimetres.
      gaze: the eyes look to the head's left and up, degrees.
      blink: 0 (open) to 1 (closed).
      light: factor on all light.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    blink: float = 0.0
    light: float = 1.0


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float32]:
    """The rotation matrix `[3, 3]` for column vectors; degrees, see `Moment`."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in np.radians([yaw, pitch, -roll]))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales `[..., 3]` vectors to length 1; a zero vector stays."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
    return vectors / np.maximum(length, 1e-12)[..., None]


class VertexNormals:
    """Area-weighted vertex normals of a mesh whose triangles stay the same.

    Args:
      triangles: `[T, 3]` vertex numbers.
      total: number V of vertices.
    """

    def __init__(self, triangles: NDArray[np.int32], total: int) -> None:
        corners = triangles.ravel()
        order = np.argsort(corners, kind="stable")
        self.triangles = triangles
        self.faces = order // 3
        self.used, self.starts = np.unique(corners[order], return_index=True)
        self.total = total

    def __call__(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit normals `[V, 3]` of vertices `[V, 3]`; zero where no triangle meets."""
        a, b, c = (vertices[self.triangles[:, k]] for k in range(3))
        faces = np.cross(b - a, c - a)
        normals = np.zeros((self.total, 3), dtype=np.float32)
        normals[self.used] = np.add.reduceat(faces[self.faces], self.starts, axis=0)
        return unit(normals)


@functools.cache
def dense_units() -> dict[str, NDArray[np.float32]]:
    """Every face unit as dense offsets `[V, 3]`, expanded once for each process."""
    head = load_head()
    return {name: head.units.dense(name, len(head.vertices)) for name in head.units.names}


def neutral_shape(subject: Subject) -> NDArray[np.float32]:
    """The subject's head at rest, `[V, 3]` decimetres, hair included."""
    head = load_head()
    total = len(head.vertices)
    shape = head.vertices + head.macro.combine(subject.macro, total)
    shape += head.identity.combine(subject.identity, total)
    seal = {f"{name}{side}": weight for name, weight in SEAL.items() for side in ("Left", "Right")}
    shape += head.units.combine(seal, total)
    # Morphs of age and gender also change the body's height: bring the eyes back.
    eyes = np.concatenate([head.eyes["left"], head.eyes["right"]])
    shape += head.vertices[eyes].mean(axis=0) - shape[eyes].mean(axis=0)
    degrees = (chart(head.vertices)[:, 0] - 0.5) * 2 * CHART_ANGLE
    hair = hair_thickness(degrees, head.vertices[:, 1], subject) * (1 - head.masks["mouth"])
    if subject.hair_length == 0:
        hair *= 1 - head.masks["ears"]
    return shape + hair[:, None] * VertexNormals(head.triangles, total)(shape)


class Figure:
    """The mesh of one subject: the head's vertices, then those of the two eyeballs.

    Args:
      subject: the person.

    Attributes:
      triangles: `[T, 3]` vertex numbers.
      kinds: `[T]` one of `SKIN`, `EYE`, `TEETH`, `TONGUE`.
      carried: `[V, 4]` at every vertex: chart coordinates, lips and mouth mask.
      normals: computes vertex normals.
    """

    def __init__(self, subject: Subject) -> None:
        head = load_head()
        total = len(head.vertices)
        sphere, sphere_triangles = eye_sphere()
        self.subject = subject
        self.neutral = neutral_shape(subject)
        self.eyeballs = np.concatenate([self._eyeball(eye, sphere) for eye in head.eyes.values()])
        balls = [sphere_triangles + total + k * len(sphere) for k in range(len(head.eyes))]
        self.triangles = np.concatenate([head.triangles, *balls])
        kinds = {"skin": SKIN, "teeth": TEETH, "tongue": TONGUE}
        of_part = np.array([kinds[name] for name in head.part_names], dtype=np.uint8)
        eyes = np.full(len(self.triangles) - len(head.triangles), EYE, dtype=np.uint8)
        self.kinds = np.concatenate([of_part[head.parts], eyes])
        carried = np.column_stack([chart(head.vertices), head.masks["lips"], head.masks["mouth"]])
        self.carried = np.zeros((total + len(self.eyeballs), 4), dtype=np.float32)
        self.carried[:total] = carried
        self.normals = VertexNormals(self.triangles, len(self.carried))

    def _eyeball(
        self, surface: NDArray[np.uint16], sphere: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The sphere `[P, 3]` through the vertices that the asset has on an eyeball."""
        points = self.neutral[surface]
        middle = points.mean(axis=0)
        radius = np.sqrt(((points - middle) ** 2).sum(axis=1).mean())
        return middle + radius * sphere

    def pose(self, intensities: Mapping[str, float], moment: Moment) -> NDArray[np.float32]:
        """Vertices `[V, 3]` in decimetres with expression and pose applied.

        Raises:
          ValueError: an action unit that the head cannot show, or an intensity outside 0-5.
        """
        weights = unit_weights(intensities, self.subject.asymmetry)
        weights |= {"eyeBlinkLeft": moment.blink, "eyeBlinkRight": moment.blink}
        vertices = self.neutral.copy()
        for name, weight in weights.items():
            vertices += np.float32(weight) * dense_units()[name]
        rest = np.concatenate([vertices, self.eyeballs])
        pivot = np.array(PIVOT, dtype=np.float32)
        shift = np.array([*moment.shift, 0], dtype=np.float32)
        turned = (rest - pivot) @ rotation(moment.yaw, moment.pitch, moment.roll).T + pivot + shift
        free = np.clip((rest[:, 1:2] - STIFF_BELOW) / (FREE_ABOVE - STIFF_BELOW), 0, 1)
        return rest + free * (turned - rest)
