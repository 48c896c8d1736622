"""Similarity registration against scikit-image; Procrustes mean; warping without aliasing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform
from skimage.transform import warp as skimage_warp

from deepcoder_tf.faces.aligner import Face
from deepcoder_tf.faces.registration import (
    fit_similarity,
    mean_shape,
    place_in_crop,
    register,
    warp,
)


def moved(points: np.ndarray, scale: float, angle: float, shift: np.ndarray) -> np.ndarray:
    """A similarity of points, by the textbook."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 49), st.booleans())
def test_fit_equals_scikit_image(seed: int, count: int, mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(100, 30, (count, 2))
    target = moved(source, rng.uniform(0.2, 3), rng.uniform(-3, 3), rng.normal(0, 50, 2))
    target += rng.normal(0, 2, (count, 2))
    if mirrored:  # the best fit of a mirror image must still not be a reflection
        target[:, 0] *= -1
    found = fit_similarity(source, target)
    assert np.linalg.det(found[:, :2]) > 0
    residual = np.linalg.norm(source @ found[:, :2].T + found[:, 2] - target)
    referee = SimilarityTransform.from_estimate(source, target)
    assert residual <= np.linalg.norm(referee(source) - target) + 1e-6
    if not mirrored:
        np.testing.assert_allclose(found, referee.params[:2], atol=1e-6)


def test_fit_refuses_what_has_no_answer() -> None:
    with pytest.raises(ValueError, match="the source points coincide"):
        fit_similarity(np.ones((5, 2)), np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"expected two arrays \[P, 2\]"):
        fit_similarity(np.ones((5, 2)), np.zeros((4, 2)))


def test_many_shapes_are_moved_as_one_by_one() -> None:
    rng = np.random.default_rng(2)
    shapes, target = rng.normal(100, 30, (6, 49, 2)), rng.normal(80, 20, (49, 2))
    for shape, found in zip(shapes, register(shapes, target), strict=True):
        referee = SimilarityTransform.from_estimate(shape, target)
        np.testing.assert_allclose(found, referee(shape), atol=1e-4)
    assert register(shapes[:0], target).shape == (0, 49, 2)
    with pytest.raises(ValueError, match=r"expected \[N, P, 2\] and \[P, 2\], got \(6, 49, 2\)"):
        register(shapes, target[:5])
    shapes[3] = 7.0
    with pytest.raises(ValueError, match="the source points coincide"):
        register(shapes, target)


def test_mean_of_moved_copies_is_the_shape(face: Face) -> None:
    rng = np.random.default_rng(0)
    shape = face.landmarks49.astype(np.float64)
    copies = np.array(
        [
            moved(shape, rng.uniform(0.3, 4), rng.normal(0, 0.4), rng.normal(0, 99, 2))
            for _ in range(9)
        ]
    )
    found = mean_shape([copies[:4], copies[4:]])
    matrix = fit_similarity(shape, found)
    np.testing.assert_allclose(shape @ matrix[:, :2].T + matrix[:, 2], found, atol=1e-9)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert abs(found.mean(axis=0)).max() < 1e-12
    eyes = found[19:25].mean(axis=0), found[25:31].mean(axis=0)
    assert eyes[0][1] == pytest.approx(eyes[1][1], abs=1e-12)
    assert eyes[0][0] < eyes[1][0]


def test_mean_weighs_subjects_not_frames(face: Face) -> None:
    rng = np.random.default_rng(1)
    one, two = (face.landmarks49 + rng.normal(0, 4, (49, 2)) for _ in range(2))
    balanced = mean_shape([one[None], two[None]])
    np.testing.assert_allclose(mean_shape([np.repeat(one[None], 50, axis=0), two[None]]), balanced)
    pooled = mean_shape([np.concatenate([np.repeat(one[None], 50, axis=0), two[None]])])
    assert np.abs(pooled - balanced).max() > 1e-3


def test_mean_is_a_fixed_point_of_procrustes(face: Face) -> None:
    """Aligning every shape to the mean, and averaging, gives the mean again (up to size)."""
    rng = np.random.default_rng(2)
    shapes = face.landmarks49 + rng.normal(0, 3, (30, 49, 2))
    mean = mean_shape(list(shapes[:, None]))
    turned = []
    for shape in shapes:
        centred = shape - shape.mean(axis=0)
        centred /= np.linalg.norm(centred)
        u, _, v = np.linalg.svd(centred.T @ mean)  # orthogonal Procrustes
        turned.append(centred @ u @ v)
    average = np.mean(turned, axis=0)
    np.testing.assert_allclose(average / np.linalg.norm(average), mean, atol=1e-6)


def test_mean_needs_frames() -> None:
    with pytest.raises(ValueError, match="at least one frame of every training subject"):
        mean_shape([np.zeros((0, 49, 2))])


def test_crop_holds_the_face_from_forehead_to_chin(face: Face) -> None:
    placed = place_in_crop(mean_shape([face.landmarks49[None]]))
    np.testing.assert_allclose(placed[:, 0].min(), 16)
    np.testing.assert_allclose(placed[:, 0].max(), 144)
    np.testing.assert_allclose(placed[:, 1].min(), 60)
    matrix = fit_similarity(face.landmarks49, placed)
    chin = matrix[:, :2] @ face.landmarks68[8] + matrix[:, 2]
    assert 190 < chin[1] < 225  # room below it for a dropped jaw


def test_warp_equals_scikit_image(photo: np.ndarray) -> None:
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    matrix = np.array([[0.9, 0.2, -100.0], [-0.2, 0.9, 30.0]])
    full = np.vstack([matrix, [0, 0, 1]])
    expected = skimage_warp(
        grey,
        np.linalg.inv(full),
        output_shape=(240, 160),
        order=1,
        preserve_range=True,
        mode="edge",
    )
    assert np.abs(warp(grey, matrix).astype(float) - expected).max() < 4  # 1/32 pixel steps


@pytest.mark.parametrize("shrink", [2, 3, 5])
def test_warp_of_a_large_face_does_not_alias(photo: np.ndarray, shrink: int) -> None:
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    small = grey[0:240, 140:300]
    large = np.repeat(np.repeat(small, shrink, axis=0), shrink, axis=1)
    noise = np.random.default_rng(0).normal(0, 60, large.shape)
    large = np.clip(large + noise, 0, 255).astype(np.uint8)
    # Pixel centres: x_small = (x_large + 1/2) / shrink - 1/2.
    matrix = np.array([[1, 0, 0.5], [0, 1, 0.5]]) / shrink - [[0, 0, 0.5], [0, 0, 0.5]]
    plain = cv2.warpAffine(large, matrix, (160, 240), borderMode=cv2.BORDER_REPLICATE)
    blocks = large.reshape(240, shrink, 160, shrink).mean(axis=(1, 3))
    found = warp(large, matrix).astype(float)
    inner = slice(4, -4)
    assert np.abs(found - blocks)[inner, inner].max() <= 1
    if shrink > 2:  # at exactly 2 the four pixels of plain interpolation are the block
        assert np.abs(plain - blocks).mean() > 5 * np.abs(found - blocks).mean()


def test_warp_shrinks_in_place(photo: np.ndarray) -> None:
    """Averaging first must not move the picture: centres of mass agree with a plain warp's."""
    dot = np.zeros((400, 400), np.uint8)
    cv2.circle(dot, (230, 170), 25, 255, -1, cv2.LINE_AA)
    turn = moved(np.eye(2), 0.4, 0.3, np.zeros(2)).T
    matrix = np.column_stack([turn, [10.0, 5.0]])
    y, x = np.mgrid[:240, :160]
    found = warp(dot, matrix).astype(float)
    centre = np.array([(found * x).sum(), (found * y).sum()]) / found.sum()
    np.testing.assert_allclose(centre, turn @ [230, 170] + [10, 5], atol=0.02)


def test_warp_beyond_the_picture_repeats_its_edge() -> None:
    grey = np.full((50, 50), 77, np.uint8)
    assert (warp(grey, np.array([[1.0, 0, 100], [0, 1, 100]])) == 77).all()
    assert (warp(grey, np.array([[0.1, 0, 500], [0, 0.1, 500]])) == 77).all()
