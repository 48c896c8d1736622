"""Registration inside the graph: what `faces.registration` computes, to the last bit.

Positions are computed in double precision and rounded to 1/2048 pixel; all that follows is integer
arithmetic, so that a crop does not depend on the machine, the compiler or the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.export.pictures import to_grey
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.faces.landmarks import POINTS as ALL_POINTS
from deepcoder_tf.faces.registration import COINCIDE, CROP_SHAPE, FRACTION_BITS, SHRINK_SLACK

__all__ = ["Similarity", "fit_similarity", "inner_points", "move", "warp"]

UNIT = 1 << FRACTION_BITS


class Similarity(NamedTuple):
    """x -> a x + b in the plane of complex numbers, from picture to crop pixels.

    Attributes:
      a: `[B, 2]` real and imaginary part, float64.
      b: `[B, 2]`.
    """

    a: tf.Tensor
    b: tf.Tensor


def inner_points(landmarks: tf.Tensor) -> tf.Tensor:
    """The 49 points that faces are registered by, of 49 or of dlib's 68.

    Args:
      landmarks: `[B, 49 or 68, 2]`.

    Returns:
      `[B, 49, 2]`.

    Raises:
      tf.errors.InvalidArgumentError: another number of points, or one that is not finite.
    """
    inner = len(INNER_49)
    points = tf.shape(landmarks)[1]
    known = tf.logical_or(points == inner, points == ALL_POINTS)
    told = [f"landmarks: {inner} or {ALL_POINTS} points a face, got", points]
    with tf.control_dependencies([tf.debugging.Assert(known, told)]):
        chosen = tf.cond(
            points == ALL_POINTS,
            lambda: tf.gather(landmarks, tf.constant(INNER_49, tf.int32), axis=1),
            lambda: landmarks,
        )
    finite = tf.reduce_all(tf.math.is_finite(chosen), axis=[1, 2])
    told = ["landmarks of these faces are not finite:", tf.where(~finite)[:, 0]]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(finite), told)]):
        return tf.ensure_shape(tf.identity(chosen), [None, inner, 2])


def fit_similarity(
    landmarks: tf.Tensor, mean_shape: Sequence[Sequence[float]] | np.ndarray
) -> Similarity:
    """The least-squares similarity transforms that take shapes to a mean shape.

    Args:
      landmarks: `[B, 49, 2]`, picture pixels.
      mean_shape: `[49, 2]`, crop pixels.

    Returns:
      One for each shape.

    Raises:
      tf.errors.InvalidArgumentError: all points of a shape coincide.
    """
    x = tf.cast(landmarks, tf.float64)
    y = np.asarray(mean_shape, np.float64)
    centre = tf.reduce_mean(x, axis=1)
    u, v = x - centre[:, tf.newaxis], y - y.mean(axis=0)
    spread = tf.reduce_sum(tf.square(u), axis=[1, 2])
    apart = spread > COINCIDE * tf.reduce_sum(tf.square(x), axis=[1, 2])
    told = ["all landmarks coincide of these faces:", tf.where(~apart)[:, 0]]
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(apart), told)]):
        u = tf.identity(u)
    # a = <u, v> / <u, u>, with the first factor conjugate.
    real = tf.reduce_sum(u * v, axis=[1, 2])
    imaginary = tf.reduce_sum(u[..., 0] * v[:, 1] - u[..., 1] * v[:, 0], axis=1)
    a = tf.stack([real, imaginary], axis=1) / spread[:, tf.newaxis]
    return Similarity(a, y.mean(axis=0) - times(a, centre))


def times(a: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The product of complex numbers `[..., 2]`."""
    real = a[..., 0] * x[..., 0] - a[..., 1] * x[..., 1]
    return tf.stack([real, a[..., 0] * x[..., 1] + a[..., 1] * x[..., 0]], axis=-1)


def move(transform: Similarity, points: tf.Tensor) -> tf.Tensor:
    """Points `[B, P, 2]` of the picture in crop pixels, float32."""
    a, b = transform.a[:, tf.newaxis], transform.b[:, tf.newaxis]
    return tf.cast(times(a, tf.cast(points, tf.float64)) + b, tf.float32)


def warp(picture: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Resamples a picture into a crop; see `faces.registration.warp`.

    Args:
      picture: `[height, width, 3]` uint8.
      a: `[2]` of a similarity.
      b: `[2]`.

    Returns:
      `[240, 160, 1]` uint8 grey.
    """
    longest = tf.reduce_max(tf.shape(picture)[:2])
    # As faces.registration takes it from its matrix, and never beyond what an integer holds.
    size = 1.0 / tf.sqrt(tf.reduce_sum(tf.square(a))) + SHRINK_SLACK
    shrink = tf.cast(tf.minimum(size, tf.cast(longest, tf.float64)), tf.int32)
    low, blocks = seen_part(tf.shape(picture), a, b, shrink)
    part, a, b = tf.cond(
        tf.logical_and(shrink >= 2, tf.reduce_all(blocks >= 2)),
        lambda: shrink_first(picture, a, b, shrink, low, blocks),
        lambda: (picture, a, b),
    )
    return resample(tf.ensure_shape(part, [None, None, 3]), a, b)


def back(a: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """x / a for complex numbers `[..., 2]`."""
    conjugate = tf.stack([a[0], -a[1]])
    return times(conjugate, x) / tf.reduce_sum(tf.square(a))


def seen_part(
    shape: tf.Tensor, a: tf.Tensor, b: tf.Tensor, shrink: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the part of the picture that the crop shows begins (x, y), and its size in blocks."""
    rows, columns = CROP_SHAPE
    corners = tf.constant([[0, 0], [columns, 0], [0, rows], [columns, rows]], tf.float64)
    inside = back(a, corners - b)
    size = tf.cast(tf.stack([shape[1], shape[0]]), tf.float64)
    margin = 2.0 * tf.cast(shrink, tf.float64)
    low = tf.floor(tf.reduce_min(inside, axis=0)) - margin
    low = tf.minimum(tf.maximum(low, 0.0), size - 1.0)
    high = tf.math.ceil(tf.reduce_max(inside, axis=0)) + margin
    high = tf.minimum(tf.maximum(high, low + 1.0), size)
    blocks = tf.cast(high - low, tf.int32) // tf.maximum(shrink, 1)
    return tf.cast(low, tf.int32), blocks


def shrink_first(
    picture: tf.Tensor,
    a: tf.Tensor,
    b: tf.Tensor,
    shrink: tf.Tensor,
    low: tf.Tensor,
    blocks: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Grey means of blocks of the seen part, and the similarity from them to crop pixels."""
    across = low[0], low[0] + blocks[0] * shrink
    area = shrink * shrink

    def row_of_blocks(number: tf.Tensor) -> tf.Tensor:
        # One row at a time: grey levels of a whole picture would take four times its memory.
        start = low[1] + number * shrink
        grey = to_grey(picture[start : start + shrink, across[0] : across[1]])
        total = tf.reduce_sum(tf.reshape(grey, [shrink, blocks[0], shrink]), axis=[0, 2])
        return tf.cast((2 * total + area) // (2 * area), tf.uint8)

    means = tf.map_fn(
        row_of_blocks,
        tf.range(blocks[1]),
        fn_output_signature=tf.TensorSpec([None], tf.uint8),
    )
    offset = (tf.cast(shrink, tf.float64) - 1.0) / 2.0 + tf.cast(low, tf.float64)
    # The luma of three equal levels is that level: grey goes on as a colour.
    part = tf.repeat(means[..., tf.newaxis], 3, axis=-1)
    return part, tf.cast(shrink, tf.float64) * a, times(a, offset) + b


def resample(picture: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Bilinear interpolation in integers, `[240, 160, 1]` uint8."""
    rows, columns = CROP_SHAPE
    # As operations: a constant of all positions would be half a megabyte of every export.
    x, y = tf.meshgrid(tf.range(columns, dtype=tf.int32), tf.range(rows, dtype=tf.int32))
    inside = back(a, tf.cast(tf.stack([x, y], axis=-1), tf.float64) - b)
    shape = tf.shape(picture)
    left, right, part_x = neighbours(inside[..., 0], shape[1])
    upper, lower, part_y = neighbours(inside[..., 1], shape[0])
    flat = tf.reshape(picture, [-1, 3])
    upper, lower = upper * shape[1], lower * shape[1]

    def pick(index: tf.Tensor) -> tf.Tensor:
        return to_grey(tf.gather(flat, index))

    top = between(pick(upper + left), pick(upper + right), part_x)
    bottom = between(pick(lower + left), pick(lower + right), part_x)
    half = 1 << (2 * FRACTION_BITS - 1)
    levels = tf.bitwise.right_shift(between(top, bottom, part_y) + half, 2 * FRACTION_BITS)
    return tf.cast(levels, tf.uint8)[..., tf.newaxis]


def neighbours(position: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The pixels on both sides of positions, and how far on the way to the second, in 1/2048."""
    last = tf.cast(size - 1, tf.float64)
    fixed = tf.minimum(tf.maximum(position, 0.0), last) * UNIT + 0.5
    fixed = tf.cast(fixed, tf.int64)
    first = tf.cast(tf.bitwise.right_shift(fixed, FRACTION_BITS), tf.int32)
    part = tf.cast(tf.bitwise.bitwise_and(fixed, UNIT - 1), tf.int32)
    return first, tf.minimum(first + 1, size - 1), part


def between(one: tf.Tensor, two: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """2048 times the value `part` / 2048 of the way from one to two, int32."""
    return one * UNIT + part * (two - one)
