"""What the export of a recogniser of expressions answers.

| signature         | takes                               | gives                              |
|-------------------|-------------------------------------|------------------------------------|
| `serving_default` | `faces`                             | probabilities of expressions       |
| `from_jpeg`       | `pictures`: files of such faces     | the same                           |
| `from_landmarks`  | `pictures`: files of any size, and  | the same                           |
|                   | `landmarks` in their pixels         |                                    |
| `encode`          | `faces`                             | `expression_code`,                 |
|                   |                                     | `non_expression_code`              |
| `reconstruct`     | `faces`                             | the picture decoded from both      |
| `swap`            | `faces`, `others`                   | the people of `faces` with the     |
|                   |                                     | expressions of `others`            |
| `describe`        | `faces`: any integers               | expressions, anchors, card         |

Where the system sees landmarks, `serving_default`, `from_jpeg` and `encode` take them too, in
pixels of the face. `reconstruct` and `swap` are those of a network that was trained with a decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf.export import registration
from deepcoder_tf.export.answers import (
    FACES,
    LANDMARKS,
    OF_WHOLE_PICTURES,
    PICTURES,
    Signature,
    as_many,
    crops_of,
    describer,
    registered,
)
from deepcoder_tf.export.pictures import limit
from deepcoder_tf.face_model import POINTS
from deepcoder_tf.faces.squares import places_of
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.preprocessing.scale import to_uint8

__all__ = ["EXPRESSION_MEANING", "expression_signatures"]

EXPRESSION_MEANING = {
    "faces": "squares around faces, eyes and nose at the anchors; grey levels, or red, green, blue",
    "others": "as many faces, whose expressions are taken",
    "landmarks": "49 inner points in dlib's order, moved as the face was; pixels (x, y) of the "
    "square. A face of which one is not finite has the mean ones of the training pictures",
    "from_jpeg/pictures": "JPEG or PNG files of faces, grey or colour, rows and columns those of "
    "crop_shape",
    **OF_WHOLE_PICTURES,
    "describe/faces": "as many rows are answered; the values are not looked at",
    "expression_probabilities": "of the expressions; they sum to 1",
    "expression": "the most probable one, place among the expressions from 0",
    "confidence": "probability of the most probable expression",
    "entropy": "of the probabilities, nats",
    "expression_code": "what the picture tells of the expression; no unit",
    "non_expression_code": "what it tells of all the rest; no unit",
    "reconstruction": "the picture decoded from both codes, at the model's size",
    "mean_squared_error": "of reconstruction and picture, on the scale -1..1 of levels",
    "swapped": "the people of faces with the expressions of others, at the model's size",
    "expressions": "names, in the order of all outputs",
    "anchors": "(x, y) of the two eyes' centres and the base of the nose, shares of the side",
    "crop_shape": "rows and columns of a face",
    "card": "assets.extra/deepcoder.json without the signatures, as JSON",
}
"""What the numbers of each input and output are, with their unit."""

NEEDED = ("expressions", "anchors")
"""What the signatures say of the card."""


def expression_signatures(model: ExpressionSystem, card: Mapping[str, Any]) -> list[Signature]:
    """The signatures of a recogniser's export.

    Args:
      model: built.
      card: what `describe` tells.

    Returns:
      Those of the table above that the system has, `serving_default` first.

    Raises:
      ValueError: the card has no expressions or no anchors.
    """
    missing = [name for name in NEEDED if name not in card]
    if missing:
        raise ValueError(f"the card of an export needs {' and '.join(missing)}")
    shape = (model.size, model.size, model.channels)
    squares = tf.TensorSpec((None, *shape), tf.uint8, name="faces")
    points = tf.TensorSpec((None, POINTS, 2), tf.float32, name="landmarks")
    seen = (points,) if model.needs_landmarks else ()
    anchors = places_of(card["anchors"], model.size)

    def serving_default(faces: tf.Tensor, *landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
        points = [as_many("faces and landmarks", faces, given) for given in landmarks]
        return model.call(limit(faces, "faces"), *points)

    def from_jpeg(pictures: tf.Tensor, *landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
        points = [as_many("pictures and landmarks", pictures, given) for given in landmarks]
        return model.call(crops_of(limit(pictures, "pictures"), shape), *points)

    def fit(points: tf.Tensor) -> registration.Similarity:
        return registration.fit_similarity(registration.parts_of(points), anchors)

    def from_landmarks(pictures: tf.Tensor, landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
        faces, moved = registered(pictures, landmarks, fit, shape)
        return model.call(faces, *([moved] if seen else []))

    def encode(faces: tf.Tensor, *landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
        points = [as_many("faces and landmarks", faces, given) for given in landmarks]
        codes = model.codes(model.pictures(limit(faces, "faces")), *points)
        return {f"{name}_code": code for name, code in codes.items()}

    told = {
        "expressions": list(card["expressions"]),
        "anchors": np.asarray(card["anchors"], np.float32),
        "crop_shape": np.array(shape[:2], np.int32),
    }
    return [
        Signature("serving_default", serving_default, (squares, *seen)),
        Signature("from_jpeg", from_jpeg, (PICTURES, *seen)),
        Signature("from_landmarks", from_landmarks, (PICTURES, LANDMARKS)),
        Signature("encode", encode, (squares, *seen)),
        *(decoded_by(model, squares) if can_decode(model) else []),
        Signature("describe", describer(card, told), (FACES,)),
    ]


def can_decode(model: ExpressionSystem) -> bool:
    """Whether a network has a decoder."""
    return isinstance(model, Disentangler) and model.decoder is not None


def decoded_by(model: Any, squares: tf.TensorSpec) -> list[Signature]:
    """What a network with a decoder can be asked."""

    def reconstruct(faces: tf.Tensor) -> dict[str, tf.Tensor]:
        pictures = model.pictures(limit(faces, "faces"))
        decoded = model.reconstruct(pictures)
        return {
            "reconstruction": to_uint8(decoded),
            "mean_squared_error": tf.reduce_mean(tf.square(decoded - pictures), axis=[1, 2, 3]),
        }

    def swap(faces: tf.Tensor, others: tf.Tensor) -> dict[str, tf.Tensor]:
        people = model.pictures(limit(faces, "faces"))
        expressions = model.pictures(as_many("faces and others", faces, others))
        return {"swapped": to_uint8(model.mix(people, expressions, 1.0))}

    others = tf.TensorSpec(squares.shape, squares.dtype, name="others")
    return [
        Signature("reconstruct", reconstruct, (squares,)),
        Signature("swap", swap, (squares, others)),
    ]
