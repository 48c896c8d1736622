"""Landmarks of a training step lie where the augmentation took the picture's face."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepcoder_tf.faces.landmarks import MIRRORED_49
from deepcoder_tf.training.expression_training import ExpressionStep
from tests.models.expressions.rows import COUNT, SIZE, faces, landmarks, tiny

STILL = {
    f"augment_{name}": 0.0
    for name in ("shift", "scale", "rotation", "contrast", "brightness", "blur")
}


def batch_of(**options) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and landmarks that the model is given."""
    model, seen = tiny("gacnn", **{**STILL, **options}), []

    def losses(batch, seed):
        seen.append(batch)
        return {}

    model.losses = losses
    parts = {
        "images": tf.constant(faces()),
        "landmarks": tf.constant(landmarks()),
        "targets": tf.eye(COUNT, 8),
        "identities": tf.fill([COUNT], -1),
        "index": tf.range(COUNT),
    }
    ExpressionStep(model, {})._run(parts, tf.constant([1, 2]))
    return seen[0].pictures.numpy(), seen[0].landmarks.numpy()


def test_landmarks_of_a_still_picture_stay():
    _, points = batch_of(augment_flip=0.0)
    np.testing.assert_allclose(points, landmarks(), atol=1e-4)


def test_landmarks_of_a_mirrored_picture_are_mirrored():
    pictures, points = batch_of(augment_flip=1.0)
    plain, _ = batch_of(augment_flip=0.0)
    np.testing.assert_allclose(pictures, plain[:, :, ::-1], atol=1e-4)
    wanted = landmarks()[:, MIRRORED_49] * (-1, 1) + (SIZE - 1, 0)
    np.testing.assert_allclose(points, wanted, atol=1e-4)
