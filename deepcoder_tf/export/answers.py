"""What signatures of every kind of model are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from deepcoder_tf.export import registration
from deepcoder_tf.export.pictures import decode, limit, map_pictures, to_grey
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.models.system import System

__all__ = [
    "FACES",
    "LANDMARKS",
    "OF_WHOLE_PICTURES",
    "PICTURES",
    "Served",
    "Signature",
    "as_many",
    "crops_of",
    "describer",
    "registered",
]

Served = System | ExpressionSystem
"""What can be exported."""

FACES = tf.TensorSpec((None,), tf.int32, name="faces")
"""What `describe` takes."""

PICTURES = tf.TensorSpec((None,), tf.string, name="pictures")
"""Picture files."""

LANDMARKS = tf.TensorSpec((None, None, 2), tf.float32, name="landmarks")
"""What `from_landmarks` takes beside them."""

OF_WHOLE_PICTURES = {
    "from_landmarks/pictures": "JPEG or PNG files of any size; EXIF orientation is not applied",
    "from_landmarks/landmarks": "49 inner points or all 68 of dlib's order; pixels (x, y) of the "
    "picture as its rows and columns are stored",
}
"""What the inputs of `from_landmarks` are, of every kind of model."""


class Signature(NamedTuple):
    """One thing that a served model can be asked.

    Attributes:
      name: by which it is called.
      answer: from the inputs to the outputs by name.
      inputs: with names and an unknown batch.
    """

    name: str
    answer: Callable[..., dict[str, tf.Tensor]]
    inputs: tuple[tf.TensorSpec, ...]


def as_many(names: str, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The second of two inputs, once it is known to have as many rows as the first.

    Args:
      names: of both, for the message.
      first: `[B, ...]`.
      second: `[B, ...]`.

    Returns:
      `second`.

    Raises:
      tf.errors.InvalidArgumentError: they differ, when the graph runs.
    """
    here, there = tf.shape(first)[0], tf.shape(second)[0]
    told = [f"{names} must be as many, got", here, there]
    with tf.control_dependencies([tf.debugging.Assert(here == there, told)]):
        return tf.identity(second)


def crops_of(pictures: tf.Tensor, shape: tuple[int, int, int]) -> tf.Tensor:
    """Crops from their files, which must have the crops' size.

    Args:
      pictures: `[B]` strings.
      shape: rows, columns and channels: 1 grey, 3 red, green, blue.

    Returns:
      `[B, *shape]` uint8.
    """

    def crop(place: tf.Tensor, file: tf.Tensor) -> tf.Tensor:
        rgb = decode(place, file, shape[:2])
        return rgb if shape[2] == 3 else tf.cast(to_grey(rgb), tf.uint8)[..., tf.newaxis]

    return map_pictures(crop, pictures, shape=shape)


def registered(
    pictures: tf.Tensor,
    landmarks: tf.Tensor,
    fit: Callable[[tf.Tensor], registration.Similarity],
    shape: tuple[int, int, int],
) -> tuple[tf.Tensor, tf.Tensor]:
    """What `from_landmarks` makes of its inputs.

    Args:
      pictures: `[B]` strings.
      landmarks: `[B, 49 or 68, 2]`, picture pixels.
      fit: from the 49 points to the transforms that bring faces to their places.
      shape: of a crop.

    Returns:
      Crops `[B, *shape]` uint8, and the landmarks `[B, 49, 2]` in them.
    """
    pictures = limit(pictures, "pictures")
    points = registration.inner_points(as_many("pictures and landmarks", pictures, landmarks))
    transform = fit(points)
    return registration.cut(pictures, transform, shape), registration.move(transform, points)


def describer(
    card: Mapping[str, Any], told: Mapping[str, tf.Tensor]
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The function that tells a client, which has nothing but an address, what it talks to.

    Args:
      card: all of it, as text.
      told: what is told beside it, in tensors.
    """
    text = json.dumps(card)

    def describe(faces: tf.Tensor) -> dict[str, tf.Tensor]:
        # Every output has a row for each face: a server that batches requests cuts them by rows.
        rows = tf.shape(limit(faces, "faces"))[0]

        def repeated(value: Any) -> tf.Tensor:
            value = tf.constant(value)
            return tf.tile(value[tf.newaxis], [rows, *[1] * value.shape.rank])

        return {name: repeated(value) for name, value in {**told, "card": text}.items()}

    return describe
