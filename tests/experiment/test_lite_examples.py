"""Prepared frames for the variants of a model: evenly spread, of the right subjects."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment import lite_examples

SIZES = {"train": 500, "validation": 150}


@pytest.fixture
def prepared(monkeypatch) -> dict[str, np.ndarray]:
    """A data set whose crops are numbered by their grey levels; labels can be changed."""
    rng = np.random.default_rng(0)
    labels = {split: rng.integers(0, 6, (n, 3)) for split, n in SIZES.items()}

    def read_fold(data_dir: Path, fold: int, split: str) -> tf.data.Dataset:
        numbers = (np.arange(SIZES[split]) % 256).astype(np.uint8)
        return tf.data.Dataset.from_tensor_slices({"crop": numbers[:, None, None, None]})

    def load_index(data_dir: Path, fold: int, split: str) -> SimpleNamespace:
        return SimpleNamespace(labels=labels[split])

    def load_landmarks(data_dir: Path, fold: int, split: str) -> np.ndarray:
        return np.tile(np.arange(SIZES[split], dtype=np.float32)[:, None, None], (1, 49, 2))

    info = SimpleNamespace(
        source="here", fold=lambda n: SimpleNamespace(subjects=lambda split: ["v1", "v2"])
    )
    monkeypatch.setattr(lite_examples, "read_fold", read_fold)
    monkeypatch.setattr(lite_examples, "load_index", load_index)
    monkeypatch.setattr(lite_examples, "load_landmarks", load_landmarks)
    monkeypatch.setattr(lite_examples, "dataset_info", lambda data_dir: info)
    monkeypatch.setattr(lite_examples, "check_compatible", lambda *given: None)
    return labels


def find(landmarks: bool = False, train: tuple[str, ...] = ("t1",), source: str = "here"):
    """The examples of a run."""
    run = SimpleNamespace(
        config=SimpleNamespace(fold=0), subjects={"train": list(train)}, source=source
    )
    model = SimpleNamespace(needs_landmarks=landmarks)
    return lite_examples.lite_examples(model, run, Path("RUN"), Path("DATA"))  # type: ignore[arg-type]


def test_frames_are_evenly_spread_and_keep_their_own_labels(prepared):
    found = find(landmarks=True)
    rows = found.representative.landmarks[:, 0, 0].astype(int)  # type: ignore[index]
    assert len(rows) == lite_examples.REPRESENTATIVE
    assert (rows[0], rows[-1]) == (0, 499)
    assert set(np.diff(rows)) == {2, 3}
    np.testing.assert_array_equal(found.representative.crops[:, 0, 0, 0], rows % 256)
    held_out = found.held_out.faces
    assert len(held_out.crops) == 150  # fewer than wanted: all
    assert found.held_out.score(prepared["validation"].astype(float)) == pytest.approx(1.0)
    assert find().representative.landmarks is None


def test_action_units_that_nobody_annotated_do_not_count(prepared):
    labels = prepared["validation"]
    labels[:, 1] = -1
    wrong = labels.astype(float)
    wrong[:, 1] = 9.0
    assert find().held_out.score(wrong) == pytest.approx(1.0)
    labels[:] = -1
    with pytest.raises(UserError, match="validation subjects of fold 0 have no labels"):
        find()


def test_subjects_that_the_model_has_seen_are_refused(prepared):
    with pytest.raises(UserError, match="v2 is a validation subject of fold 0, but RUN was"):
        find(train=("t1", "v2"))
    find(train=("t1", "v2"), source="elsewhere")  # other people of the same name


def test_a_split_without_faces_is_told(prepared):
    prepared["train"] = prepared["train"][:0]
    with pytest.raises(UserError, match="the train split of fold 0 has no frame with a face"):
        find()
