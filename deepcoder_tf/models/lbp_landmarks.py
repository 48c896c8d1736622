"""Local binary patterns of a face and its registered landmarks: features without training.

The code of a pixel says which of its eight neighbours are not darker than itself. Registered faces
stand upright, and a furrow across the forehead (AU 1, 2) differs from one beside the nose (AU 6) by
nothing but its direction; hence the 59 uniform codes that keep direction, which the literature on
action units uses, and not the 10 that forget it.

Source: Ahonen, Hadid and Pietikäinen, Face Description with Local Binary Patterns, PAMI 2006;
DeepCoder, section 5 (LBP and landmark features of the Gaussian-process models).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.models.feature_system import Extractor
from deepcoder_tf.numerics import histogram_of
from deepcoder_tf.preprocessing.scale import to_uint8

__all__ = ["CODES", "LBPLandmarks", "cell_histograms", "local_binary_patterns"]

NEIGHBOURS = 8
CODES = NEIGHBOURS * (NEIGHBOURS - 1) + 3
"""58 uniform patterns (at most two changes around the circle) and one for all others."""

DIAGONAL = 70711
"""10⁵ cos 45°, as scikit-image rounds the positions of neighbours: the finer digits would decide
codes of whole-numbered pictures otherwise."""

POINTS = 49
CROP_CENTRE = (80.0, 120.0)
CROP_SCALE = 80.0
"""Centre (x, y) and half the width of a crop of 240x160, pixels. Every crop is registered to one
mean shape, so that a constant transformation says as much as one by the shape itself."""


def uniform_codes() -> np.ndarray:
    """The uniform code of each of the 256 patterns, neighbour i in bit i, int32.

    Numbered as scikit-image does: 0 for no bit, 57 for all, 58 for patterns that are not uniform,
    and between them 8 rotations for each number of ones.
    """
    codes = np.full(2**NEIGHBOURS, CODES - 1, np.int32)
    codes[0], codes[-1] = 0, CODES - 2
    for ones in range(1, NEIGHBOURS):
        for first in range(NEIGHBOURS):
            pattern = sum(1 << (first + k) % NEIGHBOURS for k in range(ones))
            # A run of ones that begins at bit `first` is bit 0's run turned back by as much.
            codes[pattern] = 1 + (ones - 1) * NEIGHBOURS + (NEIGHBOURS - first) % NEIGHBOURS
    return codes


UNIFORM = uniform_codes()


@check_shapes("levels: [batch, rows, columns, 1]", "return: [batch, rows, columns]")
def local_binary_patterns(levels: tf.Tensor) -> tf.Tensor:
    """Uniform local binary patterns of eight neighbours at distance 1.

    Args:
      levels: whole grey levels, uint8.

    Returns:
      int32 codes 0..58, equal to `skimage.feature.local_binary_pattern(image, 8, 1,
      "nri_uniform")`; where an interpolated neighbour is exactly as light as the pixel, it counts
      as not darker, whatever rounding there would make of it.
    """
    # Whole numbers, in hundred-thousandths of a level: exact, in TFLite as here.
    centre = tf.cast(levels[..., 0], tf.int32)
    around = tf.pad(centre, [[0, 0], [1, 1], [1, 1]])  # beyond the edge it is black
    rows, columns = tf.shape(centre)[1], tf.shape(centre)[2]

    def step(down: int, right: int) -> tf.Tensor:
        """Difference of the pixel so far away."""
        return around[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns] - centre

    def diagonal(down: int, right: int) -> tf.Tensor:
        """Difference of the neighbour at 45°, interpolated; exactly 0 where all four agree."""
        return DIAGONAL * step(down, right) + (10**5 - DIAGONAL) * (step(down, 0) + step(0, right))

    # From the right counter-clockwise. The pixel's own difference, the fourth corner's, is 0.
    differences = [
        step(0, 1),
        diagonal(-1, 1),
        step(-1, 0),
        diagonal(-1, -1),
        step(0, -1),
        diagonal(1, -1),
        step(1, 0),
        diagonal(1, 1),
    ]
    patterns = tf.add_n(
        [tf.cast(d >= 0, tf.int32) * (1 << bit) for bit, d in enumerate(differences)]
    )
    return tf.gather(tf.constant(UNIFORM), patterns)


def cells_of(size: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """The cell `[rows, columns]` int32 of each pixel; cells differ by at most one pixel a side."""
    row, column = (np.arange(n) * parts // n for n, parts in zip(size, grid, strict=True))
    return (row[:, np.newaxis] * grid[1] + column).astype(np.int32)


@check_shapes("codes: [batch, rows, columns]", "return: [batch, features]")
def cell_histograms(codes: tf.Tensor, grid: tuple[int, int]) -> tf.Tensor:
    """Shares of the codes in each cell of a grid.

    Args:
      codes: from `local_binary_patterns`; rows and columns are static.
      grid: cells down and across; no more than pixels.

    Returns:
      `[batch, cells * 59]` float32, cell after cell in reading order; each cell sums to 1.
    """
    cells = cells_of((codes.shape[1], codes.shape[2]), grid)
    bins = codes + CODES * tf.constant(cells)
    count = CODES * grid[0] * grid[1]
    flat = tf.reshape(bins, [-1, cells.size])
    histogram = histogram_of(flat, count)
    pixels = np.repeat(np.bincount(cells.ravel(), minlength=grid[0] * grid[1]), CODES)
    return tf.cast(histogram, tf.float32) / tf.constant(pixels, tf.float32)


@keras.saving.register_keras_serializable("deepcoder_tf")
class LBPLandmarks(Extractor):
    """Histograms of local binary patterns over a grid, and 49 landmarks.

    The patterns are taken on whole grey levels, as images are stored for training; an exported
    model rounds in the same place.

    Args:
      rows: cells down.
      columns: cells across.
    """

    needs_landmarks = True

    def __init__(self, rows: int, columns: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns
        self.feature_dim = CODES * rows * columns + 2 * POINTS

    def build(self, input_shape=None) -> None:
        """Nothing to create: these features are not learnt."""
        self.built = True

    def features(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> tf.Tensor:
        """Histograms, then landmarks in half widths of the crop from its centre (x, y, x, y, ...).

        Args:
          images: `[B, H, W, 1]` float32 in -1..1.
          landmarks: `[B, 49, 2]` float32, registered, crop pixels (x, y).

        Returns:
          `[B, rows * columns * 59 + 98]` float32.

        Raises:
          ValueError: no landmarks, or fewer pixels than cells.
        """
        if landmarks is None:
            raise ValueError("LBPLandmarks needs registered landmarks [B, 49, 2]")
        if images.shape[1] < self.rows or images.shape[2] < self.columns:
            raise ValueError(
                f"a grid of {self.rows}x{self.columns} cells needs at least as many pixels, got "
                f"{images.shape[1]}x{images.shape[2]}"
            )
        histograms = cell_histograms(
            local_binary_patterns(to_uint8(images)), (self.rows, self.columns)
        )
        shape = (tf.cast(landmarks, tf.float32) - tf.constant(CROP_CENTRE)) / CROP_SCALE
        return tf.concat([histograms, tf.reshape(shape, [-1, 2 * POINTS])], axis=1)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}
