"""Training of recognisers: it learns, goes on after a kill, and the adversary keeps its pace."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.models.expressions import ExpressionSystem, build_recogniser
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.training.expression_training import (
    ExpressionTrainer,
    TrainingPictures,
    targets_of,
)
from tests.training.killed import left_at

CONFIG = RecogniserConfig(
    trunk="vgg16",
    trunk_weights="random",
    trunk_endpoint="block1_pool",
    picture_side=32,
    branch_filters=(8, 8),
    branch_kernels=(3, 3),
    learning_rate=3e-3,
    batch_size=16,
    iterations=3,
    patience=10,
    augment_shift=0.02,
    augment_rotation=2.0,
    seed=4,
)


def pictures(count: int = 96) -> TrainingPictures:
    """Stripes whose direction and width are the class; some without a class."""
    rng = np.random.default_rng(0)
    labels = (np.arange(count) % 4).astype(np.int32)
    grid = np.arange(16)
    images = np.empty((count, 16, 16, 1), np.uint8)
    for row, label in enumerate(labels):
        wave = 127 + 100 * np.sin(grid * (0.8 if label < 2 else 2.0) + rng.uniform(0, 6))
        image = np.tile(wave, (16, 1))
        images[row, ..., 0] = image if label % 2 else image.T
    labels[-5:] = -1
    votes = np.zeros((count, 8), np.float32)
    return TrainingPictures(images, labels, votes, np.full(count, -1, np.int32))


def trainer(folder: Path, **changes) -> tuple[ExpressionTrainer, ExpressionSystem]:
    """On the stripes; validation is the training set."""
    tf.keras.utils.set_random_seed(1)
    model = build_recogniser(dataclasses.replace(CONFIG, **changes), 16, 1)
    given = pictures()

    def validate(model: ExpressionSystem) -> dict[str, float]:
        p = model.predict(model.enlarged(to_unit_range(given.images))).numpy()
        known = given.labels >= 0
        found = {"accuracy": float(np.mean(p.argmax(1)[known] == given.labels[known]))}
        wrong = 1.0 - found["accuracy"]
        return {**found, "log_loss": wrong, "reconstruction": wrong, "balanced_accuracy": 0.0}

    return ExpressionTrainer(model, given, folder, validate), model


@pytest.mark.parametrize("system", ["baseline", "disentangled"])
def test_it_learns(system, tmp_path):
    run, _ = trainer(tmp_path, system=system, iterations=12)
    progress = run.fit()
    assert progress.best_score is not None and progress.best_score > 0.7
    assert progress.finished == "all 12 iterations are done"


@pytest.mark.parametrize("selection", ["log_loss", "reconstruction"])
def test_the_least_of_what_is_to_be_small_is_chosen(selection, tmp_path):
    run, _ = trainer(
        tmp_path, system="disentangled", selection=selection, iterations=3, beta_reconstruction=0.1
    )
    scores = iter([0.7, 0.2, 0.5])
    run.validate = lambda model: {selection: next(scores)}
    progress = run.fit()
    assert (progress.best_score, progress.best_iteration) == (-0.2, 1)


def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path):
    options = {"dropout": 0.2, "beta_reconstruction": 0.1}
    whole, model = trainer(tmp_path / "whole", **options)
    whole.report = left_at(1, tmp_path / "whole", tmp_path / "killed")
    whole.fit()
    resumed, again = trainer(tmp_path / "killed", **options)
    reports = []
    resumed.report = reports.append
    resumed.fit()
    assert [report.iteration for report in reports] == [1, 2]
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, err_msg=a.path)


def test_one_step_moves_every_player_once(tmp_path):
    run, model = trainer(tmp_path, learning_rate=1e-3)
    before = [v.numpy() for v in model.trainable_variables]
    batch = {name: tf.constant(np.asarray(part[:16])) for name, part in run.parts.items()}
    found = run.step.run({**batch, "index": tf.range(16)}, tf.constant([0, 1]))
    assert {"network/expression", "network/uniformity", "adversary/adversary"} <= found.keys()
    np.testing.assert_allclose(
        found["network/bound"], -found["network/expression"] - found["network/uniformity"]
    )
    for v, old in zip(model.trainable_variables, before, strict=True):
        assert np.any(v.numpy() != old), v.path


def test_the_learning_rate_rises_then_falls_to_its_end(tmp_path):
    run, _ = trainer(tmp_path, iterations=100, learning_rate=1.0, learning_rate_end=0.1)
    last = run.steps * 100 - 1
    assert run.learning_rate(0) == pytest.approx(0.01)
    assert run.learning_rate(last) == pytest.approx(0.1)
    middle = [run.learning_rate(step) for step in range(100, last)]
    assert all(a > b for a, b in itertools.pairwise(middle))


def test_targets():
    labels = np.array([1, 0], np.int32)
    votes = np.zeros((2, 8), np.float32)
    votes[0, :2] = 0.3, 0.7
    majority = targets_of(labels, votes, "majority")
    assert majority.argmax(1).tolist() == [1, 0] and np.all(majority.sum(1) == 1)
    shares = targets_of(labels, votes, "votes")
    np.testing.assert_array_equal(shares[0], votes[0])
    np.testing.assert_array_equal(shares[1], majority[1])
