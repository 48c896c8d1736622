"""What is watched while any system trains: scores on validation subjects, and the logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf import files
from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.evaluation import metrics
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.system import System
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.run import RunInfo
from deepcoder_tf.training.tensorboard import TensorBoard
from deepcoder_tf.training.trainer import Report
from deepcoder_tf.types import Gaussian

__all__ = ["Watch", "append_line", "write_report"]

BATCH = 64
"""Images predicted at a time."""


class Watch:
    """Scores a system on validation subjects after every outer iteration and writes the logs.

    Args:
      model: in training.
      validation: frames of the validation subjects.
      folder: of the run.
      run: its description.
    """

    def __init__(self, model: System, validation: Frames, folder: Path, run: RunInfo) -> None:
        self.model = model
        self.validation = validation
        self.folder = folder
        self.run = run
        self.board = TensorBoard(folder / "log")
        self.predict_levels = graph_of(self._predict_levels)

    def _predict_levels(self, images: tf.Tensor, landmarks: tf.Tensor | None) -> list[tf.Tensor]:
        found = self.model.predict(to_unit_range(images), landmarks)
        if found.regression is None:
            return [found.probabilities]
        return [found.probabilities, tf.clip_by_value(found.regression.mean, 0.0, LEVELS - 1.0)]

    def validate(self, model: System, codes: Sequence[Gaussian] = ()) -> dict[str, float]:
        """Scores on validation subjects.

        Args:
          model: as of now.
          codes: of the frames of X_L, where the system is a stack of coders.

        Returns:
          `icc`, `mse`, `ordinal_log_score` and `calibration_error`.
        """
        del model, codes
        frames, parts = self.validation, []
        for start in range(0, len(frames.labels), BATCH):
            rows = slice(start, start + BATCH)
            landmarks = None if frames.landmarks is None else tf.constant(frames.landmarks[rows])
            parts.append(
                self.predict_levels(tf.constant(np.asarray(frames.images[rows])), landmarks)
            )
        found = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        return self.scores(found[0], found[1] if len(found) > 1 else None)

    def scores(
        self, probabilities: np.ndarray, expected: np.ndarray | None = None
    ) -> dict[str, float]:
        """Scores of predictions for the validation frames.

        Args:
          probabilities: `[N, Q, L]`.
          expected: `[N, Q]` levels of a system that regresses them; None where they follow from
            the probabilities.
        """
        mean = metrics.evaluate_predictions(
            self.run.action_units,
            self.validation.labels,
            probabilities,
            expected=expected,
            split="validation",
        ).mean
        values: dict[str, Any] = {
            "icc": mean.points["mean"].icc,
            "mse": mean.points["mean"].mse,
            "ordinal_log_score": mean.ordinal_log_score,
            "calibration_error": mean.calibration_error,
        }
        return {name: float(value) for name, value in values.items() if value is not None}

    def report(self, report: Report) -> None:
        """Writes one outer iteration to TensorBoard and to `history.jsonl`."""
        write_report(report, self.board, self.folder)

    def finish(self) -> None:
        """What is written once, of the chosen model."""


def write_report(report: Report, board: TensorBoard, folder: Path) -> None:
    """Writes one outer iteration to TensorBoard and to `history.jsonl`.

    Args:
      report: of the iteration.
      board: of the run.
      folder: of the run.
    """
    scalars = {
        **report.terms,
        **{f"validation/{name}": value for name, value in report.validation.items()},
    }
    board.scalars(scalars, report.iteration)
    line = {"iteration": report.iteration, "improved": report.improved, **scalars}
    append_line(folder / "history.jsonl", line)


def append_line(path: Path, content: dict[str, Any]) -> None:
    """Adds an iteration to `history.jsonl`; one that is repeated after a kill replaces its own."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["iteration"] < content["iteration"]]
    with files.replacing(path) as stream:
        stream.write("\n".join([*kept, json.dumps(content)]) + "\n")
