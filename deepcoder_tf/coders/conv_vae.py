"""VC-AE: the convolutional variational auto-encoder on top of the stack (Eq. 5-8)."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.coders.label_head import LabelHead
from deepcoder_tf.layers import GaussianHead, PooledConv2D, UpsampleConv2D, sample
from deepcoder_tf.likelihoods.gaussian import kl_diagonal, log_likelihood, pixel_variance
from deepcoder_tf.numerics import softplus_inverse
from deepcoder_tf.types import Gaussian

__all__ = ["ConvVAE"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class ConvVAE(Coder):
    """q(Z0|X) and p(X|Z0) by convolutions, p(Y|Z0) by a label head.

    Args:
      image_shape: `(H, W)` of the grey input, in pixels.
      filters: of each convolution of the encoder; the decoder mirrors them.
      pools: for each convolution, whether a 2x2 max pooling follows.
      kernel_size: side of the kernels, 3 or 5 pixels.
      latent_dim: D0.
      outputs: Q, number of action units.
      label_head: `softmax` (the paper's logistic regression) or `ordinal`.
      dropout: share of the encoder's features that a training step leaves out.
      pixel_path: whether the code is read off the pixels too. Registered faces are nearly linear
        in their expression, and with few subjects a code that forgets this generalises worse than
        a line on the pixels.

    Source: DeepCoder, Section 3.1. Differs from the paper: the pooling after the fifth convolution
    is left out by default, since 240x160 and the printed code size exclude each other.
    """

    def __init__(
        self,
        image_shape: tuple[int, int],
        filters: tuple[int, ...],
        pools: tuple[int, ...],
        kernel_size: int,
        latent_dim: int,
        outputs: int,
        label_head: str = "softmax",
        dropout: float = 0.0,
        pixel_path: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.image_shape = tuple(image_shape)
        self.filters = tuple(filters)
        self.pools = tuple(pools)
        self.kernel_size = kernel_size
        self.latent_dim = latent_dim
        self.outputs = outputs
        self.label_head = label_head
        self.dropout = dropout
        self.pixel_path = bool(pixel_path)
        self.input_dims = image_shape[0] * image_shape[1]
        self.convolutions = [self.convolution(i) for i in range(len(self.filters))]
        self.head = GaussianHead(latent_dim, name="code")
        self.expand = keras.layers.Dense(self.code_size, activation="relu", name="expand")
        self.deconvolutions = [self.deconvolution(i) for i in reversed(range(len(self.filters)))]
        self.labels = LabelHead(outputs, LEVELS, label_head, name="labels")

    def convolution(self, i: int) -> keras.layers.Layer:
        """Convolution `i`, with the pooling that follows it."""
        name = f"encoder_{i}"
        if self.pools[i]:
            return PooledConv2D(self.filters[i], self.kernel_size, name=name)
        return keras.layers.Conv2D(
            self.filters[i],
            self.kernel_size,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=name,
        )

    def deconvolution(self, i: int) -> keras.layers.Layer:
        """The mirror image of convolution `i`."""
        channels = self.filters[i - 1] if i else 1
        activation = "relu" if i else None
        kind = UpsampleConv2D if self.pools[i] else keras.layers.Conv2D
        padding = {} if self.pools[i] else {"padding": "same"}
        return kind(
            channels, self.kernel_size, activation=activation, name=f"decoder_{i}", **padding
        )

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """`(H, W)` before each convolution, and of the code."""
        sizes = [self.image_shape]
        for pool in self.pools:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)) if pool else (height, width))
        return sizes

    @property
    def code_size(self) -> int:
        """Number of features that enter the two dense heads."""
        height, width = self.sizes[-1]
        return height * width * self.filters[-1]

    def build(self, input_shape=None) -> None:
        """Creates every weight; the shapes follow from the constructor."""
        channels = (1, *self.filters)
        for i, layer in enumerate(self.convolutions):
            layer.build((None, *self.sizes[i], channels[i]))
        pixels = self.input_dims if self.pixel_path else 0
        self.head.build((None, self.code_size + pixels))
        self.expand.build((None, self.latent_dim))
        for layer, i in zip(self.deconvolutions, reversed(range(len(self.filters))), strict=True):
            layer.build((None, *self.sizes[i + 1], channels[i + 1]))
        self.labels.build((None, self.latent_dim))
        self.raw_noise = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(float(softplus_inverse(0.1))),
            name="raw_noise",
        )

    @property
    def noise(self) -> tf.Tensor:
        """The variance of a pixel given its code, a learnt scalar."""
        return pixel_variance(tf.convert_to_tensor(self.raw_noise))

    def features(self, z: tf.Tensor) -> tf.Tensor:
        """Images `[B, H, W, 1]` to the features `[B, F]` from which the code is read."""
        pixels = tf.reshape(z, (-1, self.input_dims))
        for layer in self.convolutions:
            z = layer(z)
        z = tf.reshape(z, (-1, self.code_size))
        return tf.concat([z, pixels], axis=1) if self.pixel_path else z

    def encode(self, z: tf.Tensor) -> Gaussian:
        """Images `[B, H, W, 1]` to q(Z0|X) `[B, D0]` (Eq. 7)."""
        return self.head(self.features(z))

    def decode(self, z: tf.Tensor) -> Gaussian:
        """Codes `[B, D0]` to p(X|Z0) `[B, H, W, 1]` (Eq. 6)."""
        height, width = self.sizes[-1]
        z = tf.reshape(self.expand(z), (-1, height, width, self.filters[-1]))
        for layer, i in zip(self.deconvolutions, reversed(range(len(self.filters))), strict=True):
            height, width = self.sizes[i]
            z = layer(z)
            if tuple(z.shape[1:3]) != (height, width):  # pooling had rounded an odd side up
                z = z[:, :height, :width]
        return Gaussian(z, tf.fill(tf.shape(z), self.noise))

    def terms(
        self,
        z_in: Gaussian,
        labels: tf.Tensor,
        *,
        prior: Gaussian | None,
        index: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The three terms of Eq. 5, with one draw of Z0."""
        del index
        images = z_in.mean
        features = self.features(images)
        if self.dropout:
            features = tf.nn.experimental.stateless_dropout(features, self.dropout, seed + 1)
        q = self.head(features)
        z = sample(q, seed)
        return {
            "recon": log_likelihood(images, self.decode(z).mean, self.noise),
            "kl": tf.reduce_sum(kl_diagonal(q, prior), axis=1),
            "label": self.labels.log_prob(z, labels),
        }

    def level_probabilities(self, q: Gaussian) -> tf.Tensor:
        """p(Y|Z0) at the mean code (Eq. 8)."""
        return self.labels.probabilities(q.mean)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "filters": self.filters,
            "pools": self.pools,
            "kernel_size": self.kernel_size,
            "latent_dim": self.latent_dim,
            "outputs": self.outputs,
            "label_head": self.label_head,
            "dropout": self.dropout,
            "pixel_path": self.pixel_path,
        }
