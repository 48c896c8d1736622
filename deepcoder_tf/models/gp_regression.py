"""Multi-output Gaussian-process regression with one covariance: the exact GP on X_L.

The levels of all action units are, standardised, independent draws of one process,

    y_q = f_q(x) + ε_q,   f_q ~ GP(0, k),   ε_q ~ N(0, σ²)

with one RBF kernel and one noise variance; in levels the noise of a unit is σ² times the variance
of its labels. A shared covariance is what makes Q outputs cost one Cholesky factor.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, Eq. 2.25, 2.26, 5.8; GP of
DeepCoder, Table 1.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.gp.kernels import covariance, median_lengthscale
from deepcoder_tf.gp.leave_one_out import gp_log_likelihood
from deepcoder_tf.gp.posterior import FrozenPosterior, freeze, predict
from deepcoder_tf.models.feature_system import Head
from deepcoder_tf.models.regression import Standardisation, rounded_levels
from deepcoder_tf.types import LevelPrediction

__all__ = ["KERNELS", "GPHead"]

KERNELS = ("rbf", "rbf_ard")
"""With one lengthscale for all standardised features, and with one for each."""

START_NOISE = 0.5
"""Share of the labels' variance that is called noise before training."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class GPHead(Head):
    """Exact GP regression; in double precision. Its weights include the frames that it owns.

    Args:
      outputs: Q.
      points: N_L, frames that it can own; those with a missing label are not among them.
      kernel: `rbf`, one lengthscale for all standardised features, or `rbf_ard`, one for each.

    Raises:
      ValueError: another kernel, or fewer than two points.
    """

    def __init__(self, outputs: int, points: int, kernel: str = "rbf", **kwargs) -> None:
        super().__init__(dtype="float64", **kwargs)
        if kernel not in KERNELS:
            raise ValueError(f"kernel={kernel!r}: choose one of {', '.join(KERNELS)}")
        if points < 2:
            raise ValueError(f"GPHead needs at least 2 points, got points={points}")
        self.outputs = outputs
        self.points = points
        self.kernel = kernel

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Creates the hyper-parameters, and the constants that prediction needs."""
        F, N, Q = input_shape[1], self.points, self.outputs
        self.log_amplitude = self.variable("log_amplitude", (), trainable=True)
        self.log_noise = self.variable("log_noise", (), trainable=True)
        lengths = F if self.kernel == "rbf_ard" else 1
        self.log_lengthscales = self.variable("log_lengthscales", (lengths,), trainable=True)
        self.centre = self.variable("centre", (F,))
        self.gain = self.variable("gain", (F,))
        self.label_mean = self.variable("label_mean", (Q,))
        self.label_scale = self.variable("label_scale", (Q,))
        # Rows beyond the frames that are owned stay 0 and thereby out of every sum.
        self.inputs = self.variable("inputs", (N, F))
        self.alpha = self.variable("alpha", (N, Q))
        self.L_inv = self.variable("L_inv", (N, N))
        self.frozen_noise = self.variable("frozen_noise", ())

    def variable(self, name: str, shape: tuple[int, ...], trainable: bool = False):
        """A float64 weight, 0 at first."""
        return self.add_weight(
            name=name, shape=shape, initializer="zeros", trainable=trainable, dtype="float64"
        )

    def start(
        self,
        features: np.ndarray,
        standardisation: Standardisation,
        label_mean: np.ndarray,
        label_scale: np.ndarray,
        lengthscale_factor: float,
    ) -> None:
        """Takes over the standardisation, and starts the hyper-parameters.

        Args:
          features: `[N, F]`, N at most `points`, of the frames that it will own.
          standardisation: of the features.
          label_mean: `[Q]` levels.
          label_scale: `[Q]` levels.
          lengthscale_factor: start of the lengthscales, in median distances.
        """
        self.centre.assign(standardisation.mean)
        self.gain.assign(standardisation.gain)
        self.label_mean.assign(label_mean)
        self.label_scale.assign(label_scale)
        distance = float(median_lengthscale(self.standardised(features)))
        start = np.log(lengthscale_factor * (distance or 1.0))
        self.log_lengthscales.assign(np.full(self.log_lengthscales.shape, start))
        self.log_amplitude.assign(np.log(1.0 - START_NOISE))
        self.log_noise.assign(np.log(START_NOISE))

    def standardised(self, features: tf.Tensor | np.ndarray) -> tf.Tensor:
        """Features `[N, F]` of zero mean and unit variance, float64."""
        features = tf.cast(features, tf.float64)
        return (features - tf.convert_to_tensor(self.centre)) * tf.convert_to_tensor(self.gain)

    def hyper_parameters(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """a, ℓ `[F]` and σ², of standardised features and labels."""
        logarithms = (self.log_amplitude, self.log_lengthscales, self.log_noise)
        a, lengths, noise = (tf.exp(tf.convert_to_tensor(value)) for value in logarithms)
        return a, lengths * tf.ones_like(tf.convert_to_tensor(self.gain)), noise

    def log_likelihood(self, X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """log p(Y | X) of labels that vary, in nats (R&W Eq. 5.8).

        Args:
          X: `[N, F]`, standardised.
          Y: `[N, q]`, standardised.

        Returns:
          Scalar; NaN where the covariance is not positive definite.
        """
        return gp_log_likelihood(covariance(*self.hyper_parameters(), X), Y)

    def freeze(self, X: tf.Tensor, Y: tf.Tensor) -> None:
        """Owns frames: computes what prediction needs, by the hyper-parameters as they are.

        Args:
          X: `[N, F]`, standardised, N at most `points`.
          Y: `[N, Q]`, standardised.

        Raises:
          ValueError: the covariance is not positive definite.
        """
        posterior, _ = freeze(*self.hyper_parameters(), X, Y)
        rows = [0, self.points - X.shape[0]]
        self.inputs.assign(tf.pad(posterior.inputs, [rows, [0, 0]]))
        self.alpha.assign(tf.pad(posterior.alpha, [rows, [0, 0]]))
        self.L_inv.assign(tf.pad(posterior.L_inv, [rows, rows]))
        self.frozen_noise.assign(posterior.noise_variance)

    def predict(self, features: tf.Tensor) -> LevelPrediction:
        """The predictive Gaussian with its noise, and its rounded value."""
        a, lengths, _ = self.hyper_parameters()
        posterior = FrozenPosterior(
            inputs=tf.convert_to_tensor(self.inputs),
            alpha=tf.convert_to_tensor(self.alpha),
            L_inv=tf.convert_to_tensor(self.L_inv),
            amplitude_variance=a,
            lengthscales=lengths,
            noise_variance=tf.convert_to_tensor(self.frozen_noise),
        )
        mean, var = predict(posterior, self.standardised(features))
        scale = tf.convert_to_tensor(self.label_scale)
        mean = tf.convert_to_tensor(self.label_mean) + scale * mean
        return rounded_levels(mean, var[:, tf.newaxis] * tf.square(scale))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        config = super().get_config()
        del config["dtype"]
        return {
            **config,
            "outputs": self.outputs,
            "points": self.points,
            "kernel": self.kernel,
        }
