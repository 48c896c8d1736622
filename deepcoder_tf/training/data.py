"""The training images as the model sees them, on disk: memory stays flat however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf import files

__all__ = ["Frames", "RowView", "batches", "open_store", "write_store"]


class RowView:
    """Some rows of an array on disk, without a copy; indexed like the array itself.

    Args:
      array: `[N, ...]`.
      rows: which rows are seen, in order.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array, self.rows = array, rows
        self.dtype = array.dtype
        self.shape = (len(rows), *array.shape[1:])

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.array[self.rows[index]]


class Frames(NamedTuple):
    """Frames of one split, row by row.

    Attributes:
      images: `[N, H, W, 1]` uint8, equalised and resized; usually a memory map,
        or some rows of one.
      labels: `[N, Q]` int32, -1 where missing.
      subjects: `[N]` names.
      rows: `[N]` int64 rows of `frames.csv`.
      landmarks: `[N, 49, 2]` float32, registered, crop pixels (x, y); None where no system asks.
    """

    images: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    rows: np.ndarray
    landmarks: np.ndarray | None = None

    def take(self, index: np.ndarray) -> Frames:
        """The frames at `index`, copied into memory."""
        images, labels, subjects, rows, landmarks = self
        chosen = None if landmarks is None else landmarks[index]
        return Frames(
            np.asarray(images[index]), labels[index], subjects[index], rows[index], chosen
        )


def write_store(
    path: Path, images: Iterable[np.ndarray], count: int, shape: tuple[int, int]
) -> None:
    """Writes images one batch at a time under a temporary name, then renames.

    Args:
      path: of the `.npy` file.
      images: batches `[b, H, W, 1]` uint8.
      count: N, how many there will be.
      shape: `(H, W)`.

    Raises:
      UserError: the disk is full or cannot be written.
      ValueError: other images than announced, or another number of them.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape, 1)}
    written = 0
    # Written, not memory mapped: a full disk kills a process that writes through a map.
    with files.replacing(path, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for batch in images:
            if batch.dtype != np.uint8 or batch.shape[1:] != (*shape, 1):
                raise ValueError(
                    f"{path} holds uint8 images {shape}, not {batch.dtype} {batch.shape[1:]}"
                )
            stream.write(batch.tobytes())
            written += len(batch)
        if written != count:
            raise ValueError(f"{written} images for {count} rows in {path}")


def open_store(path: Path) -> np.ndarray:
    """The images of `write_store`, memory mapped."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def batches(parts: dict[str, np.ndarray], rows: np.ndarray) -> Iterator[dict[str, tf.Tensor]]:
    """Gathers rows of arrays, one batch ahead of the step that uses them.

    Args:
      parts: arrays with N rows each, memory maps included.
      rows: `[batches, batch_size]`.

    Yields:
      For each batch the gathered parts, and `index` `[batch_size]` int32.
    """
    names = list(parts)
    types = [tf.as_dtype(parts[name].dtype) for name in names]

    def gather(index: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(parts[name][index]) for name in names]

    def load(index: tf.Tensor) -> dict[str, tf.Tensor]:
        values = tf.numpy_function(gather, [index], types, stateful=False)
        loaded = {"index": tf.cast(index, tf.int32)}
        for name, value in zip(names, values, strict=True):
            value.set_shape((rows.shape[1], *parts[name].shape[1:]))
            loaded[name] = value
        return loaded

    dataset = tf.data.Dataset.from_tensor_slices(rows).map(load, num_parallel_calls=1)
    yield from dataset.prefetch(2)
