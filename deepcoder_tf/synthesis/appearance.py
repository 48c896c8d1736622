"""What is painted on the head: skin, brows, hair, beard, and the lines that expressions draw.

All painting happens on the chart (see `head.chart`), in degrees about the nose and decimetres of
height on the neutral head, so a brow moves with the skin under it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.synthesis.head import CHART_ANGLE, CHART_HIGH, CHART_LOW
from deepcoder_tf.synthesis.subject import Subject

__all__ = ["CHART_SIZE", "CHART_STEP", "expression_lines", "hair_thickness", "paint_albedo"]

CHART_SIZE = 512
"""Rows and columns of the chart."""
CHART_STEP = (CHART_HIGH - CHART_LOW) / CHART_SIZE
"""Height of one row of the chart, decimetres."""

Grid = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Degrees left of the nose and height in decimetres of every pixel of the chart."""
Stroke = tuple[float, tuple[tuple[float, float], ...]]
"""Strength at intensity 5, and the points (degrees left of the nose, height in dm) of a line."""

LINES: dict[str, tuple[Stroke, ...]] = {
    # horizontal lines of the middle forehead
    "AU01": (
        (0.9, ((0, 7.64), (7, 7.655), (14, 7.64))),
        (0.8, ((0, 7.74), (7, 7.76), (15, 7.74))),
        (0.6, ((0, 7.84), (7, 7.86), (14, 7.85))),
    ),
    # horizontal lines of the outer forehead
    "AU02": (
        (0.9, ((13, 7.66), (22, 7.685), (31, 7.63))),
        (0.7, ((13, 7.75), (22, 7.78), (30, 7.73))),
        (0.5, ((14, 7.85), (22, 7.87), (29, 7.83))),
    ),
    # upright lines between the brows
    "AU04": (
        (1.2, ((3.6, 7.36), (4.0, 7.45), (3.4, 7.56))),
        (0.6, ((1.2, 7.40), (1.4, 7.52))),
        (0.6, ((0, 7.335), (3.5, 7.345))),
    ),
    # crow's feet, and the furrow below the eye
    "AU06": (
        (1.2, ((29, 7.31), (34, 7.345), (39, 7.40))),
        (1.2, ((29, 7.28), (34, 7.28), (40, 7.29))),
        (1.1, ((28, 7.25), (33, 7.21), (38, 7.17))),
        (1.0, ((10, 7.17), (17, 7.12), (25, 7.14), (30, 7.20))),
    ),
    # lines across the root of the nose, down its sides and beside its wings
    "AU09": (
        (1.0, ((0, 7.27), (3.5, 7.285), (5.5, 7.31))),
        (0.9, ((0, 7.20), (3, 7.215), (5, 7.24))),
        (0.9, ((4.0, 7.13), (6.0, 7.20), (8.0, 7.24))),
        (0.9, ((5.0, 7.05), (8.0, 7.12), (10.0, 7.14))),
        (1.1, ((6.6, 6.97), (8.2, 6.90), (9.5, 6.83))),
    ),
    # the upper part of the fold between nose and cheek
    "AU10": ((1.3, ((6.6, 6.98), (9.5, 6.90), (13.0, 6.80), (15.5, 6.70))),),
    # the whole fold between nose and cheek
    "AU12": ((1.1, ((7.2, 6.95), (11.5, 6.86), (15.5, 6.75), (17.8, 6.64))),),
    # a pit beside each lip corner
    "AU14": (
        (1.3, ((16.2, 6.68), (17.4, 6.62), (16.6, 6.55))),
        (0.6, ((18.6, 6.70), (19.8, 6.62), (19.0, 6.54))),
    ),
    # lines that run down from the lip corners
    "AU15": (
        (1.0, ((14.8, 6.60), (16.4, 6.53), (17.0, 6.43))),
        (0.5, ((17.4, 6.60), (19.0, 6.52), (19.4, 6.44))),
    ),
    # the fold above the chin's boss and the puckers on it
    "AU17": (
        (1.0, ((0, 6.425), (5, 6.415), (9, 6.385))),
        (0.45, ((0, 6.375), (1.5, 6.365), (3, 6.372))),
        (0.45, ((3.5, 6.350), (5.0, 6.340), (6.5, 6.350))),
        (0.40, ((0, 6.325), (1.5, 6.315), (3, 6.322))),
        (0.35, ((3.5, 6.300), (4.5, 6.292), (5.5, 6.300))),
    ),
    # upright lines beside the stretched mouth
    "AU20": (
        (1.0, ((18.5, 6.74), (20.0, 6.64), (19.5, 6.52))),
        (0.8, ((21.5, 6.72), (22.8, 6.62), (22.0, 6.50))),
    ),
}
"""Action unit -> its lines on the left half of the face; the right half mirrors them."""

LINE_DARKENING = 0.42
"""Share of the light that a line of strength 1 swallows at intensity 5."""

HAIRLINE = (
    (0.0, 7.99), (14.0, 7.99), (26.0, 7.95), (33.0, 7.85), (39.0, 7.70), (44.0, 7.54),
    (48.0, 7.30), (55.0, 7.22), (60.0, 7.36), (85.0, 7.36), (100.0, 6.75), (120.0, 6.60),
)  # fmt: skip
"""Degrees from the nose, height in decimetres above which short hair grows."""
LONG_HAIR = (40.0, 60.0, 1.3)
"""Long hair hangs lower: from, to degrees from the nose, by decimetres at most."""
HAIR_COVERS, HAIR_RISES = (-0.04, 0.06), (-0.05, 0.35)
"""From nothing to full, decimetres above the hairline: the colour, and more gently the volume."""
LASHES = ((25.0, 7.303), (22.5, 7.326), (19.0, 7.340), (15.0, 7.336), (12.5, 7.312), (11.0, 7.275))
"""The edge of the upper lid, from the outer to the inner corner of the eye."""
BROW = ((5.8, 7.450), (12.0, 7.482), (19.0, 7.505), (27.0, 7.490), (34.5, 7.420))
"""The middle line of a brow, from the nose outwards."""
NECKLINE = 5.93
"""Height in decimetres below which clothes begin, in the middle."""


def chart_grid() -> Grid:
    """Degrees left of the nose and height in decimetres of every pixel of the chart."""
    centre = (np.arange(CHART_SIZE, dtype=np.float32) + 0.5) / CHART_SIZE
    degrees, height = np.meshgrid(
        (centre - 0.5) * 2 * CHART_ANGLE, CHART_HIGH - centre * (CHART_HIGH - CHART_LOW)
    )
    return degrees.astype(np.float32), height.astype(np.float32)


def smooth_step(x: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bump(
    grid: Grid,
    centre: tuple[float, float],
    spread: tuple[float, float],
) -> NDArray[np.float32]:
    """Gaussian spots of height 1 at `centre` and at its mirror image; degrees and decimetres."""
    across, up = (np.abs(grid[0]) - centre[0]) / spread[0], (grid[1] - centre[1]) / spread[1]
    return np.exp(-0.5 * (across**2 + up**2))


def noise(rng: np.random.Generator, sigma: tuple[float, float]) -> NDArray[np.float32]:
    """Smooth noise of mean 0 and standard deviation 1; `sigma` in pixels across and down."""
    raw = rng.standard_normal((CHART_SIZE, CHART_SIZE), dtype=np.float32)
    smooth = cv2.GaussianBlur(raw, (0, 0), sigmaX=sigma[0], sigmaY=sigma[1])
    return (smooth - smooth.mean()) / smooth.std()


def above_hairline(
    degrees: NDArray[np.float32], height: NDArray[np.float32], subject: Subject
) -> NDArray[np.float32]:
    """How far above the hairline points of the neutral head are.

    Args:
      degrees: from the nose.
      height: decimetres; same shape.
      subject: whose hair.

    Returns:
      Decimetres, negative below; same shape.
    """
    beside = np.abs(degrees)
    line = np.interp(beside, *np.transpose(HAIRLINE)).astype(np.float32)
    start, end, drop = LONG_HAIR
    line -= subject.hair_length * drop * smooth_step(beside, start, end)
    return (height - line - subject.hair_height).astype(np.float32)


def hair_thickness(
    degrees: NDArray[np.float32], height: NDArray[np.float32], subject: Subject
) -> NDArray[np.float32]:
    """How far the hair stands off the skin, decimetres; arguments as `above_hairline`."""
    return np.float32(subject.hair_volume) * smooth_step(
        above_hairline(degrees, height, subject), *HAIR_RISES
    )


def paint_albedo(subject: Subject) -> NDArray[np.float32]:
    """Paints one person's reflectance.

    Args:
      subject: whose.

    Returns:
      `[CHART_SIZE, CHART_SIZE, 3]` red, green, blue reflectance in [0, 1], linear light.
    """
    rng = np.random.default_rng(subject.texture_seed)
    grid = chart_grid()
    degrees, height = grid
    image = bare_skin(subject, grid, rng)
    hair = np.array(subject.hair, dtype=np.float32)
    strands = 0.3 * noise(rng, (0.8, 6)) + 0.2 * noise(rng, (3, 14))
    blend(image, 1.2 * hair + 0.02, beard_cover(subject, grid, rng))
    lashes = subject.lash_density * np.clip(draw_line((1.0, LASHES), ridge=0.0), 0, 1)
    blend(image, 0.3 * hair, lashes)
    blend(image, hair * np.exp(0.5 * strands)[..., None], brow_cover(subject, grid, rng))
    above = above_hairline(degrees, height + 0.015 * noise(rng, (1.5, 1.5)), subject)
    cover = smooth_step(above, *HAIR_COVERS)
    blend(image, 1.3 * hair * np.exp(strands)[..., None], cover)
    collar = (NECKLINE + 0.004 * np.abs(degrees) - height).astype(np.float32)
    blend(image, np.array(subject.clothes, dtype=np.float32), smooth_step(collar, -0.01, 0.01))
    return np.clip(image, 0.002, 0.95)


def bare_skin(subject: Subject, grid: Grid, rng: np.random.Generator) -> NDArray[np.float32]:
    """Reflectance of the skin alone: mottled, redder on cheeks and nose, darker round the eyes."""
    coarse, middle, fine = (noise(rng, (sigma, sigma)) for sigma in (16, 4, 1.2))
    mottle = 0.05 * coarse + 0.025 * middle + 0.03 * fine
    flush = 0.8 * bump(grid, (21, 6.98), (8, 0.12)) + 0.7 * bump(grid, (0, 6.92), (6, 0.09))
    flush += 0.3 * bump(grid, (0, 6.33), (8, 0.08)) + 0.06 * noise(rng, (10, 10))
    socket = bump(grid, (17.5, 7.30), (8, 0.07)) + 0.6 * bump(grid, (11, 7.2), (5, 0.06))
    reddening = flush[..., None] * np.array([0.03, -0.16, -0.13], dtype=np.float32)
    tint = np.exp(reddening + (mottle - 0.16 * socket)[..., None])
    return (np.array(subject.skin, dtype=np.float32) * tint).astype(np.float32)


def beard_cover(subject: Subject, grid: Grid, rng: np.random.Generator) -> NDArray[np.float32]:
    """How much of the skin the stubble hides, 0 to 1."""
    degrees, height = grid
    jaw = 1 - smooth_step(np.abs(height - 6.42), 0.12, 0.42)
    jaw *= 1 - smooth_step(np.abs(degrees), 45, 75)
    jaw *= 1 - 0.85 * bump(grid, (0, 6.60), (15, 0.085))  # the lips
    jaw *= 1 - bump(grid, (22, 6.98), (10, 0.22))  # the cheeks
    return np.clip(0.55 * subject.beard * jaw * (1 + 0.35 * noise(rng, (0.8, 0.8))), 0, 0.85)


def blend(
    image: NDArray[np.float32], colour: NDArray[np.float32], cover: NDArray[np.float32]
) -> None:
    """Lays `colour` over `image` in place where `cover` is 1."""
    image += cover[..., None] * (colour - image)


def brow_cover(subject: Subject, grid: Grid, rng: np.random.Generator) -> NDArray[np.float32]:
    """How much of the skin the brows hide, 0 to 1."""
    beside = np.abs(grid[0])
    points, line = np.transpose(BROW)
    middle = np.interp(beside, points, line).astype(np.float32)
    # Brows are full near the nose and taper to a point at the temple.
    along = ((beside - points[0]) / (points[-1] - points[0])).astype(np.float32)
    half = subject.brow_thickness * np.interp(along, [0, 0.15, 0.6, 1], [0.7, 1, 0.8, 0.25])
    across = (grid[1] - middle) / half.astype(np.float32)
    ends = smooth_step(along, -0.06, 0.08) * (1 - smooth_step(along, 0.92, 1.05))
    hairs = 1 + 0.35 * noise(rng, (1.0, 2.0))
    return np.clip(np.exp(-(np.abs(across) ** 3)) * ends * subject.brow_density * hairs, 0, 0.96)


def to_pixels(points: Sequence[tuple[float, float]], mirrored: bool) -> NDArray[np.float64]:
    """Chart pixels (column, row) of points given in degrees and decimetres."""
    degrees, height = np.transpose(points)
    u = 0.5 + 0.5 * (-degrees if mirrored else degrees) / CHART_ANGLE
    v = (CHART_HIGH - height) / (CHART_HIGH - CHART_LOW)
    return np.stack([u, v], axis=1) * CHART_SIZE - 0.5


def draw_line(stroke: Stroke, ridge: float = 0.45) -> NDArray[np.float32]:
    """A furrow on both halves of the face: 1 along the line, down to -`ridge` beside it."""
    strength, points = stroke
    canvas = np.zeros((CHART_SIZE, CHART_SIZE), dtype=np.uint8)
    for mirrored in (False, True):
        pixels = np.round(to_pixels(points, mirrored) * 16).astype(np.int32)
        cv2.polylines(canvas, [pixels], False, 255, 1, cv2.LINE_AA, shift=4)
    drawn = canvas.astype(np.float32)
    furrow = cv2.GaussianBlur(drawn, (0, 0), 1.5)
    beside = cv2.GaussianBlur(drawn, (0, 0), 3.5)
    return strength * (furrow / furrow.max() - ridge * beside / beside.max())


def expression_lines() -> dict[str, NDArray[np.float32]]:
    """The lines of each action unit at intensity 5.

    Returns:
      Action unit -> `[CHART_SIZE, CHART_SIZE]` logarithm of the share of light that is left;
      negative in a furrow, slightly positive beside it.
    """
    depth = np.log1p(-LINE_DARKENING)
    return {
        name: (depth * np.sum([draw_line(stroke) for stroke in strokes], axis=0)).astype(np.float32)
        for name, strokes in LINES.items()
    }
