"""Gaussian codes: the head that parametrises them and the draw that reparametrises them."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.types import Gaussian

__all__ = ["GaussianHead", "sample"]

LOG_VAR_MIN, LOG_VAR_MAX = -7.0, 4.0
"""While the KL is switched off (alpha = 0) nothing else keeps the variance from 0 or infinity."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class GaussianHead(keras.layers.Layer):
    """Two parallel dense layers that return the mean and the log-variance of q(Z|·).

    Args:
      latent_dim: number of latent dimensions D.

    Source: DeepCoder, Section 3.1, "two fully connected layers".
    """

    def __init__(self, latent_dim: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.latent_dim = latent_dim
        self.mean = keras.layers.Dense(latent_dim, name="mean")
        self.log_var = keras.layers.Dense(
            latent_dim,
            kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
            bias_initializer=keras.initializers.Constant(-2.0),
            name="log_var",
        )

    def build(self, input_shape) -> None:
        """Creates the weights for features `[B, F]`."""
        self.mean.build(input_shape)
        self.log_var.build(input_shape)

    def call(self, features: tf.Tensor) -> Gaussian:
        """Maps features `[B, F]` to a `Gaussian` of `[B, D]` with log-variance in [-7, 4]."""
        log_var = tf.clip_by_value(self.log_var(features), LOG_VAR_MIN, LOG_VAR_MAX)
        return Gaussian(self.mean(features), tf.exp(log_var))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "latent_dim": self.latent_dim}


def sample(q: Gaussian, seed: tf.Tensor) -> tf.Tensor:
    """One reparametrised draw z = mean + sqrt(var) * eps.

    Args:
      q: `[B, D]`.
      seed: `[2]` int32; the same seed gives the same draw.

    Returns:
      `[B, D]` in the dtype of `q`.
    """
    eps = tf.random.stateless_normal(tf.shape(q.mean), seed, dtype=q.mean.dtype)
    return q.mean + tf.sqrt(q.var) * eps
