"""Where gACNN looks: 24 points of a face, and the patches around them on a map of features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["PATCHES", "PATCH_PLACES", "Grid", "cut_patches", "patch_points"]

FIRST = 18
"""Number, from 1, that the first of the 49 points has among the 68; no jaw point comes before it,
and up to the 60th none is left out."""

SIDE = 256.0
"""Side of the picture in which the authors give their shifts, pixels."""

PATCH_SHARE = 6 / 28
"""Side of a patch as a share of the picture's: 6 of the 28 places of VGG16's fourth block."""

PATCH_PLACES = 6
"""Values along a side of a patch."""

# The authors' points, numbered from 1 among the 68: one point, or the middle of two, and a shift in
# pixels of SIDE.
POINTS: tuple[tuple[int, int, float, float], ...] = (
    # Brows, whose patches lie above them.
    (19, 19, 0, -8),
    (22, 22, 0, -10),
    (23, 23, 0, -10),
    (26, 26, 0, -8),
    # Eyes, nose, mouth.
    *((point, point, 0.0, 0.0) for point in (39, 37, 44, 46, 28, 30, 49, 51, 53, 55, 59, 57)),
    # Between brow and eye, and below the eye.
    *((a, b, 0.0, 0.0) for a, b in ((20, 38), (25, 45), (41, 42), (47, 48))),
    # Cheeks: between the brow's end and the lower lip, and beside the corners of the mouth.
    (18, 59, 0, 0),
    (27, 57, 0, 0),
    (49, 49, -16, -16),
    (55, 55, 16, -16),
)

PATCHES = len(POINTS)
"""24."""


class Grid(NamedTuple):
    """Where the places of a map lie in the picture.

    Attributes:
      first: centre of the first place, pixels of the picture, pixel centres on whole numbers.
      step: from place to place, pixels.
    """

    first: float
    step: float


def patch_points(landmarks: tf.Tensor, size: int) -> tf.Tensor:
    """The centres of the 24 patches.

    The authors take 16 landmarks, four middles between brows and eyes and below the eyes, and four
    points on the cheeks, all from those 68 that are not on the jaw: the 49 hold every one of them.

    Differs from the paper: the shifts of six of them are shares of the side of the stored square,
    which the face fills as it fills the authors' 256 pixels.

    Args:
      landmarks: `[B, 49, 2]` x and y, pixels of the stored picture.
      size: S, its side.

    Returns:
      `[B, 24, 2]` likewise.

    Source: Li, Zeng, Shan and Chen, Occlusion aware facial expression recognition using CNN with
    attention mechanism, IEEE Transactions on Image Processing 2019, Section III-A; the numbers are
    of the authors' own list.
    """
    table = np.array(POINTS)
    pairs, shifts = table[:, :2].astype(np.int32) - FIRST, table[:, 2:] * size / SIDE
    ends = tf.gather(landmarks, pairs, axis=1)  # [B, 24, 2 ends, 2]
    return tf.reduce_mean(ends, axis=2) + tf.constant(shifts, landmarks.dtype)


def cut_patches(features: tf.Tensor, centres: tf.Tensor, side: int, grid: Grid) -> tf.Tensor:
    """The patches around some points, interpolated between the places of a map.

    A patch that would leave the picture is moved inside; what lies beyond the outermost places,
    which an unpadded convolution leaves without one, is their value.

    Args:
      features: `[B, H, W, C]`.
      centres: `[B, N, 2]` x and y, pixels of the picture that the network sees.
      side: of that picture, pixels.
      grid: of the map.

    Returns:
      `[B, N, 6, 6, C]`.
    """
    height, width, channels = features.shape[1:]
    count = centres.shape[1]
    half = PATCH_SHARE * side / 2
    centres = tf.clip_by_value(centres, half - 0.5, side - 0.5 - half)
    # The centres of the outermost of six parts of equal size.
    reach = half * (PATCH_PLACES - 1) / PATCH_PLACES
    corners = tf.concat([centres - reach, centres + reach], axis=-1)  # x1, y1, x2, y2
    places = (corners - grid.first) / grid.step
    last = tf.constant([width, height] * 2, features.dtype) - 1.0
    # crop_and_resize counts from 0 at the first place to 1 at the last, y before x.
    boxes = tf.clip_by_value(tf.math.divide_no_nan(places, last), 0.0, 1.0)
    boxes = tf.gather(boxes, [1, 0, 3, 2], axis=-1)
    of = tf.repeat(tf.range(tf.shape(features)[0]), count)
    shape = (PATCH_PLACES, PATCH_PLACES)
    patches = tf.image.crop_and_resize(features, tf.reshape(boxes, (-1, 4)), of, shape)
    return tf.reshape(patches, (-1, count, *shape, channels))
