"""What every route to a trained model shares: its description, and calls of one shape.

The graph may lie in a folder, in a file or behind a server; faces go in and distributions over
levels come out in the same way.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deepcoder_tf import action_units
from deepcoder_tf.errors import UserError

__all__ = ["FORMAT", "POINTS", "FaceModel", "ModelDescription"]

FORMAT = 1
"""Version of the description; a model without a number is of version 1."""

POINTS = 49
"""Landmarks of a face: the inner ones of the usual 68."""


@dataclass(frozen=True)
class ModelDescription:
    """What has to be known about a model to feed it.

    Attributes:
      action_units: Q names, in the order of the outputs.
      mean_shape: `[49, 2]` float64, crop pixels (x, y) that landmarks are registered to.
      crop_shape: rows and columns.
      signatures: the input names of each signature; empty in a model that does not tell them.
      digest: SHA-256 of all that the model says of itself, in hexadecimal.
    """

    action_units: tuple[str, ...]
    mean_shape: np.ndarray
    crop_shape: tuple[int, int]
    signatures: Mapping[str, tuple[str, ...]]
    digest: str

    @classmethod
    def from_json(cls, text: str, source: object) -> ModelDescription:
        """Reads the text of `deepcoder.json`.

        Args:
          text: JSON.
          source: where it came from, for errors.

        Raises:
          UserError: a description that is damaged or of another version.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise UserError(f"{source} cannot be read ({error}); export the model again") from error
        version = document.get("format", FORMAT) if isinstance(document, dict) else None
        if version != FORMAT:
            raise UserError(
                f"{source} has format {version}, this program reads {FORMAT}; "
                "export the model again with this version"
            )
        try:
            names = tuple(action_units.parse(name) for name in document["action_units"])
            mean_shape = np.asarray(document["mean_shape"], np.float64)
            rows, columns = (int(size) for size in document["crop_shape"])
            signatures = {
                name: tuple(signature["inputs"])
                for name, signature in document.get("signatures", {}).items()
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{source}: {type(error).__name__} {error}; export the model again"
            ) from error
        if mean_shape.shape != (POINTS, 2) or not np.isfinite(mean_shape).all() or not names:
            raise UserError(
                f"{source}: the mean shape is {list(mean_shape.shape)} for {len(names)} action "
                f"units, wanted [{POINTS}, 2] finite numbers; export the model again"
            )
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return cls(names, mean_shape, (rows, columns), signatures, digest)


class FaceModel(ABC):
    """A trained model, wherever it runs.

    Attributes:
      description: what has to be known to feed it.
      needs_landmarks: whether it wants landmarks beside the crops.
    """

    description: ModelDescription
    needs_landmarks: bool

    @property
    def identity(self) -> str:
        """What tells this model from others, so that no table mixes two."""
        return self.description.digest

    @abstractmethod
    def answer(self, faces: dict[str, np.ndarray]) -> np.ndarray:
        """One call of the model.

        Args:
          faces: `"crops"` `[B, rows, columns, 1]` uint8, and `"landmarks"` `[B, 49, 2]` float32
            where the model wants them.

        Returns:
          Level probabilities `[B, Q, 6]`.
        """

    def probabilities(
        self, crops: np.ndarray, batch_size: int, landmarks: np.ndarray | None = None
    ) -> np.ndarray:
        """Predicts any number of crops.

        Every call of the model has the same shape, the last one filled up with blank crops: the
        numbers of a crop then do not depend on how many others came with it.

        Args:
          crops: `[N, rows, columns, 1]` uint8 grey, not equalised.
          batch_size: crops in one call.
          landmarks: `[N, 49, 2]` registered to the mean shape, crop pixels (x, y); a model that
            sees the picture alone does not look at them.

        Returns:
          `[N, Q, 6]` float64, as the model gives them.

        Raises:
          ValueError: crops of another shape or type, or landmarks that do not fit them.
        """
        wanted = (*self.description.crop_shape, 1)
        if crops.dtype != np.uint8 or crops.shape[1:] != wanted:
            raise ValueError(
                f"crops must be uint8 [N, {', '.join(map(str, wanted))}], "
                f"got {crops.dtype} {list(crops.shape)}"
            )
        given = {"crops": crops}
        if self.needs_landmarks:
            if landmarks is None or landmarks.shape != (len(crops), POINTS, 2):
                raise ValueError(
                    f"this model wants landmarks [{len(crops)}, {POINTS}, 2] beside the crops, "
                    f"got {None if landmarks is None else list(landmarks.shape)}"
                )
            given["landmarks"] = landmarks.astype(np.float32)
        P = np.zeros((len(crops), len(self.description.action_units), action_units.LEVELS))
        for start in range(0, len(crops), batch_size):
            rows = slice(start, start + batch_size)
            answer = self.answer({name: filled(v[rows], batch_size) for name, v in given.items()})
            P[rows] = answer[: len(P[rows])]
        return P


def filled(rows: np.ndarray, count: int) -> np.ndarray:
    """Rows of a batch, and 0 behind them up to a count."""
    return np.pad(rows, [(0, count - len(rows)), *[(0, 0)] * (rows.ndim - 1)])
