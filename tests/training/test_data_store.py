"""Training images on disk: whole or not there, and read by rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.training.data import Frames, batches, open_store, write_store

SHAPE = (4, 3)


def images(count: int) -> np.ndarray:
    """Every image different."""
    return np.arange(count * 12, dtype=np.uint32).astype(np.uint8).reshape(count, *SHAPE, 1)


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "cache" / "train.npy"
    data = images(7)
    write_store(path, iter([data[:3], data[3:4], data[4:]]), 7, SHAPE)
    store = open_store(path)
    assert isinstance(store, np.memmap) and store.dtype == np.uint8
    np.testing.assert_array_equal(store, data)
    assert [p.name for p in path.parent.iterdir()] == ["train.npy"]


def test_a_failure_leaves_nothing_under_the_name(tmp_path):
    path = tmp_path / "train.npy"

    def broken():
        yield images(2)
        assert not path.exists()
        raise RuntimeError("the reader failed")

    with pytest.raises(RuntimeError, match="the reader failed"):
        write_store(path, broken(), 4, SHAPE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("data", "count", "message"),
    [
        (images(3), 4, "3 images for 4 rows"),
        (images(5), 4, "5 images for 4 rows"),
        (images(4).astype(np.float32), 4, "not float32"),
        (images(4)[:, :2], 4, r"not uint8 \(2, 3, 1\)"),
    ],
)
def test_other_images_than_announced(tmp_path, data, count, message):
    with pytest.raises(ValueError, match=message):
        write_store(tmp_path / "train.npy", [data], count, SHAPE)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "train.npy.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"the disk is full while writing .*train\.npy"):
        write_store(tmp_path / "train.npy", [images(4)], 4, SHAPE)


def test_batches_gather_rows_of_every_part(tmp_path):
    write_store(tmp_path / "a.npy", [images(9)], 9, SHAPE)
    parts = {"mean": open_store(tmp_path / "a.npy"), "labels": np.arange(18).reshape(9, 2)}
    rows = np.array([[8, 0, 3], [3, 3, 1]])
    found = list(batches(parts, rows))
    assert len(found) == 2
    for batch, index in zip(found, rows, strict=True):
        np.testing.assert_array_equal(batch["index"], index)
        np.testing.assert_array_equal(batch["mean"], images(9)[index])
        np.testing.assert_array_equal(batch["labels"], parts["labels"][index])
        assert batch["mean"].shape == (3, *SHAPE, 1)


def test_no_batches_of_no_rows():
    assert not list(batches({"mean": images(2)}, np.empty((0, 3), np.int64)))


def test_taken_frames_are_copies():
    frames = Frames(images(5), np.zeros((5, 2), np.int32), np.array(list("aabbb")), np.arange(5))
    taken = frames.take(np.array([4, 1]))
    np.testing.assert_array_equal(taken.images, images(5)[[4, 1]])
    assert list(taken.subjects) == ["b", "a"] and list(taken.rows) == [4, 1]
