"""The bounds: which term counts how much, when. The only place where weights are applied.

Each coder maximises, per point,

    recon - kl_weight * KL(q(Z_n|Z_{n-1}) || p̃(Z_n)) + label_weight * log p(Y|Z_n)

with the weights of Eq. 21 (upper coders) and Eq. 22 (last coder).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.config import Config
from deepcoder_tf.layers import sample
from deepcoder_tf.likelihoods.gaussian import kl_diagonal

__all__ = ["Weights", "bound", "hierarchical_bound", "warm_up", "weights_at"]


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
    expression, which is a small part of an image. Where the label term is raised for the same
    reason, `kl_weight` raises the divergence that keeps the code from learning frames by heart.

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
    return Weights(alpha * config.kl_weight, config.label_weight * fade)


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


def hierarchical_bound(
    coders: Sequence[Coder], images: tf.Tensor, seed: tf.Tensor, samples: int = 1
) -> tf.Tensor:
    """A lower bound on log p(X) of the whole stack, comparable from one iteration to the next.

        E log p(x|z0) - sum_n E KL(q(z_n|z̄_{n-1}) || p(z_n|z_{n+1})) - KL(q(z_N|z̄_{N-1}) || N(0, I))

    The training objective itself is not: its prior p̃ follows the posterior, and its value moves
    with the prior (Eq. 5 with p̃ leaves the last KL out).

    Args:
      coders: the stack, top first, with current caches.
      images: `[B, H, W, 1]`.
      seed: `[2]` int32.
      samples: draws of each latent, 1 or more.

    Returns:
      `[B]`, nats.
    """
    posteriors = []
    z = images
    for coder in coders:
        posteriors.append(coder.encode(z))
        z = posteriors[-1].mean
    total = -tf.reduce_sum(kl_diagonal(posteriors[-1], None), axis=-1)
    for draw in range(samples):
        for n, (coder, q) in enumerate(zip(coders, posteriors, strict=True)):
            p = coder.decode(sample(q, seed + tf.constant([draw, n])))
            if n:
                term = -tf.reduce_sum(kl_diagonal(posteriors[n - 1], p), axis=-1)
            else:
                pixels = tfp.distributions.Normal(p.mean, tf.sqrt(p.var)).log_prob(images)
                term = tf.reduce_sum(pixels, axis=[1, 2, 3])
            total += term / samples
    return total
