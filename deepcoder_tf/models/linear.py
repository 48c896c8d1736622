"""Heads that are linear in the features: multivariate linear, and standard ordinal, regression."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.models.feature_system import Head
from deepcoder_tf.models.least_squares import LinearFit
from deepcoder_tf.models.ordinal_regression import LINKS, OrdinalFit, level_distribution
from deepcoder_tf.models.regression import normalised, rounded_levels
from deepcoder_tf.types import LevelPrediction

__all__ = ["MLRHead", "SORHead"]


class LinearHead(Head):
    """A head that sees the features through `[F, Q]` weights alone; in double precision.

    Weights are those of a fit, hence no trainable variables.

    Args:
      outputs: Q.
    """

    def __init__(self, outputs: int, **kwargs) -> None:
        super().__init__(dtype="float64", **kwargs)
        self.outputs = outputs

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Creates the constants for features `[B, F]`."""
        F, Q = input_shape[1], self.outputs
        self.centre = self.constant("centre", (F,))
        self.weight_matrix = self.constant("W", (F, Q))

    def constant(self, name: str, shape: tuple[int, ...], initial: str = "zeros"):
        """A weight that only a fit sets."""
        return self.add_weight(
            name=name, shape=shape, initializer=initial, trainable=False, dtype="float64"
        )

    def linear(self, features: tf.Tensor) -> tf.Tensor:
        """`[B, Q]` float64, 0 at the mean of the training features."""
        centred = tf.cast(features, tf.float64) - tf.convert_to_tensor(self.centre)
        return tf.matmul(centred, tf.convert_to_tensor(self.weight_matrix))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        config = super().get_config()
        del config["dtype"]
        return {**config, "outputs": self.outputs}


@keras.saving.register_keras_serializable("deepcoder_tf")
class MLRHead(LinearHead):
    """Multivariate linear regression: a Gaussian of constant variance about a linear mean.

    Args:
      outputs: Q.

    Source: MLR of DeepCoder, Table 1.
    """

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Creates the constants."""
        super().build(input_shape)
        self.level = self.constant("level", (self.outputs,))
        self.variance = self.constant("variance", (self.outputs,), "ones")

    def assign(self, fit: LinearFit, centre: np.ndarray) -> None:
        """Takes over a fit.

        Args:
          fit: on features `[N, F]`.
          centre: `[F]`, their mean.
        """
        self.centre.assign(centre)
        self.weight_matrix.assign(fit.weights)
        self.level.assign(fit.intercept + centre @ fit.weights)
        self.variance.assign(fit.variance)

    def predict(self, features: tf.Tensor) -> LevelPrediction:
        """The predictive Gaussian, and its rounded value."""
        mean = tf.convert_to_tensor(self.level) + self.linear(features)
        return rounded_levels(mean, tf.zeros_like(mean) + tf.convert_to_tensor(self.variance))


@keras.saving.register_keras_serializable("deepcoder_tf")
class SORHead(LinearHead):
    """Standard ordinal regression: cut-points on a line through the features, for each unit.

    Args:
      outputs: Q.
      link: `probit` or `logit`.

    Raises:
      ValueError: another link.

    Source: Agresti, Analysis of Ordinal Categorical Data; SOR of DeepCoder, Table 1.
    """

    def __init__(self, outputs: int, link: str = "probit", **kwargs) -> None:
        super().__init__(outputs, **kwargs)
        if link not in LINKS:
            raise ValueError(f"link={link!r}: choose one of {', '.join(LINKS)}")
        self.link = link

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Creates the constants."""
        super().build(input_shape)
        self.gamma = self.constant("gamma", (self.outputs, LEVELS - 1))
        self.gamma.assign(np.tile(np.arange(LEVELS - 1) - 0.5 * (LEVELS - 2), (self.outputs, 1)))

    def assign(self, fit: OrdinalFit, centre: np.ndarray) -> None:
        """Takes over a fit.

        Args:
          fit: on features `[N, F]`.
          centre: `[F]`, their mean.
        """
        self.centre.assign(centre)
        self.weight_matrix.assign(fit.weights)
        self.gamma.assign(fit.gamma)

    def predict(self, features: tf.Tensor) -> LevelPrediction:
        """The distribution over levels."""
        gamma = tf.convert_to_tensor(self.gamma)
        distribution = level_distribution(self.link, gamma, self.linear(features))
        return LevelPrediction(normalised(distribution.categorical_probs()))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "link": self.link}
