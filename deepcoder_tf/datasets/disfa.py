"""Reader of DISFA: one video per subject and camera, one label file per action unit.

    Videos_LeftCamera/LeftVideoSN001_comp.avi      (Video_RightCamera or Videos_RightCamera)
    ActionUnit_Labels/SN001/SN001_au1.txt          frame,intensity; frames from 1

Source: Mavadati, Mahoor, Bartlett, Trinh, Cohn: DISFA, IEEE Transactions on Affective Computing
2013.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.datasets.sources import Codes, Problems, Source, label_table, read_codes
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.videos import VIDEO_SUFFIXES, promised_frames

__all__ = ["CAMERAS", "read_disfa"]

CAMERAS = ("left", "right")
"""Which of the two cameras filmed."""

FIRST_FRAME = 1


def find_folder(root: Path, pattern: str, usual: str) -> Path:
    """The folder whose name matches, with spaces, underscores and case left out of account."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds {usual}")
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and re.fullmatch(pattern, re.sub(r"[\s_-]", "", folder.name.lower())):
            return folder
    raise UserError(f"{root}: holds no folder {usual}; give the folder that holds it")


def subject_of(name: str) -> str | None:
    """`"SN001"` from any name that holds it."""
    found = re.search(r"SN\s*0*(\d{1,3})(?!\d)", name, re.IGNORECASE)
    return f"SN{int(found.group(1)):03d}" if found else None


def read_disfa(
    root: str | Path, camera: str = "left", ignore_extra_labels: bool = False
) -> list[Source]:
    """Reads the layout and all labels; opens the videos only for their length.

    Args:
      root: the folder that holds `Videos_LeftCamera` and `ActionUnit_Labels`.
      camera: `"left"` or `"right"`.
      ignore_extra_labels: leave out labels beyond the end of a video instead of refusing them.

    Returns:
      One source per subject, in the order of their numbers.

    Raises:
      UserError: lists everything that is wrong with the folder.
      ValueError: an unknown camera.
    """
    if camera not in CAMERAS:
        raise ValueError(f"camera {camera!r} is not one of {', '.join(CAMERAS)}")
    root = Path(root)
    side = camera.capitalize()
    videos_in = find_folder(root, f"videos?{camera}camera", f"Videos_{side}Camera")
    labels_in = find_folder(root, "actionunits?labels?", "ActionUnit_Labels")
    problems = Problems()
    videos = by_subject(
        [p for p in videos_in.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES], problems
    )
    labels = by_subject([p for p in labels_in.iterdir() if p.is_dir()], problems)
    if not videos:
        raise UserError(f"{videos_in}: holds no video like {side}VideoSN001_comp.avi")
    for subject in sorted(labels.keys() - videos.keys()):
        problems.add(
            f"{labels[subject]}: labels of {subject} without a video in {videos_in}; "
            "copy the video or remove the labels"
        )
    sources = []
    for subject, video in sorted(videos.items()):
        if subject not in labels:
            problems.add(
                f"{video}: a video without labels; copy {labels_in.name}/{subject} or remove it"
            )
            continue
        columns = read_labels(labels[subject], subject, problems)
        check_frames(video, columns, ignore_extra_labels, problems)
        numbers, table = label_table(columns, len(DISFA))
        first = np.array([FIRST_FRAME])
        sources.append(Source(subject, video.stem, (video,), first, numbers, table, True))
    problems.raise_if_any()
    return sources


def by_subject(paths: list[Path], problems: Problems) -> dict[str, Path]:
    """Sorts files or folders by the subject in their names."""
    found: dict[str, Path] = {}
    for path in sorted(paths):
        subject = subject_of(path.name)
        if subject is None:
            continue
        if subject in found:
            problems.add(f"{path}: {found[subject].name} is of {subject} too; remove one of them")
            continue
        found[subject] = path
    return found


def read_labels(folder: Path, subject: str, problems: Problems) -> dict[int, Codes]:
    """Reads the twelve label files of one subject."""
    files = {}
    for path in sorted(folder.iterdir()):
        found = re.search(r"au\s*0*(\d+)\.txt$", path.name, re.IGNORECASE)
        if found:
            files[f"AU{int(found.group(1)):02d}"] = path
    columns = {}
    for column, name in enumerate(DISFA):
        if name in files:
            columns[column] = read_codes(files[name], problems)
        else:
            problems.add(
                f"{folder}: no label file for {name} ({subject}_au{int(name[2:])}.txt); copy it"
            )
    return columns


def check_frames(
    video: Path, columns: dict[int, Codes], ignore_extra: bool, problems: Problems
) -> None:
    """Notes labels of frames that the video does not have; removes them when told to."""
    try:
        promised = promised_frames(video)
    except UserError:
        return  # an unreadable video is no mistake in the labels: its frames get that status
    last = FIRST_FRAME + promised - 1
    for codes in columns.values():
        extra = [f for f in codes.levels if f < FIRST_FRAME or (promised and f > last)]
        if extra and ignore_extra:
            for frame in extra:
                del codes.levels[frame]
        elif extra:
            problems.add(
                f"{codes.path}:{codes.lines[extra[0]]}: a label for frame {extra[0]}, but "
                f"{video.name} has frames {FIRST_FRAME}-{last} ({len(extra)} such lines); "
                "copy the whole video or pass --ignore_extra_labels"
            )
