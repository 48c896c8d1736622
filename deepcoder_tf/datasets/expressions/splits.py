"""Which pictures train, decide when to stop, and test: the official split, else by identity."""

from __future__ import annotations

import numpy as np

from deepcoder_tf.datasets.expressions.sources import LEFT_OUT, OK, Sample
from deepcoder_tf.datasets.folds import SPLITS
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS

__all__ = ["assign_splits", "check_classes", "check_identities", "class_counts"]


def assign_splits(
    samples: list[Sample], validation_share: float, test_share: float, seed: int
) -> list[Sample]:
    """Gives every sample a split and sorts them by it, otherwise in their order.

    A split that the data set gives is kept; where it names no validation pictures, they are taken
    from the training pictures. Where it gives none at all, whole identities are drawn for
    validation and test. A picture whose subject is not known is an identity of its own.

    Args:
      samples: as read.
      validation_share: of the pictures that are divided, 0 to 1.
      test_share: the same, where the data set gives no split.
      seed: of the draw.

    Returns:
      The samples, training first, then validation, then test.
    """
    given = {sample.split for sample in samples}
    rng = np.random.default_rng(seed)
    if given == {""}:
        samples = move(samples, "", "test", test_share, rng)
        samples = move(samples, "", "validation", validation_share / (1 - test_share), rng)
        samples = [s if s.split else s._replace(split="train") for s in samples]
    elif "validation" not in given:
        samples = move(samples, "train", "validation", validation_share, rng)
    return sorted(samples, key=lambda sample: SPLITS.index(sample.split))


def move(
    samples: list[Sample], source: str, target: str, share: float, rng: np.random.Generator
) -> list[Sample]:
    """Moves whole identities, drawn at random, from one split to another.

    At least one moves where two are there, and at least one stays.
    """
    pictures: dict[str, int] = {}
    for sample in samples:
        if sample.split == source:
            pictures[identity(sample)] = pictures.get(identity(sample), 0) + 1
    wanted = round(share * sum(pictures.values()))
    moved: set[str] = set()
    count = 0
    for name in rng.permutation(sorted(pictures)).tolist()[1:]:
        if count >= wanted and (moved or share == 0):
            break
        moved.add(name)
        count += pictures[name]
    return [
        s._replace(split=target) if s.split == source and identity(s) in moved else s
        for s in samples
    ]


def identity(sample: Sample) -> str:
    """Whose picture it is; a NUL keeps names of files and of subjects apart."""
    return sample.subject or f"\0{sample.file}"


def check_identities(samples: list[Sample]) -> None:
    """Makes sure that nobody is on two sides.

    Args:
      samples: with their splits.

    Raises:
      UserError: names the first subject that is.
    """
    split_of: dict[str, str] = {}
    for sample in samples:
        if sample.subject and split_of.setdefault(sample.subject, sample.split) != sample.split:
            raise UserError(
                f"{sample.file}: subject {sample.subject!r} is in both {sample.split} and "
                f"{split_of[sample.subject]}; a person must be on one side only"
            )


def class_counts(labels: np.ndarray, splits: np.ndarray) -> dict[str, dict[str, int]]:
    """Pictures of every class in every split.

    Args:
      labels: `[N]`, -1 for none.
      splits: `[N]` names.

    Returns:
      split -> expression (and `none`) -> pictures.
    """
    names = ("none", *EXPRESSIONS)
    counts = {}
    for split in SPLITS:
        found = np.bincount(labels[splits == split] + 1, minlength=len(names))
        counts[split] = dict(zip((*names[1:], names[0]), np.roll(found, -1).tolist(), strict=True))
    return counts


def check_classes(samples: list[Sample], where: str, allow_missing: bool) -> None:
    """Makes sure that there is something to learn from for every class.

    Args:
      samples: with their splits.
      where: the data set, to be named in the message.
      allow_missing: accept classes without a training picture.

    Raises:
      UserError: some class has no training picture, or there is none at all.
    """
    kept = [sample for sample in samples if sample.status != LEFT_OUT]
    present = {s.expression for s in kept if s.split == "train" and s.status == OK}
    if not present:
        raise UserError(f"{where}: has no training picture with an expression; add some")
    absent = [name for k, name in enumerate(EXPRESSIONS) if k not in present]
    if absent and not allow_missing:
        raise UserError(
            f"{where}: no training picture shows {' or '.join(absent)}; add some, or pass "
            "--allow_missing_classes to go without"
        )
