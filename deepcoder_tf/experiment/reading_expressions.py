"""Prepared pictures streamed through a recogniser of expressions: what it says, and its codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.datasets.expressions.store import ExpressionFrames
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.expressions.baseline import Baseline
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.system import ExpressionSystem

__all__ = ["Told", "codes_of", "pictures_of", "tell"]

BATCH = 64
"""Pictures read at a time."""

Reader = Callable[[tf.Tensor, "tf.Tensor | None"], dict[str, tf.Tensor]]


class Told(NamedTuple):
    """What a recogniser says of some pictures.

    Attributes:
      probabilities: `[N, 8]`.
      codes: by name, `[N, D]`.
      adversary: `[N, 8]` probabilities of C_adv; None where there is none.
      distances: `[N]` L_r = ||x - x'||_2 of each picture, pixels in 0..1; None without a decoder.
    """

    probabilities: np.ndarray
    codes: dict[str, np.ndarray]
    adversary: np.ndarray | None
    distances: np.ndarray | None


def tell(model: ExpressionSystem, frames: ExpressionFrames, rows: np.ndarray) -> Told:
    """Everything that a recogniser says of some pictures.

    Args:
      model: whose size and channels are those of the pictures.
      frames: memory mapped.
      rows: `[N]` places among `frames`, N >= 1.
    """

    def read(faces: tf.Tensor, landmarks: tf.Tensor | None) -> dict[str, tf.Tensor]:
        pictures = model.pictures(faces)
        codes = model.codes(pictures, landmarks)
        found = {f"codes/{name}": code for name, code in codes.items()}
        found["probabilities"] = probabilities(model, pictures, landmarks, codes)
        if isinstance(model, Disentangler):
            other = codes["non_expression"]
            found["adversary"] = tf.nn.softmax(model.adversary(other))
            if model.decoder is not None:
                found["distances"] = model.distance(pictures, codes["expression"], other)
        return found

    found = stream(model, read, frames, rows)
    return Told(
        found["probabilities"],
        {name.split("/")[1]: code for name, code in found.items() if name.startswith("codes/")},
        found.get("adversary"),
        found.get("distances"),
    )


def probabilities(
    model: ExpressionSystem,
    pictures: tf.Tensor,
    landmarks: tf.Tensor | None,
    codes: dict[str, tf.Tensor],
) -> tf.Tensor:
    """Probabilities `[B, 8]`; where the head reads the code, the trunk does not run again."""
    if isinstance(model, Baseline) and type(model).logits is Baseline.logits:
        return tf.nn.softmax(model.head(codes["expression"]))
    return model.predict(pictures, landmarks)


def codes_of(
    model: ExpressionSystem, frames: ExpressionFrames, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """The codes alone; arguments as of `tell`."""

    def read(faces: tf.Tensor, landmarks: tf.Tensor | None) -> dict[str, tf.Tensor]:
        return model.codes(model.pictures(faces), landmarks)

    return stream(model, read, frames, rows)


def pictures_of(model: ExpressionSystem, frames: ExpressionFrames, rows: np.ndarray) -> np.ndarray:
    """The pictures as the model sees them, `[N, side, side, 3]` in -1..1."""
    return stream(model, lambda faces, _: {"x": model.pictures(faces)}, frames, rows)["x"]


def stream(
    model: ExpressionSystem, read: Reader, frames: ExpressionFrames, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Calls `read` batch by batch, traced once; only its answers are kept."""
    face = tf.TensorSpec((None, model.size, model.size, model.channels), tf.uint8)
    traced: Any = graph_of(read)
    if not model.needs_landmarks:
        traced = graph_of(lambda faces: read(faces, None), [face])
    parts = []
    for start in range(0, len(rows), BATCH):
        chosen = rows[start : start + BATCH]
        faces = tf.constant(frames.images[chosen])
        if model.needs_landmarks and frames.landmarks is not None:
            batch = traced(faces, tf.constant(frames.landmarks[chosen]))
        else:
            batch = traced(faces)
        parts.append({name: value.numpy() for name, value in batch.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
