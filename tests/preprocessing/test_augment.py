"""Augmentation: identity at zero, seeded, and each change by itself against a referee."""

from __future__ import annotations

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from deepcoder_tf.preprocessing.augment import AugmentConfig, augment, augment_points, blur

NOTHING = AugmentConfig(*[0.0] * len(fields(AugmentConfig)))
SEED = tf.constant([3, 4])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(2)
    smooth = [cv2.GaussianBlur(rng.normal(0, 2.5, (60, 40)), (0, 0), 3) for _ in range(8)]
    return np.clip(np.array(smooth, np.float32), -1, 1)[..., None]


def test_nothing_changes_nothing(images: np.ndarray) -> None:
    np.testing.assert_allclose(augment(images, SEED, NOTHING), images, atol=1e-5)


def test_seed_decides_and_pictures_differ(images: np.ndarray) -> None:
    same = np.repeat(images[:1], 8, axis=0)
    first = augment(same, SEED, AugmentConfig()).numpy()
    np.testing.assert_array_equal(first, augment(same, SEED, AugmentConfig()))
    assert not np.allclose(first, augment(same, SEED + 1, AugmentConfig()))
    assert len({picture.tobytes() for picture in first}) == 8


def test_certain_flip_is_the_mirror_image(images: np.ndarray) -> None:
    found = augment(images, SEED, replace(NOTHING, flip=1.0))
    np.testing.assert_allclose(found, images[:, :, ::-1], atol=1e-5)


def test_flip_probability() -> None:
    ramp = np.tile(np.linspace(-1, 1, 8, dtype=np.float32)[None, None, :, None], (4000, 2, 1, 1))
    found = augment(ramp, SEED, replace(NOTHING, flip=0.25)).numpy()
    share = (found[:, 0, 0, 0] > 0).mean()
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)


@pytest.mark.parametrize(
    ("name", "value", "worst"), [("rotation", 10.0, 10.0), ("scale", 0.2, 0.2), ("shift", 0.1, 6.0)]
)
def test_geometry_moves_a_dot_by_no_more_than_asked(name: str, value: float, worst: float) -> None:
    size, off = 61, 20
    dot = np.zeros((32, size, size, 1), np.float32)
    dot[:, size // 2, size // 2 + off] = 1
    dot = np.array([cv2.GaussianBlur(d, (0, 0), 2) for d in dot])[..., None]
    found = augment(dot, SEED, replace(NOTHING, **{name: value})).numpy()[..., 0]
    places = np.array([ndimage.center_of_mass(picture) for picture in found]) - size // 2
    y, x = places.T
    moved = {
        "rotation": np.degrees(np.arctan2(y, x)),
        "scale": np.hypot(x, y) / off - 1,
        "shift": np.maximum(np.abs(y), np.abs(x - off)),
    }[name]
    assert np.abs(moved).max() <= worst * 1.03
    assert np.abs(moved).max() > worst * 0.6


def test_light_is_affine(images: np.ndarray) -> None:
    small = images * 0.3
    found = augment(small, SEED, replace(NOTHING, brightness=0.2, contrast=0.3)).numpy()
    for before, after in zip(small, found, strict=True):
        slope, offset = np.polyfit(before.ravel(), after.ravel(), 1)
        assert 0.7 <= slope <= 1.3
        assert abs(offset) <= 0.2
        np.testing.assert_allclose(after, slope * before + offset, atol=1e-5)


def test_blur_equals_scipy(images: np.ndarray) -> None:
    deviation = np.linspace(0.3, 1.0, 8).astype(np.float32)
    expected = [
        ndimage.gaussian_filter(picture[..., 0], s, mode="reflect", radius=2)
        for picture, s in zip(images, deviation, strict=True)
    ]
    np.testing.assert_allclose(blur(images, deviation)[..., 0], expected, atol=1e-5)


def test_no_gap_in_a_dataset_or_with_unknown_batch(images: np.ndarray) -> None:
    spec = tf.TensorSpec([None, 60, 40, 1])
    graph = tf.function(lambda x: augment(x, SEED, AugmentConfig()), input_signature=[spec])
    np.testing.assert_allclose(graph(images), augment(images, SEED, AugmentConfig()), atol=1e-5)
    assert np.abs(graph(images)).max() <= 1
    data = tf.data.Dataset.from_tensors(images).map(lambda x: augment(x, SEED, AugmentConfig()))
    np.testing.assert_allclose(next(iter(data)), graph(images), atol=1e-5)


def test_refuses_ranges_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"blur=3 must lie in 0\.\.1"):
        AugmentConfig(blur=3)


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_points_move_with_their_pictures(flip: float) -> None:
    """Spots of different heights: each is found where its point went."""
    config = replace(NOTHING, shift=0.1, scale=0.15, rotation=20.0, flip=flip)
    drawn = np.random.default_rng(5).uniform(20, 44, (16, 2, 2)).astype(np.float32)
    drawn[:, 1] = 63 - drawn[:, 0]
    rows, columns = np.mgrid[:48, :64]
    spots = np.zeros((16, 48, 64, 2), np.float32)
    for n, pair in enumerate(drawn):
        for k, (x, y) in enumerate(pair * (1, 0.7)):
            spots[n, ..., k] = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    points = drawn * np.float32([1, 0.7])
    moved = augment(tf.constant(spots), tf.constant([4, 5]), config).numpy()
    found = augment_points(tf.constant(points), (48, 64), tf.constant([4, 5]), config, [0, 1])
    weight = moved**4 / np.sum(moved**4, axis=(1, 2), keepdims=True)
    seen = np.stack([np.einsum("nhwk,hw->nk", weight, axis) for axis in (columns, rows)], axis=-1)
    inside = np.all((seen > 5) & (seen < [58, 42]), axis=(1, 2))
    assert inside.sum() > 8
    np.testing.assert_allclose(found.numpy()[inside], seen[inside], atol=0.3)


def test_a_mirrored_face_has_its_first_eye_at_the_left_again() -> None:
    config = replace(NOTHING, flip=1.0)
    points = np.array([[[10.0, 20.0], [40.0, 21.0], [np.nan, np.nan]]], np.float32)
    found = augment_points(points, (48, 64), tf.constant([1, 2]), config, [1, 0, 2])
    np.testing.assert_allclose(found, [[[23, 21], [53, 20], [np.nan, np.nan]]], rtol=1e-5)
