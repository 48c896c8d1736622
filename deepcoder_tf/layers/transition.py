"""What an annotator says of a latent class: a row-stochastic matrix."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

__all__ = ["Transition", "log_observed"]


def log_observed(log_latent: tf.Tensor, log_T: tf.Tensor) -> tf.Tensor:
    """log p(y|x) = log sum_z T_zy p(z|x), without leaving the logarithm.

    Args:
      log_latent: `[B, Z]` log p(z|x).
      log_T: `[Z, Y]` log p(y|z); -inf where the annotator never says y of z.

    Returns:
      `[B, Y]`.
    """
    return tf.reduce_logsumexp(log_latent[:, :, tf.newaxis] + log_T, axis=1)


@keras.saving.register_keras_serializable("deepcoder_tf")
class Transition(keras.layers.Layer):
    """T_zy = p(the annotator says y | the truth is z): rows sum to 1.

    Each row is a softmax, so that the matrix is stochastic at every step without a projection. It
    starts near the identity: with the probability `start` the annotator says what is true, and
    anything else is equally probable. Without such a start the latent classes could change places.

    Args:
      classes: Z, number of latent classes.
      answers: Y >= Z, what the annotator can say; the first Z answers are the classes.
      start: T_zz at the start, in 0..1, neither of which it is.

    Raises:
      ValueError: fewer answers than classes, fewer than two answers, or such a start.

    Source: Zeng, Shan and Chen, Facial expression recognition with inconsistently annotated
    datasets, ECCV 2018, Section 3.2.
    """

    def __init__(self, classes: int, answers: int, start: float = 0.9, **kwargs) -> None:
        super().__init__(**kwargs)
        if answers < max(classes, 2) or not 0 < start < 1:
            raise ValueError(
                f"{classes} classes, {answers} answers, start {start}: wanted at least as many "
                "answers as classes, two of them, and a start between 0 and 1"
            )
        self.classes = classes
        self.answers = answers
        self.start = start

    def build(self, input_shape=None) -> None:
        """Creates the logits of the rows."""
        # softmax of a row (a, 0, ..., 0) is `start` at a = log(start (Y - 1) / (1 - start)).
        told = math.log(self.start * (self.answers - 1) / (1.0 - self.start))
        self.raw_rows = self.add_weight(
            shape=(self.classes, self.answers),
            initializer=lambda shape, dtype=None: told * tf.eye(*shape, dtype=dtype),
            name="raw_rows",
        )

    def log_matrix(self) -> tf.Tensor:
        """log T, `[Z, Y]`."""
        return tf.nn.log_softmax(tf.convert_to_tensor(self.raw_rows), axis=-1)

    def call(self, log_latent: tf.Tensor) -> tf.Tensor:
        """log p(y|x) `[B, Y]` of log p(z|x) `[B, Z]`."""
        return log_observed(log_latent, self.log_matrix())

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "answers": self.answers,
            "start": self.start,
        }
