"""Gaussian terms: the log-likelihood of images and divergences of diagonal Gaussians."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_probability as tfp
from check_shapes import check_shapes

from deepcoder_tf.numerics import positive
from deepcoder_tf.types import Gaussian

__all__ = ["VARIANCE_FLOOR", "kl_diagonal", "log_likelihood", "pixel_variance"]

tfd = tfp.distributions

VARIANCE_FLOOR = 1e-3
"""Smallest variance of a pixel, in squared units of the scaled image: below it (a deviation of .03)
the coder would learn sensor noise."""


def pixel_variance(raw: tf.Tensor) -> tf.Tensor:
    """The one learnt variance of all pixels, from its unconstrained parameter.

    Args:
      raw: scalar.

    Returns:
      softplus(raw) + VARIANCE_FLOOR, in squared units of the scaled image.
    """
    return positive(raw, floor=VARIANCE_FLOOR)


@check_shapes("x: [N, event...]", "mean: [N, event...]", "variance: []", "return: [N]")
def log_likelihood(x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """log p(X | Z0) of independent pixels with one variance, in nats per image (Eq. 5).

    Args:
      x: images, in the scaled unit of the model.
      mean: reconstructions, of the same shape.
      variance: scalar, positive.

    Returns:
      The sum over the pixels of each image.
    """
    axes = tuple(range(1, len(x.shape)))
    squares = tf.reduce_sum(tf.math.squared_difference(x, mean), axis=axes)
    pixels = tf.cast(tf.size(x[0]), x.dtype)
    return -0.5 * (squares / variance + pixels * (math.log(2.0 * math.pi) + tf.math.log(variance)))


def kl_diagonal(q: Gaussian, p: Gaussian | None = None) -> tf.Tensor:
    """KL(q || p) of diagonal Gaussians, for each point and each dimension.

    Args:
      q: mean and variance, `[N, D]`.
      p: mean and variance that broadcast with those of q; None is N(0, I).

    Returns:
      `[N, D]`, in nats, exactly 0 where q and p are the same; the sum over the last axis is the
      divergence of a point.
    """
    if p is None:
        p = Gaussian(tf.zeros_like(q.mean), tf.ones_like(q.var))
    return tfd.kl_divergence(tfd.Normal(q.mean, tf.sqrt(q.var)), tfd.Normal(p.mean, tf.sqrt(p.var)))
