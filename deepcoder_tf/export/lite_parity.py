"""A .tflite compared with the model in memory: every output, or what quantisation may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.export.answers import Served
from deepcoder_tf.face_model import ACTION_UNITS_KIND, EXPRESSIONS_KIND, KINDS
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.lite_model import LiteModel

__all__ = [
    "INTENSITY_TOLERANCE",
    "MEASURES",
    "TOLERANCES",
    "Cost",
    "Faces",
    "HeldOut",
    "Judge",
    "Measure",
    "check_outputs",
]

TOLERANCES = {"float32": 1e-5, "float16": 1e-2}
"""Largest difference of any output, by variant."""

INTENSITY_TOLERANCE = 0.05
"""Mean absolute change of an expected intensity that int8 may cost, levels."""

SCORE_TOLERANCE = 0.01
"""Mean ICC, or accuracy, on held-out faces that int8 may cost."""

MOVED_TOLERANCE = 0.05
"""Share of the probability that int8 may move from expression to expression, in the mean."""


class Measure(NamedTuple):
    """What is compared of a kind of model on held-out faces, how much of it a variant may cost, and
    how that is told.

    Attributes:
      output: N rows of this are compared and scored.
      change: how far two of them are from each other, in the mean.
      unit: of `change`, behind its number.
      most: of `change`.
      score: what `HeldOut.score` is.
      faces: what they are called.
      choices: outputs that name the most probable of several, and the probabilities they are of.
    """

    output: str
    change: Callable[[np.ndarray, np.ndarray], float]
    unit: str
    most: float
    score: str
    faces: str
    choices: Mapping[str, str]


def mean_distance(one: np.ndarray, two: np.ndarray) -> float:
    """Mean absolute difference."""
    return float(np.mean(np.abs(one - two)))


def probability_moved(one: np.ndarray, two: np.ndarray) -> float:
    """Mean total variation of distributions `[N, K]`: the share of the probability, 0..1, that the
    one has elsewhere than the other.
    """
    return float(np.mean(np.sum(np.abs(one - two), axis=-1))) / 2.0


MEASURES = {
    ACTION_UNITS_KIND: Measure(
        "intensity", mean_distance, "levels", INTENSITY_TOLERANCE, "mean ICC", "subjects", {},
    ),
    EXPRESSIONS_KIND: Measure(
        "expression_probabilities", probability_moved, "in total variation", MOVED_TOLERANCE,
        "accuracy", "pictures", {"expression": "expression_probabilities"},
    ),
}  # fmt: skip
"""By the kind of a model."""


class Faces(NamedTuple):
    """Faces as a model takes them.

    Attributes:
      crops: `[N, rows, columns, channels]` uint8.
      landmarks: `[N, 49, 2]` float32; None where the model does not want them.
      name: of the input of `crops`.
    """

    crops: np.ndarray
    landmarks: np.ndarray | None = None
    name: str = KINDS[ACTION_UNITS_KIND].faces

    def inputs(self, row: int) -> dict[str, np.ndarray]:
        """One face by the names of the inputs."""
        one = slice(row, row + 1)
        crops = {self.name: self.crops[one]}
        return crops if self.landmarks is None else {**crops, "landmarks": self.landmarks[one]}


class HeldOut(NamedTuple):
    """Faces that a model was not trained on, and its score on them.

    Attributes:
      faces: N of them.
      score: of N rows of what the kind's `Measure` compares; more is better.
      step: the least by which the score can change; 0 where it is continuous.
    """

    faces: Faces
    score: Callable[[np.ndarray], float]
    step: float = 0.0


class Cost(NamedTuple):
    """What a variant costs on held-out faces.

    Attributes:
      change: see `Measure`.
      score: of the variant.
      lost: of the score, by the variant.
      measure: that was taken.
    """

    change: float
    score: float
    lost: float
    measure: Measure

    def __str__(self) -> str:
        """For people."""
        how = self.measure
        return (
            f"held-out {how.faces}: mean change of {how.output} {self.change:.4f} {how.unit}, "
            f"{how.score} {self.score:.3f} ({-self.lost:+.4f})"
        )


def check_outputs(model: Served, lite: LiteModel, faces: Faces, variant: str) -> float:
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
    choices = MEASURES[lite.description.kind].choices
    for row in range(len(faces.crops)):
        given = faces.inputs(row)
        here, there = in_memory(model, given), lite.outputs(**given)
        for name in here:
            if name in choices:
                found = preferred(here[choices[name]], there[name])
            else:
                one, two = (np.asarray(v[name], np.float64) for v in (here, there))
                found = float(np.max(np.abs(one - two)))
            if not found <= TOLERANCES[variant]:
                raise UserError(
                    f"{variant}.tflite: {name} differs from the model in memory by {found:.2g}, "
                    f"more than {TOLERANCES[variant]:g}; nothing was published"
                )
            worst = max(worst, found)
    return worst


def preferred(probabilities: np.ndarray, choice: np.ndarray) -> float:
    """How far distributions must at least be from those `[N, K]` for `[N]` others to be chosen.

    Where two places are all but equally probable, either may be chosen; each probability has then
    to move by half of what lies between them.
    """
    P = np.asarray(probabilities, np.float64)
    return float(np.max(P.max(axis=-1) - np.take_along_axis(P, choice[:, None], 1)[:, 0])) / 2.0


class Judge:
    """Tells what a variant costs on held-out faces.

    Args:
      model: in memory.
      held_out: faces with a score.
      measure: of its kind.
    """

    def __init__(self, model: Served, held_out: HeldOut, measure: Measure) -> None:
        self.held_out = held_out
        self.measure = measure
        run = graph_of(lambda *face: model(*face)[measure.output])
        faces = held_out.faces
        self.known = np.concatenate(
            [run(*faces.inputs(row).values()) for row in range(len(faces.crops))]
        )
        self.score = held_out.score(self.known)

    def cost(self, lite: LiteModel, variant: str) -> Cost:
        """What a .tflite costs.

        Args:
          lite: of the same model.
          variant: its name, for errors.

        Returns:
          The cost.

        Raises:
          UserError: it is more than the measure or `SCORE_TOLERANCE` allows, or not finite.
        """
        faces, how = self.held_out.faces, self.measure
        rows = range(len(faces.crops))
        there = np.concatenate([lite.outputs(**faces.inputs(row))[how.output] for row in rows])
        change = how.change(self.known, there)
        if not change <= how.most:
            raise UserError(
                f"{variant}.tflite: {how.output} differs from the model in memory by {change:.2g} "
                f"{how.unit} in the mean, more than {how.most:g}; nothing was published"
            )
        score = self.held_out.score(there)
        lost, most = self.score - score, max(SCORE_TOLERANCE, self.held_out.step)
        if not lost <= most:
            raise UserError(
                f"{variant}.tflite: {how.output} loses {lost:.2g} of {how.score} on held-out "
                f"{how.faces}, more than {most:g}; nothing was published"
            )
        return Cost(change, score, lost, how)


def in_memory(model: Served, face: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the model says of one face."""
    answer = model(*(tf.constant(value) for value in face.values()))
    return {name: value.numpy() for name, value in answer.items()}
