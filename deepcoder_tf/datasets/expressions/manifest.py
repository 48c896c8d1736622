"""Reader of a user's own pictures of expressions: one CSV file.

    path,expression,subject,split
    ann/0001.jpg,happiness,ann,train
    bob/0001.jpg,,bob,test

`path` is relative to the manifest's folder; `expression` is a name, empty for none. `subject` and
`split` (train, validation or test) are optional; other columns are refused, so that a misspelt one
is not overlooked.
"""

from __future__ import annotations

import csv
from pathlib import Path

from deepcoder_tf.datasets.expressions.sources import NO_LABEL, ExpressionSource, Sample
from deepcoder_tf.datasets.folds import SPLITS
from deepcoder_tf.datasets.sources import Problems
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import class_of
from deepcoder_tf.faces.images import IMAGE_SUFFIXES, is_image

__all__ = ["read_expression_manifest"]

NEEDED, OPTIONAL = ("path", "expression"), ("subject", "split")


def read_expression_manifest(path: str | Path) -> ExpressionSource:
    """Reads a manifest and checks every line; opens no picture.

    Args:
      path: the CSV file.

    Returns:
      The pictures in the order of the manifest.

    Raises:
      UserError: lists everything that is wrong, with line numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a CSV with --manifest=FILE")
    problems = Problems()
    samples: list[Sample] = []
    line_of: dict[Path, int] = {}
    split_of: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream)
        place = read_header(path, [cell.strip().lower() for cell in next(lines, [])])
        for number, cells in enumerate(lines, start=2):
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path}:{number}"
            if len(cells) != len(place):
                problems.add(f"{where}: {len(cells)} cells, the header has {len(place)}")
                continue
            sample = read_row(where, path, cells, place, problems)
            if sample is None:
                continue
            if line_of.setdefault(sample.file, number) != number:
                problems.add(
                    f"{where}: the same picture as line {line_of[sample.file]}; remove one of them"
                )
            elif (
                sample.subject and split_of.setdefault(sample.subject, sample.split) != sample.split
            ):
                problems.add(
                    f"{where}: subject {sample.subject!r} is in {sample.split} here and in "
                    f"{split_of[sample.subject]} above; a person must be on one side only"
                )
            samples.append(sample)
    if not samples:
        problems.add(f"{path}: has no row below the header; describe at least one picture")
    problems.raise_if_any()
    return ExpressionSource(path.parent, samples, "none")


def read_header(path: Path, header: list[str]) -> dict[str, int]:
    """Columns by name; refuses what it does not know."""
    wanted = f"wanted {','.join(NEEDED)} and, if known, {','.join(OPTIONAL)}"
    for name in NEEDED:
        if name not in header:
            raise UserError(
                f"{path}:1: the column {name!r} is missing; found "
                f"{', '.join(header) or 'nothing'}; {wanted}"
            )
    for at, name in enumerate(header):
        if name not in (*NEEDED, *OPTIONAL):
            raise UserError(f"{path}:1: unknown column {name!r}; correct or remove it; {wanted}")
        if name in header[:at]:
            raise UserError(f"{path}:1: {name!r} has two columns; remove one")
    return {name: at for at, name in enumerate(header)}


def read_row(
    where: str, path: Path, cells: list[str], place: dict[str, int], problems: Problems
) -> Sample | None:
    """Reads one line, or notes its first mistake."""
    value = {name: cells[at].strip() for name, at in place.items()}
    file, split = path.parent / value["path"], value.get("split", "").lower()
    if not is_image(file):
        problems.add(
            f"{where}: {file.name!r} is no picture ({' '.join(sorted(IMAGE_SUFFIXES))}); correct it"
        )
    elif not file.is_file():
        problems.add(f"{where}: no such file {file}; paths are relative to the manifest")
    elif "split" in value and split not in SPLITS:
        problems.add(f"{where}: split {split!r} is not one of {', '.join(SPLITS)}; correct it")
    else:
        subject, text = value.get("subject", ""), value["expression"]
        if not text:
            reason = "the manifest names no expression"
            return Sample(file, split=split, subject=subject, status=NO_LABEL, reason=reason)
        try:
            return Sample(file, class_of(text), split, subject)
        except ValueError as error:
            problems.add(f"{where}: {error}; correct the line")
    return None
