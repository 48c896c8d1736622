"""Subject folds: who trains, who decides when to stop, who is tested; never one person in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepcoder_tf.errors import UserError

__all__ = [
    "DISFA_GROUPS",
    "SPLITS",
    "Fold",
    "check_disjoint",
    "disfa_folds",
    "fera2015_folds",
    "grouped_folds",
    "no_fold_error",
    "split_folds",
    "usable_folds",
]

SPLITS = ("train", "validation", "test")
"""The sides of a fold."""

DISFA_GROUPS: tuple[tuple[int, ...], ...] = (
    (1, 2, 9, 10, 16, 26, 27, 30, 32),
    (6, 11, 12, 13, 18, 21, 24, 28, 31),
    (3, 4, 5, 7, 8, 17, 23, 25, 29),
)
"""Subject numbers of the three groups used by most papers; fold K tests group K."""

FURTHER_SUBJECTS = 101
"""From this number on, subjects in the layout of DISFA that DISFA itself does not have; they join
the three groups in turn."""

VALIDATION_SHARE = 1 / 6
"""Share of the training subjects held out for early stopping and the choice of models."""


@dataclass(frozen=True)
class Fold:
    """Subjects of one fold.

    Attributes:
      train: whose frames are fitted.
      validation: who decides on stopping and model choice; taken from the training subjects.
      test: never seen before evaluation.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def subjects(self, split: str) -> tuple[str, ...]:
        """Subjects of `"train"`, `"validation"` or `"test"`.

        Raises:
          ValueError: another word.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
        return getattr(self, split)

    def problem(self) -> str | None:
        """Why the fold cannot be used, or None when it can."""
        if not self.test:
            return "no test subject among the recordings"
        if not self.train:
            return "needs two training subjects: one to train and one for validation"
        return None


def check_disjoint(fold: Fold, where: str) -> None:
    """Makes sure that nobody is on two sides.

    Args:
      fold: the fold.
      where: what to name in the message.

    Raises:
      UserError: a subject is in two splits.
    """
    seen: dict[str, str] = {}
    for split in SPLITS:
        for subject in fold.subjects(split):
            if subject in seen:
                raise UserError(
                    f"{where}: subject {subject!r} is in both {seen[subject]} and {split}; "
                    "a person must be on one side only"
                )
            seen[subject] = split


def with_validation(train: Sequence[str], test: Sequence[str], seed: int) -> Fold:
    """Takes validation subjects from the training subjects, by seed."""
    train = sorted(train)
    count = max(1, round(len(train) * VALIDATION_SHARE)) if train else 0
    chosen = set(np.random.default_rng(seed).permutation(train)[:count].tolist())
    return Fold(
        train=tuple(subject for subject in train if subject not in chosen),
        validation=tuple(sorted(chosen)),
        test=tuple(sorted(test)),
    )


def disfa_folds(subjects: Sequence[str], seed: int) -> list[Fold]:
    """The three DISFA folds, as far as the subjects are there.

    Args:
      subjects: names like `"SN001"`.
      seed: chooses the validation subjects.

    Returns:
      Three folds; fold K tests group K of `DISFA_GROUPS`.

    Raises:
      UserError: a subject that DISFA does not have.
    """
    groups = [{f"SN{number:03d}" for number in group} for group in DISFA_GROUPS]
    for number in range(FURTHER_SUBJECTS, 1000):
        groups[(number - FURTHER_SUBJECTS) % len(groups)].add(f"SN{number}")
    unknown = sorted(set(subjects) - set().union(*groups))
    if unknown:
        raise UserError(
            f"subject {unknown[0]} is not one of DISFA's 27; "
            "rename it, or describe the data in a manifest (--dataset=manifest)"
        )
    return [
        with_validation(
            [s for s in subjects if s not in group], [s for s in subjects if s in group], seed
        )
        for group in groups
    ]


def fera2015_folds(subjects: Sequence[str], seed: int) -> list[Fold]:
    """FERA 2015: odd subject numbers train, even ones are the development set, used as test.

    Args:
      subjects: names like `"F001"` and `"M018"`.
      seed: chooses the validation subjects.

    Returns:
      One fold.
    """
    odd = [subject for subject in subjects if int(subject[1:]) % 2 == 1]
    even = [subject for subject in subjects if int(subject[1:]) % 2 == 0]
    return [with_validation(odd, even, seed)]


def grouped_folds(subjects: Sequence[str], count: int, seed: int) -> list[Fold]:
    """k-fold cross-validation over subjects.

    Args:
      subjects: distinct names.
      count: number of folds.
      seed: shuffles the subjects and chooses the validation subjects.

    Returns:
      `count` folds; every subject is tested exactly once.

    Raises:
      UserError: fewer subjects than folds.
    """
    if not 2 <= count <= len(subjects):
        raise UserError(
            f"--folds={count} does not fit {len(subjects)} subjects; "
            f"choose from 2 to {len(subjects)}"
            if len(subjects) >= 2
            else "cross-validation over subjects needs at least 2 of them; found "
            f"{len(subjects)}; add recordings of others"
        )
    shuffled = np.random.default_rng(seed).permutation(sorted(subjects)).tolist()
    return [
        with_validation([s for s in subjects if s not in part], part, seed)
        for part in (shuffled[k::count] for k in range(count))
    ]


def split_folds(split_of: Mapping[str, str], seed: int) -> list[Fold]:
    """The one fold that the user's own `split` column describes.

    Args:
      split_of: `"train"`, `"validation"` or `"test"` for each subject.
      seed: chooses validation subjects when the column names none.

    Returns:
      One fold.
    """
    by_split = {
        split: tuple(sorted(s for s, of in split_of.items() if of == split)) for split in SPLITS
    }
    if not by_split["validation"]:
        return [with_validation(by_split["train"], by_split["test"], seed)]
    return [Fold(**by_split)]


def usable_folds(folds: list[Fold]) -> tuple[dict[int, Fold], dict[int, str]]:
    """Sorts folds into those that can be used and the reasons of those that cannot.

    Args:
      folds: all folds of a data set.

    Returns:
      The usable folds, and for each other one why it is not, by number.

    Raises:
      UserError: none can be used, or a subject is on both sides of one.
    """
    usable, unusable = {}, {}
    for number, fold in enumerate(folds):
        check_disjoint(fold, f"fold {number}")
        problem = fold.problem()
        if problem:
            unusable[number] = problem
        else:
            usable[number] = fold
    if not usable:
        raise no_fold_error(unusable)
    return usable, unusable


def no_fold_error(unusable: dict[int, str]) -> UserError:
    """The message that no fold can be used, with the reason of each."""
    told = "; ".join(f"fold {number}: {why}" for number, why in unusable.items())
    return UserError(f"no fold can be used ({told}); add recordings of other subjects")
