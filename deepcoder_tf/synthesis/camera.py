"""From light to a file's pixels: focus, sensor noise, tone curve."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Camera", "draw_camera"]

REFERENCE_HEIGHT = 240
"""Blur is given for pictures of this many rows and grows with the picture."""


@dataclasses.dataclass(frozen=True)
class Camera:
    """The camera that filmed one subject.

    Attributes:
      blur: standard deviation of the lens blur, pixels at 240 rows.
      noise: standard deviation of the sensor noise in mid grey, share of white.
      exposure: factor on the light.
    """

    blur: float
    noise: float
    exposure: float

    def expose(self, light: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Takes one picture.

        Args:
          light: `[H, W, 3]` linear, 1 is white.
          rng: of the sensor noise.

        Returns:
          `[H, W, 3]` uint8, same channel order.
        """
        sigma = self.blur * light.shape[0] / REFERENCE_HEIGHT
        image = cv2.GaussianBlur(light, (0, 0), sigma)
        # A square root is close to the usual tone curve, and makes photon noise even.
        image = np.sqrt(np.clip(self.exposure * image, 0, None))
        image += self.noise * rng.standard_normal(image.shape, dtype=np.float32)
        return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def draw_camera(rng: np.random.Generator) -> Camera:
    """Draws the camera of one subject."""
    return Camera(
        blur=float(rng.uniform(0.25, 0.7)),
        noise=float(rng.uniform(0.004, 0.018)),
        exposure=float(rng.uniform(0.85, 1.15)),
    )
