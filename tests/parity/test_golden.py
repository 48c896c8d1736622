"""The golden set: the same pictures each time, and faces in the middle of their crops."""

from __future__ import annotations

import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.faces.registration import mean_shape, place_in_crop
from tools.parity import golden as module
from tools.parity.golden import EXPRESSIONS, golden, pictures, stored_landmarks


@pytest.fixture(scope="module")
def shape() -> np.ndarray:
    return place_in_crop(mean_shape([np.array(list(stored_landmarks().values()))]))


def test_it_is_the_same_each_time():
    first, second = pictures(), pictures()
    assert len(first) == 6 and list(first) == list(second) == list(stored_landmarks())
    for name, picture in first.items():
        np.testing.assert_array_equal(picture, second[name])


def test_it_shows_every_action_unit_of_disfa():
    assert {name for shown in EXPRESSIONS.values() for name in shown} == set(DISFA)


def test_the_stored_landmarks_are_those_that_dlib_finds():
    for name, points in module.find_landmarks().items():
        found = np.asarray(points)[INNER_49]
        assert np.abs(found - stored_landmarks()[name]).max() <= 3, name


def test_crops_and_landmarks_are_registered(shape):
    faces = golden(shape, (240, 160))
    assert faces.crops.shape == (6, 240, 160, 1) and faces.crops.dtype == np.uint8
    assert faces.landmarks.dtype == faces.points.dtype == np.float32
    distance = np.linalg.norm(faces.landmarks - shape, axis=-1)
    assert distance.max() < 30 and distance.mean() < 6
    assert faces.crops.std(axis=(1, 2, 3)).min() > 20
