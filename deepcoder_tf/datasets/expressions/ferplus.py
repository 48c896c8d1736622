"""Reader of FER2013 with the FERPlus labels: ten annotators' votes for every picture.

    fer2013new.csv           Usage,Image name,neutral,happiness,surprise,sadness,anger,...,NF
    FER2013Train/fer0000000.png, FER2013Valid/, FER2013Test/     (or inside a folder data/)

Usage `Training` is the training part, `PublicTest` validation, `PrivateTest` test.

The class is the majority vote as the authors of FERPlus take it. Of the ten counts (eight classes,
unknown, not-a-face NF) those of a single vote are set to 0; the largest wins if it exceeds half of
the rest's sum, which rules out ties.

| the winner           | class         | status     | stored |
|----------------------|---------------|------------|--------|
| one of the eight     | that one      | `ok`       | yes    |
| none, nobody exceeds | -1            | `no_label` | yes    |
| unknown, or NF       | -1            | `left_out` | no     |

Lines without a picture's name (nobody saw a face in it), and lines that repeat another word by
word, are `left_out` too.

Accuracy on FERPlus is taken over the rows with a class. All ten counts are kept as they are.

Source: Barsoum, Zhang, Canton Ferrer and Zhang, Training Deep Networks for Facial Expression
Recognition with Crowd-Sourced Label Distribution, ICMI 2016.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.datasets.expressions.sources import (
    LEFT_OUT,
    NO_LABEL,
    OK,
    ExpressionSource,
    Sample,
    existing_folder,
    find_below,
)
from deepcoder_tf.datasets.sources import Problems
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS

__all__ = ["majority", "read_ferplus", "without_single_votes"]

UNKNOWN, NOT_A_FACE = len(EXPRESSIONS), len(EXPRESSIONS) + 1
"""Columns of the two other votes, after the eight classes in the order of `EXPRESSIONS`."""

VOTES = (*EXPRESSIONS, "unknown", "NF")
COLUMNS = ("Usage", "Image name", *VOTES)

PARTS = {
    "Training": ("train", "FER2013Train"),
    "PublicTest": ("validation", "FER2013Valid"),
    "PrivateTest": ("test", "FER2013Test"),
}
"""Usage -> split and folder."""

REASONS = {
    MISSING: (NO_LABEL, "no majority among the votes"),
    UNKNOWN: (LEFT_OUT, "FERPlus: most votes say unknown"),
    NOT_A_FACE: (LEFT_OUT, "FERPlus: most votes say not a face"),
}
"""Outcome of the vote that gives no class -> status and reason."""


Line = tuple[str, str, tuple[int, ...]]
"""Usage, picture and the ten counts."""


def without_single_votes(annotations: np.ndarray) -> np.ndarray:
    """Votes that nobody seconds are taken for slips.

    Args:
      annotations: `[N, V]` counts.

    Returns:
      The same with 0 for 1.
    """
    return np.where(annotations > 1, annotations, 0)


def majority(annotations: np.ndarray) -> np.ndarray:
    """The winner of each row, see the module's docstring.

    Args:
      annotations: `[N, 10]` counts, the eight classes, unknown, not-a-face.

    Returns:
      `[N]` int64 columns; -1 where no count exceeds half of the sum.

    >>> majority(np.array([[6, 4, 0, 0, 0, 0, 0, 0, 0, 0], [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]]))
    array([ 0, -1])
    """
    counts = without_single_votes(annotations)
    winner = counts.argmax(axis=1)
    return np.where(2 * counts.max(axis=1) > counts.sum(axis=1), winner, MISSING)


def read_ferplus(root: str | Path) -> ExpressionSource:
    """Reads the votes; opens no picture.

    Args:
      root: the folder that holds `fer2013new.csv` and the three folders of pictures, themselves or
        up to two folders below.

    Returns:
      A sample for every line; pictures that are not there show in the prepared folder's rows.

    Raises:
      UserError: lists everything that is wrong with the folder.
    """
    root = existing_folder(root, "fer2013new.csv and FER2013Train")
    path = find_below(root, "fer2013new.csv")
    if path is None:
        raise UserError(f"{root}: holds no fer2013new.csv; copy it from FERPlus")
    training = find_below(root, PARTS["Training"][1])
    if training is None:
        raise UserError(
            f"{root}: holds no folder {PARTS['Training'][1]}; write the pictures of FER2013 with "
            "FERPlus' generate_training_data.py"
        )
    problems = Problems()
    lines = read_votes(path, problems)
    problems.raise_if_any()
    if not lines:
        raise UserError(f"{path}: has no row below the header; copy it again")
    annotations = np.array([votes for _, _, votes in lines])
    samples = []
    seen: set[str] = set()
    for (usage, name, votes), winner in zip(lines, majority(annotations).tolist(), strict=True):
        split, folder = PARTS[usage]
        status, reason = REASONS.get(winner, (OK, ""))
        if not name:
            status, reason = LEFT_OUT, "FERPlus: has no picture, nobody saw a face"
        elif name in seen:
            status, reason = LEFT_OUT, "FERPlus: the line repeats an earlier one"
        seen.add(name)
        samples.append(
            Sample(
                file=training.parent / folder / name,
                expression=winner if status == OK else MISSING,
                split=split,
                status=status,
                reason=reason,
                annotations=votes,
            )
        )
    return ExpressionSource(root, samples, "none")


def read_votes(path: Path, problems: Problems) -> list[Line]:
    """Usage, picture and the ten counts of every line."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream)
        header = [cell.strip() for cell in next(lines, [])]
        absent = [name for name in COLUMNS if name not in header]
        if absent:
            raise UserError(f"{path}:1: the column {absent[0]!r} is missing; copy the file again")
        columns = [header.index(name) for name in VOTES]
        usage_at, name_at = header.index("Usage"), header.index("Image name")
        rows: list[Line] = []
        seen: dict[str, tuple[int, Line]] = {}
        for number, cells in enumerate(lines, start=2):
            if not cells:
                continue
            if len(cells) != len(header):
                problems.add(f"{path}:{number}: {len(cells)} cells, the header has {len(header)}")
                continue
            usage, name = cells[usage_at].strip(), cells[name_at].strip()
            if usage not in PARTS:
                problems.add(
                    f"{path}:{number}: Usage {usage!r} is not one of {', '.join(PARTS)}; correct it"
                )
                continue
            cast = [cells[at].strip() for at in columns]
            wrong = next(
                (vote for vote in cast if not (vote.isdecimal() and int(vote) < 256)), None
            )
            if wrong is not None:
                problems.add(f"{path}:{number}: {wrong!r} is no count of votes; correct the line")
                continue
            line: Line = (usage, name, tuple(map(int, cast)))
            first, known = seen.setdefault(name, (number, line)) if name else (number, line)
            if known != line:
                problems.add(
                    f"{path}:{number}: {name} has other votes in line {first}; remove one of them"
                )
            rows.append(line)
    return rows
