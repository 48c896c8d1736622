"""Files of weights by name: there and back, and every file that is none."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.named_weights import read_weights, write_weights

ARRAYS = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "a/b/bias": np.ones(400)}
NOTES = {"network": "net", "sha256": "0"}


def test_arrays_and_notes_come_back(tmp_path):
    path = tmp_path / "deep" / "w.h5"
    write_weights(path, ARRAYS, NOTES)
    arrays, notes = read_weights(path, "net")
    assert notes == NOTES and set(arrays) == set(ARRAYS)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value)
    assert [p.name for p in path.parent.iterdir()] == ["w.h5"]


def test_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"none\.h5: no such file; give the weights of net"):
        read_weights(tmp_path / "none.h5", "net")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_cut_file(tmp_path, keep):
    path = tmp_path / "w.h5"
    write_weights(path, ARRAYS, NOTES)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match=r"w\.h5: not a file of weights, or cut off") as caught:
        read_weights(path, "net")
    assert "\n" not in str(caught.value)


def test_weights_of_another_network(tmp_path):
    write_weights(tmp_path / "w.h5", ARRAYS, NOTES)
    with pytest.raises(UserError, match=r"w\.h5: holds weights of net, not those of other; give"):
        read_weights(tmp_path / "w.h5", "other")
    with h5py.File(tmp_path / "keras.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(UserError, match="holds no named weights, not those of net"):
        read_weights(tmp_path / "keras.h5", "net")
