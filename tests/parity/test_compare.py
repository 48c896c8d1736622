"""Differences and verdicts, on answers that are written down."""

from __future__ import annotations

import numpy as np
import pytest

from tools.parity.compare import compare, verdict
from tools.parity.route import Limit

LIMIT = Limit(1e-5)


def answer(first: float = 0.2) -> dict[str, np.ndarray]:
    """Of one face and two action units; the first one's level 0 has the probability `first`."""
    P = np.zeros((1, 2, 6), np.float32)
    P[0, 0, :2] = first, 1 - first
    P[0, 1, 0] = 1
    return {
        "intensity": np.array([[1 - first, 0]], np.float32),
        "presence": (P[..., 0] < 0.5).astype(np.int32),
        "standard_deviation": np.zeros((1, 2), np.float32),
        "level_probabilities": P,
    }


def test_an_answer_equals_itself():
    found = compare(answer(), answer(), LIMIT)
    assert found.largest == dict.fromkeys(
        ("intensity", "standard_deviation", "level_probabilities"), 0.0
    )
    assert (found.mean_intensity, found.presence) == (0.0, 0)
    assert verdict(found, LIMIT) == ""


def test_a_difference_is_named_with_its_size():
    other = answer()
    other["standard_deviation"][0, 1] = 2e-5
    found = compare(answer(), other, LIMIT)
    assert verdict(found, LIMIT) == "standard_deviation by 2e-05"
    assert verdict(found, Limit(1e-4)) == ""


def test_what_is_no_number_breaks_every_limit():
    other = answer()
    other["intensity"][0, 0] = np.nan
    found = compare(answer(), other, LIMIT)
    assert verdict(found, LIMIT) == "intensity by nan"
    assert verdict(found, Limit(1.0, mean_intensity=1.0))


def test_presence_counts_where_it_is_decided():
    other = answer()
    other["presence"][0, 0] = 0
    assert verdict(compare(answer(), other, LIMIT), LIMIT) == "presence of 1"
    tie = compare(answer(0.499999), {**answer(0.499999), "presence": other["presence"]}, LIMIT)
    assert tie.presence == 0 and verdict(tie, LIMIT) == ""


def test_a_mean_forgives_one_face():
    limit = Limit(np.inf, mean_intensity=0.05)
    other = answer()
    other["intensity"][0, 0] += 0.08
    assert verdict(compare(answer(), other, limit), limit) == ""
    other["intensity"][0, 0] += 0.04
    assert verdict(compare(answer(), other, limit), limit) == "mean change of intensity 0.06"


def test_other_outputs_are_an_error():
    less = answer()
    del less["presence"]
    with pytest.raises(ValueError, match="the answer has no presence"):
        compare(answer(), less, LIMIT)
    with pytest.raises(ValueError, match=r"intensity has the shape \[2\], not \[1, 2\]"):
        compare(answer(), {**answer(), "intensity": np.zeros(2)}, LIMIT)


def test_codes_and_grey_levels_have_scales_of_their_own():
    reference = {
        "z0_variance": np.array([[50.0, 0.01]], np.float32),
        "reconstruction": np.array([[10, 20]], np.uint8),
    }
    other = {
        "z0_variance": np.array([[50.0001, 0.01]], np.float32),
        "reconstruction": np.array([[11, 20]], np.uint8),
    }
    found = compare(reference, other, LIMIT)
    assert found.largest["z0_variance"] == pytest.approx(2e-6, rel=0.1)
    assert found.largest["reconstruction"] == 0
    assert (found.presence, verdict(found, LIMIT)) == (None, "")
    other["reconstruction"][0, 1] = 22
    assert verdict(compare(reference, other, LIMIT), LIMIT) == "reconstruction by 1"
    other["reconstruction"][0, 1] = 20
    other["z0_variance"][0, 1] = 0.011
    assert verdict(compare(reference, other, LIMIT), LIMIT) == "z0_variance by 0.001"
