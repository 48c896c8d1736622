"""Square pictures of faces in colour: cut from a box, or turned and scaled by landmarks.

Expressions are learnt from squares whose scale comes from what they do not move: the eyes and the
base of the nose. `registration` has the crops of the action units.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.detection import Detection
from deepcoder_tf.faces.images import to_grey
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.faces.registration import LEFT_EYE, RIGHT_EYE, fit_similarity, warp

__all__ = [
    "ANCHORS",
    "anchors_in",
    "box_matrix",
    "cut",
    "face_matrix",
    "is_grey",
    "landmarks_in",
    "move_points",
    "places_of",
]

NOSE_BASE = slice(14, 19)
"""Columns of the 49 points: the nostrils and what lies between them."""

PARTS = (LEFT_EYE, RIGHT_EYE, NOSE_BASE)
"""What is brought to the anchors."""

ANCHORS = np.array([(0.35, 0.40), (0.65, 0.40), (0.50, 0.622)])
"""Where the two eyes' centres and the base of the nose come to lie, as shares of the side. The chin
of an average face is then at 0.94, the hairline near the top edge."""

FINE_SIDE = 192
"""Landmarks are found in a picture enlarged to at least this side, pixels: dlib rounds them to
whole pixels, which in a picture of 48 would be a fiftieth of the face."""


def box_matrix(box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """The transform that cuts a square around a box, as wide as its longer side.

    Args:
      box: x, y, width, height in pixels of the picture.
      size: side of the result, pixels.

    Returns:
      `[2, 3]` float64 from picture to result, pixel centres on whole numbers.

    Raises:
      ValueError: an empty box.
    """
    x, y, width, height = box
    if not (width > 0 and height > 0):
        raise ValueError(f"box {width:g} x {height:g} is empty")
    scale = size / max(width, height)
    # A picture's centre lies at (side - 1) / 2 where pixel centres are whole numbers.
    centre = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    offset = (size - 1) / 2 - scale * centre
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def face_matrix(landmarks49: np.ndarray, size: int, anchors: ArrayLike = ANCHORS) -> np.ndarray:
    """The similarity transform that brings eyes and nose to their places.

    Args:
      landmarks49: `[49, 2]` in pixels of the picture.
      size: side of the result, pixels.
      anchors: `[3, 2]`, these places as shares of the side.

    Returns:
      `[2, 3]` float64 from picture to result.

    Raises:
      ValueError: the points coincide.
    """
    return fit_similarity(parts_of(landmarks49), places_of(anchors, size))


def places_of(anchors: ArrayLike, size: int) -> np.ndarray:
    """Anchors, shares of the side, as pixels `[3, 2]` of a square; `anchors_in` the other way."""
    return np.asarray(anchors, np.float64) * size - 0.5


def anchors_in(landmarks49: np.ndarray, size: int) -> np.ndarray:
    """Where the two eyes' centres and the base of the nose lie, `[3, 2]` shares of the side.

    Args:
      landmarks49: `[49, 2]` in pixels of a square.
      size: its side, pixels.

    >>> import numpy as np
    >>> anchors_in(np.full((49, 2), 23.5), 48)[0].tolist()
    [0.5, 0.5]
    """
    return (parts_of(landmarks49) + 0.5) / size


def parts_of(landmarks49: np.ndarray) -> np.ndarray:
    """Centres of the two eyes and of the base of the nose, `[3, 2]` in the points' own pixels."""
    return np.array([landmarks49[part].mean(axis=0, dtype=np.float64) for part in PARTS])


def cut(image: np.ndarray, matrix: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Resamples a picture; `export.registration` does the same in a graph.

    Args:
      image: `[H, W, 3]` uint8 BGR.
      matrix: `[2, 3]` from picture to result.
      size: side of the result.
      channels: 1 for grey, 3 for colour.

    Returns:
      `[size, size, channels]` uint8, colour as red, green, blue; beyond the picture's edge its
      border pixels are repeated.
    """
    planes = [to_grey(image)] if channels == 1 else [image[..., k] for k in (2, 1, 0)]
    return np.stack([warp(plane, matrix, (size, size)) for plane in planes], axis=-1)


def is_grey(image: np.ndarray) -> bool:
    """Whether a picture `[H, W, 3]` has no colour."""
    blue, green, red = (image[..., k] for k in range(3))
    return bool(np.array_equal(blue, green) and np.array_equal(green, red))


def move_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points `[P, 2]` of the picture in pixels of the result: `[P, 2]` float32."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def landmarks_in(square: np.ndarray, aligner: FaceAligner) -> np.ndarray | None:
    """Finds a face in a square picture, and its landmarks with a precision below one pixel.

    Args:
      square: `[size, size, channels]` uint8, grey or red, green, blue.
      aligner: finds faces; the caller's own.

    Returns:
      `[49, 2]` float32 in pixels of the square; None where no face is found.
    """
    grey = square[..., 0] if square.shape[-1] == 1 else cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    faces = aligner.analyse(grey)
    if not faces:
        return None
    times = -(-FINE_SIDE // len(grey))
    if times == 1:
        return faces[0].landmarks49
    side, box = times * len(grey), faces[0].box
    fine = cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC)
    x, y, width, height = (times * value for value in (box.x, box.y, box.width, box.height))
    found = aligner.predictor(fine, Detection(x, y, width, height, box.score))[INNER_49]
    return (found + 0.5) / times - 0.5
