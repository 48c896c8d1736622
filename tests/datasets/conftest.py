"""Small data sets in the real layouts, showing a real face that sways a little."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.datasets.prepare import PrepareConfig, prepare
from deepcoder_tf.datasets.prepared import PreparedInfo

FRAMES = 4


def sway(count: int, seed: int) -> list[np.ndarray]:
    """Frames `[200, 240, 3]` uint8 BGR of the photograph's head, slightly turned and stretched."""
    photo = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    rng = np.random.default_rng(seed)
    wide = rng.uniform(0.93, 1.07)
    frames = []
    for _ in range(count):
        matrix = cv2.getRotationMatrix2D((223, 127), rng.normal(0, 3), 1.2)
        matrix[0] *= wide
        matrix[:, 2] += 120 - 223 * wide, 100 - 127
        frames.append(cv2.warpAffine(photo, matrix, (240, 200), borderMode=cv2.BORDER_REFLECT))
    return frames


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    """Motion JPEG at 20 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()


def write_codes(path: Path, levels: list[int], first: int = 1) -> None:
    """`frame,intensity` lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{first + k},{level}\n" for k, level in enumerate(levels)))


def level_of(subject: int, column: int, frame: int) -> int:
    """Levels that tell subject, action unit and frame apart."""
    return (subject + 2 * column + 3 * frame) % 6


def write_disfa(root: Path, subjects: tuple[int, ...], frames: int) -> None:
    """A DISFA folder."""
    for subject in subjects:
        name = f"SN{subject:03d}"
        write_video(root / "Videos_LeftCamera" / f"LeftVideo{name}_comp.avi", sway(frames, subject))
        for column, unit in enumerate(DISFA):
            levels = [level_of(subject, column, k) for k in range(frames)]
            folder = root / "ActionUnit_Labels" / name
            write_codes(folder / f"{name}_au{int(unit[2:])}.txt", levels)


@pytest.fixture
def make_disfa(tmp_path: Path) -> Callable[..., Path]:
    """Writes a DISFA folder; by default six subjects, two of each test group."""

    def make(subjects: tuple[int, ...] = (1, 2, 6, 11, 3, 4), frames: int = FRAMES) -> Path:
        write_disfa(tmp_path / "DISFA", subjects, frames)
        return tmp_path / "DISFA"

    return make


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedInfo:
    """Six DISFA subjects of four frames, prepared once for the tests that only read."""
    root = tmp_path_factory.mktemp("session")
    write_disfa(root / "DISFA", (1, 2, 6, 11, 3, 4), FRAMES)
    return prepare(PrepareConfig("disfa", root / "DISFA", root / "prepared", progress=False))


@pytest.fixture
def make_fera(tmp_path: Path) -> Callable[..., Path]:
    """Writes a FERA 2015 folder of pictures, or of videos."""

    def make(
        subjects: tuple[str, ...] = ("F001", "M001", "F002"),
        tasks: tuple[str, ...] = ("T1",),
        video: bool = False,
        codes: str = "AU Intensity Codes3.0",
    ) -> Path:
        root = tmp_path / "BP4D"
        for number, subject in enumerate(subjects):
            for task in tasks:
                frames = sway(FRAMES, number)
                if video:
                    write_video(root / "BP4D-training" / subject / f"{task}.avi", frames)
                else:
                    folder = root / "BP4D-training" / subject / task
                    folder.mkdir(parents=True)
                    for k, frame in enumerate(frames):
                        cv2.imwrite(str(folder / f"{k + 1:04d}.jpg"), frame)
                for column, unit in enumerate(FERA2015):
                    levels = [level_of(number, column, k) for k in range(FRAMES)]
                    write_codes(root / codes / unit / f"{subject}_{task}_{unit}.csv", levels)
        return root

    return make


@pytest.fixture
def make_manifest(tmp_path: Path) -> Callable[..., Path]:
    """Writes a manifest with these lines, beside three pictures and a video of four frames."""

    def make(text: str) -> Path:
        root = tmp_path / "own"
        for k, frame in enumerate(sway(3, 5)):
            (root / "pictures").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "pictures" / f"{k}.png"), frame)
        write_video(root / "clip.avi", sway(FRAMES, 6))
        (root / "manifest.csv").write_text(text)
        return root / "manifest.csv"

    return make
