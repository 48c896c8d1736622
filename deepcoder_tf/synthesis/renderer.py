"""From a subject and a moment to a picture: pose the mesh, trace one ray a sample, shade.

Embree finds which triangle each ray meets; NumPy interpolates what the mesh carries there and
shades every sample on its own, so no graphics driver and no screen are needed. Each pixel is the
mean of `SUPERSAMPLING` x `SUPERSAMPLING` samples.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from deepcoder_tf.synthesis.appearance import (
    CHART_SIZE,
    expression_lines,
    hair_cover,
    paint_albedo,
)
from deepcoder_tf.synthesis.expression import MAXIMUM, unit_weights
from deepcoder_tf.synthesis.head import CHART_ANGLE, chart, eye_sphere, load_head
from deepcoder_tf.synthesis.subject import Subject

__all__ = ["MAXIMUM_SIZE", "MINIMUM_SIZE", "Moment", "Renderer", "render"]

MINIMUM_SIZE, MAXIMUM_SIZE = 64, 2048
"""Bounds of a picture's width and height, pixels."""

SUPERSAMPLING = 2
"""Samples along each side of a pixel."""
COARSE = 8
"""Rays of the first pass that finds where the head is: one in COARSE x COARSE samples."""

CAMERA_DISTANCE = 8.0
"""From the head's axis to the camera, decimetres."""
FACE_CENTRE = (0.0, 7.12, 1.3)
"""The point of the neutral head that sits in the middle of the picture."""
PIVOT = (0.0, 6.5, 0.25)
"""The top of the neck, about which the head turns."""
STIFF_BELOW, FREE_ABOVE = 5.75, 6.35
"""The neck bends between these heights: shoulders stay, the head turns fully."""

IRIS_RADIUS, PUPIL_RADIUS = 0.40, 0.17
"""Sines of the angles that iris and pupil span from the middle of the eye."""
SCLERA = (0.62, 0.58, 0.55)
TEETH = (0.60, 0.55, 0.44)
TONGUE = (0.36, 0.10, 0.09)
CAVITY = (0.10, 0.025, 0.02)
"""Reflectances, linear light."""


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
    (cy, sy), (cp, sp), (cr, sr) = (
        (np.cos(a), np.sin(a)) for a in np.radians([yaw, pitch, -roll])
    )
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales `[..., 3]` vectors to length 1."""
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
    return vectors / np.maximum(length, 1e-12)[..., None]


class VertexNormals:
    """Area-weighted vertex normals of a mesh whose triangles stay the same."""

    def __init__(self, triangles: NDArray[np.int32], total: int) -> None:
        self.triangles = triangles
        corners = triangles.ravel()
        order = np.argsort(corners, kind="stable")
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
def shared_lines() -> dict[str, NDArray[np.float32]]:
    """The expression lines, drawn once for each process."""
    return expression_lines()


@functools.cache
def dense_units() -> dict[str, NDArray[np.float32]]:
    """Every face unit as dense offsets `[V, 3]`, expanded once for each process."""
    head = load_head()
    return {name: head.units.dense(name, len(head.vertices)) for name in head.units.names}


class Renderer:
    """Draws frames of one subject.

    Args:
      subject: the person.
      size: width and height of the picture, pixels.

    Raises:
      ValueError: a size outside `MINIMUM_SIZE` to `MAXIMUM_SIZE`.
    """

    def __init__(self, subject: Subject, size: tuple[int, int] = (320, 240)) -> None:
        if not all(MINIMUM_SIZE <= side <= MAXIMUM_SIZE for side in size):
            raise ValueError(
                f"size {size[0]}x{size[1]} has a side outside {MINIMUM_SIZE} to {MAXIMUM_SIZE}"
            )
        self.subject = subject
        self.size = size
        self.albedo = paint_albedo(subject)
        self._build_mesh()
        self._build_rays()

    def _build_mesh(self) -> None:
        """The subject's neutral mesh and what each vertex and triangle carries."""
        head, subject = load_head(), self.subject
        total = len(head.vertices)
        neutral = head.vertices.copy()
        neutral += head.macro.combine(subject.macro, total)
        neutral += head.identity.combine(subject.identity, total)
        # Morphs of age and gender also change the body's height: bring the eyes back.
        eyes = np.concatenate([head.eyes["left"], head.eyes["right"]])
        neutral += head.vertices[eyes].mean(axis=0) - neutral[eyes].mean(axis=0)

        coordinates = chart(head.vertices)
        degrees = (coordinates[:, 0] - 0.5) * 2 * CHART_ANGLE
        hair = hair_cover(degrees, head.vertices[:, 1], subject)
        hair *= 1 - (subject.hair_length == 0) * head.masks["ears"]
        hair *= 1 - head.masks["mouth"]
        normals = VertexNormals(head.triangles, total)(neutral)
        neutral += (subject.hair_volume * hair)[:, None] * normals
        self.neutral = neutral

        sphere, sphere_triangles = eye_sphere()
        self.sphere = sphere
        eye_triangles = [sphere_triangles + total + k * len(sphere) for k in range(2)]
        self.triangles = np.concatenate([head.triangles, *eye_triangles])
        self.is_eye = np.arange(len(self.triangles)) >= len(head.triangles)
        self.normals = VertexNormals(self.triangles, total + 2 * len(sphere))
        fixed = np.array([TEETH, TONGUE], dtype=np.float32)
        names = [head.part_names.index(name) for name in ("teeth", "tongue")]
        self.plain = np.zeros((len(self.triangles), 4), dtype=np.float32)
        for part, colour in zip(names, fixed, strict=True):
            self.plain[: len(head.parts)][head.parts == part] = [*colour, 1]

        padding = np.zeros((2 * len(sphere), 4), dtype=np.float32)
        carried = np.column_stack([coordinates, head.masks["lips"], head.masks["mouth"]])
        self.carried = np.concatenate([carried.astype(np.float32), padding])

    def _build_rays(self) -> None:
        """One ray through every sample, in decimetres; the camera stays where it is."""
        width, height = (side * SUPERSAMPLING for side in self.size)
        step = self.subject.span / height
        x = (np.arange(width) + 0.5 - width / 2) * step - self.subject.offset[0]
        y = (height / 2 - np.arange(height) - 0.5) * step - self.subject.offset[1]
        # The head's left is the picture's right, as in a photograph of somebody who faces us.
        directions = np.empty((height, width, 3), dtype=np.float32)
        directions[..., 0], directions[..., 1] = x[None, :], y[:, None]
        directions[..., 2] = FACE_CENTRE[2] - CAMERA_DISTANCE
        self.directions = directions
        self.camera = np.array([*FACE_CENTRE[:2], CAMERA_DISTANCE], dtype=np.float32)
        top, bottom = (np.array(c, dtype=np.float32) for c in self.subject.background)
        share = np.linspace(0, 1, self.size[1], dtype=np.float32)[:, None, None]
        self.wall = np.broadcast_to(
            top + share * (bottom - top), (self.size[1], self.size[0], 3)
        )

    def pose(self, intensities: Mapping[str, float], moment: Moment) -> NDArray[np.float32]:
        """Vertices `[V, 3]` of head and eyeballs in decimetres, expression and pose applied."""
        head = load_head()
        weights = unit_weights(intensities, self.subject.asymmetry)
        for side in ("Left", "Right"):
            name = f"eyeBlink{side}"
            weights[name] = moment.blink
        vertices = self.neutral.copy()
        units = dense_units()
        for name, weight in weights.items():
            vertices += np.float32(weight) * units[name]
        turn = rotation(moment.yaw, moment.pitch, moment.roll)
        balls = []
        for eye in head.eyes.values():
            surface = self.neutral[eye]
            middle = surface.mean(axis=0)
            radius = np.sqrt(((surface - middle) ** 2).sum(axis=1).mean())
            balls.append(middle + radius * self.sphere)
        joined = np.concatenate([vertices, *balls])
        pivot = np.array(PIVOT, dtype=np.float32)
        shift = np.array([*moment.shift, 0], dtype=np.float32)
        turned = (joined - pivot) @ turn.T + pivot + shift
        free = np.clip((joined[:, 1:2] - STIFF_BELOW) / (FREE_ABOVE - STIFF_BELOW), 0, 1)
        return joined + free * (turned - joined)

    def frame(
        self, intensities: Mapping[str, float], moment: Moment | None = None
    ) -> NDArray[np.float32]:
        """Draws one frame before it reaches the camera's sensor.

        Args:
          intensities: action unit -> 0 to 5; an absent one is 0.
          moment: pose, gaze and light; frontal and still when None.

        Returns:
          `[height, width, 3]` float32 red, green, blue, linear light, 1 is white.

        Raises:
          ValueError: an action unit that the head cannot show, or an intensity outside 0-5.
        """
        moment = moment or Moment()
        vertices = self.pose(intensities, moment)
        scene = EmbreeScene()
        TriangleMesh(scene, vertices, self.triangles)
        rows, columns = self._covered(scene)
        directions = self.directions[rows, columns]
        hits = scene.run(np.tile(self.camera, (len(directions), 1)), directions, output=True)
        met = np.flatnonzero(hits["primID"] >= 0)
        faces = hits["primID"][met]
        v, w = hits["u"][met], hits["v"][met]
        weights = np.stack([1 - v - w, v, w], axis=1)
        colour = self._shade(intensities, moment, vertices, faces, weights, directions[met])
        return self._resolve(rows[met], columns[met], colour, moment)

    def _covered(self, scene: EmbreeScene) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the samples where the head may be, found with a few rays."""
        half = COARSE // 2
        coarse = self.directions[half::COARSE, half::COARSE]
        origins = np.tile(self.camera, (coarse.shape[0] * coarse.shape[1], 1))
        seen = scene.run(origins, coarse.reshape(-1, 3)) >= 0
        cover = cv2.dilate(seen.reshape(coarse.shape[:2]).astype(np.uint8), np.ones((3, 3)))
        height, width = self.directions.shape[:2]
        full = np.repeat(np.repeat(cover, COARSE, axis=0), COARSE, axis=1)
        full = cv2.copyMakeBorder(full, 0, COARSE, 0, COARSE, cv2.BORDER_REPLICATE)
        return np.nonzero(full[:height, :width])

    def _shade(
        self,
        intensities: Mapping[str, float],
        moment: Moment,
        vertices: NDArray[np.float32],
        faces: NDArray[np.int32],
        weights: NDArray[np.float32],
        directions: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Colour `[N, 3]` of N samples that met the mesh."""
        corners = self.triangles[faces]
        vertex_values = np.concatenate([self.normals(vertices), self.carried], axis=1)
        values = np.einsum("nk,nkc->nc", weights, vertex_values[corners])
        normals = unit(values[:, :3])
        albedo = self._skin(intensities, values[:, 3:5])
        lips, cavity = values[:, 5:6], values[:, 6:7]
        albedo += lips * (np.array(self.subject.lips, dtype=np.float32) - albedo)
        albedo += cavity * (np.array(CAVITY, dtype=np.float32) - albedo)
        plain = self.plain[faces]
        albedo += plain[:, 3:] * (plain[:, :3] - albedo)
        gloss = 0.035 + 0.05 * lips[:, 0] + 0.1 * plain[:, 3]
        eye = np.flatnonzero(self.is_eye[faces])
        if len(eye):
            albedo[eye] = self._eye(moment, normals[eye])
            gloss[eye] = 0.5
        return self._light(moment, albedo, normals, unit(-directions), gloss, eye)

    def _skin(
        self, intensities: Mapping[str, float], coordinates: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Reflectance `[N, 3]` at chart coordinates `[N, 2]`, with the expression's lines."""
        pixels = (coordinates * CHART_SIZE - 0.5)[:, None]
        border = cv2.BORDER_REPLICATE
        # OpenCV addresses at most 32767 rows of a map: fold the list of samples.
        albedo = remap(self.albedo, pixels, border)
        lines = shared_lines()
        active = [name for name, level in intensities.items() if level > 0 and name in lines]
        if active:
            depth = self.subject.wrinkles / MAXIMUM
            total = sum(np.float32(depth * intensities[name]) * lines[name] for name in active)
            albedo *= np.exp(remap(np.asarray(total), pixels, border))[:, None]
        return albedo

    def _eye(self, moment: Moment, normals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reflectance `[N, 3]` of the eyeball where it faces `normals`."""
        turn = rotation(moment.yaw, moment.pitch, moment.roll)
        look = turn @ rotation(moment.gaze[0], -moment.gaze[1], 0.0)
        local = normals @ look
        radius = np.hypot(local[:, 0], local[:, 1]) + (local[:, 2] < 0)
        angle = np.arctan2(local[:, 1], local[:, 0])
        iris = np.array(self.subject.iris, dtype=np.float32)
        streaks = 1 + 0.25 * np.sin(23 * angle) * np.sin(37 * angle + 1)
        rim = np.clip((IRIS_RADIUS - radius) / 0.06, 0.25, 1)
        coloured = iris * (streaks * rim)[:, None]
        coloured[radius < PUPIL_RADIUS] = 0.005
        inside = np.clip((IRIS_RADIUS - radius) / 0.03 + 0.5, 0, 1)[:, None]
        white = np.array(SCLERA, dtype=np.float32)
        return (white + inside * (coloured - white)).astype(np.float32)

    def _light(
        self,
        moment: Moment,
        albedo: NDArray[np.float32],
        normals: NDArray[np.float32],
        towards: NDArray[np.float32],
        gloss: NDArray[np.float32],
        eye: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Adds the light up: key and fill light, a sky, and one highlight."""
        subject = self.subject
        key = np.array(subject.light, dtype=np.float32)
        facing = normals @ key
        # Light that scatters under the skin softens the edge of the shade and reddens it.
        wrap = np.array([0.30, 0.15, 0.10], dtype=np.float32)
        diffuse = np.clip((facing[:, None] + wrap) / (1 + wrap), 0, None)
        warm = np.array([1 + subject.warmth, 1.0, 1 - subject.warmth], dtype=np.float32)
        fill = subject.fill * np.clip(np.einsum("ni,ni->n", normals, towards), 0, None)
        sky = subject.ambient * (0.7 + 0.3 * normals[:, 1])
        total = subject.key * warm * diffuse + (fill + sky)[:, None]
        half = unit(towards + key)
        aligned = np.clip(np.einsum("ni,ni->n", normals, half), 0, 1)
        power = np.full(len(gloss), 16.0, dtype=np.float32)
        power[eye] = 120.0
        highlight = subject.key * gloss * aligned**power
        return moment.light * (albedo * total + highlight[:, None])

    def _resolve(
        self,
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        colour: NDArray[np.float32],
        moment: Moment,
    ) -> NDArray[np.float32]:
        """Averages the samples of each pixel over the wall behind."""
        width, height = self.size
        pixel = (rows // SUPERSAMPLING) * width + columns // SUPERSAMPLING
        count = np.bincount(pixel, minlength=width * height)
        summed = np.stack(
            [np.bincount(pixel, colour[:, k], minlength=width * height) for k in range(3)], axis=1
        )
        share = (count / SUPERSAMPLING**2).reshape(height, width, 1)
        head = (summed / SUPERSAMPLING**2).reshape(height, width, 3)
        return (head + (1 - share) * self.wall * moment.light).astype(np.float32)


def remap(
    image: NDArray[np.float32], pixels: NDArray[np.float32], border: int
) -> NDArray[np.float32]:
    """Bilinear samples `[N, C]` or `[N]` of an image at `[N, 1, 2]` (column, row)."""
    total = len(pixels)
    folded = np.resize(pixels, (-(-total // 256) * 256, 2)).reshape(-1, 256, 2)
    sampled = cv2.remap(image, folded, None, cv2.INTER_LINEAR, borderMode=border)
    return sampled.reshape(-1, *image.shape[2:])[:total]


def render(
    subject: Subject,
    intensities: Mapping[str, float],
    moment: Moment | None = None,
    size: tuple[int, int] = (320, 240),
) -> NDArray[np.uint8]:
    """Draws one clean picture, without sensor noise.

    Args:
      subject: the person.
      intensities: action unit -> 0 to 5; an absent one is 0.
      moment: pose, gaze and light; frontal and still when None.
      size: width and height, pixels.

    Returns:
      `[height, width, 3]` uint8 red, green, blue.

    Raises:
      ValueError: an unknown action unit, an intensity outside 0-5, or a size out of bounds.
    """
    linear = Renderer(subject, size).frame(intensities, moment)
    return np.round(255 * np.sqrt(np.clip(linear, 0, 1))).astype(np.uint8)
