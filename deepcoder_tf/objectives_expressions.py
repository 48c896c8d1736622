"""What a recogniser of expressions minimises: named terms, and the only place with their weights.

    beta_1 L_r + beta_2 L_exp + beta_3 L_adv_En        (Eq. 3; all but the adversary)
    L_adv_exp                                          (the adversary alone)

and of the rows from other papers

    beta_2 L_exp + lambda/2 L_lp                       (dlp_cnn)
    L_label + w L_crowd                                (ipa2lt)

An adversary's loss is minimised by itself, so that a weight would only change its pace, which its
own learning rate sets.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["expression_weights", "total"]


def expression_weights(config: RecogniserConfig) -> dict[str, float]:
    """The weight of every term, by its name.

    Args:
      config: the `beta_*` options and those of other rows.
    """
    return {
        "reconstruction": config.beta_reconstruction,
        "expression": config.beta_expression,
        "uniformity": config.beta_adversary,
        "adversary": 1.0,
        "identity": config.beta_identity,
        "identity_uniformity": config.beta_identity_adversary,
        "identity_adversary": 1.0,
        "locality": config.dlp_weight / 2.0,
        "label": 1.0,
        "crowd": config.ipa2lt_crowd,
    }


def total(terms: Mapping[str, tf.Tensor], weights: Mapping[str, float]) -> tf.Tensor:
    """The weighted sum of the terms of one player, a scalar.

    Raises:
      KeyError: a term without a weight.
    """
    return tf.add_n([weights[name] * term for name, term in terms.items()])
