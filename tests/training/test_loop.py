"""Algorithm 1: its order, what is constant when, when it stops, and that a kill changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tqdm import tqdm

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.data import RowView
from deepcoder_tf.training.loop import Algorithm1
from deepcoder_tf.training.step import learning_rate_at
from deepcoder_tf.training.trainer import Report
from deepcoder_tf.types import Gaussian
from tests.training.killed import left_at
from tests.training.tiny_run import RANDOM, TINY, algorithm

ROOT = Path(__file__).parents[2]


def values(item) -> list[np.ndarray]:
    """All weights or slots."""
    return [np.array(v) for v in item.variables]


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    """Bit by bit."""
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def constant_score(model, codes) -> dict[str, float]:
    """Never better than before."""
    del model, codes
    return {"icc": 0.5, "ordinal_log_score": 1.0}


# Order --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coders", ["conv:4,gp:2", "conv:4,dense:3,gp:2", "conv:4,dense:3"])
def test_the_order_is_that_of_algorithm_1(tmp_path, monkeypatch, coders):
    events: list[object] = []
    run = algorithm(tmp_path, coders=coders, iterations=2, dense_units=5)
    epoch, tie, finish = run.epoch, run.tie, run.finish_iteration

    def spy(name, function):
        def wrapper(*arguments, **options):
            label = [arguments[0], options.get("iteration", arguments[-1])]
            events.append((name, *label) if name == "epoch" else name)
            return function(*arguments, **options)

        return wrapper

    monkeypatch.setattr(run, "epoch", spy("epoch", epoch))
    monkeypatch.setattr(run, "tie", lambda: (events.append("tie"), tie())[1])
    monkeypatch.setattr(
        run, "finish_iteration", lambda i, t: (events.append(("finish", i)), finish(i, t))[1]
    )
    run.fit()
    turns = range(coders.count(":"))
    expected: list[object] = [("epoch", n, -1) for n in turns]
    expected += [("finish", -1), "tie"]
    for iteration in range(2):
        expected += [("epoch", n, iteration) for n in turns]
        expected += ["tie", ("finish", iteration)]
    assert events == expected


def record_steps(run: Algorithm1) -> list[dict]:
    """Every call of every step: who, what it was given, and which weights it moved."""
    calls: list[dict] = []
    for n, step in enumerate(run.steps):

        def call(*arguments, n=n, inner=step.run):
            before = [values(coder) for coder in run.model.coders]
            result = inner(*arguments)
            after = [values(coder) for coder in run.model.coders]
            moved = {k for k in range(len(before)) if not same(before[k], after[k])}
            calls.append({"coder": n, "index": arguments[2], "code": arguments[3], "moved": moved})
            calls[-1]["weights"] = (float(arguments[4]), float(arguments[5]))
            return result

        step.run = call
    return calls


def test_each_step_moves_its_own_coder_only_and_sees_a_frozen_prior(tmp_path):
    run = algorithm(tmp_path, iterations=3)
    calls = record_steps(run)
    ties, tie = [], run.tie
    run.tie = lambda: (tie(), ties.append(run.codes[1].copy()))
    coder = run.model.coders[1]
    caches = []
    encode_epoch = run.epoch

    def epoch(n, iteration):
        if n == 0 and iteration >= 0:
            caches.append([v.numpy() for v in coder.non_trainable_variables])
        result = encode_epoch(n, iteration)
        if n == 0 and iteration >= 0:
            assert same([v.numpy() for v in coder.non_trainable_variables], caches[-1])
        return result

    run.epoch = epoch
    run.fit()
    assert all(call["moved"] == {call["coder"]} for call in calls)
    top = [call for call in calls if call["coder"] == 0]
    per_epoch = run.steps_in(0, 0)
    # The initial run has p(Z) = N(0, I); afterwards the codes of the last tie, row by row.
    assert all(call["code"] is None for call in top[:per_epoch])
    for number, call in enumerate(top[per_epoch:]):
        codes = ties[number // per_epoch]
        np.testing.assert_array_equal(call["code"], codes[call["index"]])
    assert all(call["code"] is None for call in calls if call["coder"] == 1)
    # Warm-up: alpha = beta = e / N_t.
    by_epoch = [call["weights"][0] for call in top[::per_epoch]]
    assert by_epoch == [0.0, 0.0, 0.5, 1.0]


def test_codes_are_those_of_the_caches_and_the_two_subsets_are_disjoint(tmp_path):
    run = algorithm(tmp_path, iterations=1)
    run.fit()
    assert not set(run.rest) & set(run.subset)
    assert sorted([*run.rest, *run.subset]) == list(range(48))
    images = tf.constant(run.frames.images[run.rest])
    z0, z1 = run.model.encode(tf.cast(images, tf.float32) / 127.5 - 1.0)
    np.testing.assert_allclose(run.codes[1], z1.mean, atol=1e-5)
    prior = run.model.coders[1].tied_prior(z1.mean)
    assert prior.mean.shape == z0.mean.shape


def test_without_tying_the_prior_stays_standard_normal(tmp_path):
    run = algorithm(tmp_path, coders="conv:4,dense:3", iterations=1, tie=0)
    calls = record_steps(run)
    run.fit()
    assert all(call["code"] is None for call in calls)


def test_batches_hold_no_frame_twice_and_an_epoch_of_the_gp_holds_every_block(tmp_path):
    run = algorithm(tmp_path)
    for n, count in ((0, len(run.rest)), (1, len(run.subset))):
        for iteration in (-1, 0):
            rows = run.schedule(n, iteration, count)
            assert rows.shape[0] == run.steps_in(n, iteration)
            assert all(len(set(batch)) == len(batch) for batch in rows)
            assert rows.max() < count
    assert sorted(run.schedule(1, 0, 16).ravel()) == list(range(16))
    assert not np.array_equal(run.schedule(1, 0, 16), run.schedule(1, 1, 16))
    exact = algorithm(tmp_path, gp="exact", gp_steps=3)
    assert exact.schedule(1, 0, 16).shape == (3, 16)


def test_the_total_of_the_progress_bar_is_the_number_of_steps(tmp_path):
    options = {"iterations": 2, "init_epochs": 2, "epochs_per_iteration": 3}
    run = algorithm(tmp_path, coders="conv:4,dense:3", **options)
    calls = record_steps(run)
    run.fit()
    assert len(calls) == run.steps_until(run.config.iterations - 1) == run.bar.n


def test_the_learning_rate_falls_linearly_after_the_initial_run(tmp_path):
    options = {"coders": "conv:4", "learning_rate_end": 0.1, "iterations": 5}
    run = algorithm(tmp_path, **options)
    found = [learning_rate_at(run.config, iteration) for iteration in range(-1, 5)]
    np.testing.assert_allclose(found, 0.01 * np.array([1, 1, 0.775, 0.55, 0.325, 0.1]))
    run.fit()
    assert run.steps[0].optimizer.learning_rate.numpy() == pytest.approx(0.001)


def test_rows_of_an_array_are_seen_without_a_copy():
    array = np.arange(20).reshape(10, 2)
    view = RowView(array, np.array([7, 1, 4]))
    assert view.shape == (3, 2) and view.dtype == array.dtype
    np.testing.assert_array_equal(view[np.array([2, 0])], array[[4, 7]])


def test_a_sparse_gp_trains_on_all_frames_and_is_anchored_at_its_own(tmp_path):
    run = algorithm(tmp_path, gp="sparse", iterations=2, gp_steps=12)
    calls = record_steps(run)
    ties, tie = [], run.tie
    run.tie = lambda: (tie(), ties.append(run.codes[1]))
    run.fit()
    assert len(run.rest) == 48 and len(run.subset) == 12
    seen = np.concatenate([call["index"] for call in calls if call["coder"] == 1])
    assert len(set(seen) - set(run.subset)) > 20
    assert ties[-1].shape == (48, 2)
    sparse = run.model.coders[1]
    z0 = run.propagate(run.subset, 1)[0]
    expected = (z0.mean - z0.mean.mean(0)) / np.sqrt(z0.mean.var(0) + z0.var.mean(0))
    np.testing.assert_allclose(sparse.Z0, expected, atol=1e-5)


def test_a_gp_coder_has_an_optimizer_and_a_pace_of_its_own(tmp_path):
    options = {"gp_optimizer": "sgd", "gp_learning_rate": 0.2, "gp_block": 10}
    for gp, batch, steps in (("minibatch", 10, 1), ("exact", 16, 1), ("sparse", 10, 4)):
        run = algorithm(tmp_path, gp=gp, **options)
        assert isinstance(run.steps[1].optimizer, keras.optimizers.SGD)
        assert float(run.steps[1].optimizer.learning_rate) == pytest.approx(0.2)
        assert run.batch_size(1) == batch and run.steps_in(1, 0) == steps
        assert run.steps_in(1, -1) == TINY["gp_init_steps"]
        assert run.schedule(1, 0, len(run.rows(1))).shape == (steps, batch)


# The end ------------------------------------------------------------------------------------------


def test_all_iterations_are_done_and_the_best_model_is_kept(tmp_path):
    kept = {}

    def falling(model, codes):
        score = 1.0 - 0.1 * len(kept)
        kept[len(kept)] = values(model)
        return {"icc": score, "ordinal_log_score": 1.0}

    reports = []
    run = algorithm(tmp_path, validate=falling, report=reports.append, iterations=3)
    progress = run.fit()
    assert progress.finished == "all 3 iterations are done"
    assert progress.best_iteration == 0 and progress.best_score == 1.0
    assert [r.improved for r in reports] == [True, False, False]
    best = DeepCoder(run.config, 2, 16)
    best.build()
    Checkpoints.load_model(tmp_path, best)
    assert same(values(best), kept[0])
    for name in ("recon", "kl", "label", "bound", "gradient_norm", "skipped"):
        for n in range(2):
            assert np.isfinite(reports[0].terms[f"coder_{n}/{name}"])
    joint = reports[0].terms["coder_0/bound"] + reports[0].terms["coder_1/bound"]
    assert reports[0].terms["joint/bound"] == pytest.approx(joint) == progress.bounds[0]
    # A finished run does nothing more.
    calls = record_steps(again := algorithm(tmp_path, validate=falling, iterations=3))
    assert again.fit() == progress and not calls


def test_patience_ends_a_run(tmp_path):
    options = {"coders": "conv:4", "iterations": 9, "patience": 2}
    progress = algorithm(tmp_path, validate=constant_score, **options).fit()
    assert progress.finished == "no better validation score for 2 iterations"
    assert progress.iteration == 2 and progress.best_iteration == 0


def test_the_ordinal_log_score_is_better_when_lower(tmp_path):
    scores = iter([3.0, 2.0, 2.5])

    def validate(model, codes):
        return {"icc": 0.0, "ordinal_log_score": next(scores)}

    options = {"coders": "conv:4", "iterations": 3, "selection": "ordinal_log_score"}
    run = algorithm(tmp_path, validate=validate, **options)
    assert run.fit().best_iteration == 1


@pytest.mark.parametrize(
    ("bounds", "ends"),
    [
        ([-9, -5, -3, -3, -3], False),  # three iterations with full weights
        ([-9, -5, -3, -3, -3, -3], True),
        ([-9, -5, -3.0, -3.0, -3.0, -2.999], True),  # a relative change of 1.1e-4
        ([-9, -5, -3.0, -3.0, -3.0, -2.9], False),
        ([-3, -3, -3, -3, -2, -1], False),  # still warming up when it stood still
        ([-9, -5, -2.0, -3.0, -2.5, -2.0], True),  # it swings, but means of three are equal
    ],
)
def test_convergence_is_a_small_change_of_the_mean_of_three_after_warm_up(tmp_path, bounds, ends):
    run = algorithm(tmp_path, iterations=50)
    run.progress.best_iteration = len(bounds) - 1
    run.progress.bounds = [float(b) for b in bounds]
    reason = run.reason_to_stop(len(bounds) - 1)
    assert reason == ("the joint bound has converged" if ends else "")


def random_codes() -> tuple[Gaussian, np.ndarray]:
    """q(Z0) and labels of as many points as the GP coder owns."""
    rng = np.random.default_rng(0)
    return Gaussian(rng.normal(size=(16, 4)), np.ones((16, 4))), np.zeros((16, 2), np.int32)


@pytest.mark.parametrize(
    ("n", "weight", "expected"),
    [
        (0, "raw_noise", r"coder 0 \(conv\): the term 'recon' .* step 0 of iteration 3"),
        (1, "raw_noise1", r"coder 1 \(gp\): the term 'recon' .* step 0 of iteration 3"),
        (1, "W", r"coder 1 \(gp\): the term 'label' .* step 0 of iteration 3"),
    ],
)
def test_a_term_that_is_not_finite_ends_the_run_with_its_name(tmp_path, n, weight, expected):
    run = algorithm(tmp_path, gp_steps=4)
    run.bar = tqdm(disable=True)
    run.model.coders[1].observe(*random_codes(), first=True)
    variable = getattr(run.model.coders[n], weight)
    variable.assign(tf.fill(variable.shape, np.nan))
    with pytest.raises(UserError, match=expected) as caught:
        run.epoch(n, iteration=3)
    assert "learning rate 0.01" in str(caught.value) and "clip norm" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_step_without_a_finite_gradient_changes_nothing(tmp_path):
    run = algorithm(tmp_path)
    step, coder = run.steps[0], run.model.coders[0]
    before, slots = values(coder), values(step.optimizer)
    batch = run.frames.take(np.arange(8))
    images = tf.constant(batch.images)
    one = tf.constant(1.0)

    def make(label_weight):
        return step.run(
            Gaussian(images, None),
            tf.constant(batch.labels),
            tf.range(8),
            None,
            one,
            tf.constant(label_weight),
            one,
            tf.constant([0, 1]),
        )

    for times in (1, 2):
        assert make(np.nan)["skipped"] == times
    assert same(values(coder), before) and same(values(step.optimizer), slots)
    assert make(1.0)["skipped"] == 0
    assert not same(values(coder), before)


# Kill and resume ----------------------------------------------------------------------------------


def assert_it_ends_as(whole: Algorithm1, whole_reports: list[Report], left: Path, gp: str) -> None:
    """What a killed run left, gone on with, gives the whole run's reports, weights and slots."""
    reports: list[Report] = []
    resumed = algorithm(left, report=reports.append, gp=gp, **RANDOM)
    assert resumed.fit() == whole.progress
    assert whole.progress.iteration == TINY["iterations"] - 1
    # Iteration 2 was lost before it was saved: it is done again, to the same numbers.
    assert [r.iteration for r in reports] == [2, 3]
    assert whole_reports[2:] == reports
    assert same(values(resumed.model), values(whole.model))
    for ours, theirs in zip(resumed.steps, whole.steps, strict=True):
        assert same(values(ours.optimizer), values(theirs.optimizer))


@pytest.mark.slow
def test_a_killed_run_ends_with_the_numbers_of_one_that_was_not(tmp_path):
    tf.config.experimental.enable_op_determinism()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "tests.training.tiny_run", str(killed), "2"]
    process = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
    told = [json.loads(line) for line in (killed / "history.jsonl").read_text().splitlines()]
    reports: list[Report] = []
    whole = algorithm(tmp_path / "whole", report=reports.append, **RANDOM)
    whole.fit()
    assert [r._asdict() for r in reports[:3]] == told
    assert_it_ends_as(whole, reports, killed, "minibatch")


def test_a_sparse_gp_goes_on_from_what_a_killed_run_leaves(tmp_path):
    tf.config.experimental.enable_op_determinism()
    reports: list[Report] = []
    keep = left_at(2, tmp_path / "whole", tmp_path / "left")

    def report(report: Report) -> None:
        reports.append(report)
        keep(report)

    whole = algorithm(tmp_path / "whole", report=report, gp="sparse", **RANDOM)
    whole.fit()
    assert_it_ends_as(whole, reports, tmp_path / "left", "sparse")


@pytest.mark.parametrize("gp", ["minibatch", "sparse"])
def test_the_head_is_told_who_is_seen_and_which_frames_are_the_coders_own(tmp_path, gp):
    run = algorithm(tmp_path, gp=gp, gp_head_steps=3, gp_head_codes="left_out")
    coder, told = run.model.coders[1], {}
    coder.fit_labels = lambda z_in, labels, subjects, own: told.update(
        z=z_in.mean, labels=labels, subjects=subjects, own=own
    )
    run.bar = tqdm(disable=True)
    run.epoch(1, iteration=-1)
    rows = run.rows(1)
    np.testing.assert_array_equal(told["subjects"], run.frames.subjects[rows])
    np.testing.assert_array_equal(told["labels"], run.frames.labels[rows])
    np.testing.assert_array_equal(rows[told["own"]], run.subset)
    own = (told["z"][told["own"]] - coder.offset) / coder.scale
    np.testing.assert_allclose(own, coder.Z0, atol=1e-5)
