"""Small sets of expressions in the real layouts; each picture has a grey level of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.expressions import EXPRESSIONS
from tests.datasets.expressions.layouts import (
    AFFECTNET,
    FERPLUS,
    PER_CLASS,
    affectnet_row,
    level_of,
    unanimous,
    write_csv,
    write_picture,
)


@pytest.fixture
def make_ferplus(tmp_path: Path) -> Callable[..., Path]:
    """Two training and one validation picture of every class, and further lines."""

    def make(*lines: list[object], root: Path = tmp_path / "FERPLUS") -> Path:
        rows: list[list[object]] = [["Usage", "Image name", *FERPLUS]]
        number = 0
        for usage, folder, count in (("Training", "Train", 2), ("PublicTest", "Valid", 1)):
            for name in EXPRESSIONS:
                for _ in range(count):
                    file = f"fer{number:07d}.png"
                    write_picture(root / "data" / f"FER2013{folder}" / file, number, 48)
                    rows.append([usage, file, *unanimous(name)])
                    number += 1
        write_csv(root / "fer2013new.csv", [*rows, *lines])
        return root

    return make


@pytest.fixture
def make_folders(tmp_path: Path) -> Callable[..., Path]:
    """`PER_CLASS` coloured pictures of every class in every split."""

    def make(splits: tuple[str, ...] = ("train", "val")) -> Path:
        root, number = tmp_path / "folders", 0
        for split in splits:
            for name in EXPRESSIONS:
                for k in range(PER_CLASS):
                    write_picture(root / split / name / f"{k}.png", number, colour=True)
                    number += 1
        return root

    return make


@pytest.fixture
def make_manifest(tmp_path: Path) -> Callable[[str], Path]:
    """A manifest with these lines, beside pictures 0.png to 9.png."""

    def make(text: str) -> Path:
        root = tmp_path / "own"
        for k in range(10):
            write_picture(root / f"{k}.png", k)
        (root / "manifest.csv").write_text(text)
        return root / "manifest.csv"

    return make


@pytest.fixture
def make_affectnet(tmp_path: Path) -> Callable[..., Path]:
    """Both lists of the first release: every class twice, codes 8 to 10, and further lines."""

    def make(*lines: list[object], header: bool = False) -> Path:
        root = tmp_path / "AffectNet"
        number = 0
        for name in ("training", "validation"):
            rows: list[Iterable[object]] = [AFFECTNET] if name == "training" or header else []
            for code in (*range(8), *range(11)):
                image = np.full((64, 64, 3), 200, np.uint8)
                image[32:, 32:] = level_of(number)
                path = root / "Manually_Annotated_Images" / f"{number % 3}" / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
                rows.append(affectnet_row(number, code))
                number += 1
            write_csv(root / f"{name}.csv", [*rows, *(lines if name == "training" else ())])
        return root

    return make


@pytest.fixture
def make_newer_affectnet(tmp_path: Path) -> Callable[..., Path]:
    """The second release: faces and their annotation files."""

    def make() -> Path:
        root = tmp_path / "AffectNet2"
        for folder in ("train_set", "val_set"):
            for number, code in enumerate((*range(8), *range(11))):
                write_picture(root / folder / "images" / f"{number}.jpg", number, 224)
                annotations = root / folder / "annotations"
                annotations.mkdir(exist_ok=True)
                # Codes are text in the release; a number is accepted too.
                np.save(annotations / f"{number}_exp.npy", str(code) if number % 2 else code)
                np.save(annotations / f"{number}_lnd.npy", np.arange(136.0))
        return root

    return make


@pytest.fixture
def make_ckplus(tmp_path: Path) -> Callable[..., Path]:
    """Eight labelled sequences of three frames for each subject, and one without a label."""

    def make(subjects: int = 4) -> Path:
        root = tmp_path / "CK+"
        number = 0
        for subject in range(5, 5 + subjects):
            for sequence in range(9):
                name = f"S{subject:03d}", f"{sequence + 1:03d}"
                for frame in (1, 2, 10):
                    file = f"{'_'.join(name)}_{frame:08d}.png"
                    write_picture(root.joinpath("cohn-kanade-images", *name, file), number)
                    number += 1
                folder = root.joinpath("Emotion", *name)
                folder.mkdir(parents=True)
                if sequence < 8:
                    stem = f"{'_'.join(name)}_{10:08d}_emotion.txt"
                    (folder / stem).write_text(f"   {sequence:.7e}\n")
        (root / "cohn-kanade-images" / "S005" / ".DS_Store").write_bytes(b"x")
        return root

    return make
