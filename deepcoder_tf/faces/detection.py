"""Where the faces are, and which of them is meant.

The detector is dlib's HOG and linear classifier for frontal faces; it finds faces of at least 80
pixels. Where the largest face is wanted, large pictures are first searched reduced, which is enough
when it shows a sure face; where nothing is found, small ones are enlarged.

Source: Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005; King,
Max-Margin Object Detection, 2015.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from deepcoder_tf.errors import UserError

__all__ = ["CHOICES", "Detection", "FaceDetector", "choose", "import_dlib"]

CHOICES = ("largest_central", "largest", "central", "highest_score", "all")
"""Which of several faces is taken; see `choose`."""

WORKING_SIZE = 480
"""Longer side, in pixels, of the reduced picture that is searched first: time goes with its square,
and faces from a sixth of it on are found."""

SURE = 0.5
"""Score from which a face found in the reduced picture is believed; false ones stay below it."""

ENLARGE_BELOW = 800
"""A picture whose longer side is smaller (pixels) is also searched at twice its size."""


LOWEST_WORTH = 0.01
"""Keeps faces below a score of 0 (a negative threshold) in order of size and place."""


def import_dlib() -> ModuleType:
    """dlib, loaded when first needed.

    Raises:
      UserError: it is not installed or does not load.
    """
    try:
        import dlib
    except ImportError as error:
        raise UserError(
            f"dlib cannot be loaded ({error}); install it with: pip install dlib-bin"
        ) from error
    return dlib


@functools.cache
def frontal_detector() -> Any:
    """dlib's own detector, to be copied: decoding it takes half a second, a copy milliseconds.

    Raises:
      UserError: dlib is not installed.
    """
    return import_dlib().get_frontal_face_detector()


@dataclass(frozen=True)
class Detection:
    """A face box.

    Attributes:
      x, y: left and top edge, pixels of the picture (may lie outside it by some pixels).
      width, height: pixels.
      score: signed distance from the detector's decision boundary; higher is surer.
    """

    x: int
    y: int
    width: int
    height: int
    score: float


class FaceDetector:
    """Finds frontal faces. Not for use by two threads at once: give each its own."""

    def __init__(self, threshold: float = 0.0, reduce: bool = True) -> None:
        """Loads the detector.

        Args:
          threshold: lowest score that counts; 0 is dlib's own, below it come more false faces.
          reduce: search a large picture reduced first, and in full only where that finds nothing;
            smaller faces beside a large one are then not found.

        Raises:
          UserError: dlib is not installed.
        """
        self.threshold = threshold
        self.reduce = reduce
        self._detector: Any = copy.deepcopy(frontal_detector())

    def __call__(self, grey: np.ndarray) -> list[Detection]:
        """Searches one picture.

        Args:
          grey: `[height, width]` uint8.

        Returns:
          The faces found, surest first; empty when there is none.
        """
        longer = max(grey.shape)
        if self.reduce and longer > WORKING_SIZE:
            found = self.search(grey, WORKING_SIZE / longer)
            if found and found[0].score >= SURE:
                return found
        found = self.search(grey, 1.0)
        if not found and longer < ENLARGE_BELOW:
            found = self.search(grey, 2.0)
        return found

    def search(self, grey: np.ndarray, scale: float) -> list[Detection]:
        """Searches the picture scaled by `scale`; boxes come back in pixels of the original."""
        if scale != 1.0:
            interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
            grey = cv2.resize(grey, size, interpolation=interpolation)
        boxes, scores, _ = self._detector.run(np.ascontiguousarray(grey), 0, self.threshold)
        found = [
            Detection(
                x=round(box.left() / scale),
                y=round(box.top() / scale),
                width=round(box.width() / scale),
                height=round(box.height() / scale),
                score=float(score),
            )
            for box, score in zip(boxes, scores, strict=True)
        ]
        return sorted(found, key=lambda face: -face.score)


def choose(found: list[Detection], shape: tuple[int, ...], choice: str) -> list[int]:
    """Picks the face that is meant.

    Args:
      found: what the detector found.
      shape: height and width of the picture.
      choice: `"largest_central"` (largest product of area, score, and closeness of the box's
        centre to the picture's, which falls linearly from 1 there to 0 in the corners; false
        faces score just above 0, true ones mostly above 0.5), `"largest"`, `"central"`,
        `"highest_score"`, or `"all"`.

    Returns:
      Indices into `found`: one, or all for `"all"`; none when nothing was found.

    Raises:
      ValueError: an unknown choice.
    """
    if choice not in CHOICES:
        raise ValueError(f"choice of face {choice!r} is not one of {', '.join(CHOICES)}")
    if choice == "all" or not found:
        return list(range(len(found)))
    height, width = shape[:2]
    boxes = np.array([(face.x, face.y, face.width, face.height) for face in found], np.float64)
    area = boxes[:, 2] * boxes[:, 3]
    offset = boxes[:, :2] + boxes[:, 2:] / 2 - (width / 2, height / 2)
    closeness = 1 - np.hypot(*offset.T) / np.hypot(width / 2, height / 2)
    score = np.array([face.score for face in found])
    worth = {
        "largest_central": area * np.maximum(closeness, 0) * np.maximum(score, LOWEST_WORTH),
        "largest": area,
        "central": closeness,
        "highest_score": score,
    }
    return [int(np.argmax(worth[choice]))]
