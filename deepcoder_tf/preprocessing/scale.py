"""Size and range: from uint8 crops to what the top coder sees."""

from __future__ import annotations

import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.preprocessing.equalize import equalize_histogram

__all__ = ["area_resize", "model_input", "to_uint8", "to_unit_range"]

HALF_RANGE = 127.5
"""0..255 becomes -1..1; an equalised picture's mean lies at about 0."""

TIE = 2.0**-10
"""What is added before rounding. Means of blocks of pixels often lie halfway between two levels
(one in sixteen of 4x4 pixels), and the error of single precision, 1e-5, would decide them: not the
same way in a graph, eagerly and after export, and local binary patterns show it. The means next to
halfway are 1/600 away from it, in the largest blocks that there are."""


@check_shapes(
    "images: [batch, rows, columns, channels]", "return: [batch, height, width, channels]"
)
def area_resize(images: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resizes by averaging over the area that each new pixel covers; does not alias.

    Args:
      images: `[batch, rows, columns, channels]`, any numeric type; rows and columns are static.
      height: new rows.
      width: new columns.

    Returns:
      `[batch, height, width, channels]` float32. Exact block means where rows and columns are
      multiples of the new size, `tf.image.resize(method="area")` elsewhere.

    Raises:
      ValueError: a size below 1, or rows and columns unknown.
    """
    rows, columns, channels = images.shape[1:]
    if height < 1 or width < 1:
        raise ValueError(f"the new size {height}x{width} must be at least 1x1")
    if rows is None or columns is None:
        raise ValueError(f"rows and columns must be known, got {images.shape}")
    images = tf.cast(images, tf.float32)
    if (rows, columns) == (height, width):
        return images
    if rows % height or columns % width:
        return tf.image.resize(images, (height, width), method="area")
    blocks = tf.reshape(images, [-1, height, rows // height, width, columns // width, channels])
    return tf.reduce_mean(blocks, axis=[2, 4])


@check_shapes("images: [any...]", "return: [any...]")
def to_unit_range(images: tf.Tensor) -> tf.Tensor:
    """Scales levels 0..255 to -1..1.

    Args:
      images: any shape, levels 0..255.

    Returns:
      The same shape, float32.
    """
    return tf.cast(images, tf.float32) / HALF_RANGE - 1.0


@check_shapes("images: [any...]", "return: [any...]")
def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """The inverse of `to_unit_range`, rounded (halves upwards) and clipped.

    Args:
      images: any shape, about -1..1.

    Returns:
      The same shape, uint8.
    """
    levels = tf.floor((images + 1.0) * HALF_RANGE + (0.5 + TIE))
    return tf.cast(tf.clip_by_value(levels, 0.0, 255.0), tf.uint8)


@check_shapes("crops: [batch, rows, columns, 1]", "return: [batch, height, width, 1]")
def model_input(crops: tf.Tensor, height: int = 240, width: int = 160) -> tf.Tensor:
    """Equalises, resizes and scales: everything between a registered crop and the model.

    Args:
      crops: `[batch, rows, columns, 1]` uint8, registered, not equalised.
      height: rows of the model's input.
      width: columns of the model's input.

    Returns:
      `[batch, height, width, 1]` float32 in -1..1, of zero mean but for rounding.

    Raises:
      ValueError: not uint8, or a size below 1.

    Source: DeepCoder section 5 (crops of 240x160, normalised by histogram equalisation).
    """
    return to_unit_range(area_resize(equalize_histogram(crops), height, width))
