"""What every recogniser of expressions is: square faces in, a distribution over eight classes."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.inception_resnet_v1 import SMALLEST_SIDE
from deepcoder_tf.models.trunks import FACENET, Trunk, build_trunk
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = [
    "ExpressionBatch",
    "ExpressionSystem",
    "Losses",
    "cross_entropy",
    "new_trunk",
    "summarise_expressions",
    "trunk_weights",
    "uniformity",
]

Losses = dict[str, dict[str, tf.Tensor]]
"""For each player the terms that it minimises, scalars by name."""

RANDOM = "random"
"""What `--trunk_weights` says where nothing pretrained is wanted."""


class ExpressionBatch(NamedTuple):
    """Pictures of a training step.

    Attributes:
      pictures: `[B, side, side, 3]` float32 in -1..1, augmented.
      targets: `[B, 8]` float32, shares of the classes; rows sum to 1.
      identities: `[B]` int32, place among the training subjects, -1 where not known.
      landmarks: `[B, 49, 2]` float32, pixels of the stored picture; None where no system asks.
      annotations: `[B, 10]` float32, how many annotators chose each class, unknown and
        not-a-face; None where the data set has no votes.
      rows: `[B]` int32 rows of the training set.
    """

    pictures: tf.Tensor
    targets: tf.Tensor
    identities: tf.Tensor
    landmarks: tf.Tensor | None
    annotations: tf.Tensor | None
    rows: tf.Tensor


def summarise_expressions(probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
    """Everything that is said of an expression, from one distribution over the classes.

    Args:
      probabilities: `[B, 8]`, rows that sum to 1.

    Returns:
      `expression_probabilities` `[B, 8]`, `expression` `[B]` int32, the most probable class,
      `confidence` `[B]`, its probability, and `entropy` `[B]`, nats.
    """
    return {
        "expression_probabilities": probabilities,
        "expression": tf.argmax(probabilities, axis=-1, output_type=tf.int32),
        "confidence": tf.reduce_max(probabilities, axis=-1),
        "entropy": -tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1),
    }


def cross_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-sum_i y_i log softmax(logits)_i of each row (Eq. 1), `[B]`."""
    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits)


def uniformity(logits: tf.Tensor) -> tf.Tensor:
    """-1/N sum_i log softmax(logits)_i of each row, `[B]`: L_adv_En of Eq. 2.

    At least log N, and log N only where the classifier knows nothing: all classes are then equally
    probable to it. The paper prints Eq. 1 and Eq. 2 with the minus on the left; since Eq. 3
    minimises the sum, the losses are read as the right sides with the sign turned, and log C as
    the logarithm of the i-th output. Read without the minus, the encoder would drive a probability
    to 0 instead of all of them to 1/N.
    """
    return -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)


class ExpressionSystem(keras.layers.Layer, abc.ABC):
    """One row of the table: trained by `ExpressionTrainer`, saved, evaluated and exported alike.

    Args:
      config: a `RecogniserConfig`, or its fields as a mapping.
      size: S, side of the stored pictures, pixels.
      channels: of the stored pictures, 1 or 3.
      identities: number of people in the training pictures; 0 where they are not known.

    Attributes:
      needs_landmarks: whether `logits` wants landmarks beside the picture.
      trunk: the shared encoder.
    """

    needs_landmarks: bool = False
    trunk: Trunk

    def __init__(
        self,
        config: RecogniserConfig | dict,
        size: int,
        channels: int,
        identities: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(config, RecogniserConfig):
            config = RecogniserConfig.from_mapping(config)
        self.config = config
        self.size = size
        self.channels = channels
        self.identities = identities

    def pictures(self, faces: tf.Tensor) -> tf.Tensor:
        """Stored faces to the model's input.

        Args:
          faces: `[B, S, S, C]` uint8.

        Returns:
          `[B, side, side, 3]` float32 in -1..1.
        """
        return self.enlarged(to_unit_range(faces))

    def enlarged(self, faces: tf.Tensor) -> tf.Tensor:
        """The same for faces that are scaled to -1..1 already (and perhaps augmented)."""
        side = self.config.picture_side
        if self.size != side:
            faces = tf.image.resize(faces, (side, side), antialias=True)
        return tf.repeat(faces, 3, axis=-1) if self.channels == 1 else faces

    @abc.abstractmethod
    def logits(self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None) -> tf.Tensor:
        """Unnormalised log-probabilities, outside training.

        Args:
          pictures: `[B, side, side, 3]` float32 in -1..1.
          landmarks: `[B, 49, 2]` float32, pixels of the stored picture; None where not needed.

        Returns:
          `[B, 8]` float32.
        """

    @abc.abstractmethod
    def codes(
        self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """The codes outside training: `expression` `[B, D]`, and `non_expression` where there is
        such a branch; arguments as of `logits`.
        """

    @abc.abstractmethod
    def losses(self, batch: ExpressionBatch, seed: tf.Tensor) -> Losses:
        """The terms of a training step.

        Args:
          batch: pictures and what is known of them.
          seed: `[2]` int32, of the dropout.

        Returns:
          For each of `players` its terms, means over the batch.
        """

    def players(self) -> dict[str, list[keras.Variable]]:
        """Who learns from which terms: variables by player, disjoint."""
        return {"network": self.trainable_variables}

    def start(self, labels: np.ndarray, landmarks: np.ndarray | None) -> None:
        """What comes from outside before the first step: the weights of the trunk.

        Args:
          labels: `[N]` of the training pictures, -1 for none.
          landmarks: `[N, 49, 2]` of the training pictures, or None.

        Raises:
          UserError: weights that are needed were not named, or cannot be read.
        """
        del labels, landmarks
        weights = trunk_weights(self.config)
        if weights:
            self.trunk.load(weights)

    def predict(self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None) -> tf.Tensor:
        """Probabilities `[B, 8]` outside training; arguments as of `logits`."""
        return tf.nn.softmax(self.logits(pictures, landmarks))

    def call(self, faces: tf.Tensor, landmarks: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """What is said of stored faces.

        Args:
          faces: `[B, S, S, C]` uint8.
          landmarks: as of `logits`.

        Returns:
          As `summarise_expressions`.
        """
        return summarise_expressions(self.predict(self.pictures(faces), landmarks))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "size": self.size,
            "channels": self.channels,
            "identities": self.identities,
        }


def trunk_weights(config: RecogniserConfig) -> str:
    """What `--trunk_weights` names; empty where random weights are wanted.

    Raises:
      UserError: nothing was named.
    """
    if not config.trunk_weights:
        made = (
            "the file that deepcoder-import-facenet made"
            if config.trunk == FACENET
            else "a path of Keras weights, or imagenet to let Keras fetch them"
        )
        raise UserError(
            f"--trunk_weights is not given; name {made}, or say --trunk_weights={RANDOM} to begin "
            "without any"
        )
    return "" if config.trunk_weights == RANDOM else config.trunk_weights


def new_trunk(config: RecogniserConfig) -> Trunk:
    """The shared encoder that the `trunk*` options describe, built, without its weights.

    Raises:
      UserError: no such network or endpoint, or a picture that is too small for FaceNet's.
    """
    options: dict[str, Any] = {}
    if config.trunk == FACENET:
        options = {"width": config.trunk_width, "repeats": list(config.trunk_blocks)}
        if config.picture_side < SMALLEST_SIDE:
            raise UserError(
                f"--picture_side={config.picture_side}: {FACENET} needs {SMALLEST_SIDE} pixels or "
                "more"
            )
    return build_trunk(config.trunk, "", config.trunk_endpoint, config.trunk_frozen, options)
