"""From a subject and a moment to a picture: pose the mesh, trace rays, shade what they meet.

Embree finds which triangle each ray meets; NumPy interpolates what the mesh carries there and
shades every hit on its own, so no graphics driver and no screen are needed. A pixel is one ray
through its centre, or the mean of several where depth or material change beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.errors import UserError
from deepcoder_tf.synthesis.appearance import CHART_STEP, paint_albedo
from deepcoder_tf.synthesis.figure import Figure, Moment
from deepcoder_tf.synthesis.shading import Hits, Shader
from deepcoder_tf.synthesis.subject import Subject

if TYPE_CHECKING:
    from embreex.rtcore_scene import EmbreeScene

__all__ = ["MAXIMUM_SIZE", "MINIMUM_SIZE", "Renderer", "render"]

MINIMUM_SIZE, MAXIMUM_SIZE = 64, 2048
"""Bounds of a picture's width and height, pixels."""

COARSE = 4
"""The first rays, which find where the head is, go through one in COARSE x COARSE pixels."""
EDGE_SAMPLES = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
"""Offsets of the rays of a pixel at an edge: a rotated grid, in pixels."""
DEPTH_JUMP = 0.006
"""Difference of distance within 3 x 3 pixels that makes an edge, as a share of the distance."""
FAR = 1e3
"""Distance of the wall, far beyond every `DEPTH_JUMP`."""

CAMERA_DISTANCE = 8.0
"""From the head's axis to the camera, decimetres."""
FACE_CENTRE = (0.0, 7.17, 1.3)
"""The point of the neutral head that sits in the middle of the picture, decimetres."""


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
        self.subject, self.size = subject, size
        self.figure = Figure(subject)
        width, height = size
        self.step = subject.scene.span / height
        # What is finer than a pixel would flicker: one ray a pixel sees it now and then.
        finer = max(0.3, 0.4 * self.step / CHART_STEP)
        painted = cv2.GaussianBlur(paint_albedo(subject), (0, 0), finer)
        self.albedo = np.asarray(painted, dtype=np.float32)
        self.camera = np.array([*FACE_CENTRE[:2], CAMERA_DISTANCE], dtype=np.float32)
        rows, columns = np.indices((height, width))
        self.centres = self._directions(rows, columns, (0.0, 0.0))
        top, bottom = (np.array(colour, dtype=np.float32) for colour in subject.scene.background)
        share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        self.wall = np.broadcast_to(top + share * (bottom - top), (height, width, 3))

    def _directions(
        self, rows: NDArray[np.int64], columns: NDArray[np.int64], offset: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Rays `[..., 3]` in decimetres through pixels, `offset` right and down of their centres.

        The head's left is the picture's right, as in a photograph of somebody who faces us.
        """
        width, height = self.size
        directions = np.empty((*rows.shape, 3), dtype=np.float32)
        directions[..., 0] = (columns + 0.5 + offset[0] - width / 2) * self.step
        directions[..., 1] = (height / 2 - rows - 0.5 - offset[1]) * self.step
        directions[..., :2] -= np.array(self.subject.scene.offset, dtype=np.float32)
        directions[..., 2] = FACE_CENTRE[2] - CAMERA_DISTANCE
        return directions

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
        vertices = self.figure.pose(intensities, moment)
        scene = build_scene(vertices, self.figure.triangles)
        shader = Shader(self.figure, self.albedo, intensities, moment, vertices)
        rows, columns = self._covered(scene)
        first = self._trace(scene, self.centres[rows, columns])
        background = self.wall * np.float32(moment.light)
        image = background.copy()
        image[rows[first.met], columns[first.met]] = shader(first)

        edge = self._edges(first, rows, columns)
        rows, columns = rows[edge], columns[edge]
        around = [self._directions(rows, columns, offset) for offset in EDGE_SAMPLES]
        samples = self._trace(scene, np.concatenate(around))
        colours = np.tile(background[rows, columns], (len(EDGE_SAMPLES), 1))
        colours[samples.met] = shader(samples)
        image[rows, columns] = colours.reshape(len(EDGE_SAMPLES), -1, 3).mean(axis=0)
        return image

    def _trace(self, scene: EmbreeScene, directions: NDArray[np.float32]) -> Hits:
        """Follows rays `[N, 3]` from the camera to the first triangle that they meet."""
        found = scene.run(np.tile(self.camera, (len(directions), 1)), directions, output=True)
        met = np.flatnonzero(found["primID"] >= 0)
        v, w = found["u"][met], found["v"][met]
        return Hits(
            met=met,
            faces=found["primID"][met],
            weights=np.stack([1 - v - w, v, w], axis=1),
            directions=directions[met],
            distance=found["tfar"][met],
        )

    def _covered(self, scene: EmbreeScene) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the pixels where the head may be, found with a few rays."""
        half = COARSE // 2
        coarse = self.centres[half::COARSE, half::COARSE]
        origins = np.tile(self.camera, (coarse.shape[0] * coarse.shape[1], 1))
        seen = scene.run(origins, coarse.reshape(-1, 3)) >= 0
        cover = cv2.dilate(seen.reshape(coarse.shape[:2]).astype(np.uint8), np.ones((3, 3)))
        height, width = self.centres.shape[:2]
        full = np.repeat(np.repeat(cover, COARSE, axis=0), COARSE, axis=1)
        full = cv2.copyMakeBorder(full, 0, COARSE, 0, COARSE, cv2.BORDER_REPLICATE)
        rows, columns = np.nonzero(full[:height, :width])
        return rows, columns

    def _edges(
        self, hits: Hits, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Which of the traced pixels have a jump of depth or of material beside them."""
        height, width = self.centres.shape[:2]
        depth = np.full((height, width), FAR, dtype=np.float32)
        depth[rows[hits.met], columns[hits.met]] = hits.distance
        kind = np.zeros((height, width), dtype=np.uint8)
        kind[rows[hits.met], columns[hits.met]] = 1 + self.figure.kinds[hits.faces]
        square = np.ones((3, 3), dtype=np.uint8)
        jump = cv2.dilate(depth, square) - cv2.erode(depth, square) > DEPTH_JUMP
        jump |= cv2.dilate(kind, square) != cv2.erode(kind, square)
        return np.flatnonzero(jump[rows, columns])


def build_scene(vertices: NDArray[np.float32], triangles: NDArray[np.integer]) -> EmbreeScene:
    """A mesh that rays can be sent through.

    Raises:
      UserError: Embree is not installed, as on platforms for which it has no wheel.
    """
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError as error:
        raise UserError(
            f"faces cannot be rendered here ({error}); install embreex, or render on another "
            "machine and copy the folder"
        ) from error
    scene = EmbreeScene()
    TriangleMesh(scene, vertices, triangles)
    return scene


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
