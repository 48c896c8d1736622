"""Intensity, presence, deviation and printed probabilities never contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcoder_tf.levels import mode, quantise, summarise

WEIGHTS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=2, max_side=4).map(lambda shape: (*shape, 6)),
    elements=st.one_of(st.just(0.0), st.floats(1e-9, 1), st.sampled_from([0.5, 1 / 3, 1.0])),
)


def normalise(weights: np.ndarray) -> np.ndarray:
    weights = np.where(weights.sum(-1, keepdims=True) > 0, weights, 1.0)
    return weights / weights.sum(-1, keepdims=True)


@settings(max_examples=200, deadline=None)
@given(WEIGHTS, st.sampled_from([1, 2, 4, 6]))
def test_quantised_rows_sum_to_one_and_move_less_than_a_unit(weights, digits):
    P = normalise(weights)
    counts = quantise(P, digits)
    assert (counts >= 0).all()
    assert (counts.sum(-1) == 10**digits).all()
    assert np.max(np.abs(counts - P * 10**digits)) < 1 + 1e-6


def test_quantise_is_the_best_rounding_of_a_small_case():
    """Against a search over every way of sharing ten units."""
    P = np.array([0.07, 0.23, 0.46, 0.24])
    best = min(
        (
            (a, b, c, 10 - a - b - c)
            for a in range(11)
            for b in range(11 - a)
            for c in range(11 - a - b)
        ),
        key=lambda counts: np.sum((np.array(counts) / 10 - P) ** 2),
    )
    assert quantise(P, 1).tolist() == list(best)


@settings(max_examples=300, deadline=None)
@given(WEIGHTS, st.sampled_from([2, 6]))
def test_the_four_views_cannot_contradict_each_other(weights, digits):
    summary = summarise(normalise(weights), digits)
    P, r, c = summary.probabilities, summary.intensity, summary.presence
    top = mode(P)
    assert (top[c == 0] == 0).all()
    assert (c[top > 0] == 1).all()
    assert (r[c == 1] > 0.5).all()
    assert (c[r <= 0.5] == 0).all()
    # All of it can be computed again from what is printed.
    printed = np.round(P, digits)
    s = np.arange(6)
    np.testing.assert_allclose(printed @ s, r, rtol=0, atol=1e-12)
    deviation = np.sqrt(np.sum(printed * (s - r[..., None]) ** 2, -1))
    np.testing.assert_allclose(
        deviation, summary.standard_deviation, rtol=0, atol=0.51 / 10**digits
    )
    assert (c == (np.round(1 - printed[..., 0], digits) > 0.5)).all()


def test_certainty_has_no_deviation():
    summary = summarise(np.eye(6))
    assert summary.standard_deviation.tolist() == [0] * 6
    assert summary.intensity.tolist() == [0, 1, 2, 3, 4, 5]
    assert summary.presence.tolist() == [0, 1, 1, 1, 1, 1]


def test_an_even_split_between_absent_and_present_counts_as_absent():
    assert summarise([0.5, 0.0, 0.0, 0.5, 0.0, 0.0]).presence == 0
    assert summarise([0.499999, 0.500001, 0.0, 0.0, 0.0, 0.0]).presence == 1


@pytest.mark.parametrize("bad", [[0.5, 0.4], [1.2, -0.2], [np.nan, 1.0], [0.0, 0.0]])
def test_what_is_no_distribution_is_refused(bad):
    with pytest.raises(ValueError, match="sum to 1"):
        quantise(bad)
