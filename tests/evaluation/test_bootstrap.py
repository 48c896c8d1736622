"""The bootstrap over subjects against metrics of frames that are really repeated, and SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf import levels
from deepcoder_tf.evaluation import metrics
from deepcoder_tf.evaluation.bootstrap import (
    METRICS,
    Interval,
    draw_subjects,
    interval,
    mean_over,
    measure,
    subject_sums,
)


def frames(subjects: int = 5, units: int = 3, most: int = 30, seed: int = 0) -> tuple:
    """Labels with gaps, point predictions, probabilities and subjects, unequal in length."""
    rng = np.random.default_rng(seed)
    who = np.repeat([f"s{k}" for k in range(subjects)], rng.integers(3, most, subjects))
    rng.shuffle(who)
    P = rng.dirichlet(np.ones(6), (len(who), units)).astype(np.float32)
    Y = rng.integers(-1, 6, (len(who), units))
    Y[:, 0] = np.where(Y[:, 0] > 2, 0, Y[:, 0])
    expected = P @ np.arange(6, dtype=np.float32) + 0.1 * rng.normal(size=Y.shape)
    return Y, expected, P, who


def slow(Y, expected, P, who, counts: dict[str, int]) -> np.ndarray:
    """The same metrics by repeating the frames of each subject `[Q, M]`."""
    rows = np.concatenate([np.tile(np.flatnonzero(who == s), n) for s, n in counts.items()])
    rows = rows.astype(int)
    found = np.full((Y.shape[1], len(METRICS)), np.nan)
    for q in range(Y.shape[1]):
        y, p = Y[rows, q], P[rows, q]
        if not np.any(y >= 0):
            continue
        point = {"mean": expected[rows, q], "mode": levels.mode(p)}
        of_points = {"icc": metrics.icc31, "mse": metrics.mse, "mae": metrics.mae}
        of_probabilities = {
            "ordinal_log_score": metrics.ordinal_log_score,
            "calibration_error": metrics.expected_calibration_error,
        }
        for m, (name, which) in enumerate(METRICS):
            found[q, m] = (
                of_points[name](y, point[which]) if which else of_probabilities[name](p, y)
            )
    return found


def pooled(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Metrics of resamples `[R, Q, M]`."""
    return measure(np.tensordot(counts, sums, 1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 3))
def test_counts_are_worth_repeated_frames(seed, subjects, units):
    data = frames(subjects, units, seed=seed)
    found = subject_sums(*data)
    counts = draw_subjects(subjects, 4, seed)
    for row, metric in zip(counts, pooled(counts, found.sums), strict=True):
        repeats = dict(zip(found.subjects.tolist(), row.astype(int).tolist(), strict=True))
        np.testing.assert_allclose(metric, slow(*data, repeats), rtol=1e-9, atol=1e-11)


def test_the_subjects_as_they_are_give_the_metrics_of_an_evaluation():
    Y, _, P, who = frames()
    found = measure(subject_sums(Y, P @ np.arange(6), P, who).sums.sum(0))
    names = ("AU01", "AU02", "AU04")
    expected = metrics.evaluate_predictions(names, Y, P).per_au
    for q, name in enumerate(names):
        for m, (metric, point) in enumerate(METRICS):
            row = expected[name]
            value = getattr(row.points[point] if point else row, metric)
            assert found[q, m] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("level", [0.0, 0.1, 1 / 3, 4.7])
def test_raters_that_never_move_agree_by_nothing(level):
    Y = np.zeros((300, 1), int)
    P = np.zeros((300, 1, 6))
    P[..., 0] = 1
    sums = subject_sums(Y, np.full((300, 1), level), P, np.repeat(["a", "b", "c"], 100)).sums
    found = pooled(draw_subjects(3, 50, 0), sums)
    assert np.all(found[..., METRICS.index(("icc", "mean"))] == 0)
    np.testing.assert_allclose(found[..., METRICS.index(("mse", "mean"))], level**2)


def test_a_large_offset_costs_no_digits_that_matter():
    Y, _, P, who = frames(most=200)
    expected = P @ np.arange(6) + 1e4
    found = measure(subject_sums(Y, expected, P, who).sums.sum(0))[:, 0]
    direct = [metrics.icc31(Y[:, q], expected[:, q] - 1e4) for q in range(3)]
    np.testing.assert_allclose(found, direct, atol=1e-7)


def test_what_nobody_labelled_is_nan_and_a_resample_may_lack_it():
    Y, expected, P, who = frames()
    Y[:, 1] = -1
    Y[who != "s2", 2] = -1
    P[Y == -1] = np.nan
    found = subject_sums(Y, expected, P, who)
    counts = np.array([[1, 1, 1, 1, 1], [2, 2, 0, 1, 0.0]])
    values = pooled(counts, found.sums)
    assert np.isnan(values[:, 1]).all() and np.isfinite(values[:, 0]).all()
    assert np.isfinite(values[0, 2]).all() and np.isnan(values[1, 2]).all()


# Intervals ----------------------------------------------------------------------------------------


def test_the_interval_is_scipys():
    Y, expected, P, who = frames(subjects=12, seed=3)
    found = subject_sums(Y, expected, P, who)
    icc = METRICS.index(("icc", "mean"))

    def statistic(at, axis=-1):
        counts = np.stack([(at == s).sum(axis) for s in range(12)], -1).astype(float)
        return pooled(counts, found.sums)[..., 0, icc]

    theirs = scipy.stats.bootstrap(
        (np.arange(12),), statistic, n_resamples=40000, method="percentile", rng=1
    ).confidence_interval
    ours = pooled(draw_subjects(12, 40000, 2), found.sums)[:, 0, icc]
    low, high = interval(statistic(np.arange(12)), ours)[1:]
    # Monte-Carlo error of a quantile from 40,000 draws: about a hundredth of the width.
    width = theirs.high - theirs.low
    assert abs(low - theirs.low) < 0.03 * width and abs(high - theirs.high) < 0.03 * width


def test_the_interval_of_a_mean_is_that_of_theory():
    # One frame for each subject: the MSE is a mean of 400 numbers, its interval mean ± 1.96 s/√n.
    n = 400
    error = np.sqrt(np.random.default_rng(0).uniform(size=(n, 1)))
    P = np.full((n, 1, 6), 1 / 6)
    sums = subject_sums(np.zeros((n, 1), int), error, P, np.arange(n).astype(str)).sums
    found = pooled(draw_subjects(n, 20000, 0), sums)[:, 0, METRICS.index(("mse", "mean"))]
    low, high = interval(float(np.mean(error**2)), found)[1:]
    half = 1.96 * np.std(error**2) / np.sqrt(n)
    np.testing.assert_allclose(
        [low, high], np.mean(error**2) + np.array([-half, half]), atol=half * 0.06
    )


def test_draws_are_of_as_many_subjects_each_as_likely():
    counts = draw_subjects(9, 20000, 0)
    assert counts.shape == (20000, 9) and np.all(counts.sum(1) == 9)
    np.testing.assert_allclose(counts.mean(0), 1, atol=0.03)
    np.testing.assert_allclose(counts.var(0), 8 / 9, atol=0.05)
    np.testing.assert_array_equal(counts, draw_subjects(9, 20000, 0))
    assert np.any(counts != draw_subjects(9, 20000, 1))
    assert np.any(counts != draw_subjects(9, 20000, 0, fold=1))


def test_a_difference_is_paired():
    """A system and itself with a constant more error differ by that, whoever is drawn."""
    Y, _, P, who = frames(subjects=8)
    y = np.maximum(Y, 0).astype(float)
    one = subject_sums(Y, y + 1, P, who).sums
    two = subject_sums(Y, y + 2, P, who).sums
    counts = draw_subjects(8, 200, 0)
    mse = METRICS.index(("mse", "mean"))
    difference = (pooled(counts, two) - pooled(counts, one))[..., mse]
    np.testing.assert_allclose(difference, 3, atol=1e-12)
    assert interval(3.0, difference[:, 0]).excludes_zero


def test_seeds_then_folds_are_averaged():
    a, b, c = (np.full((2, 1), value) for value in (1.0, 3.0, 7.0))
    c[1] = np.nan
    np.testing.assert_allclose(mean_over({0: [a, b], 2: [c]}), [[4.5], [2.0]])
    assert np.isnan(mean_over({0: [np.full((1, 1), np.nan)]})).all()


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (Interval(0.2, 0.1, 0.3), True),
        (Interval(-0.2, -0.3, -0.1), True),
        (Interval(0.2, -0.1, 0.3), False),
        (Interval(0.2, 0.0, 0.3), False),
        (Interval(0.2), False),
        (Interval(None), False),
    ],
)
def test_a_difference_holds_where_its_interval_excludes_zero(found, holds):
    assert found.excludes_zero is holds


def test_intervals_of_nothing():
    assert interval(float("nan"), np.ones(3)) == (None, None, None)
    assert interval(1.0, None) == (1.0, None, None)
    assert interval(1.0, np.full(3, np.nan)) == (1.0, None, None)
    assert interval(1.0, np.array([np.nan, 2, 2])) == (1.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda Y, F, P, who: (Y[1:], F, P, who), "do not fit"),
        (lambda Y, F, P, who: (Y, F, P[..., 0], who), "do not fit"),
        (lambda Y, F, P, who: (Y, F, P, who[1:]), "do not fit"),
        (lambda Y, F, P, who: (Y[:0], F[:0], P[:0], who[:0]), "no frame"),
        (lambda Y, F, P, who: (np.full_like(Y, -1), F, P, who), "labelled"),
        (lambda Y, F, P, who: (np.where(Y == 3, 6, Y), F, P, who), "0..5, got 0..6"),
        (lambda Y, F, P, who: (np.where(Y == 3, -2, Y), F, P, who), "got -2..5"),
        (lambda Y, F, P, who: (np.abs(Y), np.where(F > 2, np.nan, F), P, who), "not finite"),
    ],
)
def test_what_cannot_be_measured_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        subject_sums(*change(*frames()))
