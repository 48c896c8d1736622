"""Ordinal regression by one binary classifier per level and action unit (OR-CNN)."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS

__all__ = ["RankHead", "importance_weights"]


def importance_weights(labels: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """λ_k = √N_k / Σ √N_j, of the classifier that separates level k from those above it.

    Differs from the paper: each count N_k has one imagined frame added, since the classifier above
    a level that was never seen would else never be trained and say at random that it is exceeded.

    Args:
      labels: `[N, Q]` levels, -1 where missing.
      levels: K.

    Returns:
      `[Q, K - 1]` float32, rows that sum to 1.

    Source: Niu et al., CVPR 2016, Section 3.3 (importance of the tasks).
    """
    counts = np.stack([np.sum(labels == k, axis=0) for k in range(levels - 1)], axis=1)
    roots = np.sqrt(counts + 1.0)
    return (roots / roots.sum(axis=1, keepdims=True)).astype(np.float32)


@keras.saving.register_keras_serializable("deepcoder_tf")
class RankHead(keras.layers.Layer):
    """For each action unit K - 1 classifiers o_k = p(y > k), each with its own weights.

    They need not agree (o_2 > o_1 can happen). `probabilities` puts the o_k of an action unit in
    falling order and takes differences: the number of decisions o_k > 1/2, which is the paper's
    predicted rank, is then the median of the distribution, and Σ o_k its mean.

    Args:
      outputs: Q.
      levels: K.

    Source: Niu et al., Ordinal regression with multiple output CNN for age estimation, CVPR 2016.
    """

    def __init__(self, outputs: int, levels: int = LEVELS, **kwargs) -> None:
        super().__init__(**kwargs)
        self.outputs = outputs
        self.levels = levels

    def build(self, input_shape) -> None:
        """Creates the weights for features `[B, F]`, all classifiers equally important."""
        tasks = self.levels - 1
        self.W = self.add_weight(
            shape=(input_shape[-1], self.outputs * tasks), initializer="glorot_uniform", name="W"
        )
        self.bias = self.add_weight(shape=(self.outputs * tasks,), initializer="zeros", name="bias")
        self.importance = self.add_weight(
            shape=(self.outputs, tasks),
            initializer=keras.initializers.Constant(1.0 / tasks),
            trainable=False,
            name="importance",
        )

    def weigh(self, labels: np.ndarray) -> None:
        """Sets the importance weights from the labels of the training frames, `[N, Q]`."""
        self.importance.assign(importance_weights(labels, self.levels))

    def logits(self, z: tf.Tensor) -> tf.Tensor:
        """log o_k - log (1 - o_k) `[B, Q, K - 1]` of features `[B, F]`."""
        logits = tf.matmul(z, self.W) + self.bias
        return tf.reshape(logits, (-1, self.outputs, self.levels - 1))

    def log_prob(self, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Sum over annotated action units and classifiers of λ_k log p(1[y > k] | z), `[B]`.

        Args:
          z: `[B, F]`.
          labels: `[B, Q]`, -1 where missing.
        """
        labels = labels[..., tf.newaxis]
        above = tf.cast(labels > tf.range(self.levels - 1), tf.float32)
        loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=above, logits=self.logits(z))
        loss = tf.where(labels >= 0, loss * self.importance, tf.zeros_like(loss))
        return -tf.reduce_sum(loss, axis=[1, 2])

    def probabilities(self, z: tf.Tensor) -> tf.Tensor:
        """p(y = k | z) `[B, Q, K]` of features `[B, F]`, rows that sum to 1."""
        above = tf.sort(tf.sigmoid(self.logits(z)), axis=-1, direction="DESCENDING")
        edge = tf.ones_like(above[..., :1])
        return tf.concat([edge, above], axis=-1) - tf.concat([above, 0.0 * edge], axis=-1)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "outputs": self.outputs, "levels": self.levels}
