"""The dense variational auto-encoder: bottom coder of DCp, or middle coder of a deep stack."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.coders.label_head import LabelHead
from deepcoder_tf.layers import GaussianHead, sample
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.numerics import positive, softplus_inverse
from deepcoder_tf.types import Gaussian

__all__ = ["DenseVAE"]

NOISE_FLOOR = 1e-3


@keras.saving.register_keras_serializable("deepcoder_tf")
class DenseVAE(Coder):
    """q(Z_n|Z_{n-1}) and p(Z_{n-1}|Z_n) by one hidden layer each, p(Y|Z_n) by a label head.

    Args:
      input_dims: D_{n-1}.
      units: hidden units.
      latent_dim: D_n.
      outputs: Q, number of action units.
      label_head: `softmax` or `ordinal`.

    Source: DeepCoder, Section 5, DCp. Differs from the paper: "a stack of two VC-AEs" is read as a
    dense second coder, since a convolution over a vector of codes has no meaning.
    """

    def __init__(
        self,
        input_dims: int,
        units: int,
        latent_dim: int,
        outputs: int,
        label_head: str = "softmax",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.input_dims = input_dims
        self.units = units
        self.latent_dim = latent_dim
        self.outputs = outputs
        self.label_head = label_head
        self.encoder = keras.layers.Dense(units, activation="relu", name="encoder")
        self.head = GaussianHead(latent_dim, name="code")
        self.expand = keras.layers.Dense(units, activation="relu", name="expand")
        self.decoder = keras.layers.Dense(input_dims, name="decoder")
        self.labels = LabelHead(outputs, LEVELS, label_head, name="labels")

    def build(self, input_shape=None) -> None:
        """Creates every weight; the shapes follow from the constructor."""
        self.encoder.build((None, self.input_dims))
        self.head.build((None, self.units))
        self.expand.build((None, self.latent_dim))
        self.decoder.build((None, self.units))
        self.labels.build((None, self.latent_dim))
        self.raw_noise = self.add_weight(
            shape=(self.input_dims,),
            initializer=keras.initializers.Constant(float(softplus_inverse(0.5))),
            name="raw_noise",
        )

    def encode(self, z: tf.Tensor) -> Gaussian:
        """Codes `[B, D_{n-1}]` to q(Z_n) `[B, D_n]`."""
        return self.head(self.encoder(z))

    def decode(self, z: tf.Tensor) -> Gaussian:
        """Codes `[B, D_n]` to p(Z_{n-1}) `[B, D_{n-1}]`, one learnt variance per dimension."""
        mean = self.decoder(self.expand(z))
        var = positive(tf.convert_to_tensor(self.raw_noise), NOISE_FLOOR)
        return Gaussian(mean, tf.broadcast_to(var, tf.shape(mean)))

    def terms(
        self,
        z_in: Gaussian,
        labels: tf.Tensor,
        *,
        prior: Gaussian | None,
        index: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Eq. 5 with the codes above as data, of which the mean is explained."""
        del index
        q = self.encode(z_in.mean)
        z = sample(q, seed)
        p = self.decode(z)
        above = tfp.distributions.MultivariateNormalDiag(p.mean, tf.sqrt(p.var))
        return {
            "recon": above.log_prob(z_in.mean),
            "kl": tf.reduce_sum(kl_diagonal(q, prior), axis=1),
            "label": self.labels.log_prob(z, labels),
        }

    def level_probabilities(self, q: Gaussian) -> tf.Tensor:
        """p(Y|Z_n) at the mean code."""
        return self.labels.probabilities(q.mean)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "input_dims": self.input_dims,
            "units": self.units,
            "latent_dim": self.latent_dim,
            "outputs": self.outputs,
            "label_head": self.label_head,
        }
