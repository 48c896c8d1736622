"""Pictures and tables from which the small sets of expressions are made."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

__all__ = [
    "AFFECTNET",
    "FERPLUS",
    "PER_CLASS",
    "affectnet_row",
    "level_of",
    "unanimous",
    "write_csv",
    "write_picture",
]

PER_CLASS = 4


def level_of(number: int) -> int:
    """Mean of picture number k."""
    return 40 + 3 * (number % 64)


def write_picture(path: Path, number: int, side: int = 32, colour: bool = False) -> None:
    """A flat PNG or JPEG with the level of its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((side, side, 3), level_of(number), np.uint8)
    if colour:
        image[..., 2] = 250
    cv2.imwrite(str(path), image if colour else image[..., 0])


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """A table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


FERPLUS = [
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
]


def unanimous(expression: str) -> list[int]:
    """Nine votes for one, one for another, in FERPlus' own order."""
    other = "fear" if expression == "neutral" else "neutral"
    return [9 * (name == expression) + (name == other) for name in FERPLUS]


AFFECTNET = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)


def affectnet_row(number: int, code: object) -> list[object]:
    """One line of a list: the face is the right lower quarter, landmarks on its diagonal."""
    points = ";".join(f"{32 + k / 4};{32 + k / 4}" for k in range(68))
    return [f"{number % 3}/{number}.jpg", 32, 32, 32, 32, points, code, 0.1, -0.1]
