"""What is watched while a recogniser trains: scores on validation pictures, and the logs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.datasets.expressions.store import ExpressionFrames
from deepcoder_tf.experiment.watching import write_report
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.training.tensorboard import TensorBoard
from deepcoder_tf.training.trainer import Report

__all__ = ["ExpressionWatch"]

BATCH = 64
"""Pictures predicted at a time."""

SMALLEST = 1e-12
"""Least probability in a log loss."""


class ExpressionWatch:
    """Scores a recogniser on validation pictures after every epoch and writes the logs.

    Args:
      model: in training.
      validation: pictures; those without a class are not looked at.
      folder: of the run.
    """

    def __init__(self, model: ExpressionSystem, validation: ExpressionFrames, folder: Path) -> None:
        self.model = model
        self.validation = validation
        self.rows = np.flatnonzero(validation.labels != MISSING)
        self.folder = folder
        self.board = TensorBoard(folder / "log")
        self.predict = graph_of(self._predict)

    def _predict(self, faces: tf.Tensor, landmarks: tf.Tensor | None) -> dict[str, tf.Tensor]:
        model, pictures = self.model, self.model.pictures(faces)
        if not isinstance(model, Disentangler):
            return {"expression": model.predict(pictures, landmarks)}
        codes = model.codes(pictures)
        expression, other = codes["expression"], codes["non_expression"]
        found = {
            "expression": tf.nn.softmax(model.head(expression)),
            "adversary": tf.nn.softmax(model.adversary(other)),
        }
        if model.decoder is not None:
            found["reconstruction"] = model.distance(pictures, expression, other)
        return found

    def validate(self, model: ExpressionSystem) -> dict[str, float]:
        """Scores on validation pictures.

        Args:
          model: as of now.

        Returns:
          `accuracy`, `balanced_accuracy`, `log_loss`; `adversary_accuracy` and `reconstruction`,
          the mean of L_r, where there is such a part.
        """
        parts = []
        for start in range(0, len(self.rows), BATCH):
            rows = self.rows[start : start + BATCH]
            points = self.validation.landmarks
            landmarks = (
                tf.constant(points[rows]) if model.needs_landmarks and points is not None else None
            )
            faces = tf.constant(np.asarray(self.validation.images[rows]))
            parts.append(self.predict(faces, landmarks))
        labels = self.validation.labels[self.rows]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        probabilities = found["expression"]
        right = probabilities.argmax(axis=1) == labels
        scores = {
            "accuracy": right.mean(),
            "balanced_accuracy": np.mean([right[labels == k].mean() for k in np.unique(labels)]),
            "log_loss": -np.log(
                np.maximum(probabilities[np.arange(len(labels)), labels], SMALLEST)
            ).mean(),
        }
        if "adversary" in found:
            scores["adversary_accuracy"] = (found["adversary"].argmax(axis=1) == labels).mean()
        if "reconstruction" in found:
            scores["reconstruction"] = found["reconstruction"].mean()
        return {name: float(value) for name, value in scores.items()}

    def report(self, report: Report) -> None:
        """Writes one epoch to TensorBoard and to `history.jsonl`."""
        write_report(report, self.board, self.folder)
