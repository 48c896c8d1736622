"""Face numbers follow faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_tf.prediction import identities
from deepcoder_tf.prediction.identities import FaceIdentities, overlap

BOX = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))


@settings(max_examples=150, deadline=None)
@given(BOX, BOX)
def test_overlap_equals_counting_pixels(a, b):
    def pixels(box):
        canvas = np.zeros((40, 40), bool)
        canvas[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
        return canvas

    A, B = pixels(a), pixels(b)
    assert overlap(a, b) == pytest.approx((A & B).sum() / (A | B).sum(), abs=1e-12)
    assert overlap(a, b) == overlap(b, a)
    assert overlap(a, a) == 1


def test_numbers_follow_two_faces_that_change_places_in_the_list():
    identify = FaceIdentities()
    left, right = (0, 0, 50, 50), (200, 0, 50, 50)
    assert identify([left, right]) == [0, 1]
    assert identify([(205, 3, 50, 50), (4, 1, 50, 50)]) == [1, 0]
    assert identify([(8, 2, 50, 50)]) == [0]
    assert identify([]) == []
    assert identify([(207, 2, 50, 50), (9, 2, 50, 50), (100, 90, 50, 50)]) == [1, 0, 2]


def test_the_larger_overlap_wins():
    identify = FaceIdentities()
    assert identify([(0, 0, 100, 100)]) == [0]
    assert identify([(30, 0, 100, 100), (5, 0, 100, 100)]) == [1, 0]


def test_a_number_is_forgotten_after_a_while_and_never_used_again(monkeypatch):
    monkeypatch.setattr(identities, "PATIENCE", 3)
    box = (0, 0, 50, 50)
    for gap, number in ((3, 0), (4, 1)):
        identify = FaceIdentities()
        identify([box])
        for _ in range(gap):
            identify([])
        assert identify([box]) == [number]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(BOX, max_size=4), max_size=6))
def test_no_two_faces_of_a_frame_share_a_number(frames):
    identify = FaceIdentities()
    for boxes in frames:
        numbers = identify(boxes)
        assert len(numbers) == len(boxes) == len(set(numbers))
