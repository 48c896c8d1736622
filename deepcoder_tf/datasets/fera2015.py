"""Reader of FERA 2015 (BP4D): pictures or a video per task, one intensity file per action unit.

    BP4D-training/F001/T1/0001.jpg                       or F001_T1.avi anywhere in the folder
    AU Intensity Codes3.0/AU06/F001_T1_AU06.csv          frame,intensity; 9 = unknown
    AUCoding/AU_INT/AU06/F001_T1_AU06.csv                the same in the newer release

Source: Valstar et al., FERA 2015: Second Facial Expression Recognition and Analysis Challenge.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from deepcoder_tf.action_units import FERA2015
from deepcoder_tf.datasets.sources import Codes, Problems, Source, label_table, read_codes
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.images import is_image
from deepcoder_tf.faces.videos import is_video, promised_frames

__all__ = ["read_fera2015"]

Task = tuple[str, str]

LABEL_FILE = re.compile(r"([FM]\d{3})[_ -]?(T\d+)[_ -]AU0*(\d+)", re.IGNORECASE)
VIDEO_FILE = re.compile(r"([FM]\d{3})[_ -]?(T\d+)", re.IGNORECASE)
SUBJECT = re.compile(r"[FM]\d{3}", re.IGNORECASE)
TASK = re.compile(r"T\d+", re.IGNORECASE)


def read_fera2015(root: str | Path, ignore_extra_labels: bool = False) -> list[Source]:
    """Reads the layout and all labels; opens videos only for their length.

    Args:
      root: the folder that holds the recordings and the intensity codes, at any depth.
      ignore_extra_labels: leave out labels beyond the end of a recording, not refuse them.

    Returns:
      One source per subject and task, sorted.

    Raises:
      UserError: lists everything that is wrong with the folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds BP4D-training")
    problems = Problems()
    recordings, codes = find_files(root)
    if not recordings:
        raise UserError(f"{root}: holds no pictures like BP4D-training/F001/T1/0001.jpg")
    if not codes:
        raise UserError(
            f"{root}: holds no intensity file like AU06/F001_T1_AU06.csv; copy the intensity codes"
        )
    for task in sorted(codes.keys() - recordings.keys()):
        problems.add(
            f"{next(iter(codes[task].values()))}: labels of {'/'.join(task)} without pictures or "
            "video; copy them or remove the labels"
        )
    sources = []
    for task, files in sorted(recordings.items()):
        if task not in codes:
            problems.add(
                f"{files[0].parent if len(files) > 1 else files[0]}: a recording without "
                f"labels ({'_'.join(task)}_AU06.csv, ...); copy them or remove it"
            )
            continue
        columns = read_columns(codes[task], task, problems)
        source = recording(task, files, columns, ignore_extra_labels, problems)
        if source is not None:
            sources.append(source)
    problems.raise_if_any()
    return sources


def find_files(root: Path) -> tuple[dict[Task, list[Path]], dict[Task, dict[str, Path]]]:
    """Sorts every file below `root` into recordings and label files by subject and task."""
    pictures: dict[Task, list[Path]] = {}
    videos: dict[Task, list[Path]] = {}
    codes: dict[Task, dict[str, Path]] = {}
    for path in sorted(root.rglob("*")):
        if is_image(path) and len(path.parts) >= 3:
            subject, task = path.parts[-3], path.parts[-2]
            if SUBJECT.fullmatch(subject.strip()) and TASK.fullmatch(task.strip()):
                key = subject.strip().upper(), task.strip().upper()
                pictures.setdefault(key, []).append(path)
        elif is_video(path):
            found = VIDEO_FILE.search("_".join(path.parts[-2:]))
            if found:
                videos.setdefault((found[1].upper(), found[2].upper()), []).append(path)
        elif path.suffix.lower() in (".csv", ".txt"):
            found = LABEL_FILE.fullmatch(path.stem)
            # AU_OCC and AUCoding hold occurrence, whose 0 and 1 are not intensities.
            if found and "occ" not in str(path.parent.relative_to(root)).lower():
                files = codes.setdefault((found[1].upper(), found[2].upper()), {})
                files[f"AU{int(found[3]):02d}"] = path
    return {**videos, **pictures}, codes


def read_columns(files: dict[str, Path], task: Task, problems: Problems) -> dict[int, Codes]:
    """Reads the five intensity files of one task."""
    columns = {}
    for column, name in enumerate(FERA2015):
        if name in files:
            columns[column] = read_codes(files[name], problems)
        else:
            some = next(iter(files.values()))
            problems.add(f"{some}: its neighbour {'_'.join(task)}_{name}.csv is missing; copy it")
    return columns


def recording(
    task: Task, files: list[Path], columns: dict[int, Codes], ignore_extra: bool, problems: Problems
) -> Source | None:
    """One task's source, its labels checked against the frames that are there."""
    video = is_video(files[0])
    if video:
        if len(files) > 1:
            problems.add(f"{files[1]}: {files[0]} is of {'/'.join(task)} too; remove one of them")
            return None
        # Pictures are numbered in their names; in a video, labels tell by a frame 0.
        first = 0 if any(0 in codes.levels for codes in columns.values()) else 1
        numbers, last = np.array([first]), video_end(files[0], first)
    else:
        files, numbers = number_pictures(files, problems)
        if not files:
            return None
        first, last = 0, int(numbers[-1])
    for codes in columns.values():
        extra = [frame for frame in codes.levels if last is not None and frame > last]
        if extra and ignore_extra:
            for frame in extra:
                del codes.levels[frame]
        elif extra:
            problems.add(
                f"{codes.path}:{codes.lines[extra[0]]}: a label for frame {extra[0]}, but the last "
                f"frame of {'/'.join(task)} is {last} ({len(extra)} such lines); copy the whole "
                "recording or pass --ignore_extra_labels"
            )
    label_numbers, labels = label_table(columns, len(FERA2015))
    subject, name = task
    return Source(subject, name, tuple(files), numbers, label_numbers, labels, video)


def video_end(path: Path, first: int) -> int | None:
    """Number of the last frame that the container promises; None when it is not known."""
    try:
        promised = promised_frames(path)
    except UserError:
        return None
    return first + promised - 1 if promised else None


def number_pictures(files: list[Path], problems: Problems) -> tuple[list[Path], np.ndarray]:
    """Sorts pictures by the number that ends their names."""
    numbered: dict[int, Path] = {}
    for path in files:
        found = re.search(r"(\d+)\D*$", path.stem)
        if found is None:
            problems.add(f"{path}: no frame number in the name; rename or remove it")
        elif int(found[1]) in numbered:
            other = numbered[int(found[1])].name
            problems.add(f"{path}: {other} is frame {int(found[1])} too; remove one of them")
        else:
            numbered[int(found[1])] = path
    numbers = sorted(numbered)
    return [numbered[number] for number in numbers], np.array(numbers, np.int64)
