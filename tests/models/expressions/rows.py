"""Tiny recognisers and a batch, for the tests of the rows of other papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf.models.expressions.registry import build_recogniser
from deepcoder_tf.models.expressions.system import ExpressionBatch, ExpressionSystem
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["COUNT", "SIZE", "TINY", "a_batch", "faces", "landmarks", "tiny"]

SIZE, COUNT = 24, 6

TINY: dict[str, Any] = {
    "trunk_weights": "random",
    "trunk_width": 1 / 16,
    "trunk_blocks": (1, 1, 1),
    "trunk_endpoint": "Mixed_6a",
    "picture_side": 96,
    "branch_filters": (4, 5),
    "branch_kernels": (1, 3),
    "patch_filters": 3,
    "vgg16_units": 8,
}


def tiny(system: str, **changes: Any) -> ExpressionSystem:
    """A recogniser of one block of each kind."""
    config = RecogniserConfig.from_mapping({**TINY, "system": system, **changes})
    return build_recogniser(config, SIZE, 1)


def faces(seed: int = 0) -> np.ndarray:
    """`[COUNT, SIZE, SIZE, 1]` uint8."""
    return np.random.default_rng(seed).integers(0, 256, (COUNT, SIZE, SIZE, 1)).astype(np.uint8)


def landmarks(seed: int = 0) -> np.ndarray:
    """`[COUNT, 49, 2]` float32 inside the square."""
    drawn = np.random.default_rng(seed).uniform(2, SIZE - 2, (COUNT, 49, 2))
    return drawn.astype(np.float32)


def a_batch(annotations: bool = True, side: int = 96) -> ExpressionBatch:
    """Of a training step: three pictures of class 1, the others of 0, 2 and 7."""
    random = np.random.default_rng(3)
    votes = random.integers(0, 4, (COUNT, 10)).astype(np.float32)
    return ExpressionBatch(
        pictures=tf.constant(random.uniform(-1, 1, (COUNT, side, side, 3)), tf.float32),
        targets=tf.one_hot([1, 0, 1, 2, 1, 7], 8),
        identities=tf.fill([COUNT], -1),
        landmarks=tf.constant(landmarks()),
        annotations=tf.constant(votes) if annotations else None,
        rows=tf.range(COUNT),
    )
