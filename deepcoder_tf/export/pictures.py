"""Picture files decoded inside the graph, to the bytes that `faces.images` makes of them.

| in the file                        | what becomes of it                                        |
|------------------------------------|-----------------------------------------------------------|
| JPEG: grey, YCbCr; PNG: any colour | red, green, blue of 8 bits                                |
| PNG with transparency              | laid over white                                           |
| PNG with 16 bits of grey           | the full range 0..65535 maps to 0..255                    |
| PNG with 16 bits a colour          | the upper 8 bits                                          |
| EXIF orientation                   | **not applied**: rows and columns are those that are      |
|                                    | stored, and landmarks are in pixels of these              |
| not JPEG or PNG, damaged           | InvalidArgument                                           |
| more than `MAX_PIXELS`             | InvalidArgument before anything is decoded                |

What is wrong with a picture is told with its place in the batch, as far as its header shows it. Of
data that are damaged behind it TensorFlow tells no more than that: `Invalid JPEG data`.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

__all__ = ["MAX_PICTURES", "MAX_PIXELS", "decode", "limit", "map_pictures", "to_grey"]

MAX_PIXELS = 64_000_000
"""Of one picture: 192 MB when decoded. A few hundred bytes can claim to be far more."""

MAX_PICTURES = 1024
"""In one request: their crops are 39 MB. A client splits what is more, a server stays answering."""

AT_ONCE = 2
"""Pictures of a request that are decoded side by side; bounds the memory of large ones."""

JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"
HEADER = 33
"""Bytes of a PNG's signature and first chunk, which holds its size and its kind of colour."""

GREY_BITS = 15
GREY_WEIGHTS = (9798, 19235, 3735)
"""Luma .299 R + .587 G + .114 B in 1/32768, the integers of OpenCV's `COLOR_BGR2GRAY`."""


def limit(first: tf.Tensor, what: str) -> tf.Tensor:
    """The same tensor, once its number of rows is known to be 1 to `MAX_PICTURES`.

    Raises:
      tf.errors.InvalidArgumentError: it is not, when the graph runs.
    """
    count = tf.shape(first)[0]
    fits = tf.logical_and(count >= 1, count <= MAX_PICTURES)
    told = [f"1 to {MAX_PICTURES} {what} in one request, got", count]
    with tf.control_dependencies([tf.debugging.Assert(fits, told)]):
        return tf.identity(first)


def map_pictures(
    function: Callable[..., tf.Tensor], pictures: tf.Tensor, *more: tf.Tensor, shape: tuple
) -> tf.Tensor:
    """Applies `function(place, file, *rows of more)` to every picture of a batch.

    Args:
      function: from one picture to uint8 of `shape`.
      pictures: `[B]` strings, the files.
      *more: tensors with B rows.
      shape: of one result.

    Returns:
      `[B, *shape]` uint8.
    """
    places = tf.range(tf.shape(pictures)[0])
    return tf.map_fn(
        lambda given: function(*given),
        (places, pictures, *more),
        fn_output_signature=tf.TensorSpec(shape, tf.uint8),
        parallel_iterations=AT_ONCE,
    )


def decode(place: tf.Tensor, file: tf.Tensor, shape: tuple[int, int] | None = None) -> tf.Tensor:
    """One picture, with its size read and checked before it is decoded.

    Args:
      place: in the batch, for messages.
      file: scalar string, a JPEG or PNG file.
      shape: rows and columns that it must have; None is any size up to `MAX_PIXELS`.

    Returns:
      `[height, width, 3]` uint8 red, green, blue.

    Raises:
      tf.errors.InvalidArgumentError: see the table above, when the graph runs.

    Source: libjpeg's accurate integer transform, as Pillow and OpenCV use it.
    """
    zeros = tf.constant(b"\0" * HEADER)
    header = tf.strings.substr(tf.strings.substr(file, 0, HEADER) + zeros, 0, HEADER)
    is_png = tf.strings.substr(header, 0, len(PNG)) == PNG
    known = tf.logical_or(is_png, tf.strings.substr(header, 0, len(JPEG)) == JPEG)
    with tf.control_dependencies([refuse(known, place, "is neither JPEG nor PNG")]):
        file = tf.identity(file)
    size = tf.cond(is_png, lambda: png_size(header), lambda: tf.io.extract_jpeg_shape(file)[:2])
    if shape is None:
        pixels = tf.reduce_prod(tf.cast(size, tf.int64))
        fits = tf.logical_and(tf.reduce_all(size >= 1), pixels <= MAX_PIXELS)
        wanted = f"pixels (rows, columns): more than {MAX_PIXELS}, or none"
    else:
        fits = tf.reduce_all(size == shape)
        wanted = f"pixels (rows, columns), not {shape[0]} x {shape[1]}"
    with tf.control_dependencies([refuse(fits, place, "has", size, wanted)]):
        file = tf.identity(file)
    rgb = tf.cond(is_png, lambda: decode_png(file, header), lambda: decode_jpeg(file))
    return tf.ensure_shape(rgb, [*(shape or (None, None)), 3])


def refuse(fits: tf.Tensor, place: tf.Tensor, *told: object) -> tf.Operation | None:
    """An operation that fails where a picture does not fit, naming it by its place."""
    return tf.debugging.Assert(fits, ["picture", place, *told])


def png_size(header: tf.Tensor) -> tf.Tensor:
    """Rows and columns `[2]` int32 that a PNG claims to have; negative from 2^31 on."""
    size = tf.io.decode_raw(tf.strings.substr(header, 16, 8), tf.int32, little_endian=False)
    return tf.reverse(size, [0])


def decode_jpeg(file: tf.Tensor) -> tf.Tensor:
    """`[height, width, 3]`, by the transform and the interpolation of colour that others use."""
    return tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")


def decode_png(file: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    """`[height, width, 3]`, transparency laid over white."""
    kind = tf.io.decode_raw(tf.strings.substr(header, 24, 2), tf.uint8)
    deep_grey = tf.reduce_all(kind == tf.constant([16, 0], tf.uint8))
    return tf.cond(deep_grey, lambda: decode_deep_grey(file), lambda: decode_colours(file, kind[0]))


def decode_deep_grey(file: tf.Tensor) -> tf.Tensor:
    """A PNG with 16 bits of grey."""
    levels = tf.cast(tf.io.decode_png(file, channels=1, dtype=tf.uint16), tf.float32)
    # 65535 / 255 = 257, which no level divides into halves.
    return tf.repeat(tf.cast(tf.round(levels / 257.0), tf.uint8), 3, axis=-1)


def decode_colours(file: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """A PNG of any other kind, with so many bits a sample."""
    rgba = tf.io.decode_png(file, channels=4)
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    # Where a file tells no opacity, TensorFlow gives the largest sample: 1, 3 or 15 of few bits.
    largest = tf.bitwise.left_shift(1, tf.minimum(tf.cast(bits, tf.int32), 8)) - 1
    opaque = tf.reduce_all(alpha == tf.cast(largest, tf.uint8))
    return tf.cond(opaque, lambda: rgb, lambda: over_white(rgb, alpha))


def over_white(rgb: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Colours times their opacity, the rest white: exact rounding, in 16 bits."""
    rgb, alpha = tf.cast(rgb, tf.uint16), tf.cast(alpha, tf.uint16)
    full, half = tf.constant(255, tf.uint16), tf.constant(128, tf.uint16)
    # round(t / 255) = (t + 128 + ((t + 128) >> 8)) >> 8 for t up to 255 * 255.
    t = rgb * alpha + full * (full - alpha) + half
    bits = tf.constant(8, tf.uint16)
    return tf.cast(tf.bitwise.right_shift(t + tf.bitwise.right_shift(t, bits), bits), tf.uint8)


def to_grey(rgb: tf.Tensor) -> tf.Tensor:
    """Luma of colours: `[..., 3]` uint8 to `[...]` int32, 0..255."""
    weighted = tf.reduce_sum(tf.cast(rgb, tf.int32) * tf.constant(GREY_WEIGHTS), axis=-1)
    return tf.bitwise.right_shift(weighted + (1 << (GREY_BITS - 1)), GREY_BITS)
