"""What an export answers: its signatures, with names, types, shapes and units.

| signature         | takes                               | gives                              |
|-------------------|-------------------------------------|------------------------------------|
| `serving_default` | `crops`                             | levels                             |
| `from_jpeg`       | `pictures`: files of such crops     | levels                             |
| `from_landmarks`  | `pictures`: files of any size, and  | levels                             |
|                   | `landmarks` in their pixels         |                                    |
| `encode`          | `crops`                             | `z0_mean`, `z0_variance`, ...      |
| `reconstruct`     | `crops`                             | what the code keeps of the picture |
| `describe`        | `faces`: any integers               | action units, mean shape, card     |

Levels are `intensity`, `presence`, `standard_deviation` and `level_probabilities`. Where the system
sees landmarks, the first two signatures take them too, registered, in crop pixels. `encode` and
`reconstruct` are those of a stack of coders. `MEANING` tells each name's unit.

A request holds 1 to `pictures.MAX_PICTURES` faces; a wrong one ends with InvalidArgument and the
place of the picture at fault.

Recognisers of expressions answer otherwise: see `expression_signatures`.
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
    Served,
    Signature,
    as_many,
    crops_of,
    describer,
    registered,
)
from deepcoder_tf.export.expression_signatures import EXPRESSION_MEANING, expression_signatures
from deepcoder_tf.export.pictures import limit
from deepcoder_tf.faces.registration import CROP_SHAPE
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.preprocessing.scale import to_uint8

__all__ = ["MEANING", "POINTS", "describe", "meanings_of", "signatures_of"]

POINTS = 49
"""Landmarks of a face: the inner ones of the usual 68."""

CROPS = tf.TensorSpec((None, *CROP_SHAPE, 1), tf.uint8, name="crops")
REGISTERED = tf.TensorSpec((None, POINTS, 2), tf.float32, name="landmarks")

MEANING = {
    "crops": "grey levels of faces registered to mean_shape, not equalised",
    "landmarks": "registered to mean_shape; crop pixels (x, y)",
    "from_jpeg/pictures": "JPEG or PNG files of crops, grey or colour, rows and columns those of "
    "crop_shape",
    **OF_WHOLE_PICTURES,
    "faces": "as many rows are answered; the values are not looked at",
    "intensity": "expected level of each action unit, 0..5",
    "presence": "1 where level 1 or more is more probable than level 0",
    "standard_deviation": "of the level, in levels",
    "level_probabilities": "of the levels 0..5; they sum to 1",
    "reconstruction": "the picture decoded from the last code, grey levels at the model's size",
    "equalised": "the picture that the model saw, grey levels at the model's size",
    "mean_squared_error": "of reconstruction and equalised, on the scale -1..1 of grey levels",
    "action_units": "names, in the order of all outputs",
    "mean_shape": "49 points (x, y) in crop pixels that faces are registered to",
    "crop_shape": "rows and columns of a crop",
    "card": "assets.extra/deepcoder.json without the signatures, as JSON",
}
"""What the numbers of each input and output are, with their unit; codes have none of their own."""

NEEDED = ("action_units", "mean_shape")
"""What the signatures say of the card."""


def signatures_of(model: Served, card: Mapping[str, Any]) -> list[Signature]:
    """The signatures of a system's export.

    Args:
      model: built.
      card: what `describe` tells; its `mean_shape` is what `from_landmarks` registers to.

    Returns:
      Those of the table above that the system has, `serving_default` first.

    Raises:
      ValueError: the card has no action units or no mean shape, or no expressions or no anchors.
    """
    if isinstance(model, ExpressionSystem):
        return expression_signatures(model, card)
    missing = [name for name in NEEDED if name not in card]
    if missing:
        raise ValueError(f"the card of an export needs {' and '.join(missing)}")
    seen = (REGISTERED,) if model.needs_landmarks else ()

    def serving_default(crops: tf.Tensor, *landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
        points = [as_many("crops and landmarks", crops, given) for given in landmarks]
        return model.call(limit(crops, "crops"), *points)

    def from_jpeg(pictures: tf.Tensor, *landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
        points = [as_many("pictures and landmarks", pictures, given) for given in landmarks]
        return model.call(crops_of(limit(pictures, "pictures"), (*CROP_SHAPE, 1)), *points)

    def fit(points: tf.Tensor) -> registration.Similarity:
        return registration.fit_similarity(points, card["mean_shape"])

    def from_landmarks(pictures: tf.Tensor, landmarks: tf.Tensor) -> dict[str, tf.Tensor]:
        crops, moved = registered(pictures, landmarks, fit, (*CROP_SHAPE, 1))
        return model.call(crops, moved if model.needs_landmarks else None)

    found = [
        Signature("serving_default", serving_default, (CROPS, *seen)),
        Signature("from_jpeg", from_jpeg, (PICTURES, *seen)),
        Signature("from_landmarks", from_landmarks, (PICTURES, LANDMARKS)),
    ]
    if isinstance(model, DeepCoder):
        found += codes_of(model)
    told = {
        "action_units": list(card["action_units"]),
        "mean_shape": np.asarray(card["mean_shape"], np.float32),
        "crop_shape": np.array(CROP_SHAPE, np.int32),
    }
    return [*found, Signature("describe", describer(card, told), (FACES,))]


def codes_of(model: DeepCoder) -> list[Signature]:
    """What a stack of coders can be asked beside levels."""

    def encode(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        told: dict[str, tf.Tensor] = {}
        for n, code in enumerate(model.encode(model.images(limit(crops, "crops")))):
            told |= {f"z{n}_mean": code.mean, f"z{n}_variance": code.var}
        return told

    def reconstruct(crops: tf.Tensor) -> dict[str, tf.Tensor]:
        images = model.images(limit(crops, "crops"))
        decoded = model.decode(model.encode(images)[-1].mean)
        return {
            "reconstruction": to_uint8(decoded),
            "equalised": to_uint8(images),
            "mean_squared_error": tf.reduce_mean(tf.square(decoded - images), axis=[1, 2, 3]),
        }

    return [
        Signature("encode", encode, (CROPS,)),
        Signature("reconstruct", reconstruct, (CROPS,)),
    ]


def describe(
    signature: Signature,
    outputs: Mapping[str, tf.TensorSpec],
    meanings: Mapping[str, str] = MEANING,
) -> dict[str, Any]:
    """A signature for those who call it, in plain types.

    Args:
      signature: one of `signatures_of`.
      outputs: of its traced function.
      meanings: by `SIGNATURE/NAME` or by `NAME`; see `meanings_of`.

    Returns:
      `inputs` and `outputs`: for each name its `dtype`, its `shape` with None for the batch, and
      its `meaning`.
    """

    def entry(name: str, spec: tf.TensorSpec) -> dict[str, Any]:
        return {
            "dtype": spec.dtype.name,
            "shape": [None, *spec.shape.as_list()[1:]],
            "meaning": meaning(signature.name, name, meanings),
        }

    return {
        "inputs": {spec.name: entry(spec.name, spec) for spec in signature.inputs},
        "outputs": {name: entry(name, spec) for name, spec in outputs.items()},
    }


def meanings_of(model: Served) -> Mapping[str, str]:
    """What a model's inputs and outputs are."""
    return EXPRESSION_MEANING if isinstance(model, ExpressionSystem) else MEANING


def meaning(signature: str, name: str, meanings: Mapping[str, str]) -> str:
    """What an input or output is; of a code, which coder's it is."""
    kind, _, statistic = name.partition("_")
    if signature == "encode" and kind.startswith("z"):
        return f"{statistic} of q({kind.upper()} | picture), in the units of that code"
    return meanings.get(f"{signature}/{name}", meanings.get(name, ""))
