"""Reader of image folders: one folder for each class.

    train/happiness/*.jpg [validation/... or val/...] [test/...]

or the class folders directly, without a split. Folders may be named as `expressions.class_of`
reads them; pictures may lie in folders of their own below them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deepcoder_tf.datasets.expressions.sources import (
    ExpressionSource,
    Sample,
    existing_folder,
    pictures_in,
)
from deepcoder_tf.datasets.sources import Problems
from deepcoder_tf.expressions import class_of

__all__ = ["read_folders"]

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Name of a folder, in lower case -> split."""


def read_folders(root: str | Path) -> ExpressionSource:
    """Lists the pictures below the class folders; opens none.

    Args:
      root: the folder that holds `train`, or the class folders.

    Returns:
      The pictures with the split of their folder, or none.

    Raises:
      UserError: lists everything that is wrong: a folder that names no class, an empty one.
    """
    root = existing_folder(root, "train/happiness, train/sadness, ...")
    problems = Problems()
    folders = visible_folders(root)
    parts = {folder: SPLITS[folder.name.lower()] for folder in folders if is_split(folder)}
    samples: list[Sample] = []
    if parts:
        for folder in folders:
            if folder not in parts:
                problems.add(
                    f"{folder}: is none of train, validation and test, which lie beside it; "
                    "move it into one of them or out of the way"
                )
        for folder, split in parts.items():
            samples += read_classes(folder, split, problems)
    else:
        samples += read_classes(root, "", problems)
    problems.raise_if_any()
    return ExpressionSource(root, samples, "none")


def visible_folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and those that archives leave."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith((".", "__"))
    ]


def is_split(folder: Path) -> bool:
    """Whether the folder is named after a split."""
    return folder.name.lower() in SPLITS


def read_classes(folder: Path, split: str, problems: Problems) -> Iterator[Sample]:
    """The pictures of every class folder."""
    classes = visible_folders(folder)
    if not classes:
        problems.add(f"{folder}: holds no folder of a class; make happiness, sadness, ... in it")
    for of_class in classes:
        try:
            expression = class_of(of_class.name)
        except ValueError as error:
            problems.add(f"{of_class}: {error}; rename or remove the folder")
            continue
        found = False
        for below, names, _ in os.walk(of_class):
            names.sort()
            for file in pictures_in(Path(below)):
                found = True
                yield Sample(file, expression, split)
        if not found:
            problems.add(f"{of_class}: holds no picture; add some or remove the folder")
