"""What is kept to be looked at later: which frames, and that it is what the model says."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment import snapshots
from deepcoder_tf.experiment.monitor import Monitor
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.training.run import RunInfo
from deepcoder_tf.training.trainer import Report
from tests.training.tiny_run import TINY, frames

UNITS = ("AU06", "AU12")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 120), st.integers(1, 7), st.integers(1, 140), st.integers(0, 5))
def test_samples_are_spread_over_subjects_and_levels(count, people, wanted, seed):
    rng = np.random.default_rng(seed)
    who = rng.integers(0, people, count).astype(str)
    labels = rng.integers(-1, 6, (count, 2))
    rows = snapshots.sample_frames(labels, who, UNITS, wanted)
    assert len(rows) == min(count, wanted) and (np.diff(rows) > 0).all()
    assert rows.tolist() == snapshots.sample_frames(labels, who, UNITS, wanted).tolist()
    taken = {name: int(np.sum(who[rows] == name)) for name in set(who.tolist())}
    whole = {name: int(np.sum(who == name)) for name in taken}
    # Nobody has two frames more than somebody of whom frames are left.
    for name in taken:
        assert all(taken[o] <= taken[name] + 1 for o in taken if taken[name] < whole[name])
    for name in taken:
        own = rows[who[rows] == name]
        levels = np.bincount(labels[own, 1] + 1, minlength=7)
        left = np.bincount(labels[who == name, 1] + 1, minlength=7) - levels
        assert all(levels.max() <= levels[s] + 1 for s in range(7) if left[s] > 0)


def test_a_set_without_au12_shows_its_first_unit():
    assert snapshots.shown_unit(("AU01", "AU12")) == "AU12"
    assert snapshots.shown_unit(("AU01", "AU02")) == "AU01"


def test_codes_come_back(tmp_path):
    rng = np.random.default_rng(0)
    who = np.array(["a", "b", "b"])
    codes = [rng.normal(size=(3, 5)), 1e6 * rng.normal(size=(3, 2))]
    kept = snapshots.Latents(codes, rng.integers(-1, 6, (3, 2)), who, np.full(3, "train"), UNITS)
    path = tmp_path / "latents" / "iteration_12.npz"
    snapshots.write_latents(path, kept)
    found = snapshots.read_latents(path)
    np.testing.assert_allclose(found.codes[0], codes[0], rtol=2**-11, atol=1e-7)
    np.testing.assert_allclose(found.codes[1], codes[1], rtol=2**-24)  # too large for float16
    assert found.levels("AU12").tolist() == kept.labels[:, 1].tolist()
    assert found.subjects.tolist() == who.tolist() and found.action_units == UNITS
    snapshots.write_latents(tmp_path / "latents" / "iteration_3.npz", kept)
    (tmp_path / "latents" / "iteration_4.npz.partial").write_bytes(b"")
    assert list(snapshots.latent_files(tmp_path)) == [3, 12]


def test_damage_is_told(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(UserError, match=r"a\.npz: cannot be read"):
        snapshots.read_latents(path)
    np.savez(path, codes_0=np.zeros((2, 1)), labels=np.zeros((3, 1)))
    with pytest.raises(UserError, match="damaged"):
        snapshots.read_latents(path)
    np.savez(
        path, codes_0=np.zeros((2, 1)), labels=np.zeros((3, 1)), subjects=np.zeros(3),
        splits=np.zeros(3), action_units=np.array(["AU12"]),
    )  # fmt: skip
    with pytest.raises(UserError, match="different lengths"):
        snapshots.read_latents(path)
    with pytest.raises(UserError, match="damaged"):
        snapshots.read_reconstructions(path)


def test_the_monitor_keeps_what_the_model_says(tmp_path):
    config = Config(**{**TINY, "coders": "conv:4,dense:3"})
    model = DeepCoder(config, len(UNITS), 0)
    model.build()
    train, validation = frames(48), frames(30)
    run = RunInfo(config, UNITS, [], 0, "tiny", {}, {})
    monitor = Monitor(model, train.take(np.empty(0, int)), validation, tmp_path, run, train)
    scores = monitor.validate(model)
    monitor.report(Report(2, {}, scores, True))
    found = snapshots.read_latents(tmp_path / "latents" / "iteration_2.npz")
    assert found.splits.tolist() == ["train"] * 48 + ["validation"] * 30
    assert found.subjects.tolist() == [*train.subjects.tolist(), *validation.subjects.tolist()]
    images = np.concatenate([train.images, validation.images]).astype(np.float32) / 127.5 - 1
    codes = model.encode(tf.constant(images))
    for kept, q in zip(found.codes, codes, strict=True):
        np.testing.assert_allclose(kept, q.mean, rtol=1e-3, atol=1e-3)
    # All 30 validation images are watched: fewer than BOUND_IMAGES.
    x = images[48:]
    z0, z1 = (q.mean[48:] for q in codes)
    through = {
        "image_mse/z0": model.coders[0].decode(z0).mean,
        "image_mse/z1": model.coders[0].decode(model.coders[1].decode(z1).mean).mean,
    }
    for name, decoded in through.items():
        assert scores[name] == pytest.approx(np.mean((decoded.numpy() - x) ** 2), rel=1e-5)
    assert scores["image_mse/z0"] != pytest.approx(scores["image_mse/z1"])
