"""The VO-GPAE through inducing points: it trains on all frames, at the same cost for any number."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from deepcoder_tf.coders.gp_coder import GPCoder
from deepcoder_tf.gp.inducing import (
    expected_log_likelihood,
    explained,
    leave_one_out_by_leverage,
)
from deepcoder_tf.gp.kernels import covariance, data_kernel_matrix, kernel_matrix
from deepcoder_tf.gp.posterior import FrozenPosterior, factorise_with_jitter, freeze, predict
from deepcoder_tf.gp.uncertain_inputs import inducing_factor, inducing_kl, optimal_inducing
from deepcoder_tf.layers import sample
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.numerics import positive, raw_start, relative_jitter
from deepcoder_tf.types import Gaussian

__all__ = ["SparseVOGPAE"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class SparseVOGPAE(GPCoder):
    """A GP encoder anchored at a few frames, a sparse GP decoder, ordinal labels; all frames train.

    Encoder: the frames that it owns are pseudo-points. They are frames rather than free vectors of
    thousands of dimensions, and are encoded again whenever Z0 moves. One map serves for training
    and for prediction; nothing has to be left out of it, since M belongs to the anchors alone.

    Decoder: inducing codes V with q(U), whose covariance all outputs share.

    Differs from the paper: there a GP is trained on X_L, a few thousand frames, in blocks that know
    nothing of each other. Here X_R is all frames, and the sum over batches estimates one bound.

    Args:
      points: m_e, the anchors.
      input_dims: D0.
      latent_dim: D1.
      outputs: Q.
      inducing: m_d, inducing codes of the decoder, at most `points`.
      **kwargs: of `GPCoder`.

    Raises:
      ValueError: more inducing codes than anchors, at whose codes they start.

    Source: DeepCoder, Section 3.2, for the model; `gp.inducing` for its approximation.
    """

    def __init__(
        self,
        points: int,
        input_dims: int,
        latent_dim: int,
        outputs: int,
        inducing: int = 256,
        **kwargs,
    ) -> None:
        super().__init__(points, input_dims, latent_dim, outputs, **kwargs)
        if inducing > points:
            raise ValueError(
                f"{inducing} inducing codes start at the codes of {points} anchors; "
                "take as many anchors or fewer inducing codes"
            )
        self.inducing = inducing

    def build(self, input_shape=None) -> None:
        """Creates the parameters, and as constants the caches that prediction needs."""
        super().build(input_shape)
        m, D0, D1 = self.inducing, self.input_dims, self.latent_dim
        self.raw_s = self.add("raw_s", (D1,), raw_start(0.1))
        self.V = self.add("V", (m, D1), 0.0)
        self.A = self.add("A", (m, D0), 0.0)
        self.raw_Lambda = self.add("raw_Lambda", (m * (m + 1) // 2,), 0.0)
        self.alpha1 = self.add("alpha1", (m, D0), 0.0, constant=True)
        self.L1_inv = self.add("L1_inv", (m, m), 0.0, constant=True)
        self.spread1 = self.add("spread1", (m, m), 0.0, constant=True)

    @property
    def s(self) -> tf.Tensor:
        """Variance s_k `[D1]` of a code beyond that of the GP: one for all frames."""
        return positive(tf.convert_to_tensor(self.raw_s))

    @property
    def code_variance(self) -> tf.Tensor:
        """`s`."""
        return self.s

    @property
    def Lambda(self) -> tf.Tensor:
        """Λ `[m_d, m_d]`, lower triangular with a positive diagonal."""
        return triangular().forward(tf.convert_to_tensor(self.raw_Lambda))

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
        """Eq. 9 with the evidence of Z0 given Z1 replaced by its sparse bound, frame by frame.

        The divergence of q(U), once per data set, is in `penalty`.
        """
        del index
        z = self.standardise(z_in)
        Z0, var0 = tf.stop_gradient(z.mean), tf.stop_gradient(z.var)
        q = self.pseudo_points(Z0)
        Z1 = sample(q, seed)
        amplitude, lengthscales, noise = self.decoder
        V = tf.convert_to_tensor(self.V)
        L_inv = inducing_factor(amplitude, lengthscales, V)
        recon = expected_log_likelihood(
            tf.matmul(kernel_matrix(amplitude, lengthscales, Z1, V), L_inv, transpose_b=True),
            tf.convert_to_tensor(self.A),
            self.Lambda,
            amplitude,
            noise,
            Z0,
            tf.reduce_sum(var0, axis=1) if self.z0_uncertainty == "expected" else None,
        )
        return {
            "recon": recon,
            "kl": tf.reduce_sum(kl_diagonal(q, prior), axis=1),
            "label": tf.reduce_sum(self.label_log_prob(q, Z1, labels), axis=1),
        }

    def pseudo_points(self, Z0: tf.Tensor) -> Gaussian:
        """q(Z1|Z0) `[B, D1]` of frames in standardised units, from the anchors' targets."""
        amplitude, lengthscales, noise = self.encoder
        U = tf.convert_to_tensor(self.Z0)
        mean, var = explained(
            covariance(amplitude, lengthscales, noise, U),
            data_kernel_matrix(amplitude, lengthscales, Z0, U),
            tf.convert_to_tensor(self.M),
        )
        return Gaussian(mean, (amplitude + noise - var)[:, tf.newaxis] + self.s)

    def penalty(self) -> tf.Tensor:
        """The divergence of q(U) from its prior, and the weak prior on W."""
        A, Lambda = tf.convert_to_tensor(self.A), self.Lambda
        return super().penalty() + inducing_kl(A, Lambda[tf.newaxis])

    # Caches and prediction ----------------------------------------------------------------------

    def initialise(self, Z0: np.ndarray, labels: np.ndarray) -> None:
        """Starts the decoder at codes of anchors, with the best q(U) for the Z0 of all anchors."""
        super().initialise(Z0, labels)
        codes = self.pseudo_points(tf.constant(Z0)).mean
        rng = np.random.default_rng([self.seed, self.points, self.inducing])
        chosen = rng.choice(self.points, self.inducing, replace=False)
        self.V.assign(tf.gather(codes, np.sort(chosen)))
        amplitude, lengthscales, noise = self.decoder
        V = tf.convert_to_tensor(self.V)
        k = kernel_matrix(amplitude, lengthscales, codes, V)
        A, Lambda = optimal_inducing(
            inducing_factor(amplitude, lengthscales, V),
            noise[tf.newaxis],
            tf.matmul(k, Z0, transpose_a=True),
            tf.matmul(k, k, transpose_a=True)[tf.newaxis],
        )
        self.A.assign(A)
        self.raw_Lambda.assign(triangular().inverse(Lambda[0]))

    def refresh(self) -> None:
        """Recomputes the caches of prediction from the parameters and the anchors.

        The factors c_d of the tied prior come from the anchors too, each predicted without itself.

        Raises:
          ValueError: a covariance that no jitter makes positive definite.
        """
        Z0, M, A, Lambda = map(tf.convert_to_tensor, (self.Z0, self.M, self.A, self.Lambda))
        frozen, _ = freeze(*self.encoder, Z0, M)
        self.alpha0.assign(frozen.alpha)
        self.L0_inv.assign(frozen.L_inv)
        self.frozen_noise0.assign(frozen.noise_variance)

        amplitude, lengthscales, noise = self.decoder
        V = tf.convert_to_tensor(self.V)
        jitter = relative_jitter(V.dtype) * amplitude
        factors, _ = factorise_with_jitter(amplitude, lengthscales, jitter, V)
        self.alpha1.assign(tf.matmul(factors.L_inv, A, transpose_a=True))
        self.L1_inv.assign(factors.L_inv)
        self.spread1.assign(tf.matmul(Lambda, factors.L_inv, transpose_a=True))
        self.frozen_noise1.assign(noise)

        codes, _ = predict(self.encoder_posterior, Z0)
        k = kernel_matrix(amplitude, lengthscales, codes, V)
        T = tf.matmul(k, factors.L_inv, transpose_b=True)
        self.calibrate(*leave_one_out_by_leverage(T, A, Lambda, amplitude, noise, Z0))

    def encode(self, z: tf.Tensor) -> Gaussian:
        """q(Z1|Z0): `[B, D0]` to `[B, D1]`, by matmul and exp only; training frames included."""
        x = (tf.cast(z, tf.float64) - self.offset) / self.scale
        mean, var = predict(self.encoder_posterior, x)
        return Gaussian(tf.cast(mean, z.dtype), tf.cast(var[:, tf.newaxis] + self.s, z.dtype))

    @property
    def decoder_posterior(self) -> FrozenPosterior:
        """The plain arrays of the GP decoder, as of the last `refresh`."""
        amplitude, lengthscales, _ = self.decoder
        return FrozenPosterior(
            inputs=tf.convert_to_tensor(self.V),
            alpha=tf.convert_to_tensor(self.alpha1),
            L_inv=tf.convert_to_tensor(self.L1_inv),
            amplitude_variance=amplitude,
            lengthscales=lengthscales,
            noise_variance=tf.convert_to_tensor(self.frozen_noise1),
            spread=tf.convert_to_tensor(self.spread1),
        )

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "inducing": self.inducing}


def triangular() -> tfp.bijectors.Bijector:
    """From a vector to a lower triangular matrix with a positive diagonal."""
    return tfp.bijectors.FillScaleTriL(diag_bijector=tfp.bijectors.Softplus(), diag_shift=None)
