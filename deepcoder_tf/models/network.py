"""What the networks of the table share: features of the pixels, and a head that reads them."""

from __future__ import annotations

import abc

import numpy as np
import tensorflow as tf

from deepcoder_tf.coders.label_head import LabelHead
from deepcoder_tf.models.rank_head import RankHead
from deepcoder_tf.models.system import System
from deepcoder_tf.types import LevelPrediction

__all__ = ["Network"]


class Network(System):
    """A network that is trained on all labelled frames at once, by likelihood alone.

    Args:
      config: a `Config`, or its fields as a mapping.
      outputs: Q.
      points: 0; a network owns no frames.

    Attributes:
      head: from features to levels.
    """

    head: LabelHead | RankHead

    @abc.abstractmethod
    def features(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """What the head sees.

        Args:
          images: `[B, H, W, 1]` float32 in -1..1.
          seed: `[2]` int32, of the dropout in a training step; None outside training.

        Returns:
          `[B, F]` float32.
        """

    def start(self, labels: np.ndarray) -> None:
        """What the network takes from outside before its first step.

        Args:
          labels: of the training frames, `[N, Q]`, -1 where missing.

        Raises:
          UserError: weights that it needs cannot be had.
        """
        if isinstance(self.head, RankHead):
            self.head.weigh(labels)

    def log_prob(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Sum over the annotated action units of log p(y | x) in a training step, `[B]`.

        Args:
          images: `[B, H, W, 1]` float32 in -1..1.
          labels: `[B, Q]`, -1 where missing.
          seed: `[2]` int32, of the dropout.
        """
        return self.head.log_prob(self.features(images, seed), labels)

    def penalty(self) -> tf.Tensor:
        """Half the weight decay times the squared trainable kernels, a scalar."""
        kernels = [tf.nn.l2_loss(w) for w in self.trainable_variables if len(w.shape) > 1]
        return self.config.weight_decay * tf.add_n(kernels)

    def predict(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> LevelPrediction:
        """The levels as the head reads them off the features."""
        del landmarks
        return LevelPrediction(self.head.probabilities(self.features(images)))
