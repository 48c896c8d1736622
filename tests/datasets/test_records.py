"""One example: lossless, complete, and the same bytes in every process."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepcoder_tf.datasets.records import encode_example


def test_example_is_lossless_and_in_a_fixed_order() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (240, 160), np.uint8)
    labels = np.array([0, 5, -1], np.int8)
    content = encode_example(crop, labels, "SN001", "clip é", 7, 4000)
    feature = tf.train.Example.FromString(content).features.feature
    png = feature["crop"].bytes_list.value[0]
    np.testing.assert_array_equal(tf.io.decode_png(png)[..., 0], crop)
    assert list(feature["labels"].int64_list.value) == [0, 5, -1]
    assert feature["subject"].bytes_list.value[0] == b"SN001"
    assert feature["video"].bytes_list.value[0].decode() == "clip é"
    assert feature["frame"].int64_list.value[0] == 7
    assert feature["row"].int64_list.value[0] == 4000
    names = sorted(feature)
    places = [content.index(f"\n{chr(len(name))}{name}".encode()) for name in names]
    assert places == sorted(places)
