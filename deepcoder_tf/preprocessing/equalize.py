"""Histogram equalisation of each picture, equal to OpenCV's to the last bit."""

from __future__ import annotations

import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.numerics import histogram_of

__all__ = ["equalize_histogram"]

LEVELS = 256


@check_shapes("crops: [batch, rows, columns, 1]", "return: [batch, rows, columns, 1]")
def equalize_histogram(crops: tf.Tensor) -> tf.Tensor:
    """Spreads each picture's grey levels evenly over 0..255.

    With n_v pixels of level v and v0 the lowest level present, level v becomes
    round((n_{v0+1} + ... + n_v) * 255 / (N - n_{v0})): in single precision and with halves to the
    even number, as OpenCV computes it. A picture of one level stays as it is.

    Args:
      crops: `[batch, rows, columns, 1]` uint8.

    Returns:
      The same shape, uint8.

    Raises:
      ValueError: the pictures are not uint8.

    Source: `cv2.equalizeHist`.
    """
    if crops.dtype != tf.uint8:
        raise ValueError(
            f"expected uint8 pictures, got {crops.dtype.name}; do not scale them first"
        )
    shape = tf.shape(crops)
    levels = tf.cast(tf.reshape(crops, [shape[0], shape[1] * shape[2]]), tf.int32)
    histogram = histogram_of(levels, LEVELS)
    tables = tf.reshape(equalizing_tables(histogram), [-1])
    # One flat gather: picture b's table begins at 256 b (measured faster than batch_dims=1).
    offsets = LEVELS * tf.range(shape[0])[:, tf.newaxis]
    return tf.reshape(tf.gather(tables, levels + offsets), shape)


@check_shapes("histogram: [batch, levels]", "return: [batch, levels]")
def equalizing_tables(histogram: tf.Tensor) -> tf.Tensor:
    """New level of each old one, `[batch, 256]` uint8, from counts `[batch, 256]` int32."""
    total = tf.reduce_sum(histogram, axis=-1, keepdims=True)
    darkest = tf.argmax(tf.cast(histogram > 0, tf.int32), axis=-1, output_type=tf.int32)
    at_darkest = tf.gather(histogram, darkest, batch_dims=1)[:, tf.newaxis]
    above = tf.cumsum(histogram, axis=-1) - at_darkest
    rest = tf.cast(tf.maximum(total - at_darkest, 1), tf.float32)
    scale = tf.constant(LEVELS - 1, tf.float32) / rest
    equalized = tf.clip_by_value(
        tf.round(tf.cast(above, tf.float32) * scale), 0.0, float(LEVELS - 1)
    )
    unchanged = tf.broadcast_to(tf.range(LEVELS, dtype=tf.float32), tf.shape(equalized))
    return tf.cast(tf.where(total == at_darkest, unchanged, equalized), tf.uint8)
