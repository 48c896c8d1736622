"""VO-GPAE: the variational ordinal Gaussian-process auto-encoder at the bottom (Eq. 9-20)."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.coders.gp_coder import GPCoder
from deepcoder_tf.gp.kernels import covariance
from deepcoder_tf.gp.leave_one_out import gp_log_likelihood, loo
from deepcoder_tf.gp.posterior import FrozenPosterior, freeze, predict, propagated_variance
from deepcoder_tf.layers import sample
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.numerics import positive, raw_start
from deepcoder_tf.types import Gaussian

__all__ = ["VOGPAE"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class VOGPAE(GPCoder):
    """A GP encoder Z0 -> Z1 with leave-one-out posterior, a GP decoder Z1 -> Z0, ordinal labels.

    It trains on X_L, the N_L frames that it owns, with one row of M and S each.

    Args:
      points: N_L.
      input_dims: D0.
      latent_dim: D1.
      outputs: Q.
      test_variance: of q(Z1) at new frames: `gp+meanS`, `gp` or `gp+propagated`.
      **kwargs: of `GPCoder`.

    Source: DeepCoder, Section 3.2; Eleftheriadis et al., Variational Gaussian Process Auto-Encoder
    for Ordinal Prediction of Facial Action Units, ACCV 2016.
    """

    def __init__(
        self,
        points: int,
        input_dims: int,
        latent_dim: int,
        outputs: int,
        test_variance: str = "gp+meanS",
        **kwargs,
    ) -> None:
        super().__init__(points, input_dims, latent_dim, outputs, **kwargs)
        self.max_points = points
        self.test_variance = test_variance

    def build(self, input_shape=None) -> None:
        """Creates the parameters, and as constants the caches that prediction needs."""
        super().build(input_shape)
        N, D0, D1 = self.points, self.input_dims, self.latent_dim
        self.raw_S = self.add("raw_S", (N, D1), raw_start(0.1))
        self.Z1 = self.add("Z1", (N, D1), 0.0, constant=True)
        self.Z1_var = self.add("Z1_var", (N, D1), 1.0, constant=True)
        self.alpha1 = self.add("alpha1", (N, D0), 0.0, constant=True)
        self.L1_inv = self.add("L1_inv", (N, N), 0.0, constant=True)

    @property
    def S(self) -> tf.Tensor:
        """Variances S_ik `[N, D1]`."""
        return positive(tf.convert_to_tensor(self.raw_S))

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

    @property
    def code_variance(self) -> tf.Tensor:
        """Mean of S over the coder's frames."""
        return tf.reduce_mean(self.S, axis=0)

    # Caches and prediction ----------------------------------------------------------------------

    def refresh(self) -> None:
        """Recomputes the caches of prediction from the parameters and Z0_L.

        The inputs of the decoder are the leave-one-out means of Z1, as in training.

        Raises:
          ValueError: a covariance that no jitter makes positive definite.
        """
        Z0, M = tf.convert_to_tensor(self.Z0), tf.convert_to_tensor(self.M)
        frozen, (Z1, variances) = freeze(*self.encoder, Z0, M)
        self.alpha0.assign(frozen.alpha)
        self.L0_inv.assign(frozen.L_inv)
        self.frozen_noise0.assign(frozen.noise_variance)
        self.Z1.assign(Z1)
        self.Z1_var.assign(self.S + variances[:, tf.newaxis])
        frozen, predictions = freeze(*self.decoder, Z1, Z0)
        self.alpha1.assign(frozen.alpha)
        self.L1_inv.assign(frozen.L_inv)
        self.frozen_noise1.assign(frozen.noise_variance)
        self.calibrate(*predictions)

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

    @property
    def decoder_posterior(self) -> FrozenPosterior:
        """The plain arrays of the GP decoder, as of the last `refresh`."""
        amplitude, lengthscales, _ = self.decoder
        return FrozenPosterior(
            inputs=tf.convert_to_tensor(self.Z1),
            alpha=tf.convert_to_tensor(self.alpha1),
            L_inv=tf.convert_to_tensor(self.L1_inv),
            amplitude_variance=amplitude,
            lengthscales=lengthscales,
            noise_variance=tf.convert_to_tensor(self.frozen_noise1),
        )

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "test_variance": self.test_variance}
