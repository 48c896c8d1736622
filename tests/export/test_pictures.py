"""Decoding in the graph: the bytes of OpenCV and Pillow, and nothing of what is not a picture."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image

from deepcoder_tf.export import pictures
from deepcoder_tf.faces.images import read_image, to_grey

PHOTO = Image.fromarray(skimage.data.astronaut()[20:163, 150:311])


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def colours(file: tf.Tensor) -> tf.Tensor:
    """A picture of any size."""
    return pictures.decode(tf.constant(7), file)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def crop(file: tf.Tensor) -> tf.Tensor:
    """A picture of one size."""
    return pictures.decode(tf.constant(7), file, (240, 160))


def encoded(mode: str, kind: str, **options) -> bytes:
    """A photograph as a file."""
    image = PHOTO.convert(mode)
    if mode in ("RGBA", "LA"):
        opacity = np.random.default_rng(0).integers(0, 256, PHOTO.size[::-1], dtype=np.uint8)
        image.putalpha(Image.fromarray(opacity))
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGB", "JPEG", {}),
        ("RGB", "JPEG", {"quality": 30}),
        ("RGB", "JPEG", {"subsampling": 0}),
        ("RGB", "JPEG", {"subsampling": 1, "progressive": True}),
        ("L", "JPEG", {}),
        ("RGB", "PNG", {}),
        ("L", "PNG", {}),
        ("1", "PNG", {}),
        ("P", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("LA", "PNG", {}),
    ],
)
def test_a_picture_has_the_bytes_that_prediction_reads(mode, kind, options, tmp_path):
    file = encoded(mode, kind, **options)
    (tmp_path / "a").write_bytes(file)
    expected = read_image(tmp_path / "a")
    found = colours(file)
    np.testing.assert_array_equal(found.numpy()[..., ::-1], expected)
    np.testing.assert_array_equal(pictures.to_grey(found), to_grey(expected))


def test_sixteen_bits_of_grey_are_the_full_range(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    file = cv2.imencode(".png", levels)[1].tobytes()
    (tmp_path / "a.png").write_bytes(file)
    np.testing.assert_array_equal(
        pictures.to_grey(colours(file)), to_grey(read_image(tmp_path / "a.png"))
    )


def test_sixteen_bits_a_colour_lose_the_lower_ones(tmp_path):
    levels = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    file = cv2.imencode(".png", levels)[1].tobytes()
    (tmp_path / "a.png").write_bytes(file)
    np.testing.assert_array_equal(colours(file)[..., ::-1], levels >> 8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), levels >> 8)


@pytest.mark.parametrize("colours_used", [2, 4, 16])
def test_a_palette_of_few_bits_with_and_without_transparency(colours_used, tmp_path):
    image = PHOTO.quantize(colours_used)
    for options in ({}, {"transparency": 1}):
        stream = io.BytesIO()
        image.save(stream, "PNG", **options)
        (tmp_path / "a.png").write_bytes(stream.getvalue())
        found = colours(stream.getvalue()).numpy()[..., ::-1]
        np.testing.assert_array_equal(found, read_image(tmp_path / "a.png"))


def test_every_opacity_of_every_level_is_rounded_as_pillow_does():
    level, opacity = np.meshgrid(np.arange(256), np.arange(256))
    rgba = np.stack([level, level, level, opacity], axis=-1).astype(np.uint8)
    white = Image.new("RGBA", (256, 256), "white")
    expected = np.asarray(Image.alpha_composite(white, Image.fromarray(rgba)))[..., :3]
    found = pictures.over_white(tf.constant(rgba[..., :3]), tf.constant(rgba[..., 3:]))
    np.testing.assert_array_equal(found, expected)


def test_every_colour_has_the_grey_level_of_opencv():
    rgb = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    rgb[0, :256] = np.arange(256)[:, np.newaxis]
    expected = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(pictures.to_grey(tf.constant(rgb)), expected)
    np.testing.assert_array_equal(expected[0, :256], np.arange(256))


def test_orientation_in_exif_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    file = encoded("RGB", "JPEG", exif=exif)
    assert colours(file).shape[:2] == PHOTO.size[::-1]


def png_of(rows: int, columns: int) -> bytes:
    """A PNG of few bytes that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return pictures.PNG + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_of(rows: int, columns: int) -> bytes:
    """A JPEG whose header claims another size."""
    file = encoded("L", "JPEG")
    start = file.index(b"\xff\xc0")
    return file[: start + 5] + struct.pack(">HH", rows, columns) + file[start + 9 :]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", r"\[picture\] \[7\] \[is neither JPEG nor PNG\]"),
        (b"\xff\xd8", "is neither JPEG nor PNG"),
        (b"GIF89a" + b"\0" * 50, "is neither JPEG nor PNG"),
        (b"no picture", "is neither JPEG nor PNG"),
        (png_of(30_000, 30_000), r"\[7\] \[has\] \[30000 30000\] \[pixels.*more than 64000000"),
        (png_of(2**31 + 5, 10), r"\[picture\] \[7\] \[has\]"),
        (png_of(0, 10), r"\[has\] \[0 10\]"),
        (jpeg_of(30_000, 30_000), r"\[7\] \[has\] \[30000 30000\] \[pixels"),
        (encoded("RGB", "JPEG")[:2000], "Invalid JPEG data"),
        (encoded("RGB", "PNG")[:2000], "Invalid PNG data"),
        (pictures.PNG, r"\[has\] \[0 0\]"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "Invalid JPEG data"),
    ],
)
def test_what_is_no_picture_ends_with_an_error_that_names_it(file, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        colours(file)
    assert colours(encoded("L", "JPEG")).shape[-1] == 3  # the next one is answered


def test_a_bomb_is_refused_before_memory_is_asked_for():
    """Of 2^31 - 1 rows and columns no memory could be had: the limit must speak first."""
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 64000000"):
        colours(png_of(2**31 - 1, 2**31 - 1))


def test_a_crop_must_have_the_size_of_a_crop():
    right = cv2.imencode(".png", np.zeros((240, 160), np.uint8))[1].tobytes()
    assert crop(right).shape == (240, 160, 3)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"\[7\] \[has\] \[143 161\] \[pixels.*not 240 x 160"
    ):
        crop(encoded("RGB", "JPEG"))


@pytest.mark.parametrize("count", [0, 1025])
def test_a_request_has_a_limit(count):
    limited = tf.function(lambda x: pictures.limit(x, "crops"), autograph=False)
    assert len(limited(tf.zeros([1024]))) == 1024
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=rf"1 to 1024 crops in one request, got\] \[{count}"
    ):
        limited(tf.zeros([count]))
