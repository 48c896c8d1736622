"""What every route to a trained model shares: its description, and calls of one shape.

The graph may lie in a folder, in a file or behind a server; faces go in and distributions come out
in the same way. A model is of one of two kinds, which differ in how a face is cut for it and in
what the distributions are over: levels of action units, or expressions.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from deepcoder_tf import action_units
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS

__all__ = [
    "ACTION_UNITS_KIND",
    "EXPRESSIONS_KIND",
    "FORMAT",
    "KINDS",
    "POINTS",
    "FaceModel",
    "Kind",
    "ModelDescription",
]

FORMAT = 1
"""Version of the description; a model without a number is of version 1."""

POINTS = 49
"""Landmarks of a face: the inner ones of the usual 68."""


class Kind(NamedTuple):
    """What a kind of model calls its parts.

    Attributes:
      names: what it tells of, in the description: a list of names.
      places: where faces are to lie, in the description.
      points: rows of `places`.
      faces: the input of faces.
      answer: the output that all numbers follow from.
      levels: shape of what is said of one name.
    """

    names: str
    places: str
    points: int
    faces: str
    answer: str
    levels: tuple[int, ...]

    @property
    def words(self) -> str:
        """What the names are, for people."""
        return self.names.replace("_", " ")


ACTION_UNITS_KIND = "action_units"
"""The kind of a description that tells none."""

EXPRESSIONS_KIND = "expressions"
"""The kind of a recogniser of expressions."""

KINDS = {
    ACTION_UNITS_KIND: Kind(
        ACTION_UNITS_KIND, "mean_shape", POINTS, "crops", "level_probabilities",
        (action_units.LEVELS,),
    ),
    EXPRESSIONS_KIND: Kind(
        EXPRESSIONS_KIND, "anchors", 3, "faces", "expression_probabilities", (),
    ),
}  # fmt: skip
"""Every kind by its name in the description."""


@dataclass(frozen=True)
class ModelDescription:
    """What has to be known about a model to feed it.

    Attributes:
      kind: one of `KINDS`.
      names: of the Q action units or of the expressions, in the order of the outputs.
      places: what faces are brought to, float64 (x, y): `[49, 2]`, the mean shape in crop pixels;
        of expressions `[3, 2]`, eyes and nose as shares of the side (see `faces.squares`).
      crop_shape: rows and columns.
      channels: of a crop: 1 grey, 3 red, green, blue.
      signatures: the input names of each signature; empty in a model that does not tell them.
      digest: SHA-256 of all that the model says of itself, in hexadecimal.
    """

    kind: str
    names: tuple[str, ...]
    places: np.ndarray
    crop_shape: tuple[int, int]
    channels: int
    signatures: Mapping[str, tuple[str, ...]]
    digest: str

    @property
    def parts(self) -> Kind:
        """What this kind of model calls its parts."""
        return KINDS[self.kind]

    @property
    def action_units(self) -> tuple[str, ...]:
        """The names, of a model of action units; of any other none."""
        return self.names if self.kind == ACTION_UNITS_KIND else ()

    @property
    def mean_shape(self) -> np.ndarray:
        """`places`, as models of action units call them."""
        return self.places

    @property
    def face_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of what the model takes."""
        return (*self.crop_shape, self.channels)

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Of what the model says of one face."""
        return (len(self.names), *self.parts.levels)

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
        kind = document.get("kind", ACTION_UNITS_KIND)
        if not isinstance(kind, str) or kind not in KINDS:
            raise UserError(
                f"{source} is of the kind {kind!r}, this program knows {', '.join(KINDS)}; "
                "install a version that can read it, or export another model"
            )
        parts = KINDS[kind]
        try:
            names = names_of(kind, document[parts.names])
            places = np.asarray(document[parts.places], np.float64)
            rows, columns = (int(size) for size in document["crop_shape"])
            channels = int(document["channels"]) if kind == EXPRESSIONS_KIND else 1
            signatures = {
                name: tuple(signature["inputs"])
                for name, signature in document.get("signatures", {}).items()
            }
            if kind == EXPRESSIONS_KIND and (rows != columns or rows < 1 or channels not in (1, 3)):
                raise ValueError(f"faces of {rows} x {columns} x {channels} are no squares")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{source}: {type(error).__name__} {error}; export the model again"
            ) from error
        if places.shape != (parts.points, 2) or not np.isfinite(places).all() or not names:
            raise UserError(
                f"{source}: the {parts.places.replace('_', ' ')} is {list(places.shape)} for "
                f"{len(names)} {parts.words}, wanted [{parts.points}, 2] finite numbers; export "
                "the model again"
            )
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return cls(kind, names, places, (rows, columns), channels, signatures, digest)


def names_of(kind: str, given: list[str]) -> tuple[str, ...]:
    """The names in a description.

    Raises:
      ValueError: no such action unit, or other expressions than the eight.
    """
    if kind == ACTION_UNITS_KIND:
        return tuple(action_units.parse(name) for name in given)
    if tuple(given) != EXPRESSIONS:
        raise ValueError(f"expressions {', '.join(given)} are not {', '.join(EXPRESSIONS)}")
    return EXPRESSIONS


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
          faces: `"crops"` `[B, rows, columns, 1]` uint8 (of a model of expressions `"faces"`, in
            its channels), and `"landmarks"` `[B, 49, 2]` float32 where the model wants them.

        Returns:
          Level probabilities `[B, Q, 6]`, or probabilities of expressions `[B, 8]`.
        """

    def probabilities(
        self,
        crops: np.ndarray,
        batch_size: int,
        landmarks: np.ndarray | None = None,
        place: int = 0,
    ) -> np.ndarray:
        """Predicts any number of crops.

        Every call of the model has the same shape, filled up with blank crops: the numbers of a
        crop then do not depend on how many others came with it. Their last digits do depend on its
        row in the call, since matrix products sum the last rows in another order.

        Args:
          crops: `[N, rows, columns, 1]` uint8 grey, not equalised.
          batch_size: crops in one call.
          landmarks: `[N, 49, 2]` registered to the mean shape, crop pixels (x, y); a model that
            sees the picture alone does not look at them.
          place: row of the first crop in the first call, counted around from 0.

        Returns:
          `[N, Q, 6]` float64, as the model gives them.

        Raises:
          ValueError: crops of another shape or type, or landmarks that do not fit them.
        """
        wanted = self.description.face_shape
        if crops.dtype != np.uint8 or crops.shape[1:] != wanted:
            raise ValueError(
                f"crops must be uint8 [N, {', '.join(map(str, wanted))}], "
                f"got {crops.dtype} {list(crops.shape)}"
            )
        given = {self.description.parts.faces: crops}
        if self.needs_landmarks:
            if landmarks is None or landmarks.shape != (len(crops), POINTS, 2):
                raise ValueError(
                    f"this model wants landmarks [{len(crops)}, {POINTS}, 2] beside the crops, "
                    f"got {None if landmarks is None else list(landmarks.shape)}"
                )
            given["landmarks"] = landmarks.astype(np.float32)
        P = np.zeros((len(crops), *self.description.answer_shape))
        blank = place % batch_size
        for start in range(-blank, len(crops), batch_size):
            first = max(start, 0)
            rows = slice(first, start + batch_size)
            answer = self.answer(
                {name: filled(v[rows], first - start, batch_size) for name, v in given.items()}
            )
            P[rows] = answer[first - start :][: len(P[rows])]
        return P


def filled(rows: np.ndarray, before: int, count: int) -> np.ndarray:
    """Rows of a batch, with so many of 0 before them, and 0 behind them up to a count."""
    sides = (before, count - before - len(rows))
    return np.pad(rows, [sides, *[(0, 0)] * (rows.ndim - 1)])
