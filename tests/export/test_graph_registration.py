"""Registration in the graph: the crops of `faces.registration`, to the last bit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf.export import registration
from deepcoder_tf.faces import registration as referee
from deepcoder_tf.faces import squares
from deepcoder_tf.faces.aligner import align
from deepcoder_tf.faces.images import to_grey

MEAN = np.random.default_rng(0).uniform([20, 60], [140, 200], (49, 2))
SIDE = 48
PHOTO = skimage.data.astronaut()
LARGE = cv2.resize(PHOTO, (1501, 1203), interpolation=cv2.INTER_CUBIC)


PLACES = {
    "turn": st.floats(-3.0, 3.0),
    "x": st.floats(-500, 1500),
    "y": st.floats(-500, 1500),
    "seed": st.integers(0, 9),
}
"""Of a face that hypothesis draws; see `face_at`."""

INPUTS = [
    tf.TensorSpec([None, None, 3], tf.uint8),
    tf.TensorSpec([None, None, 2], tf.float32),
]


@tf.function(input_signature=INPUTS, autograph=False)
def registered(picture: tf.Tensor, landmarks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The crop of the first face, and all landmarks."""
    points = registration.inner_points(landmarks)
    transform = registration.fit_similarity(points, MEAN)
    crop = registration.warp(picture, transform.a[0], transform.b[0], (*referee.CROP_SHAPE, 1))
    return crop, registration.move(transform, points)


@tf.function(input_signature=INPUTS, autograph=False)
def squared(picture: tf.Tensor, landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
    """The squares of the first face, grey and in colour, and all landmarks."""
    points = registration.inner_points(landmarks)
    places = squares.places_of(squares.ANCHORS, SIDE)
    transform = registration.fit_similarity(registration.parts_of(points), places)
    grey, colour = (
        registration.warp(picture, transform.a[0], transform.b[0], (SIDE, SIDE, channels))
        for channels in (1, 3)
    )
    return {"grey": grey, "colour": colour, "points": registration.move(transform, points)}


def face_at(size: float, turn: float, x: float, y: float, seed: int = 0) -> np.ndarray:
    """Landmarks of a face `size` times as large as in the crop."""
    z = (MEAN[:, 0] + 1j * MEAN[:, 1]) * size * np.exp(1j * turn) + complex(x, y)
    noise = np.random.default_rng(seed).normal(0, size, (49, 2))
    return (np.stack([z.real, z.imag], axis=-1) + noise).astype(np.float32)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=st.floats(0.3, 9.0), **PLACES)
def test_crops_and_landmarks_are_those_of_prediction(size, turn, x, y, seed):
    landmarks = face_at(size, turn, x, y, seed)
    picture = PHOTO if seed % 2 else LARGE
    crop, moved = registered(picture, landmarks[np.newaxis])
    grey = to_grey(np.ascontiguousarray(picture[..., ::-1]))
    np.testing.assert_array_equal(crop[..., 0], align(grey, landmarks, MEAN))
    np.testing.assert_array_equal(moved, referee.register(landmarks[np.newaxis], MEAN))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(size=st.floats(0.1, 3.0), **PLACES)
def test_squares_and_landmarks_are_those_of_prediction(size, turn, x, y, seed):
    landmarks = face_at(size, turn, x, y, seed)
    picture = PHOTO if seed % 2 else LARGE
    found = squared(picture, landmarks[np.newaxis])
    matrix, image = squares.face_matrix(landmarks, SIDE), np.ascontiguousarray(picture[..., ::-1])
    for name, channels in (("grey", 1), ("colour", 3)):
        wanted = squares.cut(image, matrix, SIDE, channels)
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)
    wanted = squares.move_points(landmarks, matrix)
    np.testing.assert_allclose(found["points"][0], wanted, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("size", [1.0, 2.0, 3.0, 4.0])
def test_a_face_of_a_whole_multiple_goes_the_same_way(size):
    """Where rounding could tell whether blocks are averaged first."""
    landmarks = (MEAN * size).astype(np.float32)
    crop, _ = registered(LARGE, landmarks[np.newaxis])
    grey = to_grey(np.ascontiguousarray(LARGE[..., ::-1]))
    np.testing.assert_array_equal(crop[..., 0], align(grey, landmarks, MEAN))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 900), (900, 1), (5, 5)])
def test_pictures_of_any_shape(shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for size in (0.1, 1.0, 5.0, 1e5):
        landmarks = face_at(size, 0.1, -3.0, 1.0)
        crop, _ = registered(picture, landmarks[np.newaxis])
        grey = to_grey(np.ascontiguousarray(picture[..., ::-1]))
        np.testing.assert_array_equal(crop[..., 0], align(grey, landmarks, MEAN))


def test_a_crop_is_that_of_opencv_but_for_rounding():
    grey = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
    differing = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        landmarks = face_at(rng.uniform(0.5, 1.9), rng.uniform(-0.5, 0.5), 100, 60, seed)
        matrix = referee.fit_similarity(landmarks, MEAN)
        expected = cv2.warpAffine(
            grey, matrix, (160, 240), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        found = align(grey, landmarks, MEAN)
        assert np.abs(found.astype(int) - expected).max() <= 4  # OpenCV 4 has 1/32 pixel steps
        differing.append(np.abs(found.astype(int) - expected).mean())
    assert np.mean(differing) < 0.3


def test_of_68_points_the_inner_49_count():
    landmarks = face_at(1.5, 0.2, 50, 30)
    all68 = np.random.default_rng(1).uniform(0, 500, (68, 2)).astype(np.float32)
    all68[registration.INNER_49] = landmarks
    few, many = registered(PHOTO, landmarks[np.newaxis]), registered(PHOTO, all68[np.newaxis])
    np.testing.assert_array_equal(few[0], many[0])
    np.testing.assert_array_equal(few[1], many[1])


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.zeros((1, 50, 2)), r"49 or 68 points a face, got\] \[50\]"),
        (np.full((1, 49, 2), np.nan), r"not finite:\] \[0\]"),
        (np.stack([MEAN, np.full((49, 2), 7.0)]), r"coincide of these faces:\] \[1\]"),
        (np.zeros((1, 49, 2)), r"coincide of these faces:\] \[0\]"),
    ],
)
def test_points_that_are_no_face_are_refused(landmarks, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        registered(PHOTO, landmarks.astype(np.float32))
