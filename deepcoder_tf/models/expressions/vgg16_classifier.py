"""VGG16 as a classifier of expressions: its convolutions, two dense layers and a linear head."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.models.expressions.shapes import traced_shapes
from deepcoder_tf.models.expressions.system import (
    ExpressionBatch,
    ExpressionSystem,
    Losses,
    cross_entropy,
    new_trunk,
)
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["VGG16Classifier"]

VGG16 = "vgg16"


@keras.saving.register_keras_serializable("deepcoder_tf")
class VGG16Classifier(ExpressionSystem):
    """The simple classifier of the second paper's Table 1.

    The convolutions come from `--trunk_weights`, constant up to `--trunk_frozen`. The two dense
    layers read all places of the last map, as VGG16's do, and start anew, since those of ImageNet
    fit 224 pixels alone; their second is the code.

    Args:
      config: a `RecogniserConfig`, or its fields as a mapping; `vgg16_units` is the size of both
        dense layers.
      size: S, side of the stored pictures, pixels.
      channels: of the stored pictures.
      identities: not looked at.

    Attributes:
      places: number of values in the trunk's last map.
      fc1: first dense layer.
      fc2: second dense layer.
      head: linear.

    Raises:
      ValueError: another trunk than VGG16.

    Source: Simonyan and Zisserman, Very deep convolutional networks for large-scale image
    recognition, ICLR 2015; "a simple classifier that uses the VGG16": Disentangling expression
    representations, Section 4.
    """

    def __init__(
        self,
        config: RecogniserConfig | dict,
        size: int,
        channels: int,
        identities: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(config, size, channels, identities, **kwargs)
        if self.config.trunk.lower().replace("_", "") != VGG16:
            raise ValueError(f"--trunk={self.config.trunk}: this row is VGG16; say --trunk={VGG16}")
        self.trunk = new_trunk(self.config)
        (shape,) = traced_shapes(self.trunk, self.config.picture_side)
        self.places = math.prod(shape)
        self.fc1 = self.dense("fc1")
        self.fc2 = self.dense("fc2")
        self.head = keras.layers.Dense(len(EXPRESSIONS), name="head")

    def dense(self, name: str) -> keras.layers.Dense:
        """One of the two."""
        return keras.layers.Dense(
            self.config.vgg16_units,
            activation="relu",
            kernel_initializer="he_normal",
            name=name,
        )

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        units = self.config.vgg16_units
        self.fc1.build((None, self.places))
        self.fc2.build((None, units))
        self.head.build((None, units))

    def code(
        self, pictures: tf.Tensor, seed: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """The activations `[B, U]` of fc2; with a seed, dropout follows each dense layer."""
        z = tf.reshape(self.trunk(pictures, training=training), (-1, self.places))
        for place, layer in enumerate((self.fc1, self.fc2)):
            z = layer(z)
            if seed is not None and self.config.dropout:
                z = tf.nn.experimental.stateless_dropout(z, self.config.dropout, seed + place)
        return z

    def logits(self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None) -> tf.Tensor:
        """See `ExpressionSystem.logits`."""
        del landmarks
        return self.head(self.code(pictures))

    def codes(
        self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """See `ExpressionSystem.codes`."""
        del landmarks
        return {"expression": self.code(pictures)}

    def losses(self, batch: ExpressionBatch, seed: tf.Tensor) -> Losses:
        """`expression`, the cross-entropy."""
        logits = self.head(self.code(batch.pictures, seed, training=True))
        return {"network": {"expression": tf.reduce_mean(cross_entropy(batch.targets, logits))}}
