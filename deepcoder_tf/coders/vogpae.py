"""VO-GPAE: the variational ordinal Gaussian-process auto-encoder at the bottom (Eq. 9-20)."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.gp.kernels import check_alive, covariance, kernel_matrix, median_lengthscale
from deepcoder_tf.gp.leave_one_out import gp_log_likelihood, loo
from deepcoder_tf.gp.posterior import FrozenPosterior, freeze, predict, propagated_variance
from deepcoder_tf.layers import sample
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.likelihoods.ordinal import (
    cutpoints,
    expected_log_prob,
    initial_cutpoints,
    marginal,
    raw_cutpoints,
    sampled_log_prob,
    weight_prior,
)
from deepcoder_tf.numerics import positive, relative_jitter, softplus_inverse
from deepcoder_tf.types import Gaussian

__all__ = ["VOGPAE"]

NOISE_FLOOR = 1e-4
"""Smallest noise variance of either GP, in standardised units."""

ALIVE_POINTS = 500
"""Points on which the start of the encoder's kernel is checked."""

CALIBRATION_RANGE = (1e-3, 1e3)
"""Range of the per-dimension factor c_d of the tied prior's variance."""

TIED_VAR_FLOOR = 1e-4
"""Smallest variance of the tied prior, in units of the dimension's own variance."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class VOGPAE(Coder):
    """A GP encoder Z0 -> Z1 with leave-one-out posterior, a GP decoder Z1 -> Z0, ordinal labels.

    All of it is float64; codes are cast where they enter and leave. Z0 enters standardised per
    dimension by constants that `observe` freezes for one outer iteration.

    Args:
      points: N_L, training frames that the coder owns, with one row of M and S each.
      input_dims: D0.
      latent_dim: D1.
      outputs: Q.
      init: start of M: `pca` of Z0; `labels`, the standardised levels in the first Q dimensions and
        `pca` in the others, which starts at GP regression of the labels; or `random`, N(0, 1), as
        in the paper.
      lengthscale_factor: start of the encoder's lengthscales in units of the median distance of the
        training points, and root of the start of its variance: the larger, the straighter the
        functions that it starts from.
      expectation: of the ordinal term: `quadrature`, or `sample` (Eq. 20).
      z0_uncertainty: `mean`: the decoder explains the mean of Z0; `expected`: its posterior.
      tie_variance: `loo_calibrated` per dimension, or `shared` as in the paper.
      test_variance: of q(Z1) at new frames: `gp+meanS`, `gp` or `gp+propagated`.
      seed: of the initial values.

    Source: DeepCoder, Section 3.2; Eleftheriadis et al., Variational Gaussian Process Auto-Encoder
    for Ordinal Prediction of Facial Action Units, ACCV 2016.
    """

    def __init__(
        self,
        points: int,
        input_dims: int,
        latent_dim: int,
        outputs: int,
        init: str = "pca",
        lengthscale_factor: float = 1.0,
        expectation: str = "quadrature",
        z0_uncertainty: str = "mean",
        tie_variance: str = "loo_calibrated",
        test_variance: str = "gp+meanS",
        seed: int = 0,
        **kwargs,
    ) -> None:
        kwargs.setdefault("dtype", "float64")
        super().__init__(**kwargs)
        self.points = points
        self.max_points = points
        self.input_dims = input_dims
        self.latent_dim = latent_dim
        self.outputs = outputs
        self.init = init
        self.lengthscale_factor = lengthscale_factor
        self.expectation = expectation
        self.z0_uncertainty = z0_uncertainty
        self.tie_variance = tie_variance
        self.test_variance = test_variance
        self.seed = seed

    def build(self, input_shape=None) -> None:
        """Creates the parameters, and as constants the caches that prediction needs."""
        N, D0, D1, Q = self.points, self.input_dims, self.latent_dim, self.outputs
        self.M = self.add("M", (N, D1), 0.0)
        self.raw_S = self.add("raw_S", (N, D1), inverse(0.1))
        self.raw_lengthscales0 = self.add("raw_lengthscales0", (D0,), inverse(1.0))
        self.raw_lengthscales1 = self.add("raw_lengthscales1", (D1,), inverse(1.0))
        self.raw_amplitude0 = self.add("raw_amplitude0", (), inverse(self.lengthscale_factor**2))
        self.raw_amplitude1 = self.add("raw_amplitude1", (), inverse(1.0))
        self.raw_noise0 = self.add("raw_noise0", (), inverse(0.1 - NOISE_FLOOR))
        self.raw_noise1 = self.add("raw_noise1", (), inverse(0.5 - NOISE_FLOOR))
        self.W = self.add("W", (Q, D1), 0.0)
        self.raw_first = self.add("raw_first", (Q,), 0.0)
        self.raw_gaps = self.add("raw_gaps", (Q, LEVELS - 2), 0.0)

        self.lengthscale0 = self.add("lengthscale0", (), np.sqrt(D0), constant=True)
        self.lengthscale1 = self.add("lengthscale1", (), np.sqrt(D1), constant=True)
        self.offset = self.add("offset", (D0,), 0.0, constant=True)
        self.scale = self.add("scale", (D0,), 1.0, constant=True)
        self.Z0 = self.add("Z0", (N, D0), 0.0, constant=True)
        self.Z0_var = self.add("Z0_var", (N, D0), 0.0, constant=True)
        self.Z1 = self.add("Z1", (N, D1), 0.0, constant=True)
        self.Z1_var = self.add("Z1_var", (N, D1), 1.0, constant=True)
        self.alpha0 = self.add("alpha0", (N, D1), 0.0, constant=True)
        self.alpha1 = self.add("alpha1", (N, D0), 0.0, constant=True)
        self.L0_inv = self.add("L0_inv", (N, N), 0.0, constant=True)
        self.L1_inv = self.add("L1_inv", (N, N), 0.0, constant=True)
        self.frozen_noise0 = self.add("frozen_noise0", (), 0.1, constant=True)
        self.frozen_noise1 = self.add("frozen_noise1", (), 0.5, constant=True)
        self.calibration = self.add("calibration", (D0,), 1.0, constant=True)

    def add(self, name: str, shape: tuple[int, ...], value: float, constant: bool = False):
        """A weight that starts at one value."""
        initializer = keras.initializers.Constant(value)
        return self.add_weight(
            shape=shape, initializer=initializer, trainable=not constant, name=name
        )

    # Parameters in their own units --------------------------------------------------------------

    @property
    def encoder(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(variance a0, lengthscales `[D0]`, noise σr²) of the encoder's kernel."""
        return self.kernel(
            self.raw_amplitude0, self.raw_lengthscales0, self.lengthscale0, self.raw_noise0
        )

    @property
    def decoder(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(variance a1, lengthscales `[D1]`, noise σv²) of the decoder's kernel."""
        return self.kernel(
            self.raw_amplitude1, self.raw_lengthscales1, self.lengthscale1, self.raw_noise1
        )

    @staticmethod
    def kernel(
        raw_amplitude: keras.Variable,
        raw_lengthscales: keras.Variable,
        lengthscale: keras.Variable,
        raw_noise: keras.Variable,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Positive parameters from unconstrained ones; the jitter is part of the noise.

        Lengthscales are relative to the one they start from: in hundreds of dimensions it is far
        above 1, and an absolute step would leave automatic relevance determination standing still.
        """
        amplitude = positive(tf.convert_to_tensor(raw_amplitude))
        noise = positive(tf.convert_to_tensor(raw_noise), NOISE_FLOOR)
        noise += relative_jitter(amplitude.dtype) * amplitude
        return amplitude, lengthscale * positive(tf.convert_to_tensor(raw_lengthscales)), noise

    @property
    def S(self) -> tf.Tensor:
        """Variances S_ik `[N, D1]`."""
        return positive(tf.convert_to_tensor(self.raw_S))

    @property
    def cutpoints(self) -> tf.Tensor:
        """γ `[Q, L-1]`."""
        return cutpoints(tf.convert_to_tensor(self.raw_first), tf.convert_to_tensor(self.raw_gaps))

    def standardise(self, z: Gaussian) -> Gaussian:
        """q(Z0) in the units of the GPs, float64."""
        mean, var = tf.cast(z.mean, tf.float64), tf.cast(z.var, tf.float64)
        return Gaussian((mean - self.offset) / self.scale, var / tf.square(self.scale))

    # The bound ----------------------------------------------------------------------------------

    def terms(
        self,
        z_in: Gaussian,
        labels: tf.Tensor,
        *,
        prior: Gaussian | None,
        index: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Eq. 9 on a block of frames, which is a GP data set of its own.

        The reconstruction is a property of the block; each point carries its share.
        """
        z = self.standardise(z_in)
        Z0, var0 = tf.stop_gradient(z.mean), tf.stop_gradient(z.var)
        q = self.leave_one_out(Z0, index)
        Z1 = sample(q, seed)
        uncertain = self.z0_uncertainty == "expected"
        recon = gp_log_likelihood(
            covariance(*self.decoder, Z1), Z0, tf.reduce_sum(var0, axis=1) if uncertain else None
        )
        share = tf.cast(tf.shape(Z0)[0], tf.float64)
        return {
            "recon": tf.fill(tf.shape(index), recon / share),
            "kl": tf.reduce_sum(kl_diagonal(q, prior), axis=1),
            "label": tf.reduce_sum(self.label_log_prob(q, Z1, labels), axis=1),
        }

    def leave_one_out(self, Z0: tf.Tensor, index: tf.Tensor) -> Gaussian:
        """q(Z1|Z0) of a block of training frames (Eq. 16), `[B, D1]`.

        Differs from the paper: Eq. 16 prints the kernel of Z1 -> Z0, which would define Z1 by
        itself; the recognition map needs the encoder's kernel on Z0, noise included.
        """
        C0 = covariance(*self.encoder, Z0)
        mean, var = loo(C0, tf.gather(tf.convert_to_tensor(self.M), index))
        return Gaussian(mean, tf.gather(self.S, index) + var[:, tf.newaxis])

    def label_log_prob(self, q: Gaussian, Z1: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """E log p(y|z1) `[B, Q]`, 0 where missing (Eq. 20)."""
        W = tf.convert_to_tensor(self.W)
        if self.expectation == "sample":
            return sampled_log_prob(labels, W, self.cutpoints, Z1)
        return expected_log_prob(labels, W, self.cutpoints, q.mean, q.var)

    def penalty(self) -> tf.Tensor:
        """The weak prior that keeps W finite on separable data."""
        return -weight_prior(tf.convert_to_tensor(self.W))

    # Training points and caches -----------------------------------------------------------------

    def observe(self, z_in: Gaussian, labels: tf.Tensor, first: bool) -> None:
        """Freezes the standardisation for one outer iteration and takes Z0_L; see `Coder`."""
        mean, var = np.asarray(z_in.mean, np.float64), np.asarray(z_in.var, np.float64)
        self.offset.assign(mean.mean(axis=0))
        self.scale.assign(np.sqrt(mean.var(axis=0) + var.mean(axis=0)) + 1e-12)
        z = self.standardise(Gaussian(tf.constant(mean), tf.constant(var)))
        self.Z0.assign(z.mean)
        self.Z0_var.assign(z.var)
        if first:
            self.initialise(z.mean.numpy(), np.asarray(labels))

    def initialise(self, Z0: np.ndarray, labels: np.ndarray) -> None:
        """Starting values from the training points.

        A lengthscale of 1 in hundreds of dimensions makes every off-diagonal entry of the kernel 0
        and with it every gradient; the median distance starts it alive.
        """
        rng = np.random.default_rng([self.seed, self.points])
        M = rng.standard_normal((self.points, self.latent_dim))
        if self.init != "random":
            U, s, _ = np.linalg.svd(Z0 - Z0.mean(axis=0), full_matrices=False)
            k = min(self.latent_dim, len(s))
            M *= 0.01
            M[:, :k] += U[:, :k] * np.sqrt(len(Z0)) * np.minimum(1.0, s[:k] / s[0])
        W = 0.1 * rng.standard_normal(self.W.shape)
        if self.init == "labels":
            k = min(self.outputs, self.latent_dim)
            M[:, k:] = M[:, : self.latent_dim - k]
            M[:, :k] = standard_scores(labels)[:, :k]
            W[:, :k] += np.eye(self.outputs, k)
        self.M.assign(M)
        self.W.assign(W)
        self.lengthscale0.assign(self.lengthscale_factor * median_lengthscale(tf.constant(Z0)))
        amplitude, lengthscales, _ = self.encoder
        block = tf.constant(Z0[:ALIVE_POINTS])
        check_alive(kernel_matrix(amplitude, lengthscales, block), float(amplitude), "encoder")
        first, gaps = raw_cutpoints(tf.constant(initial_cutpoints(labels, LEVELS)))
        self.raw_first.assign(first)
        self.raw_gaps.assign(gaps)

    def refresh(self) -> None:
        """Recomputes the caches of prediction from the parameters and Z0_L.

        The inputs of the decoder are the leave-one-out means of Z1, as in training.

        Raises:
          ValueError: a covariance that no jitter makes positive definite.
        """
        Z0, M = tf.convert_to_tensor(self.Z0), tf.convert_to_tensor(self.M)
        frozen, (Z1, variances) = freeze(*self.encoder, Z0, M)
        self.keep(frozen, self.alpha0, self.L0_inv, self.frozen_noise0)
        self.Z1.assign(Z1)
        self.Z1_var.assign(self.S + variances[:, tf.newaxis])
        frozen, (Z0_loo, variances) = freeze(*self.decoder, Z1, Z0)
        self.keep(frozen, self.alpha1, self.L1_inv, self.frozen_noise1)
        if self.tie_variance == "loo_calibrated":
            # c_d: how much larger the squared error of a dimension is than the shared variance.
            error = tf.square(Z0 - Z0_loo) + tf.convert_to_tensor(self.Z0_var)
            factor = tf.reduce_mean(error / variances[:, tf.newaxis], axis=0)
            self.calibration.assign(tf.clip_by_value(factor, *CALIBRATION_RANGE))

    @staticmethod
    def keep(
        frozen: FrozenPosterior, alpha: keras.Variable, L_inv: keras.Variable, noise: keras.Variable
    ) -> None:
        """Stores the caches of one GP."""
        alpha.assign(frozen.alpha)
        L_inv.assign(frozen.L_inv)
        noise.assign(frozen.noise_variance)

    # Prediction ---------------------------------------------------------------------------------

    def encode(self, z: tf.Tensor) -> Gaussian:
        """q(Z1|Z0) at new points: `[B, D0]` to `[B, D1]`, by matmul and exp only."""
        posterior = self.encoder_posterior
        x = (tf.cast(z, tf.float64) - self.offset) / self.scale
        mean, var = predict(posterior, x)
        var = tf.broadcast_to(var[:, tf.newaxis], tf.shape(mean))
        if self.test_variance == "gp+meanS":
            # A new point has no S of its own; their mean keeps codes distributed as in training.
            var += tf.reduce_mean(self.S, axis=0)
        elif self.test_variance == "gp+propagated":
            var += propagated_variance(posterior, x, self.S)
        return Gaussian(tf.cast(mean, z.dtype), tf.cast(var, z.dtype))

    def encode_train(self, z: tf.Tensor, index: tf.Tensor) -> Gaussian:
        """q(Z1|Z0) of the coder's own frames, leave-one-out over all of them."""
        mean = tf.gather(tf.convert_to_tensor(self.Z1), index)
        var = tf.gather(tf.convert_to_tensor(self.Z1_var), index)
        return Gaussian(tf.cast(mean, z.dtype), tf.cast(var, z.dtype))

    def decode(self, z: tf.Tensor) -> Gaussian:
        """p(Z0|Z1), noise included: `[B, D1]` to `[B, D0]`, in the units of Z0."""
        mean, var = predict(self.decoder_posterior, tf.cast(z, tf.float64))
        var = tf.maximum(var[:, tf.newaxis] * self.calibration, TIED_VAR_FLOOR)
        mean, var = mean * self.scale + self.offset, var * tf.square(self.scale)
        return Gaussian(tf.cast(mean, z.dtype), tf.cast(var, z.dtype))

    @property
    def encoder_posterior(self) -> FrozenPosterior:
        """The plain arrays of the GP encoder, as of the last `refresh`."""
        return self.posterior(self.Z0, self.alpha0, self.L0_inv, self.encoder, self.frozen_noise0)

    @property
    def decoder_posterior(self) -> FrozenPosterior:
        """The plain arrays of the GP decoder, as of the last `refresh`."""
        return self.posterior(self.Z1, self.alpha1, self.L1_inv, self.decoder, self.frozen_noise1)

    @staticmethod
    def posterior(
        inputs: keras.Variable,
        alpha: keras.Variable,
        L_inv: keras.Variable,
        kernel: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        noise: keras.Variable,
    ) -> FrozenPosterior:
        """Weights read as tensors."""
        amplitude, lengthscales, _ = kernel
        return FrozenPosterior(
            inputs=tf.convert_to_tensor(inputs),
            alpha=tf.convert_to_tensor(alpha),
            L_inv=tf.convert_to_tensor(L_inv),
            amplitude_variance=amplitude,
            lengthscales=lengthscales,
            noise_variance=tf.convert_to_tensor(noise),
        )

    def level_probabilities(self, q: Gaussian) -> tf.Tensor:
        """p(y = s) with Z1 integrated out in closed form, `[B, Q, L]`."""
        mean, var = tf.cast(q.mean, tf.float64), tf.cast(q.var, tf.float64)
        levels = marginal(tf.convert_to_tensor(self.W), self.cutpoints, mean, var)
        return tf.cast(levels.categorical_probs(), q.mean.dtype)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "points": self.points,
            "input_dims": self.input_dims,
            "latent_dim": self.latent_dim,
            "outputs": self.outputs,
            "init": self.init,
            "lengthscale_factor": self.lengthscale_factor,
            "expectation": self.expectation,
            "z0_uncertainty": self.z0_uncertainty,
            "tie_variance": self.tie_variance,
            "test_variance": self.test_variance,
            "seed": self.seed,
        }


def inverse(value: float) -> float:
    """The raw value whose softplus is `value`."""
    return float(softplus_inverse(tf.constant(value, tf.float64)))


def standard_scores(labels: np.ndarray) -> np.ndarray:
    """Levels `[N, Q]` with mean 0 and deviation 1 per action unit; 0 where missing."""
    levels = np.ma.masked_less(labels, 0).astype(np.float64)
    centred = levels - levels.mean(axis=0)
    return (centred / (levels.std(axis=0) + 1e-6)).filled(0.0)
