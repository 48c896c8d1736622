"""The trainer of networks: it learns, ignores what nobody labelled, and goes on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.models.network import Network
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.network import NetworkTrainer
from deepcoder_tf.training.registry import make_trainer
from tests.training.killed import left_at
from tests.training.tiny_run import ACTION_UNITS, RANDOM, TINY, frames

NETWORK: dict[str, Any] = {
    **{name: value for name, value in TINY.items() if name != "coders"},
    "system": "cnn",
    "cnn_filters": (4, 4, 4),
    "cnn_kernels": (3, 3, 3),
    "cnn_pools": (1, 0, 1),
    "cnn_features": 6,
    "iterations": 3,
}

each_kind = pytest.mark.parametrize("system", ["cnn", "or_cnn"])


def predicted(model: Network, images: np.ndarray) -> np.ndarray:
    """Expected levels `[N, Q]`."""
    p = model.predict(to_unit_range(tf.constant(images))).probabilities
    return p.numpy() @ np.arange(6)


def mean_level(model: Network) -> dict[str, float]:
    """Any score that depends on every weight."""
    return {"icc": float(predicted(model, frames().images).mean()), "ordinal_log_score": 1.0}


def trainer(folder: Path, data: Frames | None = None, **options: Any) -> NetworkTrainer:
    """On random pictures; `report` can be given with the options."""
    report = options.pop("report", lambda report: None)
    config = Config(**{**NETWORK, **options})
    keras.utils.set_random_seed(config.seed)
    model = build_system(config, ACTION_UNITS)
    none = np.empty(0, np.int64)
    made = make_trainer(model, data or frames(), none, folder, mean_level, report)
    assert isinstance(made, NetworkTrainer)
    made.bar = tqdm(disable=True)
    return made


def weights(run: NetworkTrainer) -> list[np.ndarray]:
    """Of the model."""
    return [w.numpy() for w in run.model.weights]


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    """Bit for bit."""
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@each_kind
def test_it_learns_pictures_by_heart(system, tmp_path):
    data = frames(16)
    options = {"batch_size": 16, "init_epochs": 150, "learning_rate": 0.02, "balance": "off"}
    run = trainer(tmp_path, data, system=system, cnn_features=32, weight_decay=0.0, **options)
    before = np.abs(predicted(run.network, data.images) - data.labels)[data.labels >= 0].mean()
    run.round(-1)
    after = np.abs(predicted(run.network, data.images) - data.labels)[data.labels >= 0].mean()
    assert before > 1 > 0.1 > after


def test_the_step_maximises_the_mean_log_likelihood_less_the_penalty(tmp_path):
    run = trainer(tmp_path)
    data = frames().take(np.arange(8))
    x = to_unit_range(tf.constant(data.images))
    p = run.network.predict(x).probabilities.numpy().astype(np.float64)
    total = 0.0
    for i in range(8):
        for q in range(ACTION_UNITS):
            if data.labels[i, q] >= 0:
                total += np.log(p[i, q, data.labels[i, q]])
    penalty = float(run.network.penalty())
    found = run.step.run(tf.constant(data.images), tf.constant(data.labels), tf.constant([0, 1]))
    assert float(found["label"]) == pytest.approx(total / (8 * ACTION_UNITS), rel=1e-5)
    assert float(found["bound"]) == pytest.approx(float(found["label"]) - penalty, rel=1e-5)


@each_kind
def test_a_batch_without_labels_moves_nothing(system, tmp_path):
    run = trainer(tmp_path, system=system, optimizer="sgd", weight_decay=0.0)
    before = weights(run)
    images = tf.constant(frames().images[:8])
    missing = tf.fill((8, ACTION_UNITS), -1)
    found = run.step.run(images, missing, tf.constant([0, 1]))
    assert found["gradient_norm"] == 0 and same(before, weights(run))


@each_kind
def test_frames_without_labels_do_not_count(system, tmp_path):
    data = frames()
    labels = data.labels.copy()
    labels[::3] = -1
    labelled = np.flatnonzero(np.any(labels >= 0, axis=1))
    some = data._replace(labels=labels)
    runs = [
        trainer(tmp_path / name, part, system=system)
        for name, part in (("all", some), ("labelled", some.take(labelled)))
    ]
    for run in runs:
        run.round(-1)
    assert same(weights(runs[0]), weights(runs[1]))


@each_kind
def test_a_killed_run_ends_with_the_numbers_of_one_that_was_not(system, tmp_path):
    folder, part, options = tmp_path / "whole", tmp_path / "part", {"system": system, **RANDOM}
    whole = trainer(folder, report=left_at(1, folder, part), **options)
    whole.fit()
    reports = []
    again = trainer(part, report=reports.append, **options)
    assert again.fit() == whole.progress
    assert reports[0].iteration == 1
    assert same(weights(again), weights(whole))


def test_the_total_of_the_progress_bar_is_the_number_of_steps(tmp_path):
    run = trainer(tmp_path, init_epochs=2, epochs_per_iteration=2)
    run.fit()
    assert run.bar.n == run.steps_until(2) == (2 + 3 * 2) * (48 // 8)


def test_the_learning_rate_falls(tmp_path):
    run = trainer(tmp_path, learning_rate_end=0.1)
    run.fit()
    assert run.step.update.optimizer.learning_rate.numpy() == pytest.approx(0.001)


def test_or_cnn_takes_its_importance_weights_from_the_training_labels(tmp_path):
    run = trainer(tmp_path, system="or_cnn", init_epochs=0)
    run.round(-1)
    roots = np.sqrt([1 + np.sum(frames().labels[:, 1] == k) for k in range(5)])
    np.testing.assert_allclose(run.network.head.importance.numpy()[1], roots / roots.sum(), 1e-6)


def test_a_term_that_is_not_finite_ends_the_run_with_its_name(tmp_path):
    run = trainer(tmp_path)
    run.network.head.W.assign(tf.fill(run.network.head.W.shape, np.nan))
    with pytest.raises(UserError, match=r"cnn: the term 'label' .* step 0 of iteration 2") as error:
        run.round(2)
    assert "learning rate 0.01" in str(error.value) and "clip norm" in str(error.value)


def test_vgg16_without_weights_ends_before_the_first_step(tmp_path):
    run = trainer(tmp_path, system="vgg16", vgg16_side=32, vgg16_units=4)
    with pytest.raises(UserError, match="needs ImageNet weights"):
        run.fit()
    assert not (tmp_path / "state.json").exists()


def test_vgg16_learns_in_its_last_three_layers_alone(tmp_path, monkeypatch):
    run = trainer(tmp_path, system="vgg16", vgg16_side=32, vgg16_units=4)
    monkeypatch.setattr(run.network, "start", lambda labels: None)
    frozen = [w.numpy() for w in run.network.base.weights]
    before = [w.numpy() for w in run.network.trainable_weights]
    run.round(-1)
    assert same(frozen, [w.numpy() for w in run.network.base.weights])
    after = [w.numpy() for w in run.network.trainable_weights]
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_no_labels_at_all_is_an_error(tmp_path):
    data = frames()
    nothing = data._replace(labels=np.full_like(data.labels, -1))
    with pytest.raises(UserError, match="no training frame has a label"):
        trainer(tmp_path, nothing)
