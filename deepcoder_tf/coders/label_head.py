"""p(Y|Z) on the codes of a parametric coder: Q softmaxes, or Q ordinal probits."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.likelihoods.ordered_probit import OrderedProbit
from deepcoder_tf.likelihoods.ordinal import cutpoints

__all__ = ["LabelHead"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class LabelHead(keras.layers.Layer):
    """Levels of Q action units from a code.

    Args:
      outputs: Q.
      levels: L.
      kind: `softmax` (the paper's logistic regression, one per action unit) or `ordinal` (one
        direction and L-1 ordered cut-points per action unit).

    Source: DeepCoder, Eq. 8, read as one head with Q distributions.
    """

    def __init__(self, outputs: int, levels: int, kind: str = "softmax", **kwargs) -> None:
        super().__init__(**kwargs)
        if kind not in ("softmax", "ordinal"):
            raise ValueError(f"kind must be softmax or ordinal, not {kind!r}")
        self.outputs = outputs
        self.levels = levels
        self.kind = kind

    def build(self, input_shape) -> None:
        """Creates the weights for codes `[B, D]`."""
        directions = self.outputs * (self.levels if self.kind == "softmax" else 1)
        self.W = self.add_weight(
            shape=(input_shape[-1], directions), initializer="glorot_uniform", name="W"
        )
        if self.kind == "softmax":
            self.bias = self.add_weight(shape=(directions,), initializer="zeros", name="bias")
        else:
            self.raw_first = self.add_weight(
                shape=(self.outputs,), initializer="ones", name="raw_first"
            )
            self.raw_gaps = self.add_weight(
                shape=(self.outputs, self.levels - 2), initializer="zeros", name="raw_gaps"
            )

    def log_probabilities(self, z: tf.Tensor) -> tf.Tensor:
        """log p(y = s | z) `[B, Q, L]` of codes `[B, D]`."""
        if self.kind == "softmax":
            logits = tf.matmul(z, self.W) + self.bias
            return tf.nn.log_softmax(tf.reshape(logits, (-1, self.outputs, self.levels)))
        cuts = cutpoints(tf.convert_to_tensor(self.raw_first), tf.convert_to_tensor(self.raw_gaps))
        return OrderedProbit(cuts, tf.matmul(z, self.W)).categorical_log_probs()

    def probabilities(self, z: tf.Tensor) -> tf.Tensor:
        """p(y = s | z) `[B, Q, L]`."""
        return tf.exp(self.log_probabilities(z))

    def log_prob(self, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Sum over the annotated action units of log p(y|z), `[B]`.

        Args:
          z: `[B, D]`.
          labels: `[B, Q]`, -1 where missing.
        """
        log_p = self.log_probabilities(z)
        chosen = tf.gather(log_p, tf.maximum(labels, 0), axis=2, batch_dims=2)
        return tf.reduce_sum(tf.where(labels >= 0, chosen, tf.zeros_like(chosen)), axis=1)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "levels": self.levels,
            "kind": self.kind,
        }
