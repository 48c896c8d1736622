"""A .tflite compared with the model in memory: every output, or what quantisation may cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.lite_model import LiteModel
from deepcoder_tf.models.system import System

__all__ = [
    "ICC_TOLERANCE",
    "INTENSITY_TOLERANCE",
    "TOLERANCES",
    "Cost",
    "Faces",
    "HeldOut",
    "Judge",
    "check_outputs",
]

TOLERANCES = {"float32": 1e-5, "float16": 1e-2}
"""Largest difference of any output, by variant."""

INTENSITY_TOLERANCE = 0.05
"""Mean absolute change of an expected intensity that int8 may cost, levels."""

ICC_TOLERANCE = 0.01
"""Mean ICC on held-out subjects that int8 may cost."""


class Faces(NamedTuple):
    """Faces as a model takes them.

    Attributes:
      crops: `[N, 240, 160, 1]` uint8.
      landmarks: `[N, 49, 2]` float32; None where the model does not want them.
    """

    crops: np.ndarray
    landmarks: np.ndarray | None = None

    def inputs(self, row: int) -> dict[str, np.ndarray]:
        """One face by the names of the inputs."""
        one = slice(row, row + 1)
        crops = {"crops": self.crops[one]}
        return crops if self.landmarks is None else {**crops, "landmarks": self.landmarks[one]}


class HeldOut(NamedTuple):
    """Faces of subjects that a model was not trained on, and its score on them.

    Attributes:
      faces: N of them.
      score: mean ICC of expected intensities `[N, Q]`.
    """

    faces: Faces
    score: Callable[[np.ndarray], float]


class Cost(NamedTuple):
    """What a variant costs on held-out faces.

    Attributes:
      change: mean absolute change of an expected intensity, levels.
      icc: of the variant.
      icc_lost: by the variant.
    """

    change: float
    icc: float
    icc_lost: float


def check_outputs(model: System, lite: LiteModel, faces: Faces, variant: str) -> float:
    """Compares every output on some faces.

    Args:
      model: in memory.
      lite: its .tflite.
      faces: a few.
      variant: a key of `TOLERANCES`.

    Returns:
      The largest difference.

    Raises:
      UserError: it is more than the tolerance, or not finite; the message names the output.
    """
    worst = 0.0
    for row in range(len(faces.crops)):
        given = faces.inputs(row)
        there = lite.outputs(**given)
        for name, value in in_memory(model, given).items():
            one, two = (np.asarray(v, np.float64) for v in (value, there[name]))
            found = float(np.max(np.abs(one - two)))
            if not found <= TOLERANCES[variant]:
                raise UserError(
                    f"{variant}.tflite: {name} differs from the model in memory by {found:.2g}, "
                    f"more than {TOLERANCES[variant]:g}; nothing was published"
                )
            worst = max(worst, found)
    return worst


class Judge:
    """Tells what a variant costs on held-out faces.

    Args:
      model: in memory.
      held_out: faces with a score.
    """

    def __init__(self, model: System, held_out: HeldOut) -> None:
        self.held_out = held_out
        run = tf.function(lambda *face: model(*face)["intensity"])
        faces = held_out.faces
        self.intensity = np.concatenate(
            [run(*faces.inputs(row).values()) for row in range(len(faces.crops))]
        )
        self.icc = held_out.score(self.intensity)

    def cost(self, lite: LiteModel, variant: str) -> Cost:
        """What a .tflite costs.

        Args:
          lite: of the same model.
          variant: its name, for errors.

        Returns:
          The cost.

        Raises:
          UserError: it is more than `INTENSITY_TOLERANCE` or `ICC_TOLERANCE`, or not finite.
        """
        faces = self.held_out.faces
        rows = range(len(faces.crops))
        there = np.concatenate([lite.outputs(**faces.inputs(row))["intensity"] for row in rows])
        change = float(np.mean(np.abs(self.intensity - there)))
        if not change <= INTENSITY_TOLERANCE:
            raise UserError(
                f"{variant}.tflite: intensity differs from the model in memory by {change:.2g} "
                f"levels in the mean, more than {INTENSITY_TOLERANCE:g}; nothing was published"
            )
        icc = self.held_out.score(there)
        if not self.icc - icc <= ICC_TOLERANCE:
            raise UserError(
                f"{variant}.tflite: intensity loses {self.icc - icc:.2g} of mean ICC on held-out "
                f"subjects, more than {ICC_TOLERANCE:g}; nothing was published"
            )
        return Cost(change, icc, self.icc - icc)


def in_memory(model: System, face: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the model says of one face."""
    answer = model(*(tf.constant(value) for value in face.values()))
    return {name: value.numpy() for name, value in answer.items()}
