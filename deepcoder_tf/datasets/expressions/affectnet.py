"""Reader of AffectNet, in both of its releases.

    Manually_Annotated_Images/689/737db2.jpg     whole pictures, found through
    training.csv, validation.csv                 subDirectory_filePath,face_x,...,expression,...

    train_set/images/42.jpg                      cropped faces, each with
    train_set/annotations/42_exp.npy             its class (and 42_lnd.npy, 68 landmarks)
    val_set/...

Codes 8 (none), 9 (uncertain) and 10 (no face) are none of the eight classes: these pictures are
left out and counted. AffectNet names no identities.

Source: Mollahosseini, Hasani and Mahoor, AffectNet, IEEE Transactions on Affective Computing 2019.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepcoder_tf.datasets.expressions.sources import (
    LEFT_OUT,
    ExpressionSource,
    Sample,
    existing_folder,
    find_below,
    inner_landmarks,
    pictures_in,
)
from deepcoder_tf.datasets.sources import Problems
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS

__all__ = ["read_affectnet"]

COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
"""Columns of the lists; the list of validation pictures comes without this header."""

LISTS = {"train": "training.csv", "validation": "validation.csv"}
FOLDERS = {"train": "train_set", "validation": "val_set"}
PICTURES = "Manually_Annotated_Images"

OTHERS = {8: "none of the eight", 9: "uncertain", 10: "no face"}
"""Codes beside the classes, which are 0..7 in the order of `EXPRESSIONS`."""


def read_affectnet(root: str | Path, landmarks: bool = False) -> ExpressionSource:
    """Reads the lists, or the annotation files, of either release; opens no picture.

    Args:
      root: the folder that holds `training.csv`, or `train_set`, itself or up to two folders below.
      landmarks: read the landmarks that AffectNet gives too.

    Returns:
      All pictures with their official split.

    Raises:
      UserError: lists everything that is wrong with the folder.
    """
    root = existing_folder(root, "training.csv and validation.csv, or train_set and val_set")
    problems = Problems()
    if find_below(root, LISTS["train"]):
        source = ExpressionSource(root, list(read_lists(root, landmarks, problems)), "box")
    elif find_below(root, FOLDERS["train"]):
        source = ExpressionSource(root, list(read_folders(root, landmarks, problems)), "none")
    else:
        raise UserError(
            f"{root}: holds neither {LISTS['train']} nor {FOLDERS['train']}; give the folder of "
            "AffectNet as it was unpacked"
        )
    problems.raise_if_any()
    return source


def sample_of(code: int, file: Path, split: str) -> Sample:
    """A picture with a class, or one that is left out.

    Raises:
      ValueError: an unknown code.
    """
    if code in OTHERS:
        return Sample(
            file, split=split, status=LEFT_OUT, reason=f"AffectNet {code}: {OTHERS[code]}"
        )
    if not 0 <= code < len(EXPRESSIONS):
        raise ValueError(f"expression {code} is not one of 0-{max(OTHERS)}")
    return Sample(file, code, split)


# Whole pictures and lists -------------------------------------------------------------------------


def read_lists(root: Path, landmarks: bool, problems: Problems) -> Iterator[Sample]:
    """The samples of both lists."""
    pictures = find_below(root, PICTURES)
    if pictures is None:
        raise UserError(f"{root}: holds no folder {PICTURES}; unpack the pictures there")
    for split, name in LISTS.items():
        path = find_below(root, name)
        if path is None:
            raise UserError(f"{root}: holds no {name}; copy it beside {LISTS['train']}")
        yield from read_list(path, pictures, split, landmarks, problems)


def read_list(
    path: Path, pictures: Path, split: str, landmarks: bool, problems: Problems
) -> Iterator[Sample]:
    """The samples of one list; notes what is wrong with its lines."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream)
        first = next(lines, [])
        place = {name: at for at, name in enumerate(COLUMNS)}
        if "expression" in (names := [cell.strip() for cell in first]):
            missing = [
                name for name in ("subDirectory_filePath", "expression") if name not in names
            ]
            if missing:
                raise UserError(
                    f"{path}:1: the column {missing[0]!r} is missing; copy the list again"
                )
            place = {name: names.index(name) for name in COLUMNS if name in names}
        elif len(first) == len(COLUMNS):
            yield from read_line(f"{path}:1", first, place, pictures, split, landmarks, problems)
        else:
            raise UserError(
                f"{path}:1: {len(first)} cells and no header; wanted {','.join(COLUMNS)}"
            )
        for number, cells in enumerate(lines, start=2):
            if cells:
                where = f"{path}:{number}"
                yield from read_line(where, cells, place, pictures, split, landmarks, problems)


def read_line(
    where: str,
    cells: list[str],
    place: dict[str, int],
    pictures: Path,
    split: str,
    landmarks: bool,
    problems: Problems,
) -> Iterator[Sample]:
    """The sample of one line, or none and a note."""
    if len(cells) <= max(place.values()):
        problems.add(f"{where}: {len(cells)} cells, {max(place.values()) + 1} were wanted")
        return
    value = {name: cells[at].strip() for name, at in place.items()}
    try:
        code = int(value["expression"])
    except ValueError:
        problems.add(f"{where}: expression {value['expression']!r} is no number; correct the line")
        return
    file = pictures / value["subDirectory_filePath"].replace("\\", "/")
    try:
        sample = sample_of(code, file, split)
        if landmarks and sample.status != LEFT_OUT and value.get("facial_landmarks"):
            points = np.array(value["facial_landmarks"].split(";"), np.float64)
            sample = sample._replace(landmarks=inner_landmarks(points))
    except ValueError as error:
        problems.add(f"{where}: {error}; correct the line")
        return
    yield sample._replace(box=box_of(value))


def box_of(value: dict[str, str]) -> tuple[float, float, float, float] | None:
    """The face's box; None where the list says NULL or nothing."""
    try:
        x, y, width, height = (float(value[f"face_{n}"]) for n in ("x", "y", "width", "height"))
    except (KeyError, ValueError):
        return None
    return (x, y, width, height) if width >= 1 and height >= 1 else None


# Cropped faces and annotation files ---------------------------------------------------------------


def read_folders(root: Path, landmarks: bool, problems: Problems) -> Iterator[Sample]:
    """The samples of both folders, by number."""
    for split, name in FOLDERS.items():
        folder = find_below(root, name)
        if folder is None:
            raise UserError(f"{root}: holds no folder {name}; unpack it beside {FOLDERS['train']}")
        pictures = {path.stem: path for path in pictures_in(folder / "images")}
        annotations = {
            path.name.removesuffix("_exp.npy"): path
            for path in (folder / "annotations").glob("*_exp.npy")
        }
        if not annotations:
            raise UserError(
                f"{folder / 'annotations'}: holds no file like 0_exp.npy; unpack it again"
            )
        for stem in sorted(pictures.keys() - annotations.keys(), key=in_order):
            problems.add(
                f"{pictures[stem]}: has no annotations/{stem}_exp.npy; copy it, or remove the "
                "picture"
            )
        for stem in sorted(annotations, key=in_order):
            file = pictures.get(stem, folder / "images" / f"{stem}.jpg")
            try:
                sample = sample_of(read_code(annotations[stem]), file, split)
                if landmarks and sample.status != LEFT_OUT:
                    sample = sample._replace(landmarks=read_points(annotations[stem]))
            except ValueError as error:
                problems.add(str(error))
                continue
            yield sample


def in_order(stem: str) -> tuple[int, str]:
    """Sorts numbered names by their number."""
    return (int(stem), stem) if stem.isdecimal() else (-1, stem)


def read_array(path: Path) -> np.ndarray:
    """A NumPy file without pickled objects.

    Raises:
      ValueError: it is damaged or holds objects.
    """
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); copy it again") from error


def read_code(path: Path) -> int:
    """The class code, which AffectNet stores as text or as a number.

    Raises:
      ValueError: names the file and the value.
    """
    array = read_array(path)
    try:
        if array.size != 1 or (code := float(array.item())) not in range(max(OTHERS) + 1):
            raise ValueError
    except (TypeError, ValueError):
        shown = str(array.tolist())[:40]
        raise ValueError(
            f"{path}: expression {shown} is not one of 0-{max(OTHERS)}; copy it again"
        ) from None
    return int(code)


def read_points(path: Path) -> np.ndarray | None:
    """The landmarks beside a class code; None where they are not there.

    Raises:
      ValueError: the file is damaged.
    """
    path = path.with_name(path.name.replace("_exp.npy", "_lnd.npy"))
    if not path.is_file():
        return None
    array = read_array(path)
    try:
        return inner_landmarks(array.astype(np.float64).ravel())
    except ValueError as error:
        raise ValueError(f"{path}: {error}; copy it again") from error
