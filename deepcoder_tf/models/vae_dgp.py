"""VAE-DGP: a deep Gaussian process whose latent variables a neural network recognises."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.coders.latent_gp import LatentGP
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.models.regression import rounded_levels, standardisation
from deepcoder_tf.numerics import positive, softplus_inverse
from deepcoder_tf.types import Gaussian

__all__ = ["VAEDGP"]

START_POINTS = 2000
"""Frames from which the starting values are computed."""

START_VARIANCE = 0.1
"""Of the latent variables, whose scale is about 1."""

START_RIDGE = 1e-2
"""Ridge of the least squares that start the recognition network, as a share of the frames."""

VARIANCE_FLOOR = 1e-6


@keras.saving.register_keras_serializable("deepcoder_tf")
class VAEDGP(Coder):
    """Features Y and levels L from a deep GP over X_1, ..., X_H, recognised from Y.

        Y = f_1(X_1) + ε_1,  X_1 = f_2(X_2) + ε_2,  ...,  X_H ~ N(0, I),   L = g(X_H) + ε
        q(X_1) = N(r_1(Y), Σ_1),  q(X_h) = N(r_h(mean of X_{h-1}), Σ_h)

    with GP priors on f_h and g and multilayer perceptrons r_h, which take the place of variational
    means for each frame (a back constraint). As in the paper Σ_h is diagonal and one for all
    frames, each layer has one kernel and one noise variance for all of its outputs, and the
    expectations over the latent variables are exact (psi statistics).

    Differs from the paper: q(U) is explicit and whitened instead of collapsed, so that the bound is
    a sum over frames and is trained in minibatches of all of them; both have the same maximum. The
    paper's models have either no labels, or labels that are the only observation. Here the
    standardised levels are a second view of the top latent variable, regressed by a GP with its own
    kernel and a noise for each action unit (manifold relevance determination); the recognition
    network sees the features alone, so that prediction needs no label: Y -> q(X_H) -> levels.

    Args:
      input_dims: F, number of features.
      latent_dims: D_1, ..., D_H from the features upwards.
      units: hidden tanh units of each recognition map.
      outputs: Q.
      inducing: m, inducing points of each GP.
      init: start of the latent means: `pca` of the features; `labels`, the standardised levels as
        far as features predict them in the first dimensions and `pca` in the others; or `random`.
      seed: of the initial values.

    Source: Dai, Damianou, Gonzalez and Lawrence, Variational Auto-encoded Deep Gaussian Processes,
    ICLR 2016; Damianou and Lawrence, Deep Gaussian Processes, AISTATS 2013; the second view:
    Damianou, Ek, Titsias and Lawrence, Manifold Relevance Determination, ICML 2012.
    """

    def __init__(
        self,
        input_dims: int,
        latent_dims: Sequence[int],
        units: int,
        outputs: int,
        inducing: int = 100,
        init: str = "pca",
        seed: int = 0,
        **kwargs,
    ) -> None:
        kwargs.setdefault("dtype", "float64")
        super().__init__(**kwargs)
        self.input_dims = input_dims
        self.latent_dims = tuple(latent_dims)
        self.latent_dim = self.latent_dims[-1]
        self.units = units
        self.outputs = outputs
        self.inducing = inducing
        self.init = init
        self.seed = seed
        below = (input_dims, *self.latent_dims)
        self.hidden, self.code, self.gps = [], [], []
        for h, D in enumerate(self.latent_dims):
            seeds = [keras.initializers.GlorotUniform(seed + 10 * h + k) for k in range(2)]
            dense = {"dtype": "float64"}
            self.hidden.append(
                keras.layers.Dense(
                    units, "tanh", kernel_initializer=seeds[0], name=f"hidden_{h}", **dense
                )
            )
            self.code.append(
                keras.layers.Dense(D, kernel_initializer=seeds[1], name=f"code_{h}", **dense)
            )
            self.gps.append(LatentGP(D, below[h], inducing, name=f"gp_{h}"))
        self.labels = LatentGP(self.latent_dim, outputs, inducing, separate=True, name="labels")

    def build(self, input_shape=None) -> None:
        """Creates every weight, and as constants the scales and what prediction needs."""
        below = (self.input_dims, *self.latent_dims)
        self.raw_var = []
        for h, D in enumerate(self.latent_dims):
            self.hidden[h].build((None, below[h]))
            self.code[h].build((None, self.units))
            self.gps[h].build(None)
            raw = float(softplus_inverse(tf.constant(START_VARIANCE, tf.float64)))
            self.raw_var.append(
                self.add_weight(
                    shape=(D,), initializer=keras.initializers.Constant(raw), name=f"raw_var_{h}"
                )
            )
        self.labels.build(None)
        m, Q = self.inducing, self.outputs
        self.offset = self.add_constant("offset", (self.input_dims,), 0.0)
        self.gain = self.add_constant("gain", (self.input_dims,), 1.0)
        self.label_offset = self.add_constant("label_offset", (Q,), 0.0)
        self.label_scale = self.add_constant("label_scale", (Q,), 1.0)
        self.first_moment = self.add_constant("first_moment", (m, Q), 0.0)
        self.second_moment = self.add_constant("second_moment", (m * (m + 1) // 2, Q), 0.0)

    def add_constant(self, name: str, shape: tuple[int, ...], value: float) -> keras.Variable:
        """A constant that starts at one value."""
        return self.add_weight(
            shape=shape,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            name=name,
        )

    # The model ------------------------------------------------------------------------------------

    def recognise(self, y: tf.Tensor) -> list[Gaussian]:
        """q(X_1), ..., q(X_H) from standardised features `[B, F]`, float64."""
        codes: list[Gaussian] = []
        for hidden, code, raw in zip(self.hidden, self.code, self.raw_var, strict=True):
            mean = code(hidden(codes[-1].mean if codes else y))
            var = positive(tf.convert_to_tensor(raw), VARIANCE_FLOOR)
            codes.append(Gaussian(mean, tf.broadcast_to(var, tf.shape(mean))))
        return codes

    def standardise(self, y: tf.Tensor) -> tf.Tensor:
        """Features in the units of the GPs, float64."""
        return (tf.cast(y, tf.float64) - self.offset) * self.gain

    def terms(
        self,
        z_in: Gaussian,
        labels: tf.Tensor,
        *,
        prior: Gaussian | None,
        index: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The bound, frame by frame; nothing is drawn.

        `kl` is E log q(X) - E log p(X) over all latent layers: the divergence of the top one, and
        for each below its expected log-probability under the GP above it, and its entropy.
        """
        del index, seed
        y = self.standardise(z_in.mean)
        codes = self.recognise(y)
        recon = self.gps[0].expected_log_prob(codes[0], Gaussian(y, None))
        kl = tf.reduce_sum(kl_diagonal(codes[-1], prior), axis=1)
        for gp, above, below in zip(self.gps[1:], codes[1:], codes, strict=False):
            entropy = 0.5 * tf.reduce_sum(tf.math.log(2.0 * math.pi * math.e * below.var), axis=1)
            kl -= gp.expected_log_prob(above, below) + entropy
        levels = (tf.cast(labels, tf.float64) - self.label_offset) / self.label_scale
        label = self.labels.expected_log_prob(codes[-1], Gaussian(levels, None), labels != MISSING)
        return {"recon": recon, "kl": kl, "label": label}

    def penalty(self) -> tf.Tensor:
        """KL(q(U) ‖ p(U)) of all GPs: once per data set."""
        return tf.add_n([gp.kl() for gp in (*self.gps, self.labels)])

    # Start and caches -----------------------------------------------------------------------------

    def observe(self, z_in: Gaussian, labels: tf.Tensor, first: bool) -> None:
        """Before the first step: scales, and starting values from some of the frames."""
        if not first:
            return
        labels = np.asarray(labels)
        features = standardisation(z_in.mean)
        self.offset.assign(features.mean)
        self.gain.assign(features.gain)
        mean, scale = level_scale(labels)
        self.label_offset.assign(mean)
        self.label_scale.assign(scale)
        rng = np.random.default_rng([self.seed, len(labels)])
        rows = np.sort(rng.permutation(len(labels))[:START_POINTS])
        self.initialise(z_in.mean[rows], labels[rows], rng)
        self.refresh()

    def initialise(
        self, features: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Recognition maps by least squares, then the GPs at their optimum given the latents."""
        y = self.standardise(tf.constant(features)).numpy()
        seen = labels != MISSING
        levels = np.where(seen, (labels - self.label_offset) / self.label_scale, 0.0)
        below = y
        for h, D in enumerate(self.latent_dims):
            if self.init == "random":
                break
            target = principal_scores(below, D, rng)
            if self.init == "labels":
                k = min(self.outputs, D)
                target[:, k:] = target[:, : D - k]
                target[:, :k] = levels[:, :k]
            activations = self.hidden[h](tf.constant(below)).numpy()
            kernel, bias = least_squares(activations, target)
            self.code[h].kernel.assign(kernel)
            self.code[h].bias.assign(bias)
            below = activations @ kernel + bias
        codes = self.recognise(tf.constant(y))
        outputs = [y, *(code.mean.numpy() for code in codes)]
        for h, gp in enumerate(self.gps):
            gp.initialise(codes[h], outputs[h], None, rng)
        self.labels.initialise(codes[-1], levels, seen, rng)

    def refresh(self) -> None:
        """Recomputes what prediction needs: plain arrays for matrix products."""
        first, second = self.labels.weights_of_moments()
        self.first_moment.assign(first)
        self.second_moment.assign(second)

    # Prediction -----------------------------------------------------------------------------------

    def encode(self, z: tf.Tensor) -> Gaussian:
        """q(X_H) `[B, D_H]` of features `[B, F]`."""
        q = self.recognise(self.standardise(z))[-1]
        return Gaussian(tf.cast(q.mean, z.dtype), tf.cast(q.var, z.dtype))

    def decode(self, z: tf.Tensor) -> Gaussian:
        """p(Y | X_H) `[B, F]`, noise included; each layer passes its mean down."""
        x = tf.cast(z, tf.float64)
        for gp in reversed(self.gps):
            p = gp.at(x)
            x = p.mean
        scale = tf.math.reciprocal_no_nan(tf.convert_to_tensor(self.gain))
        mean, var = p.mean * scale + self.offset, p.var * tf.square(scale)
        return Gaussian(tf.cast(mean, z.dtype), tf.cast(var, z.dtype))

    def regression(self, q: Gaussian) -> Gaussian:
        """Mean and variance of the level `[B, Q]` from a code, noise included."""
        code = Gaussian(tf.cast(q.mean, tf.float64), tf.cast(q.var, tf.float64))
        mean, square = self.labels.moments_from(
            code, tf.convert_to_tensor(self.first_moment), tf.convert_to_tensor(self.second_moment)
        )
        # Rounding may leave a little less than no variance.
        var = tf.nn.relu(square - tf.square(mean)) + self.labels.noise
        mean, var = mean * self.label_scale + self.label_offset, var * tf.square(self.label_scale)
        return Gaussian(tf.cast(mean, q.mean.dtype), tf.cast(var, q.mean.dtype))

    def level_probabilities(self, q: Gaussian) -> tf.Tensor:
        """p(y = s) `[B, Q, L]` of the rounded level."""
        return tf.cast(rounded_levels(*self.regression(q)).probabilities, q.mean.dtype)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "input_dims": self.input_dims,
            "latent_dims": self.latent_dims,
            "units": self.units,
            "outputs": self.outputs,
            "inducing": self.inducing,
            "init": self.init,
            "seed": self.seed,
        }


def level_scale(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the levels of each action unit; 0 and 1 where nothing is known."""
    levels = np.ma.masked_equal(labels, MISSING).astype(np.float64)
    deviation = np.ma.filled(levels.std(axis=0), 0.0)
    return np.ma.filled(levels.mean(axis=0), 0.0), np.where(deviation > 0.0, deviation, 1.0)


def principal_scores(Y: np.ndarray, D: int, rng: np.random.Generator) -> np.ndarray:
    """PCA scores of unit variance, column k shrunk by its share; noise beyond the rank."""
    U, s, _ = np.linalg.svd(Y - Y.mean(axis=0), full_matrices=False)
    k = min(D, len(s))
    scores = 0.01 * rng.standard_normal((len(Y), D))
    scores[:, :k] += U[:, :k] * np.sqrt(len(Y)) * np.sqrt(s[:k] / max(s[0], 1e-12))
    return scores


def least_squares(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a ridge regression."""
    centre, offset = X.mean(axis=0), Y.mean(axis=0)
    gram = (X - centre).T @ (X - centre)
    gram += START_RIDGE * len(X) * np.eye(len(gram))
    W = np.linalg.solve(gram, (X - centre).T @ (Y - offset))
    return W, offset - centre @ W
