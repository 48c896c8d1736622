"""Similarity registration to a mean shape: the geometry between landmarks and crops.

In the plane a similarity without reflection is multiplication and addition of complex numbers,
x -> a x + b, so that the least-squares fit (Umeyama 1991) is one complex division: with shapes
centred, a = <x, y> / <x, x>. It cannot reflect.

Source: Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns,
PAMI 1991; Gower, Generalized Procrustes Analysis, Psychometrika 1975.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "COINCIDE",
    "CROP_SHAPE",
    "FRACTION_BITS",
    "SHRINK_SLACK",
    "fit_similarity",
    "mean_shape",
    "place_in_crop",
    "register",
    "warp",
]

CROP_SHAPE = (240, 160)
"""Rows and columns of a crop, as in the paper (section 5)."""

SIDE_MARGIN = 0.10
"""Share of the crop's width left of, and right of, the mean shape's outermost brow points."""

TOP_MARGIN = 0.25
"""Share of the crop's height above the brows: the forehead, whose wrinkles belong to AU 1 and 2.
The chin then falls at about 0.85 of the height, with room below it for a dropped jaw (AU 26)."""

LEFT_EYE, RIGHT_EYE = slice(19, 25), slice(25, 31)
"""Columns of the 49 points: the eye at the left of the picture, and the one at its right."""

COINCIDE = 1e-24
"""Spread of a shape's points, as a share of their squares, that rounding alone can make."""

FRACTION_BITS = 11
"""A crop is resampled at positions of 1/2048 pixel in integers: finer than a grey level, and the
same on every machine and in every program, where single precision is not. The weights of four
pixels sum to 2^22, so that 32 bits hold their sum."""

SHRINK_SLACK = 1e-6
"""A face 1.999999 times as large as in the crop counts as twice as large: rounding must not tell
which way a picture goes."""

PROCRUSTES_TOLERANCE = 1e-7
PROCRUSTES_ITERATIONS = 100
"""Shapes have unit size, so that the tolerance is a share of it; four or five rounds are usual."""


def as_complex(points: np.ndarray) -> np.ndarray:
    """`[..., P, 2]` to complex `[..., P]`, in double precision."""
    points = np.asarray(points, np.float64)
    return points[..., 0] + 1j * points[..., 1]


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The least-squares similarity transform (rotation, one scale, translation; no reflection).

    Args:
      source: `[P, 2]` points.
      target: `[P, 2]` where they shall go.

    Returns:
      `[2, 3]` float64 matrix for `warp` (source to target pixels).

    Raises:
      ValueError: shapes differ, or all source points coincide.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(f"expected two arrays [P, 2], got {source.shape} and {target.shape}")
    a, b = similarity(as_complex(source), as_complex(target))
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def similarity(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The factors a and offsets b, `[...]`, of x -> a x + b from complex shapes `[..., P]` to y."""
    x_mean, y_mean = x.mean(axis=-1), y.mean(axis=-1)
    centred = x - x_mean[..., np.newaxis]
    spread = (np.abs(centred) ** 2).sum(axis=-1)
    if not np.all(spread > COINCIDE * (np.abs(x) ** 2).sum(axis=-1)):
        raise ValueError("the source points coincide: no similarity transform is defined")
    a = (centred.conj() * (y - y_mean[..., np.newaxis])).sum(axis=-1) / spread
    return a, y_mean - a * x_mean


def register(shapes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Moves shapes to a target, each by the similarity transform that cuts its frame's crop.

    Args:
      shapes: `[N, P, 2]` points, pixels of the picture.
      target: `[P, 2]`, the mean shape in crop pixels.

    Returns:
      `[N, P, 2]` float32, crop pixels.

    Raises:
      ValueError: other shapes than these, or all points of a shape coincide.
    """
    if shapes.ndim != 3 or shapes.shape[1:] != target.shape or target.shape[-1] != 2:
        raise ValueError(f"expected [N, P, 2] and [P, 2], got {shapes.shape} and {target.shape}")
    x = as_complex(shapes)
    a, b = similarity(x, as_complex(target))
    moved = a[:, np.newaxis] * x + b[:, np.newaxis]
    return np.stack([moved.real, moved.imag], axis=-1).astype(np.float32)


def mean_shape(shapes: Sequence[np.ndarray]) -> np.ndarray:
    """Generalised Procrustes mean, each subject with equal weight however many frames it has.

    Args:
      shapes: one array `[frames, 49, 2]` per subject, pixels.

    Returns:
      `[49, 2]` float64, centred, of unit size (root sum of squares), eyes level.

    Raises:
      ValueError: no subject, or a subject without frames.
    """
    if not shapes or any(len(subject) == 0 for subject in shapes):
        raise ValueError("the mean shape needs at least one frame of every training subject")
    weights = np.concatenate([np.full(len(s), 1 / (len(s) * len(shapes))) for s in shapes])
    x = as_complex(np.concatenate(shapes))
    x = x - x.mean(axis=1, keepdims=True)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mean = level_eyes(x[0])
    for _ in range(PROCRUSTES_ITERATIONS):
        # With both sides of unit size the optimal rotation is <x, mean> / |<x, mean>|.
        rotation = (x.conj() * mean).sum(axis=1)
        rotation /= np.abs(rotation)
        new = (weights[:, None] * rotation[:, None] * x).sum(axis=0)
        new = level_eyes(new / np.linalg.norm(new))
        change = np.linalg.norm(new - mean)
        mean = new
        if change < PROCRUSTES_TOLERANCE:
            break
    return np.stack([mean.real, mean.imag], axis=-1)


def level_eyes(shape: np.ndarray) -> np.ndarray:
    """Rotates a complex shape `[49]` so that its eye centres lie on one level."""
    line = shape[RIGHT_EYE].mean() - shape[LEFT_EYE].mean()
    return shape * (line.conj() / abs(line))


def place_in_crop(shape: np.ndarray, crop_shape: tuple[int, int] = CROP_SHAPE) -> np.ndarray:
    """Scales and moves a mean shape to where it lies in every crop.

    Args:
      shape: `[49, 2]` as `mean_shape` gives it.
      crop_shape: rows and columns.

    Returns:
      `[49, 2]` float64, crop pixels: `SIDE_MARGIN` on both sides, brows at `TOP_MARGIN`.
    """
    rows, columns = crop_shape
    low, high = shape.min(axis=0), shape.max(axis=0)
    scale = (1 - 2 * SIDE_MARGIN) * columns / (high[0] - low[0])
    corner = np.array([SIDE_MARGIN * columns, TOP_MARGIN * rows])
    return (shape - low) * scale + corner


def warp(
    image: np.ndarray, matrix: np.ndarray, crop_shape: tuple[int, int] = CROP_SHAPE
) -> np.ndarray:
    """Resamples a picture into a crop, without aliasing when the face is larger than the crop.

    `export.registration` computes the same in a graph, to the last bit.

    Args:
      image: `[height, width]` uint8.
      matrix: `[2, 3]` from picture to crop pixels, as `fit_similarity` gives it.
      crop_shape: rows and columns.

    Returns:
      `[rows, columns]` uint8; beyond the picture's edge its border pixels are repeated.
    """
    matrix = np.array(matrix, np.float64)
    size = 1 / np.hypot(matrix[0, 0], matrix[1, 0]) + SHRINK_SLACK
    shrink = int(min(size, max(image.shape)))
    if shrink >= 2:
        image, matrix = shrink_first(image, matrix, shrink, crop_shape)
    return resample(image, matrix, crop_shape)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of the `[2, 2]` part of a matrix `[2, 3]`."""
    (a, b, _), (c, d, _) = matrix
    return np.array([[d, -b], [-c, a]]) / (a * d - b * c)


def resample(image: np.ndarray, matrix: np.ndarray, crop_shape: tuple[int, int]) -> np.ndarray:
    """Bilinear interpolation in integers; `matrix` goes from picture to crop pixels."""
    rows, columns = crop_shape
    height, width = image.shape
    back = inverse(matrix)
    u = np.arange(columns) - matrix[0, 2]
    v = (np.arange(rows) - matrix[1, 2])[:, np.newaxis]
    left, right, x = neighbours(back[0, 0] * u + back[0, 1] * v, width)
    upper, lower, y = neighbours(back[1, 0] * u + back[1, 1] * v, height)
    flat = image.ravel()
    top = between(flat[upper * width + left], flat[upper * width + right], x)
    bottom = between(flat[lower * width + left], flat[lower * width + right], x)
    half = 1 << (2 * FRACTION_BITS - 1)
    return ((between(top, bottom, y) + half) >> (2 * FRACTION_BITS)).astype(np.uint8)


def neighbours(position: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels on both sides of positions, and how far on the way to the second, in 1/2048."""
    # A position beyond the edge is one on the edge: that repeats the border pixel.
    fixed = np.clip(position, 0, size - 1) * (1 << FRACTION_BITS) + 0.5
    fixed = fixed.astype(np.int64)
    first = fixed >> FRACTION_BITS
    part = (fixed & ((1 << FRACTION_BITS) - 1)).astype(np.int32)
    return first, np.minimum(first + 1, size - 1), part


def between(one: np.ndarray, two: np.ndarray, part: np.ndarray) -> np.ndarray:
    """2048 times the value `part` / 2048 of the way from one to two, int32."""
    one, two = one.astype(np.int32, copy=False), two.astype(np.int32, copy=False)
    return (one << FRACTION_BITS) + part * (two - one)


def shrink_first(
    image: np.ndarray, matrix: np.ndarray, shrink: int, crop_shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Averages blocks of shrink x shrink pixels of the part of the picture that the crop shows.

    Bilinear interpolation looks at four pixels only; when a crop pixel spans more of them, fine
    texture would turn into noise.
    """
    rows, columns = crop_shape
    corners = np.array([[0, 0], [columns, 0], [0, rows], [columns, rows]], np.float64)
    inside = (corners - matrix[:, 2]) @ inverse(matrix).T
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(inside.min(axis=0)) - 2 * shrink, 0, size - 1).astype(np.int64)
    high = np.clip(np.ceil(inside.max(axis=0)) + 2 * shrink, low + 1, size).astype(np.int64)
    blocks = (high - low) // shrink
    if (blocks < 2).any():
        return image, matrix
    high = low + blocks * shrink
    part = block_means(image[low[1] : high[1], low[0] : high[0]], shrink)
    # Pixel centres: x_picture = shrink * x_part + (shrink - 1) / 2 + low.
    offset = (shrink - 1) / 2 + low
    shifted = np.column_stack([shrink * matrix[:, :2], matrix[:, :2] @ offset + matrix[:, 2]])
    return part, shifted


def block_means(image: np.ndarray, side: int) -> np.ndarray:
    """Means of side x side pixels, halves upwards: uint8 to uint8, a multiple of side each way."""
    total = np.zeros((image.shape[0] // side, image.shape[1] // side), np.int64)
    for row in range(side):
        for column in range(side):
            total += image[row::side, column::side]
    area = side * side
    return ((2 * total + area) // (2 * area)).astype(np.uint8)
