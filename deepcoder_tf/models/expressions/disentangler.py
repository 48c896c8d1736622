"""The disentangling network: an expression code without the rest, and the rest without it."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.layers.branch import PictureDecoder
from deepcoder_tf.models.expressions.baseline import Baseline
from deepcoder_tf.models.expressions.system import (
    ExpressionBatch,
    Losses,
    cross_entropy,
    uniformity,
)
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["Disentangler"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class Disentangler(Baseline):
    """Two branches on one encoder; an adversary keeps the expression out of the second code.

        code_exp     = B_exp(En_base(x))            L_exp     = -sum_i y_i log C_exp(code_exp)_i
        code_non-exp = B_non-exp(En_base(x))        L_adv_exp = -sum_i y_i log C_adv(code_non)_i
        x'           = De(code_exp, code_non-exp)   L_adv_En  = -1/N sum_i log C_adv(code_non)_i
        L_r = ||x - x'||_2, pixels in 0..1

    C_adv alone learns from L_adv_exp; beta_1 L_r + beta_2 L_exp + beta_3 L_adv_En updates all the
    rest (Eq. 3; `uniformity` tells how Eq. 2 is read). With identities, the same once more with
    the roles turned: C_id reads who it is off the non-expression code, and an adversary keeps it
    out of the expression code (the paper's Section 4 and Fig. 2).

    Args:
      config: a `RecogniserConfig`, or its fields as a mapping.
      size: S, side of the stored pictures, pixels.
      channels: of the stored pictures.
      identities: number of people in the training pictures; 0 leaves the identity terms out.

    Attributes:
      other_branch: B_non-exp.
      adversary: C_adv, linear.
      decoder: De; None where beta_1 is 0.
      identity_head: C_id; None without identities or where its weight is 0.
      identity_adversary: the adversary of identities; None likewise.

    Raises:
      ValueError: terms of identities, and no identities.
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
        options = self.config
        if (options.beta_identity or options.beta_identity_adversary) and not identities:
            raise ValueError("terms of identities need training pictures whose subjects are known")
        classes = len(EXPRESSIONS)
        self.other_branch = self.new_branch("other_branch")
        self.adversary = keras.layers.Dense(classes, name="adversary")
        self.decoder = (
            PictureDecoder(
                options.decoder_filters, options.picture_side, 3, options.leak, name="decoder"
            )
            if options.beta_reconstruction
            else None
        )
        self.identity_head = (
            keras.layers.Dense(identities, name="identity_head") if options.beta_identity else None
        )
        self.identity_adversary = (
            keras.layers.Dense(identities, name="identity_adversary")
            if options.beta_identity_adversary
            else None
        )

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        super().build(input_shape)
        self.other_branch.build((None, None, None, self.trunk.channels()))
        for head in (self.adversary, self.identity_head, self.identity_adversary):
            if head is not None:
                head.build((None, self.code_size))
        if self.decoder is not None:
            self.decoder.build((None, 2 * self.code_size))

    def codes(
        self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """See `ExpressionSystem.codes`."""
        del landmarks
        features = self.features(pictures)
        return {
            "expression": self.expression_code(features),
            "non_expression": self.other_branch(features),
        }

    def adversary_logits(self, pictures: tf.Tensor) -> tf.Tensor:
        """What C_adv makes of the non-expression code, `[B, 8]`, outside training."""
        return self.adversary(self.codes(pictures)["non_expression"])

    def players(self) -> dict[str, list[keras.Variable]]:
        """The adversaries, and all the rest."""
        heads = [self.adversary, self.identity_adversary]
        own = [v for head in heads if head is not None for v in head.trainable_variables]
        names = {id(v) for v in own}
        return {
            "network": [v for v in self.trainable_variables if id(v) not in names],
            "adversary": own,
        }

    def losses(self, batch: ExpressionBatch, seed: tf.Tensor) -> Losses:
        """The terms of Eq. 1-3, and those of identities."""
        features = self.features(batch.pictures, training=True)
        expression, other = self.expression_code(features), self.other_branch(features)
        logits = self.head(self.drop(expression, seed))
        # No gradient of the adversary's own loss leaves it: "the other components of the model
        # remain constant"; and none of the encoder's reaches it, which `players` sees to.
        told = self.adversary(tf.stop_gradient(other))
        network = {
            "expression": cross_entropy(batch.targets, logits),
            "uniformity": uniformity(self.adversary(other)),
        }
        adversary = {"adversary": cross_entropy(batch.targets, told)}
        if self.decoder is not None:
            network["reconstruction"] = self.distance(batch.pictures, expression, other)
        known = batch.identities >= 0
        who = tf.one_hot(batch.identities, max(self.identities, 1))
        if self.identity_head is not None:
            network["identity"] = where(known, cross_entropy(who, self.identity_head(other)))
        if self.identity_adversary is not None:
            network["identity_uniformity"] = uniformity(self.identity_adversary(expression))
            guessed = self.identity_adversary(tf.stop_gradient(expression))
            adversary["identity_adversary"] = where(known, cross_entropy(who, guessed))
        return {
            player: {name: tf.reduce_mean(term) for name, term in terms.items()}
            for player, terms in (("network", network), ("adversary", adversary))
        }

    def distance(self, pictures: tf.Tensor, expression: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        """L_r = ||x - De(code_exp, code_non-exp)||_2 of each picture, pixels in 0..1, `[B]`."""
        difference = 0.5 * (pictures - self.decode(expression, other))
        # The root has no gradient at 0; a picture without any error is not to be had.
        return tf.sqrt(tf.reduce_sum(tf.square(difference), axis=[1, 2, 3]) + 1e-12)

    def decode(self, expression: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        """Pictures of codes.

        Args:
          expression: `[B, D]`.
          other: `[B, D]`.

        Returns:
          `[B, side, side, 3]` float32 in -1..1.

        Raises:
          ValueError: the network was trained without a decoder.
        """
        if self.decoder is None:
            raise ValueError("trained without a decoder; train with --beta_reconstruction above 0")
        return 2.0 * self.decoder(tf.concat([expression, other], axis=-1)) - 1.0

    def reconstruct(self, pictures: tf.Tensor) -> tf.Tensor:
        """x' of pictures `[B, side, side, 3]`."""
        codes = self.codes(pictures)
        return self.decode(codes["expression"], codes["non_expression"])

    def swap(self, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Two faces with their expressions exchanged (x'' of Fig. 2).

        Args:
          a: `[B, side, side, 3]`.
          b: likewise.

        Returns:
          The people of `a` with the expressions of `b`, and the reverse.
        """
        of_a, of_b = self.codes(a), self.codes(b)
        return (
            self.decode(of_b["expression"], of_a["non_expression"]),
            self.decode(of_a["expression"], of_b["non_expression"]),
        )

    def mix(self, a: tf.Tensor, b: tf.Tensor, share: float) -> tf.Tensor:
        """The people of `a` with an expression between theirs (share 0) and that of `b` (1)."""
        of_a, of_b = self.codes(a), self.codes(b)
        between = (1.0 - share) * of_a["expression"] + share * of_b["expression"]
        return self.decode(between, of_a["non_expression"])


def where(known: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Values `[B]` where something is known, 0 elsewhere."""
    return tf.where(known, values, tf.zeros_like(values))
