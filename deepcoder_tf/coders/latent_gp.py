"""A sparse Gaussian process from one latent layer to what lies below it."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from deepcoder_tf.gp.kernels import kernel_matrix
from deepcoder_tf.gp.uncertain_inputs import (
    from_pairs,
    inducing_factor,
    inducing_kl,
    optimal_inducing,
    pair_weights,
    psi1,
    psi2,
    second_moment_matrix,
)
from deepcoder_tf.numerics import positive, raw_start
from deepcoder_tf.types import Gaussian

__all__ = ["LatentGP"]

NOISE_FLOOR = 1e-4
"""Smallest noise variance, in standardised units."""

START_NOISE = 0.5
"""Noise variance of the start. Lower ones, such as that of the starting fit, made the model sure of
levels that the recognition network had only memorised."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class LatentGP(keras.layers.Layer):
    """K outputs with one RBF-ARD kernel over a Gaussian latent variable, on inducing points.

    float64 throughout. The expectations over the latent variable are exact.

    Args:
      input_dims: D, of the latent variable, whose scale is about 1.
      outputs: K, centred, of scale about 1.
      inducing: m.
      separate: one noise variance and one covariance of the inducing outputs for each output, as
        outputs with missing values need; otherwise all share both, which for a shared kernel and
        complete outputs is no restriction.

    Source: Titsias and Lawrence 2010; the whitened, uncollapsed form of Hensman et al. 2013.
    """

    def __init__(
        self, input_dims: int, outputs: int, inducing: int, separate: bool = False, **kwargs
    ) -> None:
        kwargs.setdefault("dtype", "float64")
        super().__init__(**kwargs)
        self.input_dims = input_dims
        self.outputs = outputs
        self.inducing = inducing
        self.separate = separate
        self.groups = outputs if separate else 1

    def build(self, input_shape=None) -> None:
        """Creates the weights; q(w) starts at the prior."""
        D, K, m = self.input_dims, self.outputs, self.inducing
        self.raw_amplitude = self.add("raw_amplitude", (), raw_start(1.0))
        self.raw_lengthscales = self.add("raw_lengthscales", (D,), raw_start(1.0))
        self.raw_noise = self.add("raw_noise", (self.groups,), raw_start(START_NOISE - NOISE_FLOOR))
        self.V = self.add("V", (m, D), 0.0)
        self.A = self.add("A", (m, K), 0.0)
        self.Lambda_triangle = self.add("Lambda_triangle", (self.groups, m * (m + 1) // 2), 0.0)
        self.keep_inducing(self.A, tf.eye(m, batch_shape=[self.groups], dtype=tf.float64))

    def add(self, name: str, shape: tuple[int, ...], value: float) -> keras.Variable:
        """A weight that starts at one value."""
        return self.add_weight(
            shape=shape, initializer=keras.initializers.Constant(value), name=name
        )

    # Parameters in their own units ----------------------------------------------------------------

    @property
    def kernel(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(variance a, lengthscales `[D]`, inducing inputs `[m, D]`).

        Lengthscales are relative to √D, the distance of two points of a standard normal latent.
        """
        lengthscales = math.sqrt(self.input_dims) * positive(
            tf.convert_to_tensor(self.raw_lengthscales)
        )
        amplitude = positive(tf.convert_to_tensor(self.raw_amplitude))
        return amplitude, lengthscales, tf.convert_to_tensor(self.V)

    @property
    def noise(self) -> tf.Tensor:
        """σ² of each group of outputs, `[groups]`."""
        return positive(tf.convert_to_tensor(self.raw_noise), NOISE_FLOOR)

    @property
    def Lambda(self) -> tf.Tensor:
        """Lower factors of the covariances of the whitened inducing outputs, `[groups, m, m]`."""
        return tfp.math.fill_triangular(tf.convert_to_tensor(self.Lambda_triangle))

    def keep_inducing(self, A: tf.Tensor, Lambda: tf.Tensor) -> None:
        """Sets q(w)."""
        self.A.assign(A)
        self.Lambda_triangle.assign(tfp.math.fill_triangular_inverse(Lambda))

    # The bound ------------------------------------------------------------------------------------

    def expected_log_prob(
        self, q: Gaussian, target: Gaussian, observed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """E log p(target | x) over q(x), q(w) and the target's own variance, summed over outputs.

            -½ Σ_d [log 2πσ² + (τ_d + y_d² - 2 y_d E f_d + E f_d²) / σ²]

        Args:
          q: of the latent variable, `[B, D]`.
          target: `[B, K]`; its variance may be None where it is known.
          observed: boolean `[B, K]`, for `separate` outputs; None where all are.

        Returns:
          `[B]`, nats.
        """
        mean, square = self.moments(q)
        fit = tf.square(target.mean) - 2.0 * target.mean * mean
        if target.var is not None:
            fit += target.var
        noise = self.noise
        if not self.separate:
            errors = tf.reduce_sum(fit, axis=1) + square[:, 0]
            constant = self.outputs * tf.math.log(2.0 * math.pi * noise)
            return -0.5 * (constant + errors / noise)
        terms = tf.math.log(2.0 * math.pi * noise) + (fit + square) / noise
        if observed is not None:
            terms = tf.where(observed, terms, tf.zeros_like(terms))
        return -0.5 * tf.reduce_sum(terms, axis=1)

    def kl(self) -> tf.Tensor:
        """KL(q(w) ‖ p(w)) of all outputs, once per data set, in nats."""
        return inducing_kl(tf.convert_to_tensor(self.A), self.Lambda)

    # Moments --------------------------------------------------------------------------------------

    def moments(self, q: Gaussian) -> tuple[tf.Tensor, tf.Tensor]:
        """E f `[B, K]`, and E f² summed over each group `[B, groups]`, without noise."""
        return self.moments_from(q, *self.weights_of_moments())

    def weights_of_moments(self) -> tuple[tf.Tensor, tf.Tensor]:
        """What Ψ1 `[m, K]` and Ψ2 `[pairs, groups]` are multiplied with in the moments."""
        L_inv = inducing_factor(*self.kernel)
        A = tf.convert_to_tensor(self.A)
        second = pair_weights(second_moment_matrix(L_inv, A, self.Lambda))
        return tf.matmul(L_inv, A, transpose_a=True), tf.transpose(second)

    def moments_from(
        self, q: Gaussian, first: tf.Tensor, second: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The moments from the weights of `weights_of_moments`: by matmul and exp only."""
        amplitude, lengthscales, V = self.kernel
        members = self.outputs // self.groups
        mean = tf.matmul(psi1(amplitude, lengthscales, V, q.mean, q.var), first)
        square = tf.matmul(psi2(amplitude, lengthscales, V, q.mean, q.var), second)
        return mean, square + members * amplitude

    def at(self, x: tf.Tensor) -> Gaussian:
        """p(output | x) at known points `[B, D]`, noise included, `[B, K]`."""
        amplitude, lengthscales, V = self.kernel
        L_inv = inducing_factor(amplitude, lengthscales, V)
        t = tf.matmul(kernel_matrix(amplitude, lengthscales, x, V), L_inv, transpose_b=True)
        spread = tf.reduce_sum(tf.square(tf.matmul(t, self.Lambda)), axis=-1)  # ‖Λᵀt‖², [groups, B]
        var = amplitude - tf.reduce_sum(tf.square(t), axis=1) + spread
        var = tf.nn.relu(tf.transpose(var)) + self.noise
        mean = tf.matmul(t, tf.convert_to_tensor(self.A))
        return Gaussian(mean, tf.broadcast_to(var, tf.shape(mean)))

    # Start ----------------------------------------------------------------------------------------

    def initialise(
        self,
        q: Gaussian,
        targets: np.ndarray,
        observed: np.ndarray | None,
        rng: np.random.Generator,
    ) -> None:
        """Inducing inputs at the latent means of some points, q(w) at its best for all.

        Args:
          q: of the latent variable at N points, N at least m.
          targets: `[N, K]`.
          observed: boolean `[N, K]`, for `separate` outputs.
          rng: draws the points.
        """
        chosen = rng.choice(len(targets), self.inducing, replace=len(targets) < self.inducing)
        # A point that is taken twice would make the kernel matrix singular.
        jitter = 1e-2 * rng.standard_normal((self.inducing, self.input_dims))
        self.V.assign(tf.gather(q.mean, chosen) + jitter)
        if not self.separate:
            observed = None
        seen = np.ones(targets.shape) if observed is None else observed.astype(np.float64)
        counted = seen if self.separate else seen[:, :1]
        kernel = self.kernel
        Psi2 = tf.matmul(counted, psi2(*kernel, q.mean, q.var), transpose_a=True)
        self.keep_inducing(
            *optimal_inducing(
                inducing_factor(*kernel),
                self.noise,
                tf.matmul(psi1(*kernel, q.mean, q.var), targets * seen, transpose_a=True),
                from_pairs(Psi2, self.inducing),
            )
        )

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "input_dims": self.input_dims,
            "outputs": self.outputs,
            "inducing": self.inducing,
            "separate": self.separate,
        }
