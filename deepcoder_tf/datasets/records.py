"""Crops as TFRecord examples: written in pass 2, streamed into training and evaluation.

| feature   | type       | meaning                                              |
|-----------|------------|------------------------------------------------------|
| `crop`    | bytes      | PNG, 8-bit grey, registered, not equalised           |
| `labels`  | int64 [Q]  | levels 0..5, -1 where missing                        |
| `subject` | bytes      | for example `SN001`                                  |
| `video`   | bytes      | name of the recording                                |
| `frame`   | int64      | frame number as in the source                        |
| `row`     | int64      | row of `frames.csv`, from 0                          |
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from deepcoder_tf.datasets.prepared import PreparedInfo, dataset_info
from deepcoder_tf.errors import UserError

__all__ = ["encode_example", "load_crops", "read_fold"]

FAST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
"""Within 3 % of the default's size on faces, and a quarter faster."""


def encode_example(
    crop: np.ndarray, labels: np.ndarray, subject: str, video: str, frame: int, row: int
) -> bytes:
    """Serialises one crop.

    Args:
      crop: `[rows, columns]` uint8.
      labels: `[Q]` levels, -1 where missing.
      subject: who is seen.
      video: name of the recording.
      frame: frame number as in the source.
      row: row of `frames.csv`, from 0.

    Returns:
      A serialised `tf.train.Example`; the same bytes for the same arguments.
    """
    png = cv2.imencode(".png", crop, FAST_PNG)[1].tobytes()
    feature = {
        "crop": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
        "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels.tolist())),
        "subject": tf.train.Feature(bytes_list=tf.train.BytesList(value=[subject.encode()])),
        "video": tf.train.Feature(bytes_list=tf.train.BytesList(value=[video.encode()])),
        "frame": tf.train.Feature(int64_list=tf.train.Int64List(value=[frame])),
        "row": tf.train.Feature(int64_list=tf.train.Int64List(value=[row])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    # Without this the order of the features, and so the file, differs from process to process.
    return example.SerializeToString(deterministic=True)


def read_fold(prepared: str | Path, fold: int, split: str) -> tf.data.Dataset:
    """Streams the crops of one split.

    Args:
      prepared: folder that `deepcoder-prepare` wrote.
      fold: number of the fold, from 0.
      split: `"train"`, `"validation"` or `"test"`.

    Returns:
      Dictionaries with `crop` uint8 `[rows, columns, 1]`, `labels` int32 `[Q]`, `subject` and
      `video` string, `frame` and `row` int64, in the order of `prepared.load_index`.

    Raises:
      UserError: no such folder or fold, or a shard is not there.
      ValueError: an unknown split.
    """
    info = dataset_info(prepared)
    spec = {
        "crop": tf.io.FixedLenFeature([], tf.string),
        "labels": tf.io.FixedLenFeature([len(info.action_units)], tf.int64),
        "subject": tf.io.FixedLenFeature([], tf.string),
        "video": tf.io.FixedLenFeature([], tf.string),
        "frame": tf.io.FixedLenFeature([], tf.int64),
        "row": tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(example: tf.Tensor) -> dict[str, tf.Tensor]:
        features = tf.io.parse_single_example(example, spec)
        crop = tf.io.decode_png(features["crop"], channels=1)
        features["crop"] = tf.ensure_shape(crop, [*info.crop_shape, 1])
        features["labels"] = tf.cast(features["labels"], tf.int32)
        return features

    return examples_of(info, fold, split).map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def shards_of(info: PreparedInfo, fold: int, split: str) -> list[Path]:
    """The TFRecord files of one split; recordings without a single crop have an empty one."""
    shards = [info.shard(fold, recording) for recording in info.recordings_of(fold, split)]
    for path in shards:
        if not path.is_file():
            raise UserError(f"{path}: no such file; run the same deepcoder-prepare again")
    return shards


def load_crops(
    prepared: str | Path, fold: int, split: str, positions: Sequence[int] | None = None
) -> np.ndarray:
    """Reads crops into memory (38 kB each).

    Args:
      prepared: folder that `deepcoder-prepare` wrote.
      fold: number of the fold, from 0.
      split: `"train"`, `"validation"` or `"test"`.
      positions: which of `prepared.load_index`'s entries, in the wanted order; all when None.

    Returns:
      `[N, rows, columns, 1]` uint8.

    Raises:
      UserError: no such folder or fold, or a damaged shard.
      ValueError: an unknown split, or a position that does not exist.
    """
    info = dataset_info(prepared)
    total = sum(recording.crops for recording in info.recordings_of(fold, split))
    wanted = np.arange(total) if positions is None else np.asarray(positions, np.int64)
    if len(wanted) and not 0 <= wanted.min() <= wanted.max() < total:
        raise ValueError(f"positions {wanted.min()}..{wanted.max()} do not lie in 0..{total - 1}")
    distinct, place = np.unique(wanted, return_inverse=True)
    chosen = np.zeros(total, bool)
    chosen[distinct] = True
    crops = np.empty((len(distinct), *info.crop_shape, 1), np.uint8)
    count = 0
    data = tf.data.Dataset.zip(
        (tf.data.Dataset.from_tensor_slices(chosen), raw_crops(info, fold, split))
    ).filter(lambda keep, _: keep)
    data = data.map(
        lambda _, png: tf.io.decode_png(png, channels=1), num_parallel_calls=tf.data.AUTOTUNE
    )
    try:
        for crop in data.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            crops[count] = crop
            count += 1
    except tf.errors.OpError as error:
        raise UserError(
            f"{info.folder}: a shard of fold {fold} is damaged; run the same "
            f"deepcoder-prepare again ({error.message})"
        ) from error
    if count != len(distinct):
        raise UserError(
            f"{info.folder}: shards of fold {fold} hold fewer crops than dataset.json "
            "says; run the same deepcoder-prepare again"
        )
    return crops[place]


def raw_crops(info: PreparedInfo, fold: int, split: str) -> tf.data.Dataset:
    """The undecoded PNGs of one split."""
    spec = {"crop": tf.io.FixedLenFeature([], tf.string)}
    return examples_of(info, fold, split).map(
        lambda example: tf.io.parse_single_example(example, spec)["crop"]
    )


def examples_of(info: PreparedInfo, fold: int, split: str) -> tf.data.Dataset:
    """The serialised examples of one split, one shard after the other."""
    shards = [str(path) for path in shards_of(info, fold, split)]
    return tf.data.TFRecordDataset(tf.constant(shards, tf.string, [len(shards)]))
