"""What an export answers: its signatures, with names, types, shapes and units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from deepcoder_tf.faces.registration import CROP_SHAPE
from deepcoder_tf.models.system import System

__all__ = ["POINTS", "Signature", "describe", "signatures_of"]

POINTS = 49
"""Landmarks of a face: the inner ones of the usual 68."""

CROPS = tf.TensorSpec((None, *CROP_SHAPE, 1), tf.uint8, name="crops")
LANDMARKS = tf.TensorSpec((None, POINTS, 2), tf.float32, name="landmarks")

MEANING = {
    "crops": "grey levels of faces registered to mean_shape, not equalised",
    "landmarks": "registered to mean_shape; crop pixels (x, y)",
    "intensity": "expected level of each action unit, 0..5",
    "presence": "1 where level 1 or more is more probable than level 0",
    "standard_deviation": "of the level, in levels",
    "level_probabilities": "of the levels 0..5; they sum to 1",
}
"""What the numbers of each input and output are, with their unit."""


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


def signatures_of(model: System) -> list[Signature]:
    """The signatures of a system's export.

    Args:
      model: built.

    Returns:
      `serving_default`: crops, and landmarks where the system wants them, to `System.call`.
    """
    faces = (CROPS, LANDMARKS) if model.needs_landmarks else (CROPS,)
    return [Signature("serving_default", model.call, faces)]


def describe(signature: Signature, outputs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    """A signature for those who call it, in plain types.

    Args:
      signature: one of `signatures_of`.
      outputs: of its traced function.

    Returns:
      `inputs` and `outputs`: for each name its `dtype`, its `shape` with None for the batch, and
      its `meaning`.
    """

    def entry(name: str, spec: tf.TensorSpec) -> dict[str, Any]:
        return {
            "dtype": spec.dtype.name,
            "shape": [None, *spec.shape.as_list()[1:]],
            "meaning": MEANING[name],
        }

    return {
        "inputs": {spec.name: entry(spec.name, spec) for spec in signature.inputs},
        "outputs": {name: entry(name, spec) for name, spec in outputs.items()},
    }
