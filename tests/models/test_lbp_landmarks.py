"""Local binary patterns against scikit-image; histograms against counting; landmarks by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tensorflow as tf
from skimage import data
from skimage.feature import local_binary_pattern

from deepcoder_tf.models.lbp_landmarks import (
    CODES,
    LBPLandmarks,
    cell_histograms,
    local_binary_patterns,
)

HEIGHT, WIDTH = 60, 40


def pictures() -> dict[str, np.ndarray]:
    """Whole levels of many kinds, uint8 `[60, 40]`."""
    rng = np.random.default_rng(0)
    grey = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)[50:250, 150:300]
    return {
        "noise": rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8),
        "few levels": rng.integers(0, 6, (HEIGHT, WIDTH), np.uint8),
        "black and white": 255 * rng.integers(0, 2, (HEIGHT, WIDTH), np.uint8),
        "flat blocks": np.kron(rng.integers(0, 256, (15, 10), np.uint8), np.ones((4, 4), np.uint8)),
        "one level": np.full((HEIGHT, WIDTH), 93, np.uint8),
        "face": cv2.equalizeHist(cv2.resize(grey, (WIDTH, HEIGHT))),
    }


def exact_tie(image: np.ndarray) -> np.ndarray:
    """Where a diagonal neighbour is exactly as light as the pixel without all four agreeing: the
    one case in which rounding decides. In whole numbers of 1e-10."""
    far, near = 70711, 29289
    around = np.pad(image.astype(np.int64), 1)
    tie = np.zeros(image.shape, bool)

    def moved(down: int, right: int) -> np.ndarray:
        return around[1 + down : 1 + down + HEIGHT, 1 + right : 1 + right + WIDTH]

    for down, right in ((-1, 1), (-1, -1), (1, -1), (1, 1)):
        corner, sides = moved(down, right), (moved(down, 0), moved(0, right))
        value = far**2 * corner + far * near * sum(sides) + near**2 * moved(0, 0)
        equal = value == 10**10 * moved(0, 0)
        tie |= equal & ((sides[0] != sides[1]) | (corner != sides[0]))
    return tie


@pytest.mark.parametrize("kind", pictures())
def test_codes_equal_scikit_image(kind):
    image = pictures()[kind]
    ours = local_binary_patterns(tf.constant(image[np.newaxis, ..., np.newaxis]))[0].numpy()
    theirs = local_binary_pattern(image, 8, 1, "nri_uniform")
    decided = ~exact_tie(image)
    assert decided.mean() > 0.95
    np.testing.assert_array_equal(ours[decided], theirs[decided])
    assert ours.min() >= 0 and ours.max() < CODES


def test_a_tie_counts_as_not_darker():
    """Up-right of the centre: 10 - 3, 10 + 3 beside a corner of 10 interpolate to exactly 10."""
    image = np.full((3, 3), 10, np.uint8)
    image[0, 1], image[1, 2] = 7, 13
    assert exact_tie(np.pad(image, ((0, HEIGHT - 3), (0, WIDTH - 3))))[1, 1]
    code = local_binary_patterns(tf.constant(image[np.newaxis, ..., np.newaxis]))[0, 1, 1]
    # Darker are up (2) and up-left (3) alone: six ones that begin at left (4).
    assert int(code) == 1 + (6 - 1) * 8 + (8 - 4)


def test_direction_matters():
    """A brow that is light above and one that is light beside have different codes."""
    across = np.zeros((1, 9, 9, 1), np.uint8)
    across[:, :5] = 200
    along = across.transpose(0, 2, 1, 3)
    codes = [int(local_binary_patterns(tf.constant(x))[0, 4, 4]) for x in (across, along)]
    assert codes[0] != codes[1]


@pytest.mark.parametrize("grid", [(6, 4), (1, 1), (7, 3)])
def test_histograms_count_codes_in_cells(grid):
    codes = np.random.default_rng(1).integers(0, CODES, (2, HEIGHT, WIDTH)).astype(np.int32)
    found = cell_histograms(tf.constant(codes), grid).numpy().reshape(2, *grid, CODES)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-6)
    for picture in range(2):
        seen = 0
        for row in range(grid[0]):
            for column in range(grid[1]):
                rows = [r for r in range(HEIGHT) if r * grid[0] // HEIGHT == row]
                columns = [c for c in range(WIDTH) if c * grid[1] // WIDTH == column]
                cell = codes[picture][np.ix_(rows, columns)]
                expected = np.bincount(cell.ravel(), minlength=CODES) / cell.size
                np.testing.assert_allclose(found[picture, row, column], expected, atol=1e-6)
                seen += cell.size
        assert seen == HEIGHT * WIDTH


def test_features_are_histograms_then_landmarks():
    image = pictures()["face"]
    landmarks = np.zeros((1, 49, 2), np.float32)
    landmarks[0, 0], landmarks[0, 1], landmarks[0, 48] = (80, 120), (160, 120), (0, 240)
    images = tf.constant(image[np.newaxis, ..., np.newaxis], tf.float32) / 127.5 - 1.0
    extractor = LBPLandmarks(3, 2)
    features = extractor.features(images, tf.constant(landmarks)).numpy()
    assert features.shape == (1, extractor.feature_dim) and features.dtype == np.float32
    codes = local_binary_pattern(image, 8, 1, "nri_uniform")[:20, :20].astype(int)
    np.testing.assert_allclose(features[0, :CODES], np.bincount(codes.ravel(), minlength=59) / 400)
    np.testing.assert_array_equal(features[0, 6 * CODES : 6 * CODES + 4], [0, 0, 1, 0])
    np.testing.assert_array_equal(features[0, -2:], [-1, 1.5])


def test_brightness_and_contrast_change_nothing():
    image = pictures()["face"] // 4
    both = np.stack([image, 3 * image + 20])[..., np.newaxis]
    codes = local_binary_patterns(tf.constant(both)).numpy()[:, 1:-1, 1:-1]
    np.testing.assert_array_equal(codes[0], codes[1])


def test_misuse_is_named():
    images = tf.zeros((1, 4, 4, 1))
    with pytest.raises(ValueError, match="needs registered landmarks"):
        LBPLandmarks(2, 2).features(images)
    with pytest.raises(ValueError, match="a grid of 6x4 cells needs at least as many pixels"):
        LBPLandmarks(6, 4).features(images, tf.zeros((1, 49, 2)))
