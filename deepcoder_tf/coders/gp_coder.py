"""What the Gaussian-process coders share: kernels, units of Z0, ordinal head, prediction."""

from __future__ import annotations

import abc

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from deepcoder_tf.action_units import LEVELS, MISSING
from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.gp.kernels import (
    check_alive,
    data_kernel_matrix,
    kernel_matrix,
    median_lengthscale,
)
from deepcoder_tf.gp.left_out import predict_from_others
from deepcoder_tf.gp.posterior import FrozenPosterior, predict
from deepcoder_tf.likelihoods.ordinal import (
    cutpoints,
    expected_log_prob,
    initial_cutpoints,
    marginal,
    raw_cutpoints,
    sampled_log_prob,
    weight_prior,
)
from deepcoder_tf.likelihoods.ordinal_fit import OrdinalHead, fit_ordinal_head
from deepcoder_tf.numerics import positive, raw_start, relative_jitter
from deepcoder_tf.types import Gaussian

__all__ = ["CALIBRATION_RANGE", "GPCoder"]

NOISE_FLOOR = 1e-4
"""Smallest noise variance of either GP, in standardised units."""

ALIVE_POINTS = 500
"""Points on which the start of the encoder's kernel is checked."""

HEAD_FRAMES = 5000
"""Labelled frames, evenly spread, from which the head is solved for, at most."""

CALIBRATION_RANGE = (1e-3, 1e3)
"""Range of the per-dimension factor c_d of the tied prior's variance."""

TIED_VAR_FLOOR = 1e-4
"""Smallest variance of the tied prior, in units of the dimension's own variance."""


class GPCoder(Coder):
    """A GP encoder Z0 -> Z1, a GP decoder Z1 -> Z0, and ordinal labels from Z1.

    All of it is float64; codes are cast where they enter and leave. Z0 enters standardised per
    dimension by constants that `observe` freezes for one outer iteration. The encoder predicts from
    targets M at the coder's own frames; how M is learnt, and what the decoder is, is the business
    of the class.

    Args:
      points: frames that the coder owns, with one row of M each.
      input_dims: D0.
      latent_dim: D1.
      outputs: Q.
      init: start of M: `pca` of Z0; `labels`, the standardised levels in the first Q dimensions and
        `pca` in the others, which starts at GP regression of the labels; or `random`, N(0, 1), as
        in the paper.
      lengthscale_factor: start of the encoder's lengthscales in units of the median distance of the
        coder's points, and root of the start of its variance: the larger, the straighter the
        functions that it starts from.
      expectation: of the ordinal term: `quadrature`, or `sample` (Eq. 20).
      z0_uncertainty: `mean`: the decoder explains the mean of Z0; `expected`: its posterior.
      tie_variance: `loo_calibrated` per dimension, or `shared` as in the paper.
      head_steps: iterations in which W and γ are solved for after an epoch, with the codes as they
        are; 0: they only move with everything else, as in the paper.
      head_prior: standard deviation of the prior of a weight of W about 0, or with `init=labels`
        about the weights that read each action unit off its own dimension.
      head_codes: codes that the head is solved for: `own`, as the coder makes them of its frames,
        or `left_out`, as it would make them of people whom it never saw.
      seed: of the initial values.
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
        head_steps: int = 0,
        head_prior: float = 10.0,
        head_codes: str = "own",
        seed: int = 0,
        **kwargs,
    ) -> None:
        kwargs.setdefault("dtype", "float64")
        super().__init__(**kwargs)
        self.points = points
        self.input_dims = input_dims
        self.latent_dim = latent_dim
        self.outputs = outputs
        self.init = init
        self.lengthscale_factor = lengthscale_factor
        self.expectation = expectation
        self.z0_uncertainty = z0_uncertainty
        self.tie_variance = tie_variance
        self.head_steps = head_steps
        self.head_prior = head_prior
        self.head_codes = head_codes
        self.seed = seed

    def build(self, input_shape=None) -> None:
        """Creates the shared parameters, and as constants what prediction needs."""
        N, D0, D1, Q = self.points, self.input_dims, self.latent_dim, self.outputs
        self.M = self.add("M", (N, D1), 0.0)
        self.raw_lengthscales0 = self.add("raw_lengthscales0", (D0,), raw_start(1.0))
        self.raw_lengthscales1 = self.add("raw_lengthscales1", (D1,), raw_start(1.0))
        self.raw_amplitude0 = self.add("raw_amplitude0", (), raw_start(self.lengthscale_factor**2))
        self.raw_amplitude1 = self.add("raw_amplitude1", (), raw_start(1.0))
        self.raw_noise0 = self.add("raw_noise0", (), raw_start(0.1 - NOISE_FLOOR))
        self.raw_noise1 = self.add("raw_noise1", (), raw_start(0.5 - NOISE_FLOOR))
        self.W = self.add("W", (Q, D1), 0.0)
        self.W_centre = self.add("W_centre", (Q, D1), 0.0, constant=True)
        self.raw_first = self.add("raw_first", (Q,), 0.0)
        self.raw_gaps = self.add("raw_gaps", (Q, LEVELS - 2), 0.0)

        self.lengthscale0 = self.add("lengthscale0", (), np.sqrt(D0), constant=True)
        self.lengthscale1 = self.add("lengthscale1", (), np.sqrt(D1), constant=True)
        self.offset = self.add("offset", (D0,), 0.0, constant=True)
        self.scale = self.add("scale", (D0,), 1.0, constant=True)
        self.Z0 = self.add("Z0", (N, D0), 0.0, constant=True)
        self.Z0_var = self.add("Z0_var", (N, D0), 0.0, constant=True)
        self.alpha0 = self.add("alpha0", (N, D1), 0.0, constant=True)
        self.L0_inv = self.add("L0_inv", (N, N), 0.0, constant=True)
        self.frozen_noise0 = self.add("frozen_noise0", (), 0.1, constant=True)
        self.frozen_noise1 = self.add("frozen_noise1", (), 0.5, constant=True)
        self.calibration = self.add("calibration", (D0,), 1.0, constant=True)

    def add(self, name: str, shape: tuple[int, ...], value: ArrayLike, constant: bool = False):
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
    def cutpoints(self) -> tf.Tensor:
        """γ `[Q, L-1]`."""
        return cutpoints(tf.convert_to_tensor(self.raw_first), tf.convert_to_tensor(self.raw_gaps))

    def standardise(self, z: Gaussian) -> Gaussian:
        """q(Z0) in the units of the GPs, float64."""
        mean, var = tf.cast(z.mean, tf.float64), tf.cast(z.var, tf.float64)
        return Gaussian((mean - self.offset) / self.scale, var / tf.square(self.scale))

    # Labels -------------------------------------------------------------------------------------

    def label_log_prob(self, q: Gaussian, Z1: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """E log p(y|z1) `[B, Q]`, 0 where missing (Eq. 20)."""
        W = tf.convert_to_tensor(self.W)
        if self.expectation == "sample":
            return sampled_log_prob(labels, W, self.cutpoints, Z1)
        return expected_log_prob(labels, W, self.cutpoints, q.mean, q.var)

    def penalty(self) -> tf.Tensor:
        """The prior that keeps W finite on separable data."""
        return -weight_prior(self.W - tf.convert_to_tensor(self.W_centre), self.head_prior)

    def fit_labels(
        self, z_in: Gaussian, labels: np.ndarray, subjects: np.ndarray, own: np.ndarray
    ) -> None:
        """Solves for W and γ with the codes as they are; see `Coder`.

        The codes want few and small steps, or they overfit through M; the head wants many. It has
        to learn how far codes of people can be trusted who were never seen: with
        `head_codes=left_out` it sees each frame's code as the points of the other subjects predict
        it. Where all points are of one subject there is nobody to leave out.
        """
        if not self.head_steps:
            return
        labelled = np.flatnonzero(np.any(labels != MISSING, axis=1))
        if not len(labelled):
            return
        spread = np.linspace(0, len(labelled) - 1, min(HEAD_FRAMES, len(labelled)))
        rows = labelled[spread.astype(np.int64)].astype(np.int32)
        z = tf.constant(np.asarray(z_in.mean[rows], np.float64))
        if self.head_codes == "left_out" and len(np.unique(subjects[own])) > 1:
            q = self.encode_left_out(z, subjects[rows], subjects[own])
        else:
            q = self.encode_train(z, tf.constant(rows))
        start = OrdinalHead(*map(tf.convert_to_tensor, (self.W, self.raw_first, self.raw_gaps)))
        head = fit_ordinal_head(
            start,
            tf.constant(labels[rows], tf.int32),
            q.mean,
            q.var,
            tf.convert_to_tensor(self.W_centre),
            self.head_prior,
            self.head_steps,
        )
        self.W.assign(head.W)
        self.raw_first.assign(head.raw_first)
        self.raw_gaps.assign(head.raw_gaps)

    def encode_left_out(self, z: tf.Tensor, subjects: np.ndarray, own: np.ndarray) -> Gaussian:
        """q(Z1|Z0) of frames `[B, D0]` float64 from the points of other subjects than their own."""
        x = (z - self.offset) / self.scale
        amplitude, lengthscales, noise = self.encoder
        k = data_kernel_matrix(amplitude, lengthscales, x, tf.convert_to_tensor(self.Z0))
        P = tf.matmul(self.L0_inv, self.L0_inv, transpose_a=True)
        mean, explained = predict_from_others(k.numpy(), P.numpy(), self.M.numpy(), subjects, own)
        var = tf.constant(explained)
        return Gaussian(
            tf.constant(mean), (amplitude + noise - var)[:, tf.newaxis] + self.code_variance
        )

    @property
    @abc.abstractmethod
    def code_variance(self) -> tf.Tensor:
        """Variance `[D1]` of a code beyond that of the GP encoder."""

    def level_probabilities(self, q: Gaussian) -> tf.Tensor:
        """p(y = s) with Z1 integrated out in closed form, `[B, Q, L]`."""
        mean, var = tf.cast(q.mean, tf.float64), tf.cast(q.var, tf.float64)
        levels = marginal(tf.convert_to_tensor(self.W), self.cutpoints, mean, var)
        return tf.cast(levels.categorical_probs(), q.mean.dtype)

    # Training points ----------------------------------------------------------------------------

    def observe(self, z_in: Gaussian, labels: tf.Tensor, first: bool) -> None:
        """Freezes the standardisation for one outer iteration and takes Z0; see `Coder`."""
        mean, var = np.asarray(z_in.mean, np.float64), np.asarray(z_in.var, np.float64)
        self.offset.assign(mean.mean(axis=0))
        self.scale.assign(np.sqrt(mean.var(axis=0) + var.mean(axis=0)) + 1e-12)
        z = self.standardise(Gaussian(tf.constant(mean), tf.constant(var)))
        self.Z0.assign(z.mean)
        self.Z0_var.assign(z.var)
        if first:
            self.initialise(z.mean.numpy(), np.asarray(labels))

    def initialise(self, Z0: np.ndarray, labels: np.ndarray) -> None:
        """Starting values from the coder's own points.

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
            self.W_centre.assign(np.eye(self.outputs, self.latent_dim))
            W += np.eye(self.outputs, self.latent_dim)
        self.M.assign(M)
        self.W.assign(W)
        self.lengthscale0.assign(self.lengthscale_factor * median_lengthscale(tf.constant(Z0)))
        amplitude, lengthscales, _ = self.encoder
        block = tf.constant(Z0[:ALIVE_POINTS])
        check_alive(kernel_matrix(amplitude, lengthscales, block), float(amplitude), "encoder")
        first, gaps = raw_cutpoints(tf.constant(initial_cutpoints(labels, LEVELS)))
        self.raw_first.assign(first)
        self.raw_gaps.assign(gaps)

    # Prediction ---------------------------------------------------------------------------------

    def calibrate(self, Z0_loo: tf.Tensor, variances: tf.Tensor) -> None:
        """Keeps c_d: how much larger the squared error of a dimension is than the shared variance.

        Args:
          Z0_loo: `[N, D0]`, predictions of Z0 at the coder's points, each without the point.
          variances: `[N]`, of these predictions.
        """
        if self.tie_variance == "loo_calibrated":
            error = tf.square(self.Z0 - Z0_loo) + tf.convert_to_tensor(self.Z0_var)
            factor = tf.reduce_mean(error / variances[:, tf.newaxis], axis=0)
            self.calibration.assign(tf.clip_by_value(factor, *CALIBRATION_RANGE))

    def decode(self, z: tf.Tensor) -> Gaussian:
        """p(Z0|Z1), noise included: `[B, D1]` to `[B, D0]`, in the units of Z0."""
        mean, var = predict(self.decoder_posterior, tf.cast(z, tf.float64))
        var = tf.maximum(var[:, tf.newaxis] * self.calibration, TIED_VAR_FLOOR)
        mean, var = mean * self.scale + self.offset, var * tf.square(self.scale)
        return Gaussian(tf.cast(mean, z.dtype), tf.cast(var, z.dtype))

    @property
    def encoder_posterior(self) -> FrozenPosterior:
        """The plain arrays of the GP encoder, as of the last `refresh`."""
        amplitude, lengthscales, _ = self.encoder
        return FrozenPosterior(
            inputs=tf.convert_to_tensor(self.Z0),
            alpha=tf.convert_to_tensor(self.alpha0),
            L_inv=tf.convert_to_tensor(self.L0_inv),
            amplitude_variance=amplitude,
            lengthscales=lengthscales,
            noise_variance=tf.convert_to_tensor(self.frozen_noise0),
        )

    @property
    @abc.abstractmethod
    def decoder_posterior(self) -> FrozenPosterior:
        """The plain arrays of the GP decoder, as of the last `refresh`."""

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
            "head_steps": self.head_steps,
            "head_prior": self.head_prior,
            "head_codes": self.head_codes,
            "seed": self.seed,
        }


def standard_scores(labels: np.ndarray) -> np.ndarray:
    """Levels `[N, Q]` with mean 0 and deviation 1 per action unit; 0 where missing."""
    levels = np.ma.masked_less(labels, 0).astype(np.float64)
    centred = levels - levels.mean(axis=0)
    return (centred / (levels.std(axis=0) + 1e-6)).filled(0.0)
