"""Reader of a user's own data: one CSV file.

    path,subject,frame,AU01,AU12,...,split
    ann/0001.jpg,ann,,0,3,...,train
    bob.mp4,bob,250,1,,...,test

`path` is that of a picture, or of a video with the frame's number counted from 0; relative to the
manifest's folder. Empty (or 9) means not annotated. `split` (train, validation or test) is
optional, `frame` too when there are only pictures; other columns are refused, so that a misspelt
action unit is not overlooked.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepcoder_tf import action_units
from deepcoder_tf.datasets.folds import SPLITS
from deepcoder_tf.datasets.sources import Problems, Source, parse_level
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.images import IMAGE_SUFFIXES, is_image
from deepcoder_tf.faces.videos import VIDEO_SUFFIXES, is_video, promised_frames

__all__ = ["Manifest", "read_manifest"]

KNOWN = ("path", "subject", "frame", "split")


@dataclass(frozen=True)
class Manifest:
    """What a manifest describes.

    Attributes:
      sources: the recordings, sorted by subject.
      action_units: its action units, in the order of its columns.
      split_of: split of each subject; empty when there is no such column.
    """

    sources: list[Source]
    action_units: tuple[str, ...]
    split_of: dict[str, str]


@dataclass(frozen=True)
class Row:
    """One line of the manifest."""

    line: int
    path: Path
    subject: str
    frame: int | None
    labels: tuple[int, ...]


def read_manifest(path: str | Path, ignore_extra_labels: bool = False) -> Manifest:
    """Reads a manifest and checks every line.

    Args:
      path: the CSV file.
      ignore_extra_labels: leave out labels beyond the end of a video instead of refusing them.

    Returns:
      The recordings: one per video, and one per subject for all of its pictures in one folder.

    Raises:
      UserError: lists everything that is wrong, with line numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a CSV with --manifest=FILE")
    problems = Problems()
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream)
        header = [cell.strip() for cell in next(lines, [])]
        columns = read_header(path, header)
        rows, split_of = read_rows(path, header, columns, lines, problems)
    if not rows and not problems.lines:
        problems.add(f"{path}: has no row below the header; describe at least one picture")
    names = tuple(columns)
    sources = [
        source
        for group in group_rows(rows)
        if (source := to_source(path, group, ignore_extra_labels, problems)) is not None
    ]
    problems.raise_if_any()
    sources.sort(key=lambda source: (source.subject, source.video))
    return Manifest(unique_names(sources), names, split_of)


def read_header(path: Path, header: list[str]) -> dict[str, int]:
    """Columns of the action units by canonical name; refuses what it does not know."""
    lower = [name.lower() for name in header]
    for name in KNOWN[:2]:
        if name not in lower:
            raise UserError(
                f"{path}:1: the column {name!r} is missing; found "
                f"{', '.join(header) or 'nothing'}; "
                "wanted path,subject,frame,AU01,AU02,..."
            )
    columns: dict[str, int] = {}
    for at, name in enumerate(header):
        if name.lower() in KNOWN:
            continue
        try:
            unit = action_units.parse(name)
        except ValueError as error:
            raise UserError(f"{path}:1: unknown column: {error}; correct or remove it") from error
        if unit in columns:
            raise UserError(f"{path}:1: {unit} has two columns; remove one")
        columns[unit] = at
    if not columns:
        raise UserError(f"{path}:1: there is no column of an action unit (AU01, AU12, ...); add it")
    return columns


def read_rows(
    path: Path,
    header: list[str],
    columns: dict[str, int],
    lines: Iterator[list[str]],
    problems: Problems,
) -> tuple[list[Row], dict[str, str]]:
    """Reads the lines below the header; notes what is wrong with each."""
    place = {name.lower(): at for at, name in enumerate(header)}
    rows: list[Row] = []
    split_of: dict[str, str] = {}
    seen: dict[tuple[Path, int | None], int] = {}
    subject_of: dict[Path, tuple[str, int]] = {}
    for line, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            problems.add(
                f"{path}:{line}: {len(cells)} cells, the header has {len(header)}; correct the line"
            )
            continue
        row = read_row(path, line, cells, place, columns, problems)
        if row is None:
            continue
        key = row.path, row.frame
        if key in seen:
            problems.add(f"{path}:{line}: the same picture as line {seen[key]}; remove one of them")
            continue
        seen[key] = line
        owner, owner_line = subject_of.setdefault(row.path, (row.subject, line))
        if owner != row.subject:
            problems.add(
                f"{path}:{line}: {row.path.name} shows {row.subject!r} here and {owner!r} "
                f"in line {owner_line}; a file has one subject"
            )
            continue
        if "split" in place:
            split = cells[place["split"]].strip().lower()
            note_split(path, line, row.subject, split, split_of, problems)
        rows.append(row)
    return rows, split_of


def read_row(
    path: Path,
    line: int,
    cells: list[str],
    place: dict[str, int],
    columns: dict[str, int],
    problems: Problems,
) -> Row | None:
    """Reads one line, or notes its first mistake."""
    where = f"{path}:{line}"
    file = path.parent / cells[place["path"]].strip()
    subject = cells[place["subject"]].strip()
    number = cells[place["frame"]].strip() if "frame" in place else ""
    if not subject:
        problems.add(f"{where}: the subject is empty; name who is seen")
    elif not (is_image(file) or is_video(file)):
        problems.add(
            f"{where}: {file.name!r} is neither a picture ({' '.join(sorted(IMAGE_SUFFIXES))}) "
            f"nor a video ({' '.join(sorted(VIDEO_SUFFIXES))})"
        )
    elif not file.is_file():
        problems.add(f"{where}: no such file {file}; paths are relative to the manifest")
    elif number and not number.isdecimal():
        problems.add(f"{where}: frame {number!r} is no frame number (0, 1, 2, ...)")
    elif is_video(file) and not number:
        problems.add(f"{where}: {file.name} is a video and the frame is empty; give its number")
    else:
        try:
            labels = [parse_unit(name, cells[at]) for name, at in columns.items()]
        except ValueError as error:
            problems.add(f"{where}: {error}; correct the line")
            return None
        return Row(line, file, subject, int(number) if number else None, tuple(labels))
    return None


def parse_unit(name: str, cell: str) -> int:
    """One level, with the action unit named in the message."""
    try:
        return parse_level(cell)
    except ValueError as error:
        told = str(error) if "level" in str(error) else f"{cell!r} is no number"
        raise ValueError(f"{name}: {told}") from error


def note_split(
    path: Path, line: int, subject: str, split: str, split_of: dict[str, str], problems: Problems
) -> None:
    """Checks that a subject stays on one side."""
    if split not in SPLITS:
        problems.add(f"{path}:{line}: split {split!r} is not one of {', '.join(SPLITS)}")
    elif split_of.setdefault(subject, split) != split:
        problems.add(
            f"{path}:{line}: subject {subject!r} is in {split} here and in {split_of[subject]} "
            "above; a person must be on one side only"
        )


def group_rows(rows: list[Row]) -> list[list[Row]]:
    """Rows of one video, or of one subject's pictures in one folder, together."""
    groups: dict[tuple[str, Path], list[Row]] = {}
    for row in rows:
        recording = row.path if is_video(row.path) else row.path.parent
        groups.setdefault((row.subject, recording), []).append(row)
    return list(groups.values())


def to_source(
    manifest: Path, rows: list[Row], ignore_extra: bool, problems: Problems
) -> Source | None:
    """One recording; pictures without frame numbers are numbered in the order of the manifest."""
    first = rows[0]
    if is_video(first.path):
        rows = check_frames(manifest, rows, ignore_extra, problems)
        files: tuple[Path, ...] = (first.path,)
        numbers = np.array([0])
        rows = sorted(rows, key=lambda row: row.frame or 0)
        label_numbers = np.array([row.frame for row in rows], np.int64)
        name = first.path.stem
    else:
        frames = [row.frame for row in rows]
        if None in frames or len(set(frames)) < len(frames):
            label_numbers = np.arange(len(rows))
        else:
            rows = sorted(rows, key=lambda row: row.frame or 0)
            label_numbers = np.array([row.frame for row in rows], np.int64)
        files, numbers = tuple(row.path for row in rows), label_numbers
        name = first.path.parent.name or "pictures"
    labels = np.array([row.labels for row in rows], np.int8).reshape(-1, len(first.labels))
    return Source(first.subject, name, files, numbers, label_numbers, labels, is_video(first.path))


def check_frames(
    manifest: Path, rows: list[Row], ignore_extra: bool, problems: Problems
) -> list[Row]:
    """Notes rows of frames that the video does not have; removes them when told to."""
    try:
        promised = promised_frames(rows[0].path)
    except UserError:
        return rows  # its frames become rows with the status `unreadable`
    last = promised - 1 if promised else np.inf
    extra = [row for row in rows if (row.frame or 0) > last]
    if extra and not ignore_extra:
        problems.add(
            f"{manifest}:{extra[0].line}: frame {extra[0].frame} of {rows[0].path.name}, which has "
            f"frames 0-{promised - 1} ({len(extra)} such lines); correct them or pass "
            "--ignore_extra_labels"
        )
    return [row for row in rows if (row.frame or 0) <= last]


def unique_names(sources: list[Source]) -> list[Source]:
    """Makes the names of one subject's recordings distinct (a/clip.mp4 and b/clip.mp4)."""
    taken: dict[tuple[str, str], int] = {}
    renamed = []
    for source in sources:
        key = source.subject, source.video
        taken[key] = taken.get(key, 0) + 1
        name = source.video if taken[key] == 1 else f"{source.video}-{taken[key]}"
        renamed.append(replace(source, video=name))
    return renamed
