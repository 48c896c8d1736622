"""Balanced batches: the loops of the paper, the effective sample size, no overflow, no repeats."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.optimize import brentq

from deepcoder_tf.training.balance import (
    balanced_probabilities,
    class_probabilities,
    effective_sample_size,
    log_frequency,
    sample_epoch,
    subset,
)
from tests.reference import balance as reference

LEVELS = 6


def skewed(frames: int, units: int = 12, subjects: int = 6, seed: int = 0, missing: float = 0.05):
    """Labels like those of action units: mostly 0, high levels rare, subjects of unequal length."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(subjects, 3.0))
    names = np.array([f"S{k}" for k in np.sort(rng.choice(subjects, frames, p=share))])
    lively = rng.uniform(0.3, 2.0, subjects)[[int(name[1:]) for name in names]]
    active = rng.random((frames, units)) < 0.12 * lively[:, None]
    labels = np.where(active, rng.choice(np.arange(1, 6), (frames, units), p=P_LEVELS), 0)
    labels[rng.random((frames, units)) < missing] = -1
    return labels, names


P_LEVELS = np.array([0.4, 0.3, 0.2, 0.08, 0.02])


def test_frequencies_are_those_of_the_loops():
    labels, _ = skewed(150, units=4)
    ours = log_frequency(labels)
    np.testing.assert_allclose(ours, reference.log_frequency(labels.tolist(), LEVELS), rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_are_those_of_the_loops(seed):
    labels, names = skewed(150, units=4, subjects=3, seed=seed)
    log_f = reference.log_frequency(labels.tolist(), LEVELS)

    def of_tau(tau):
        return reference.tempered(log_f, names.tolist(), tau)

    tau = brentq(lambda t: reference.effective_sample_size(of_tau(t)) - 0.3 * 150, 0.0, 1.0)
    ours = balanced_probabilities(labels, names, ess=0.3)
    np.testing.assert_allclose(ours, of_tau(tau), rtol=1e-8)


@pytest.mark.parametrize("ess", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_the_effective_sample_size_is_met_and_subjects_are_equally_likely(ess, seed):
    labels, names = skewed(4000, seed=seed)
    p = balanced_probabilities(labels, names, ess=ess)
    assert effective_sample_size(p) == pytest.approx(ess * 4000, rel=0.01)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    marginal = [p[names == name].sum() for name in np.unique(names)]
    np.testing.assert_allclose(marginal, 1.0 / len(marginal), atol=1e-12)


def test_rarer_is_likelier_within_a_subject():
    labels, names = skewed(500)
    p, log_f = balanced_probabilities(labels, names), log_frequency(labels)
    for name in np.unique(names):
        order = np.argsort(log_f[names == name])
        assert np.all(np.diff(p[names == name][order]) <= 1e-18)


def test_balance_moves_mass_from_neutral_faces_to_rare_levels():
    labels, names = skewed(4000, missing=0.0)
    p = balanced_probabilities(labels, names)
    neutral, strong = np.all(labels == 0, axis=1), np.any(labels >= 4, axis=1)
    assert p[neutral].sum() < 0.3 * neutral.mean()
    assert p[strong].sum() > 1.5 * strong.mean()


@pytest.mark.parametrize("kind", ["ess", "paper", "off"])
def test_nothing_overflows_where_a_frame_is_as_rare_as_1e_30(kind):
    labels, names = np.zeros((2000, 12), int), np.repeat(["a", "b"], 1000)
    labels[7] = 5
    log_f = log_frequency(labels)
    assert log_f[7] < np.log(1e-30)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        p = balanced_probabilities(labels, names, kind)
    assert np.all(np.isfinite(p)) and np.all(p >= 0)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.argmax(p) == (0 if kind == "off" else 7)


def test_the_printed_equation_is_kept_with_a_warning(caplog):
    labels, names = skewed(1000, missing=0.0)
    with caplog.at_level(logging.WARNING):
        p = balanced_probabilities(labels, names, "paper")
    assert effective_sample_size(p) < 10
    assert "--balance=ess" in caplog.text
    # Where frequencies are moderate it is exp(1/f) over its sum, and says nothing.
    caplog.clear()
    labels = (np.arange(400) % 2)[:, None]
    with caplog.at_level(logging.WARNING):
        p = balanced_probabilities(labels, np.repeat("a", 400), "paper")
    expected = np.exp(np.exp(-log_frequency(labels)))
    np.testing.assert_allclose(p, expected / expected.sum(), rtol=1e-9)
    assert not caplog.text


def test_without_balance_every_frame_is_equally_likely():
    labels, names = skewed(60)
    np.testing.assert_array_equal(balanced_probabilities(labels, names, "off"), 1 / 60)


def test_a_level_that_never_occurs_is_rare_and_not_infinitely_so():
    labels = np.zeros((50, 1), int)
    labels[0] = 5
    log_f = log_frequency(labels)
    assert log_f[0] == pytest.approx(np.log(2 / 56))
    assert np.all(np.isfinite(log_frequency(np.zeros((3, 2), int))))


def test_missing_labels_say_nothing():
    labels, _ = skewed(200, missing=0.0)
    holes = np.concatenate([labels, np.full((5, 12), -1)])
    np.testing.assert_allclose(log_frequency(holes)[:200], log_frequency(labels), rtol=1e-12)
    np.testing.assert_array_equal(log_frequency(holes)[200:], 0.0)
    p = balanced_probabilities(np.full((4, 2), -1), np.array(["a", "a", "a", "b"]))
    np.testing.assert_allclose(p, [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_a_target_out_of_reach_keeps_the_nearest():
    labels, names = skewed(300)
    even = balanced_probabilities(np.zeros_like(labels), names, ess=1.0)
    assert effective_sample_size(even) <= 300
    extreme = balanced_probabilities(labels, names, ess=1e-3)
    log_f = log_frequency(labels).tolist()
    np.testing.assert_allclose(extreme, reference.tempered(log_f, names.tolist(), 1.0), rtol=1e-9)


def test_no_frame_is_twice_in_a_batch_and_impossible_ones_are_in_none():
    p = np.array([0.7, 0.1, 0.1, 0.05, 0.05, 0.0])
    rows = sample_epoch(p, 4, 200, np.random.default_rng(0))
    assert rows.shape == (200, 4)
    assert all(len(set(batch)) == 4 for batch in rows)
    assert 5 not in rows


def test_a_batch_of_all_frames_is_a_permutation():
    rows = sample_epoch(np.full(9, 1 / 9), 9, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(9), (3, 1)))


def test_draws_follow_the_probabilities_and_the_seed():
    p = np.array([0.5, 0.3, 0.15, 0.05])
    rows = sample_epoch(p, 1, 4000, np.random.default_rng(1))
    np.testing.assert_allclose(np.bincount(rows[:, 0]) / 4000, p, atol=0.03)
    again = sample_epoch(p, 1, 4000, np.random.default_rng(1))
    np.testing.assert_array_equal(rows, again)
    # The second of two without replacement: P(0 then 1) = .5 * .3 / .5 and so on.
    pairs = sample_epoch(p, 2, 4000, np.random.default_rng(2))
    both = np.mean([{0, 1} == set(pair) for pair in pairs])
    assert both == pytest.approx(0.5 * 0.3 / 0.5 + 0.3 * 0.5 / 0.7, abs=0.03)


def test_a_subset_takes_equally_many_of_each_subject_and_no_neighbours():
    labels, names = skewed(3000)
    rows = subset(labels, names, 100, np.random.default_rng(0))
    assert len(rows) == 100 and np.all(np.diff(rows) > 0)
    counts = np.unique(names[rows], return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    same = names[rows][1:] == names[rows][:-1]
    assert np.all(np.diff(rows)[same] >= 2)
    assert np.mean(labels[rows] >= 3) > 1.5 * np.mean(labels >= 3)


def test_a_subset_is_filled_with_neighbours_where_frames_are_few():
    labels, names = np.zeros((14, 2), int), np.repeat(["a", "b"], [10, 4])
    rows = subset(labels, names, 16, np.random.default_rng(0))
    assert sum(names[rows] == "a") == 8 and sum(names[rows] == "b") == 4
    assert len(set(rows)) == len(rows)


def test_classes_are_drawn_equally_often_or_as_they_are():
    labels = np.array([0] * 60 + [3] * 30 + [7] * 10 + [-1] * 50)
    for balance, expected in ((1.0, (1, 1, 1)), (0.0, (60, 30, 10)), (0.5, np.sqrt((60, 30, 10)))):
        p = class_probabilities(labels, balance)
        shares = [p[labels == k].sum() for k in (0, 3, 7)]
        np.testing.assert_allclose(shares, np.array(expected) / np.sum(expected))
        assert p[labels == -1].sum() == 0 and p.sum() == pytest.approx(1)
        assert all(np.ptp(p[labels == k]) == 0 for k in (0, 3, 7))
    drawn = labels[sample_epoch(class_probabilities(labels), 5, 2000, np.random.default_rng(0))]
    found = np.array([(drawn == k).mean() for k in (0, 3, 7)])
    assert np.abs(found - 1 / 3).max() < 0.06 and not (drawn == -1).any()


def test_nothing_to_draw_from():
    with pytest.raises(ValueError, match="no picture has a class"):
        class_probabilities(np.full(3, -1))
    with pytest.raises(ValueError, match=r"balance 1\.5 is outside 0 to 1"):
        class_probabilities(np.zeros(3, int), 1.5)
