"""A tiny data set through every command, and what tests ask of a command."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "FRAMES",
    "ROOT",
    "SIZES",
    "SUBJECTS",
    "TRAIN",
    "Data",
    "Job",
    "do",
    "evaluation",
    "fails",
    "table",
    "video_of",
]

ROOT = Path(__file__).parents[2]
SUBJECTS, FRAMES = 4, 12
SIZES = [
    "--preset=small",
    "--coders=conv:6,gp:3",
    "--image_height=30",
    "--image_width=20",
    "--filters=4,4",
    "--pools=1,1",
    "--kernel_size=3",
    "--gp_points=8",
    "--gp_block=8",
    "--gp_init_steps=10",
    "--gp_steps=5",
    "--init_epochs=2",
    "--iterations=2",
    "--warmup_iterations=1",
    "--batch_size=4",
    "--optimizer=adam",
    "--learning_rate=0.003",
    "--pixel_path=0",
    "--cnn_filters=4",
    "--cnn_kernels=3",
    "--cnn_pools=1",
    "--cnn_features=6",
    "--lbp_rows=2",
    "--lbp_columns=1",
]
"""Options that make every system train in seconds."""

TRAIN = [*SIZES, "--fold=0"]


class Data(NamedTuple):
    """A synthetic data set.

    Attributes:
      faces: in the layout of DISFA.
      prepared: crops and folds.
      test_subjects: of fold 0.
    """

    faces: Path
    prepared: Path
    test_subjects: list[str]


class Job(NamedTuple):
    """Where everything is.

    Attributes:
      faces: synthetic data set in the layout of DISFA.
      prepared: crops and folds.
      run: trained on fold 0.
      results: of its evaluation on the test subjects.
      exported: version 1.
      test_subjects: of fold 0.
    """

    faces: Path
    prepared: Path
    run: Path
    results: Path
    exported: Path
    test_subjects: list[str]


def do(main, *arguments: object) -> None:
    """Runs a command that must succeed."""
    assert main(["name", *map(str, arguments)]) == 0


def evaluation(run: Path, prepared: Path, results: Path, fold: int = 0) -> list[str]:
    """Flags of `deepcoder-evaluate` on the test subjects."""
    return [
        f"--model_dir={run}",
        f"--data_dir={prepared}",
        f"--output_dir={results}",
        f"--fold={fold}",
        "--split=test",
    ]


def video_of(job: Data | Job) -> Path:
    """A recording of a test subject."""
    return job.faces / "Videos_LeftCamera" / f"LeftVideo{job.test_subjects[0]}_comp.avi"


def table(path: Path) -> list[dict[str, str]]:
    """A CSV by rows."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def fails(capsys, main, *arguments: object) -> str:
    """Runs a command that must end with exit code 1 and one line; returns the line."""
    capsys.readouterr()
    assert main(["name", *map(str, arguments)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]
