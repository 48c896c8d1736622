"""Registration inside the graph: what `faces.registration` and `faces.squares` do, bit for bit.

Positions are computed in double precision and rounded to 1/2048 pixel; all that follows is integer
arithmetic, so that a crop does not depend on the machine, the compiler or the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.export.pictures import decode, map_pictures, to_grey
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.faces.landmarks import POINTS as ALL_POINTS
from deepcoder_tf.faces.registration import COINCIDE, FRACTION_BITS, SHRINK_SLACK
from deepcoder_tf.faces.squares import PARTS

__all__ = ["Similarity", "cut", "fit_similarity", "inner_points", "move", "parts_of", "warp"]

Shape = tuple[int, int, int]
"""Rows, columns and channels of a crop: 1 grey, 3 red, green, blue."""

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


def parts_of(landmarks: tf.Tensor) -> tf.Tensor:
    """See `faces.squares.parts_of`: `[B, 49, 2]` to `[B, 3, 2]` float64."""
    points = tf.cast(landmarks, tf.float64)
    return tf.stack([tf.reduce_mean(points[:, part], axis=1) for part in PARTS], axis=1)


def fit_similarity(points: tf.Tensor, target: Sequence[Sequence[float]] | np.ndarray) -> Similarity:
    """The least-squares similarity transforms that take shapes to a target.

    Args:
      points: `[B, P, 2]`, picture pixels.
      target: `[P, 2]`, crop pixels.

    Returns:
      One for each shape.

    Raises:
      tf.errors.InvalidArgumentError: all points of a shape coincide.
    """
    x = tf.cast(points, tf.float64)
    y = np.asarray(target, np.float64)
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


def cut(pictures: tf.Tensor, transform: Similarity, shape: Shape) -> tf.Tensor:
    """Crops of picture files.

    Args:
      pictures: `[B]` strings.
      transform: one for each.
      shape: of a crop.

    Returns:
      `[B, *shape]` uint8.
    """

    def crop(place: tf.Tensor, file: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return warp(decode(place, file), a, b, shape)

    return map_pictures(crop, pictures, *transform, shape=shape)


def warp(picture: tf.Tensor, a: tf.Tensor, b: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Resamples a picture into a crop; see `faces.registration.warp` and `faces.squares.cut`.

    Args:
      picture: `[height, width, 3]` uint8.
      a: `[2]` of a similarity.
      b: `[2]`.
      shape: of the crop.

    Returns:
      `[*shape]` uint8.
    """
    longest = tf.reduce_max(tf.shape(picture)[:2])
    # As faces.registration takes it from its matrix, and never beyond what an integer holds.
    size = 1.0 / tf.sqrt(tf.reduce_sum(tf.square(a))) + SHRINK_SLACK
    shrink = tf.cast(tf.minimum(size, tf.cast(longest, tf.float64)), tf.int32)
    low, blocks = seen_part(tf.shape(picture), a, b, shrink, shape)
    part, a, b = tf.cond(
        tf.logical_and(shrink >= 2, tf.reduce_all(blocks >= 2)),
        lambda: shrink_first(picture, a, b, shrink, low, blocks, shape[2]),
        lambda: (picture, a, b),
    )
    return resample(tf.ensure_shape(part, [None, None, 3]), a, b, shape)


def levels_of(pixels: tf.Tensor, channels: int) -> tf.Tensor:
    """Grey, or red, green, blue, of pixels `[..., 3]` uint8: `[..., channels]` int32."""
    return to_grey(pixels)[..., tf.newaxis] if channels == 1 else tf.cast(pixels, tf.int32)


def back(a: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """x / a for complex numbers `[..., 2]`."""
    conjugate = tf.stack([a[0], -a[1]])
    return times(conjugate, x) / tf.reduce_sum(tf.square(a))


def seen_part(
    picture: tf.Tensor, a: tf.Tensor, b: tf.Tensor, shrink: tf.Tensor, shape: Shape
) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the part of the picture, whose shape is given, that the crop shows begins (x, y), and
    its size in blocks.
    """
    rows, columns, _ = shape
    corners = tf.constant([[0, 0], [columns, 0], [0, rows], [columns, rows]], tf.float64)
    inside = back(a, corners - b)
    size = tf.cast(tf.stack([picture[1], picture[0]]), tf.float64)
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
    channels: int,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Means of blocks of the seen part, and the similarity from them to crop pixels."""
    across = low[0], low[0] + blocks[0] * shrink
    area = shrink * shrink

    def row_of_blocks(number: tf.Tensor) -> tf.Tensor:
        # One row at a time: levels of a whole picture would take four times its memory.
        start = low[1] + number * shrink
        levels = levels_of(picture[start : start + shrink, across[0] : across[1]], channels)
        in_blocks = tf.reshape(levels, [shrink, blocks[0], shrink, channels])
        total = tf.reduce_sum(in_blocks, axis=[0, 2])
        return tf.cast((2 * total + area) // (2 * area), tf.uint8)

    means = tf.map_fn(
        row_of_blocks,
        tf.range(blocks[1]),
        fn_output_signature=tf.TensorSpec([None, channels], tf.uint8),
    )
    offset = (tf.cast(shrink, tf.float64) - 1.0) / 2.0 + tf.cast(low, tf.float64)
    # The luma of three equal levels is that level: grey goes on as a colour.
    part = tf.repeat(means, 3 // channels, axis=-1)
    return part, tf.cast(shrink, tf.float64) * a, times(a, offset) + b


def resample(picture: tf.Tensor, a: tf.Tensor, b: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Bilinear interpolation in integers, `[*shape]` uint8."""
    rows, columns, channels = shape
    # As operations: a constant of all positions would be half a megabyte of every export.
    x, y = tf.meshgrid(tf.range(columns, dtype=tf.int32), tf.range(rows, dtype=tf.int32))
    inside = back(a, tf.cast(tf.stack([x, y], axis=-1), tf.float64) - b)
    height, width = tf.unstack(tf.shape(picture)[:2])
    left, right, part_x = neighbours(inside[..., 0], width)
    upper, lower, part_y = neighbours(inside[..., 1], height)
    part_x, part_y = part_x[..., tf.newaxis], part_y[..., tf.newaxis]
    flat = tf.reshape(picture, [-1, 3])
    upper, lower = upper * width, lower * width

    def pick(index: tf.Tensor) -> tf.Tensor:
        return levels_of(tf.gather(flat, index), channels)

    top = between(pick(upper + left), pick(upper + right), part_x)
    bottom = between(pick(lower + left), pick(lower + right), part_x)
    half = 1 << (2 * FRACTION_BITS - 1)
    levels = tf.bitwise.right_shift(between(top, bottom, part_y) + half, 2 * FRACTION_BITS)
    return tf.cast(levels, tf.uint8)


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
