"""Random changes of training pictures that leave the action units as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf
from check_shapes import check_shapes

__all__ = ["AugmentConfig", "augment", "augment_points"]

BLUR_RADIUS = 2
"""Taps on either side of the blur; holds 95 % of a Gaussian of the largest allowed width."""


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly pictures are changed; every range is symmetric and drawn uniformly.

    Attributes:
      shift: largest shift, as a share of height and width.
      scale: largest relative change of size.
      rotation: largest rotation, degrees.
      brightness: largest offset, in units of the range -1..1.
      contrast: largest relative change of contrast.
      blur: largest standard deviation of the blur, pixels of the model's input, at most 1.
      flip: probability of a mirror image; labels do not tell left from right.
    """

    shift: float = 0.02
    scale: float = 0.04
    rotation: float = 3.0
    brightness: float = 0.1
    contrast: float = 0.15
    blur: float = 0.6
    flip: float = 0.5

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
          ValueError: a value outside its range, with the range.
        """
        highest = {
            "shift": 0.5,
            "scale": 0.5,
            "rotation": 180.0,
            "brightness": 1.0,
            "contrast": 0.9,
            "blur": 1.0,
            "flip": 1.0,
        }
        for name, high in highest.items():
            if not 0.0 <= getattr(self, name) <= high:
                raise ValueError(f"{name}={getattr(self, name)} must lie in 0..{high:g}")


@check_shapes(
    "images: [batch, height, width, channels]",
    "seed: [2]",
    "return: [batch, height, width, channels]",
)
def augment(images: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Changes every picture of a batch by its own random draw.

    Args:
      images: `[batch, height, width, channels]` float32 in -1..1.
      seed: `[2]` integers; the same seed gives the same pictures.
      config: how strongly.

    Returns:
      The same shape, float32, clipped to -1..1.
    """
    batch = tf.shape(images)[0]
    seeds = tf.random.split(tf.cast(seed, tf.int32), 3)
    images = move(images, seeds[0], config)
    if config.blur > 0:
        images = blur(images, tf.random.stateless_uniform([batch], seeds[1], 0.0, config.blur))
    light = tf.random.stateless_uniform([2, batch, 1, 1, 1], seeds[2], -1.0, 1.0)
    images = images * (1.0 + config.contrast * light[0]) + config.brightness * light[1]
    return tf.clip_by_value(images, -1.0, 1.0)


def augment_points(
    points: tf.Tensor,
    size: tuple[int, int],
    seed: tf.Tensor,
    config: AugmentConfig,
    mirrored: Sequence[int],
) -> tf.Tensor:
    """Moves points as `augment` moves the pictures that they lie in.

    Args:
      points: `[batch, P, 2]` float32 x and y, pixels; NaN stays NaN.
      size: height and width of the pictures, pixels.
      seed: `[2]` integers, those of the pictures.
      config: that of the pictures.
      mirrored: for each point of a face the one that is there in its mirror image, so that the
        first eye is still the one at the left of the picture.

    Returns:
      The same shape; points may leave the picture.
    """
    seeds = tf.random.split(tf.cast(seed, tf.int32), 3)
    batch, (height, width) = tf.shape(points)[0], size
    a, b, c, d, e, f = placement(batch, float(height), float(width), seeds[0], config)
    flipped = a * e - b * d < 0
    points = tf.where(
        flipped[:, tf.newaxis, tf.newaxis], tf.gather(points, list(mirrored), axis=1), points
    )
    # The output (x, y) of the input (u, v) = (a x + b y + c, d x + e y + f).
    u = points[..., 0] - c[:, tf.newaxis]
    v = points[..., 1] - f[:, tf.newaxis]
    a, b, d, e = (part[:, tf.newaxis] for part in (a, b, d, e))
    determinant = a * e - b * d
    return tf.stack([(e * u - b * v) / determinant, (a * v - d * u) / determinant], axis=-1)


def placement(
    batch: tf.Tensor,
    height: tf.Tensor | float,
    width: tf.Tensor | float,
    seed: tf.Tensor,
    config: AugmentConfig,
) -> list[tf.Tensor]:
    """Where pictures are looked up: a, b, c, d, e, f, each `[batch]`.

    Output pixel (x, y) is looked up at input (a x + b y + c, d x + e y + f).
    """
    draws = tf.random.stateless_uniform([5, batch], seed, -1.0, 1.0)
    angle = draws[0] * (config.rotation * math.pi / 180.0)
    zoom = 1.0 + config.scale * draws[1]
    # A uniform draw on (-1, 1) lies below 2 p - 1 with probability p.
    mirror = tf.where(draws[2] < 2.0 * config.flip - 1.0, -1.0, 1.0)
    cosine, sine = tf.cos(angle) / zoom, tf.sin(angle) / zoom
    a, b, d, e = cosine * mirror, -sine, sine * mirror, cosine
    centre_x, centre_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    c = centre_x - a * centre_x - b * centre_y + config.shift * width * draws[3]
    f = centre_y - d * centre_x - e * centre_y + config.shift * height * draws[4]
    return [a, b, c, d, e, f]


def move(images: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Shifts, scales, rotates and mirrors about the centre; edges are repeated."""
    batch, size = tf.shape(images)[0], tf.shape(images)[1:3]
    height, width = tf.unstack(tf.cast(size, tf.float32))
    where = placement(batch, height, width, seed, config)
    none = tf.zeros_like(where[0])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*where, none, none], axis=-1),
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def blur(images: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
    """Gaussian blur with a standard deviation, in pixels, for each picture `[batch]`."""
    reach = tf.range(-BLUR_RADIUS, BLUR_RADIUS + 1, dtype=tf.float32)
    # No blur at 0: the floor keeps the exponent finite and every weight but the middle one at 0.
    weights = tf.exp(-0.5 * (reach / tf.maximum(deviation, 1e-2)[:, tf.newaxis]) ** 2)
    weights = (weights / tf.reduce_sum(weights, axis=-1, keepdims=True))[:, :, None, None, None]
    taps = range(2 * BLUR_RADIUS + 1)
    size = tf.shape(images)[1:3]
    edge = [BLUR_RADIUS, BLUR_RADIUS]
    padded = tf.pad(images, [[0, 0], edge, [0, 0], [0, 0]], "SYMMETRIC")
    images = tf.add_n([weights[:, k] * padded[:, k : k + size[0]] for k in taps])
    padded = tf.pad(images, [[0, 0], [0, 0], edge, [0, 0]], "SYMMETRIC")
    return tf.add_n([weights[:, k] * padded[:, :, k : k + size[1]] for k in taps])
