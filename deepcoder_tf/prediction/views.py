"""How each kind of model sees a face, and what its numbers say: all that the kinds differ in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from deepcoder_tf import expressions, levels
from deepcoder_tf.face_model import ACTION_UNITS_KIND, EXPRESSIONS_KIND, ModelDescription
from deepcoder_tf.faces import squares
from deepcoder_tf.faces.aligner import Face, align
from deepcoder_tf.faces.images import to_grey
from deepcoder_tf.faces.registration import register
from deepcoder_tf.prediction.rows import (
    EXPRESSION_COLUMNS,
    ActionUnit,
    AUPrediction,
    ExpressionPrediction,
    FacePrediction,
    action_unit_columns,
)

__all__ = ["CutFace", "View", "view_of"]


class CutFace(NamedTuple):
    """A face as the model takes it.

    Attributes:
      crop: `[rows, columns, channels]` uint8.
      landmarks: `[49, 2]` float32, crop pixels (x, y).
    """

    crop: np.ndarray
    landmarks: np.ndarray


class View(ABC):
    """A kind of model, on both its sides.

    Args:
      description: of a model of this kind.

    Attributes:
      columns: of the CSV, behind the leading ones.
      drawn: the end of an annotated picture's name.
      none: makes the row of a frame without a face.
    """

    columns: list[str]
    drawn: str
    none: type[FacePrediction]

    def __init__(self, description: ModelDescription) -> None:
        self.description = description

    @abstractmethod
    def cut(self, image: np.ndarray, face: Face) -> CutFace:
        """Cuts a face out.

        Args:
          image: `[H, W, 3]` uint8 BGR.
          face: in it.
        """

    @abstractmethod
    def summarise(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """What is said of faces, all from one distribution.

        Args:
          probabilities: `[N, ...]`, as the model gives them.

        Returns:
          Arrays of N rows by the names that the signatures give them.
        """

    @abstractmethod
    def row(self, said: Mapping[str, np.ndarray], number: int, **face: Any) -> FacePrediction:
        """One face's row.

        Args:
          said: from `summarise`.
          number: row in it.
          **face: fields of `FacePrediction`.
        """


class ActionUnitView(View):
    """Grey crops registered to a mean shape; levels of action units."""

    drawn = "aus"
    none = AUPrediction

    def __init__(self, description: ModelDescription) -> None:
        super().__init__(description)
        self.columns = action_unit_columns(description.names)

    def cut(self, image: np.ndarray, face: Face) -> CutFace:
        """See `View.cut`."""
        shape, points = self.description.mean_shape, face.landmarks49
        crop = align(to_grey(image), points, shape, self.description.crop_shape)
        return CutFace(crop[..., np.newaxis], register(points[np.newaxis], shape)[0])

    def summarise(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """See `View.summarise`."""
        summary = levels.summarise(probabilities)
        return {
            "intensity": summary.intensity,
            "presence": summary.presence,
            "standard_deviation": summary.standard_deviation,
            "level_probabilities": summary.probabilities,
        }

    def row(self, said: Mapping[str, np.ndarray], number: int, **face: Any) -> AUPrediction:
        """See `View.row`."""
        units = {
            name: ActionUnit(
                float(said["intensity"][number, q]),
                int(said["presence"][number, q]),
                float(said["standard_deviation"][number, q]),
                tuple(said["level_probabilities"][number, q].tolist()),
            )
            for q, name in enumerate(self.description.names)
        }
        return AUPrediction(**face, action_units=units)


class ExpressionView(View):
    """Squares, grey or in colour, with eyes and nose at their anchors; probabilities of classes."""

    drawn = "expressions"
    none = ExpressionPrediction
    columns = EXPRESSION_COLUMNS

    def cut(self, image: np.ndarray, face: Face) -> CutFace:
        """See `View.cut`."""
        size, channels = self.description.crop_shape[0], self.description.channels
        matrix = squares.face_matrix(face.landmarks49, size, self.description.places)
        return CutFace(
            squares.cut(image, matrix, size, channels),
            squares.move_points(face.landmarks49, matrix),
        )

    def summarise(self, probabilities: np.ndarray) -> dict[str, np.ndarray]:
        """See `View.summarise`."""
        summary = expressions.summarise(probabilities)
        return {
            "expression": summary.expression,
            "confidence": summary.confidence,
            "entropy": summary.entropy,
            "expression_probabilities": summary.probabilities,
        }

    def row(self, said: Mapping[str, np.ndarray], number: int, **face: Any) -> ExpressionPrediction:
        """See `View.row`."""
        names = self.description.names
        return ExpressionPrediction(
            **face,
            expression=names[int(said["expression"][number])],
            entropy=float(said["entropy"][number]),
            probabilities=dict(
                zip(names, said["expression_probabilities"][number].tolist(), strict=True)
            ),
        )


VIEWS: dict[str, type[View]] = {ACTION_UNITS_KIND: ActionUnitView, EXPRESSIONS_KIND: ExpressionView}


def view_of(description: ModelDescription) -> View:
    """The view of a model.

    Args:
      description: of the model.
    """
    return VIEWS[description.kind](description)
