"""Folds: nobody on two sides, everybody tested once, the same every time."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_tf.datasets.folds import (
    DISFA_GROUPS,
    Fold,
    check_disjoint,
    disfa_folds,
    fera2015_folds,
    grouped_folds,
    split_folds,
)
from deepcoder_tf.errors import UserError

DISFA_SUBJECTS = [f"SN{number:03d}" for number in sorted(chain(*DISFA_GROUPS))]


def check(folds: list[Fold], subjects: list[str]) -> None:
    for number, fold in enumerate(folds):
        check_disjoint(fold, f"fold {number}")
        assert sorted(fold.train + fold.validation + fold.test) == sorted(subjects)
        known = len(fold.train) + len(fold.validation)
        assert len(fold.validation) == max(1, round(known / 6))


@pytest.mark.parametrize("seed", [0, 1])
def test_disfa(seed: int) -> None:
    assert len(DISFA_SUBJECTS) == len(set(DISFA_SUBJECTS)) == 27
    folds = disfa_folds(DISFA_SUBJECTS, seed)
    check(folds, DISFA_SUBJECTS)
    assert [len(fold.train) for fold in folds] == [15] * 3
    assert folds[0].test[:3] == ("SN001", "SN002", "SN009")
    assert folds[1].test[-1] == "SN031"
    assert sorted(chain(*(fold.test for fold in folds))) == DISFA_SUBJECTS
    assert folds == disfa_folds(DISFA_SUBJECTS[::-1], seed)
    assert folds != disfa_folds(DISFA_SUBJECTS, seed + 1)


def test_disfa_with_few_subjects() -> None:
    folds = disfa_folds(["SN001", "SN006", "SN011"], 0)
    assert [fold.problem() is None for fold in folds] == [True, False, False]
    assert "needs two training subjects" in str(folds[1].problem())
    assert folds[2].problem() == "no test subject among the recordings"
    further = disfa_folds([*DISFA_SUBJECTS, "SN101", "SN102", "SN103", "SN104"], 0)
    assert [set(fold.test) - set(DISFA_SUBJECTS) for fold in further] == [
        {"SN101", "SN104"},
        {"SN102"},
        {"SN103"},
    ]
    with pytest.raises(UserError, match="subject SN099 is not one of DISFA's 27"):
        disfa_folds(["SN001", "SN099"], 0)


def test_fera2015() -> None:
    subjects = [f"F{k:03d}" for k in range(1, 24)] + [f"M{k:03d}" for k in range(1, 19)]
    (fold,) = fera2015_folds(subjects, 0)
    check([fold], subjects)
    assert len(fold.train) + len(fold.validation) == 21
    assert len(fold.test) == 20
    assert all(int(subject[1:]) % 2 == 0 for subject in fold.test)


@given(st.integers(2, 30), st.integers(2, 10), st.integers(0, 99))
def test_grouped(count: int, folds: int, seed: int) -> None:
    subjects = [f"s{k}" for k in range(count)]
    if folds > count:
        with pytest.raises(UserError, match=f"--folds={folds} does not fit {count} subjects"):
            grouped_folds(subjects, folds, seed)
        return
    found = grouped_folds(subjects, folds, seed)
    check(found, subjects)
    assert sorted(chain(*(fold.test for fold in found))) == sorted(subjects)
    sizes = [len(fold.test) for fold in found]
    assert max(sizes) - min(sizes) <= 1
    assert found == grouped_folds(subjects[::-1], folds, seed)


def test_one_subject_is_not_enough() -> None:
    with pytest.raises(UserError, match="needs at least 2 of them; found 1"):
        grouped_folds(["only"], 5, 0)


def test_own_split() -> None:
    (fold,) = split_folds({"a": "train", "b": "validation", "c": "test"}, 0)
    assert fold == Fold(("a",), ("b",), ("c",))
    (fold,) = split_folds({"a": "train", "b": "train", "c": "test"}, 0)
    check([fold], ["a", "b", "c"])
    assert fold.test == ("c",)


def test_a_subject_on_both_sides_is_refused() -> None:
    with pytest.raises(UserError, match="fold 2: subject 'a' is in both train and test"):
        check_disjoint(Fold(("a", "b"), (), ("a",)), "fold 2")
    with pytest.raises(ValueError, match="split 'dev' is not one of train, validation, test"):
        Fold((), (), ()).subjects("dev")
