"""The one interface behind which every coder stands (Eq. 3-4)."""

from __future__ import annotations

import abc

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.types import Gaussian

__all__ = ["Coder", "standard_normal"]


class Coder(keras.layers.Layer, abc.ABC):
    """One variational auto-encoder of the stack: Z_{n-1} -> Z_n -> Z_{n-1}, and labels from Z_n.

    A coder sees only its input q(Z_{n-1}) and the prior of its own latent; it never knows its
    neighbours. That makes the depth of a stack a matter of configuration.

    Attributes:
      latent_dim: D_n.
      max_points: None where the coder trains on X_R; a number where it trains on X_L, a subset of
        at most so many frames which it owns by row.
      input_dims: number of input dimensions, by which its bound is divided for the optimizer.
    """

    latent_dim: int
    max_points: int | None = None
    input_dims: int

    @abc.abstractmethod
    def encode(self, z: tf.Tensor) -> Gaussian:
        """q(Z_n | Z_{n-1}) at any points: `[B, ...]` to `[B, D_n]`."""

    def encode_train(self, z: tf.Tensor, index: tf.Tensor) -> Gaussian:
        """The same at the coder's own training rows `index` `[B]`; differs for a GP."""
        del index
        return self.encode(z)

    @abc.abstractmethod
    def decode(self, z: tf.Tensor) -> Gaussian:
        """p(Z_{n-1} | Z_n), noise included: `[B, D_n]` to `[B, ...]`."""

    @abc.abstractmethod
    def terms(
        self,
        z_in: Gaussian,
        labels: tf.Tensor,
        *,
        prior: Gaussian | None,
        index: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The terms of the coder's bound, point by point, in nats.

        Args:
          z_in: q(Z_{n-1}) at the batch; images have no variance.
          labels: `[B, Q]` int32, -1 where missing.
          prior: of Z_n at the same points; None is N(0, I).
          index: `[B]` int32 rows among the coder's own training points.
          seed: `[2]` int32 of the reparametrised draw.

        Returns:
          `"recon"`, `"kl"` (to be subtracted) and `"label"`, each `[B]`.
        """

    @abc.abstractmethod
    def level_probabilities(self, q: Gaussian) -> tf.Tensor:
        """p(y = s) `[B, Q, L]` from a code `[B, D_n]`; each row sums to 1."""

    def observe(self, z_in: Gaussian, labels: tf.Tensor, first: bool) -> None:
        """Takes the coder's own training points before an epoch; nothing for parametric coders.

        Args:
          z_in: q(Z_{n-1}) at the rows it owns, `[N, D_{n-1}]`: all of X_L, or the anchors in X_R of
            a sparse Gaussian process.
          labels: `[N, Q]`.
          first: True once, when parameters are to be initialised from the points.
        """

    def refresh(self) -> None:
        """Recomputes what prediction needs after an epoch; nothing for parametric coders."""

    def fit_labels(
        self, z_in: Gaussian, labels: np.ndarray, subjects: np.ndarray, own: np.ndarray
    ) -> None:
        """Solves for the label head alone after `refresh`; nothing for parametric coders.

        Args:
          z_in: q(Z_{n-1}) at the rows that the coder trains on, in order, `[N, D_{n-1}]` arrays.
          labels: `[N, Q]`, -1 where missing.
          subjects: `[N]`, who is seen.
          own: positions among these rows of the coder's own points, those of `observe`.
        """

    def penalty(self) -> tf.Tensor:
        """What the bound pays once per data set for its weights, in nats."""
        return tf.zeros((), self.compute_dtype)

    def tied_prior(self, code: tf.Tensor) -> Gaussian:
        """p̃(Z_{n-1}) = p(Z_{n-1} | Z_n = code), a constant for whoever uses it (Eq. 4).

        Args:
          code: `[B, D_n]`, the coder's own mean code at the points.

        Returns:
          `[B, D_{n-1}]`.
        """
        p = self.decode(code)
        return Gaussian(tf.stop_gradient(p.mean), tf.stop_gradient(p.var))


def standard_normal(q: Gaussian) -> Gaussian:
    """N(0, I) in the shape of `q`."""
    return Gaussian(tf.zeros_like(q.mean), tf.ones_like(q.var))
