"""Reader of CK+: the frame at the apex of each sequence, and its neutral first frame.

    cohn-kanade-images/S005/001/S005_001_00000011.png
    Emotion/S005/001/S005_001_00000011_emotion.txt         one number, 3.0000000e+00

A sequence runs from neutral to an apex, its last frame, of which the emotion file speaks. That
frame gets the file's class, the first one is neutral; the frames between them are no samples. Of a
sequence without an emotion file both are kept without a class. The subject is the identity; CK+
has no official split.

Source: Lucey, Cohn, Kanade, Saragih, Ambadar and Matthews, The Extended Cohn-Kanade Dataset, CVPR
Workshops 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from deepcoder_tf.datasets.expressions.sources import (
    NO_LABEL,
    ExpressionSource,
    Sample,
    existing_folder,
    find_below,
    pictures_in,
)
from deepcoder_tf.datasets.sources import Problems
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS

__all__ = ["read_ckplus"]

CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""What the numbers 0..7 of an emotion file mean."""

NEUTRAL = EXPRESSIONS.index("neutral")
NOT_CODED = "the sequence has no emotion file"


def read_ckplus(root: str | Path) -> ExpressionSource:
    """Reads the layout and every emotion file; opens no picture.

    Args:
      root: the folder that holds `cohn-kanade-images` and `Emotion`, itself or up to two folders
        below.

    Returns:
      Two samples for each sequence, or one where it has a single frame.

    Raises:
      UserError: lists everything that is wrong with the folder.
    """
    root = existing_folder(root, "cohn-kanade-images and Emotion")
    images = find_below(root, "cohn-kanade-images")
    emotions = find_below(root, "Emotion", "Emotion_labels", "emotion")
    if images is None:
        raise UserError(f"{root}: holds no folder cohn-kanade-images; unpack the pictures there")
    if emotions is None:
        raise UserError(f"{root}: holds no folder Emotion; unpack the emotion labels there")
    problems = Problems()
    samples: list[Sample] = []
    sequences = [path for path in sorted(images.glob("S*/*")) if path.is_dir()]
    for sequence in sequences:
        labels = emotions / sequence.relative_to(images)
        samples += read_sequence(sequence, labels, problems)
    if not samples and not problems.lines:
        raise UserError(f"{images}: holds no picture like S005/001/S005_001_00000011.png")
    known = {path.relative_to(images) for path in sequences}
    for path in sorted(emotions.glob("S*/*/*.txt")):
        if is_label(path) and path.parent.relative_to(emotions) not in known:
            problems.add(f"{path}: its sequence has no pictures; copy them or remove the file")
    problems.raise_if_any()
    return ExpressionSource(root, samples, "dlib")


def is_label(path: Path) -> bool:
    """Whether the file is an emotion file, and none of those that some systems add."""
    return path.name.endswith("_emotion.txt") and not path.name.startswith(".")


def read_sequence(sequence: Path, labels: Path, problems: Problems) -> Iterator[Sample]:
    """The first frame and the apex of one sequence."""
    pictures = sorted(pictures_in(sequence), key=number_of)
    if not pictures:
        problems.add(f"{sequence}: holds no picture; copy the sequence again or remove the folder")
        return
    subject = sequence.parent.name
    files = (
        sorted(path for path in labels.glob("*.txt") if is_label(path)) if labels.is_dir() else []
    )
    if len(files) > 1:
        problems.add(f"{files[1]}: {files[0].name} labels the same sequence; remove one of them")
        return
    if not files:
        ends = dict.fromkeys([pictures[0], pictures[-1]])
        for path in ends:
            yield Sample(path, subject=subject, status=NO_LABEL, reason=NOT_CODED)
        return
    expression = read_emotion(files[0], problems)
    if expression is None:
        return
    named = files[0].name.removesuffix("_emotion.txt")
    # The file is named after the last frame; where that frame is lost, its row says so.
    apex = next((path for path in pictures if path.stem == named), sequence / f"{named}.png")
    if pictures[0] != apex:
        yield Sample(pictures[0], NEUTRAL, subject=subject)
    yield Sample(apex, expression, subject=subject)


def number_of(path: Path) -> tuple[int, str]:
    """Sorts frames by the number that ends their names."""
    found = re.search(r"(\d+)$", path.stem)
    return (int(found[1]) if found else -1, path.name)


def read_emotion(path: Path, problems: Problems) -> int | None:
    """The class of one emotion file, or None and a note."""
    text = path.read_text(encoding="utf-8-sig", errors="replace").strip()
    try:
        code = float(text)
        if code not in range(len(CODES)):
            raise ValueError
    except ValueError:
        problems.add(
            f"{path}:1: emotion {text[:40]!r} is not one of 0-{len(CODES) - 1}; copy the file again"
        )
        return None
    return EXPRESSIONS.index(CODES[int(code)])
