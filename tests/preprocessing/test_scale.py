"""Resizing against OpenCV and block loops; the range; the composition."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.preprocessing.equalize import equalize_histogram
from deepcoder_tf.preprocessing.scale import area_resize, model_input, to_uint8, to_unit_range


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, 240, 160, 1), np.uint8)


@pytest.mark.parametrize("size", [(120, 80), (60, 40), (48, 32), (30, 20), (240, 160)])
def test_integer_factors_are_block_means(crops: np.ndarray, size: tuple[int, int]) -> None:
    fy, fx = 240 // size[0], 160 // size[1]
    expected = np.array(
        [
            [
                [crop[y * fy : (y + 1) * fy, x * fx : (x + 1) * fx].mean() for x in range(size[1])]
                for y in range(size[0])
            ]
            for crop in crops.astype(np.float64)
        ]
    )
    np.testing.assert_allclose(area_resize(crops, *size)[..., 0], expected, rtol=1e-6)


@pytest.mark.parametrize("size", [(100, 70), (96, 64), (7, 5)])
def test_other_factors_equal_opencv_area(crops: np.ndarray, size: tuple[int, int]) -> None:
    expected = [
        cv2.resize(crop.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
        for crop in crops
    ]
    np.testing.assert_allclose(area_resize(crops, *size)[..., 0], expected, atol=1e-2)


def test_resize_keeps_constants_and_refuses_nothing_sizes() -> None:
    constant = tf.fill([1, 240, 160, 1], 7.0)
    for size in ((60, 40), (100, 70)):
        np.testing.assert_allclose(area_resize(constant, *size), 7.0, rtol=1e-5)
    with pytest.raises(ValueError, match="0x40 must be at least 1x1"):
        area_resize(constant, 0, 40)


def test_range_and_its_inverse() -> None:
    levels = tf.range(256)
    scaled = to_unit_range(levels)
    assert (scaled[0], scaled[255]) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_uint8(scaled), levels)
    np.testing.assert_array_equal(to_uint8(tf.constant([-9.0, 9.0])), [0, 255])


@pytest.mark.parametrize("size", [(60, 40), (30, 20), (48, 32), (12, 8), (8, 8)])
def test_halves_go_upwards_however_it_is_computed(size: tuple[int, int]) -> None:
    """Against whole numbers: eagerly, in one graph, and stored in between."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 30, 20, 1)).astype(np.float32)
    crops = tf.cast(tf.image.resize(coarse, (240, 160), "bicubic"), tf.uint8)
    blocks = equalize_histogram(crops).numpy().astype(np.int64)
    blocks = blocks.reshape(3, size[0], 240 // size[0], size[1], 160 // size[1])
    count = blocks.shape[2] * blocks.shape[4]
    sums = blocks.sum(axis=(2, 4))
    expected = (2 * sums + count) // (2 * count)
    if count % 2 == 0 and count < 100:
        assert np.mean(2 * sums % (2 * count) == count) > 0.01  # there are halves

    def scaled(x: tf.Tensor) -> tf.Tensor:
        return model_input(x, *size)

    spec = [tf.TensorSpec([None, 240, 160, 1], tf.uint8)]
    stored = to_uint8(tf.function(scaled, input_signature=spec)(crops))
    whole = tf.function(lambda x: to_uint8(scaled(x)), input_signature=spec)(crops)
    for found in (to_uint8(scaled(crops)), stored, whole, to_uint8(to_unit_range(stored))):
        np.testing.assert_array_equal(found[..., 0], expected)


def test_model_input_is_the_composition_and_about_zero_mean(crops: np.ndarray) -> None:
    expected = [
        cv2.resize(
            cv2.equalizeHist(crop[:, :, 0]).astype(np.float32),
            (40, 60),
            interpolation=cv2.INTER_AREA,
        )
        / 127.5
        - 1
        for crop in crops
    ]
    spec = [tf.TensorSpec([None, 240, 160, 1], tf.uint8)]
    graph = tf.function(lambda x: model_input(x, 60, 40), input_signature=spec)
    found = graph(crops)
    assert found.shape == (2, 60, 40, 1)
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-5)
    assert abs(float(tf.reduce_mean(found))) < 0.01
