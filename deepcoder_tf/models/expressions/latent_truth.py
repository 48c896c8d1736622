"""IPA2LT: the truth is latent, and every annotator has a way of getting it wrong."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.layers.transition import Transition
from deepcoder_tf.models.expressions.baseline import Baseline
from deepcoder_tf.models.expressions.system import ExpressionBatch, Losses
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["VOTES", "LatentTruth", "observed_cross_entropy"]

VOTES = len(EXPRESSIONS) + 2
"""What a vote can be: one of the classes, unknown, not a face."""


def observed_cross_entropy(shares: tf.Tensor, log_observed: tf.Tensor) -> tf.Tensor:
    """-sum_y share_y log p(y|x) of each row; answers that nobody gave may be impossible.

    Args:
      shares: `[B, Y]`, of the answers; all zeros where there was none.
      log_observed: `[B, Y]` log p(y|x).

    Returns:
      `[B]`, 0 where nobody answered.
    """
    # A share of 0 leaves an answer of probability 0 out, with its gradient.
    given = shares > 0
    safe = tf.where(given, log_observed, tf.zeros_like(log_observed))
    return -tf.reduce_sum(tf.where(given, shares * safe, tf.zeros_like(safe)), axis=-1)


@keras.saving.register_keras_serializable("deepcoder_tf")
class LatentTruth(Baseline):
    """LTNet: the baseline's network tells p(z|x), transitions turn it into what annotators say.

        p(y|x) = sum_z T^k_zy p(z|x),     L_k = -log p(y^k|x),     L = L_label + w L_crowd

    Every annotator k has a row-stochastic T^k that starts near the identity; prediction is the
    latent truth p(z|x). There are two:

    - `label` says the label that the data set gives (the targets: the majority's class, or the
      shares of the votes).
    - `crowd` says each of the votes: its loss is weighted by their shares, unknown and not-a-face
      included, which no latent class is.

    Differs from the paper: its annotators are data sets (and networks trained on them), each with a
    label of its own for every picture. FERPlus has ten votes for every picture but does not tell
    whose they are, so that the ten are one annotator. Of data without votes there is the label
    alone; its transition and the latent classes are then told apart by the start alone. Trunk,
    branch and code are those of every row of this table, so that losses are compared and nothing
    else.

    Args:
      config: a `RecogniserConfig`, or its fields as a mapping; `ipa2lt_start` is T_zz at the
        start, `ipa2lt_crowd` w.
      size: S, side of the stored pictures, pixels.
      channels: of the stored pictures.
      identities: number of people in the training pictures.

    Attributes:
      label: T of the label, `[8, 8]`.
      crowd: T of the crowd, `[8, 10]`.

    Source: Zeng, Shan and Chen, Facial expression recognition with inconsistently annotated
    datasets, ECCV 2018.
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
        classes, start = len(EXPRESSIONS), self.config.ipa2lt_start
        self.label = Transition(classes, classes, start, name="label")
        self.crowd = Transition(classes, VOTES, start, name="crowd")

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        super().build(input_shape)
        self.label.build()
        self.crowd.build()

    def losses(self, batch: ExpressionBatch, seed: tf.Tensor) -> Losses:
        """`label`, and `crowd` where the pictures have votes."""
        code = self.expression_code(self.features(batch.pictures, training=True))
        truth = tf.nn.log_softmax(self.head(self.drop(code, seed)))
        terms = {"label": observed_cross_entropy(batch.targets, self.label(truth))}
        if batch.annotations is not None:
            votes = tf.reduce_sum(batch.annotations, axis=-1, keepdims=True)
            shares = tf.math.divide_no_nan(batch.annotations, votes)
            terms["crowd"] = observed_cross_entropy(shares, self.crowd(truth))
        return {"network": {name: tf.reduce_mean(term) for name, term in terms.items()}}
