"""The baseline of the second paper: shared encoder, expression branch, linear classifier."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.layers.branch import Branch
from deepcoder_tf.models.expressions.system import (
    ExpressionBatch,
    ExpressionSystem,
    Losses,
    cross_entropy,
    new_trunk,
)
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["Baseline"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class Baseline(ExpressionSystem):
    """En_base, B_exp and C_exp, trained by L_exp alone.

    Args:
      config: a `RecogniserConfig`, or its fields as a mapping.
      size: S, side of the stored pictures, pixels.
      channels: of the stored pictures.
      identities: number of people in the training pictures.

    Attributes:
      branch: B_exp.
      head: C_exp, linear.

    Source: Disentangling expression representations, Section 3 ("identical to the above model,
    only without the adversarial components").
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
        self.trunk = new_trunk(self.config)
        self.branch = self.new_branch("branch")
        self.head = keras.layers.Dense(len(EXPRESSIONS), name="head")

    def new_branch(self, name: str) -> Branch:
        """A branch as the options describe it."""
        return Branch(self.config.branch_filters, self.config.leak, name=name)

    @property
    def code_size(self) -> int:
        """Size of a code."""
        return self.config.branch_filters[-1]

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        self.branch.build((None, None, None, self.trunk.channels()))
        self.head.build((None, self.code_size))

    def features(self, pictures: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The trunk's map of `[B, side, side, 3]`."""
        return self.trunk(pictures, training=training)

    def expression_code(self, features: tf.Tensor) -> tf.Tensor:
        """code_exp `[B, D]` of the trunk's map."""
        return self.branch(features)

    def logits(self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None) -> tf.Tensor:
        """See `ExpressionSystem.logits`."""
        return self.head(self.codes(pictures, landmarks)["expression"])

    def codes(
        self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """See `ExpressionSystem.codes`."""
        del landmarks
        return {"expression": self.expression_code(self.features(pictures))}

    def losses(self, batch: ExpressionBatch, seed: tf.Tensor) -> Losses:
        """`expression`, the cross-entropy of C_exp (Eq. 1)."""
        code = self.expression_code(self.features(batch.pictures, training=True))
        logits = self.head(self.drop(code, seed))
        return {"network": {"expression": tf.reduce_mean(cross_entropy(batch.targets, logits))}}

    def drop(self, code: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Leaves out a share of a code in a training step."""
        if not self.config.dropout:
            return code
        return tf.nn.experimental.stateless_dropout(code, self.config.dropout, seed)
