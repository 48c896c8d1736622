"""Labels as people have them: on the curves alone, nothing is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.synthesis.performance import (
    TEMPLATES,
    Performance,
    episode_curve,
    levels,
    perform,
)


def labels(seed: int, frames: int, subjects: int, units: tuple[str, ...]) -> list[np.ndarray]:
    """`[F, Q]` levels of every subject."""
    shown = perform(seed, frames, subjects, units)
    return [levels(p.intensities[:, [p.action_units.index(u) for u in units]]) for p in shown]


def test_levels_are_the_nearest_whole_number():
    x = np.array([0, 0.49, 0.5, 1.49, 2.5, 4.49, 4.5, 5])
    assert levels(x).tolist() == [0, 0, 1, 1, 3, 4, 5, 5]


@pytest.mark.parametrize("units", [DISFA, FERA2015])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_of_a_usual_data_set(units: tuple[str, ...], seed: int):
    every = np.concatenate(labels(seed, 200, 24, units))
    shown = (every > 0).mean(axis=0)
    assert (shown >= 0.08).all() and (shown <= 0.18).all()
    count = np.bincount(every.ravel(), minlength=6) / every.size
    assert count[0] > 0.8 and (count[1:] > 0).all()
    assert count[5] < count[4] < count[3], "strong expressions are rare"
    assert count[4] + count[5] < 0.05


def test_every_action_unit_is_seen_in_every_fold_of_a_small_set():
    subjects = labels(0, 120, 12, DISFA)
    for fold in range(3):
        assert (np.concatenate(subjects[fold::3]) > 0).any(axis=0).all()


def test_action_units_co_occur_in_groups_and_also_come_alone():
    every = np.concatenate(labels(3, 400, 27, DISFA)) > 0
    column = {name: every[:, k] for k, name in enumerate(DISFA)}

    def given(first: str, second: str) -> float:
        """Share of the frames with the first that also have the second."""
        return float((column[first] & column[second]).sum() / column[first].sum())

    for first, second in (
        ("AU06", "AU12"),
        ("AU26", "AU25"),
        ("AU02", "AU01"),
        ("AU09", "AU04"),
        ("AU17", "AU15"),
    ):
        assert given(first, second) > 1.5 * column[second].mean()
    alone = every.sum(axis=1) == 1
    for name in DISFA:
        if name != "AU26":
            assert (alone & column[name]).any(), f"{name} alone"


def test_a_dropped_jaw_parts_the_lips():
    for performance in perform(0, 300, 5, DISFA):
        jaw, lips = (performance.action_units.index(u) for u in ("AU26", "AU25"))
        shown = performance.intensities
        assert (shown[:, lips] >= 0.7 * shown[:, jaw] - 1e-12).all()


def test_subjects_differ_in_how_much_they_show():
    means = [subject.mean() for subject in labels(0, 400, 27, DISFA)]
    assert max(means) > 1.4 * min(means)


def test_an_episode_rises_holds_and_falls_within_range():
    for seed in range(20):
        curve = episode_curve(np.random.default_rng(seed), 4.8)
        top = int(np.argmax(curve))
        assert curve.min() > 0 and curve.max() <= 5
        assert curve[0] < 1 and curve[-1] < 1
        assert np.abs(np.diff(curve)).max() < 2, "no jumps"
        assert 5 <= top < len(curve) - 5


def test_a_subject_is_the_same_whoever_follows():
    few, many = (list(perform(7, 90, n, DISFA)) for n in (3, 9))
    for a, b in zip(few, many, strict=False):
        np.testing.assert_array_equal(a.intensities, b.intensities)
    other = next(perform(8, 90, 1, DISFA))
    assert not np.array_equal(few[0].intensities, other.intensities)


def test_templates_name_each_group_once_and_the_documented_ones_are_there():
    assert len(set(TEMPLATES)) == len(TEMPLATES)
    for group in (("AU06", "AU12"), ("AU01", "AU02", "AU05", "AU25", "AU26"), ("AU04", "AU09")):
        assert group in TEMPLATES
    assert ("AU01", "AU04", "AU15") in TEMPLATES
    assert not any("AU26" in t and "AU25" not in t for t in TEMPLATES)


def test_any_set_of_action_units_can_be_asked_for():
    performance = next(perform(0, 400, 1, ("AU12",)))
    assert performance.action_units == ("AU12",)
    assert performance.intensities.max() > 1


def test_at_leaves_resting_units_out():
    performance = Performance(("AU01", "AU12"), np.array([[0.0, 2.5], [0.0, 0.0]]))
    assert performance.at(0) == {"AU12": 2.5}
    assert performance.at(1) == {}
