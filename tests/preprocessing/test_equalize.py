"""Equalisation against OpenCV, the referee, on every kind of histogram."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf.preprocessing.equalize import equalize_histogram


def by_opencv(crops: np.ndarray) -> np.ndarray:
    return np.stack([cv2.equalizeHist(crop[:, :, 0]) for crop in crops])[..., None]


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Noise, dim noise, two levels, one level, a ramp: 240x160 each."""
    rng = np.random.default_rng(0)
    shape = (240, 160, 1)
    ramp = np.linspace(0, 255, 240 * 160).astype(np.uint8).reshape(shape)
    return np.stack(
        [
            rng.integers(0, 256, shape, np.uint8),
            rng.normal(60, 5, shape).clip(0, 255).astype(np.uint8),
            np.where(rng.random(shape) < 0.01, 200, 13).astype(np.uint8),
            np.full(shape, 7, np.uint8),
            np.full(shape, 0, np.uint8),
            np.full(shape, 255, np.uint8),
            ramp,
        ]
    )


def test_equals_opencv(crops: np.ndarray) -> None:
    np.testing.assert_array_equal(equalize_histogram(tf.constant(crops)), by_opencv(crops))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 255), st.integers(1, 256), st.integers()
)
def test_equals_opencv_on_small_pictures(
    rows: int, columns: int, low: int, spread: int, seed: int
) -> None:
    rng = np.random.default_rng(abs(seed))
    crops = rng.integers(low, min(256, low + spread), (3, rows, columns, 1)).astype(np.uint8)
    np.testing.assert_array_equal(equalize_histogram(tf.constant(crops)), by_opencv(crops))


def test_same_in_graph_with_unknown_batch_and_in_a_dataset(crops: np.ndarray) -> None:
    expected = by_opencv(crops)
    spec = tf.TensorSpec([None, 240, 160, 1], tf.uint8)
    graph = tf.function(equalize_histogram, input_signature=[spec])
    np.testing.assert_array_equal(graph(tf.constant(crops)), expected)
    np.testing.assert_array_equal(graph(tf.constant(crops[:2])), expected[:2])
    data = tf.data.Dataset.from_tensor_slices(crops).batch(3).map(equalize_histogram)
    np.testing.assert_array_equal(np.concatenate(list(data.as_numpy_iterator())), expected)


def test_empty_batch() -> None:
    assert equalize_histogram(tf.zeros([0, 240, 160, 1], tf.uint8)).shape == (0, 240, 160, 1)


def test_survives_export(crops: np.ndarray, tmp_path) -> None:
    module = tf.Module()
    spec = tf.TensorSpec([None, 240, 160, 1], tf.uint8)
    module.serve = tf.function(equalize_histogram, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_array_equal(loaded.serve(tf.constant(crops)), by_opencv(crops))


def test_refuses_scaled_pictures() -> None:
    with pytest.raises(ValueError, match="expected uint8 pictures, got float32"):
        equalize_histogram(tf.zeros([1, 4, 4, 1]))
