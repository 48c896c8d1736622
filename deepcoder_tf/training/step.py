"""One step of a coder or network: draw, differentiate, clip, update; nothing leaves the device."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.config import Config
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.objectives import bound
from deepcoder_tf.types import Gaussian

__all__ = ["ClippedUpdate", "Step", "learning_rate_at", "make_optimizer"]

MOMENTUM = 0.9


def make_optimizer(
    kind: str, learning_rate: float, shrinkage: float = 0.0
) -> keras.optimizers.Optimizer:
    """`sgd` with momentum .9 (the paper's) or `adam`.

    Args:
      kind: which of them.
      learning_rate: a step's size.
      shrinkage: share of a weight, times the learning rate, that each step takes off it; biases
        are left alone.

    Returns:
      The optimizer.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """
    decay = shrinkage or None
    if kind == "sgd":
        optimizer = keras.optimizers.SGD(learning_rate, momentum=MOMENTUM, weight_decay=decay)
    else:
        optimizer = keras.optimizers.Adam(learning_rate, weight_decay=decay)
    if shrinkage:
        optimizer.exclude_from_weight_decay(var_names=["bias", "raw_"])
    return optimizer


def learning_rate_at(config: Config, iteration: int) -> float:
    """Of parametric coders and networks: constant in the initial run, then falling linearly."""
    done = max(0, iteration) / max(1, config.iterations - 1)
    return config.learning_rate * (1 - done * (1 - config.learning_rate_end))


class ClippedUpdate(tf.Module):
    """An update by a gradient whose norm is bounded; left out where it is not finite.

    Args:
      variables: what is trained.
      optimizer: its own; built here.
      clip_norm: largest global norm of the gradient.
    """

    def __init__(
        self,
        variables: list[keras.Variable],
        optimizer: keras.optimizers.Optimizer,
        clip_norm: float,
    ) -> None:
        super().__init__()
        self.trained = variables
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.skipped = tf.Variable(0, dtype=tf.int32, trainable=False, name="skipped")
        optimizer.build(variables)

    def __call__(self, tape: tf.GradientTape, loss: tf.Tensor) -> dict[str, tf.Tensor]:
        """Minimises the loss once.

        Args:
          tape: that watched the loss.
          loss: scalar.

        Returns:
          `gradient_norm` before clipping, and `skipped`, the updates left out in a row.
        """
        variables = self.trained
        gradients = [
            tf.zeros_like(v) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(tape.gradient(loss, variables), variables, strict=True)
        ]
        norm = tf.sqrt(tf.add_n([tf.cast(tf.reduce_sum(g * g), tf.float32) for g in gradients]))
        finite = tf.math.is_finite(norm) & tf.math.is_finite(tf.cast(loss, tf.float32))
        scale = tf.minimum(1.0, self.clip_norm / tf.maximum(norm, 1e-30))

        def update() -> tf.Tensor:
            self.optimizer.apply_gradients(
                [
                    (g * tf.cast(scale, g.dtype), v)
                    for g, v in zip(gradients, variables, strict=True)
                ]
            )
            return self.skipped.assign(0)

        tf.cond(finite, update, lambda: self.skipped.assign_add(1))
        return {"gradient_norm": norm, "skipped": tf.cast(self.skipped, tf.float32)}


class Step(tf.Module):
    """A compiled training step of a coder.

    Args:
      coder: what is trained.
      optimizer: its own.
      prepare: from the raw batch and a seed to the coder's input (augmentation); the identity
        for coders that take codes.
      below: the next coder, whose frozen predictions are the prior of this one's latent.
      clip_norm: largest global norm of the gradient of the bound per point and input dimension.
    """

    def __init__(
        self,
        coder: Coder,
        optimizer: keras.optimizers.Optimizer,
        prepare: Callable[[Gaussian, tf.Tensor], Gaussian],
        below: Coder | None,
        clip_norm: float,
    ) -> None:
        super().__init__()
        self.coder = coder
        self.optimizer = optimizer
        self.prepare = prepare
        self.below = below
        self.update = ClippedUpdate(coder.trainable_variables, optimizer, clip_norm)
        self.run = graph_of(self._run)

    def _run(
        self,
        z_in: Gaussian,
        labels: tf.Tensor,
        index: tf.Tensor,
        code: tf.Tensor | None,
        kl_weight: tf.Tensor,
        label_weight: tf.Tensor,
        points: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Maximises the bound once.

        Args:
          z_in: the coder's input at the batch.
          labels: `[B, Q]`.
          index: `[B]`.
          code: `[B, D]` means of the coder below, from which the tied prior is decoded; None
            for N(0, I).
          kl_weight: scalar.
          label_weight: scalar.
          points: N, over which what counts once per data set is spread.
          seed: `[2]` int32.

        Returns:
          The batch means of each term, of the bound, and the gradient's global norm.
        """
        prior = None if code is None or self.below is None else self.below.tied_prior(code)
        z_in = self.prepare(z_in, seed)
        with tf.GradientTape() as tape:
            terms = self.coder.terms(z_in, labels, prior=prior, index=index, seed=seed)
            dtype = terms["recon"].dtype
            per_point = bound(terms, tf.cast(kl_weight, dtype), tf.cast(label_weight, dtype))
            penalty = self.coder.penalty() / tf.cast(points, dtype)
            loss = (penalty - tf.reduce_mean(per_point)) / self.coder.input_dims
        means = {name: tf.cast(tf.reduce_mean(t), tf.float32) for name, t in terms.items()}
        means["bound"] = tf.cast(tf.reduce_mean(per_point) - penalty, tf.float32)
        return means | self.update(tape, loss)
