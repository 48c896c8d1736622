"""The bounds: which term counts how much, when. The only place where weights are applied.

Each coder maximises, per point,

    recon - kl_weight * KL(q(Z_n|Z_{n-1}) || p̃(Z_n)) + label_weight * log p(Y|Z_n)

with the weights of Eq. 21 (upper coders) and Eq. 22 (last coder).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deepcoder_tf.config import Config

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Weights", "bound", "warm_up", "weights_at"]


class Weights(NamedTuple):
    """How much each term of a coder's bound counts.

    Attributes:
      kl: alpha (Eq. 21) or beta (Eq. 22).
      label: of the label term.
    """

    kl: float
    label: float


def warm_up(iteration: int, warmup_iterations: int) -> float:
    """alpha = beta: 0 at the first outer iteration, 1 from iteration N_t on.

    Args:
      iteration: counted from 0; the initial epochs have -1.
      warmup_iterations: N_t.

    Returns:
      A number in [0, 1].

    >>> [warm_up(e, 4) for e in (-1, 0, 2, 4, 9)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    return min(1.0, max(0, iteration) / warmup_iterations)


def weights_at(iteration: int, *, last: bool, gp: bool, config: Config) -> Weights:
    """The weights of one coder at one outer iteration.

    Differs from the paper: with `label_schedule="kept"` the label term of an upper coder stays.
    Eq. 21 lets it fade while the reconstruction sums thousands of nats, and Z0 then forgets the
    expression, which is a small part of an image.

    Args:
      iteration: counted from 0; -1 for the initial epochs.
      last: whether the coder is the last of the stack, whose labels are the prediction.
      gp: whether it is the GP coder.
      config: label weights and schedules.

    Returns:
      The weights.
    """
    alpha = warm_up(iteration, config.warmup_iterations)
    if gp:
        return Weights(alpha, config.ordinal_weight)
    fade = 1.0 - alpha if config.label_schedule == "paper" and not last else 1.0
    return Weights(alpha, config.label_weight * fade)


def bound(terms: dict[str, tf.Tensor], kl_weight: tf.Tensor, label_weight: tf.Tensor) -> tf.Tensor:
    """Eq. 21 and 22, point by point.

    Args:
      terms: `recon`, `kl`, `label`, each `[B]`, nats.
      kl_weight: scalar.
      label_weight: scalar.

    Returns:
      `[B]`, to be maximised.
    """
    return terms["recon"] - kl_weight * terms["kl"] + label_weight * terms["label"]
