"""A branch of convolutions down to a code, and transposed convolutions from codes to a picture."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

__all__ = ["Branch", "PictureDecoder"]

DECODER_KERNEL = 4
"""A multiple of the stride, so that no pixel is written more often than its neighbour."""

DOUBLINGS = 5
"""Stride-2 layers of the decoder: its first one makes 1/32 of the side."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class Branch(keras.layers.Layer):
    """Convolutions with leaky ReLU, and the mean over the places: B_exp and B_non-exp.

    Differs from the paper: it does not say how its linear classifiers read a map of places; here
    the code is the mean over them, so that its size does not depend on the picture's.

    Args:
      filters: of each convolution; the last is the size of the code.
      kernels: side of each convolution, pixels of the map.
      leak: slope below 0.

    Source: Disentangling expression representations, Section 3 ("four Conv. layers, with
    leaky-ReLU").
    """

    def __init__(
        self, filters: Sequence[int], kernels: Sequence[int], leak: float = 0.2, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.kernels = tuple(kernels)
        self.leak = leak
        self.convolutions = [
            keras.layers.Conv2D(
                count,
                side,
                padding="same",
                kernel_initializer="he_normal",
                name=f"convolution_{n}",
            )
            for n, (count, side) in enumerate(zip(self.filters, self.kernels, strict=True))
        ]

    def build(self, input_shape) -> None:
        """Creates the weights for maps `[B, H, W, C]`."""
        channels = input_shape[-1]
        for layer, count in zip(self.convolutions, self.filters, strict=True):
            layer.build((None, None, None, channels))
            channels = count

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The code `[B, D]` of maps `[B, H, W, C]`."""
        for layer in self.convolutions:
            inputs = tf.nn.leaky_relu(layer(inputs), self.leak)
        return tf.reduce_mean(inputs, axis=[1, 2])

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "kernels": list(self.kernels),
            "leak": self.leak,
        }


@keras.saving.register_keras_serializable("deepcoder_tf")
class PictureDecoder(keras.layers.Layer):
    """Six transposed convolutions from a code to a picture: De.

    The first makes `side / 32` places of one, each of the others doubles the side. Leaky ReLU
    between them, a sigmoid at the end.

    Args:
      filters: of the first five.
      side: of the picture, pixels, a multiple of 32.
      channels: of the picture.
      leak: slope below 0.

    Raises:
      ValueError: other than five filters, or a side that is no multiple of 32.

    Source: Disentangling expression representations, Section 3.
    """

    def __init__(
        self, filters: Sequence[int], side: int, channels: int = 3, leak: float = 0.2, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if len(filters) != DOUBLINGS or side % 2**DOUBLINGS:
            raise ValueError(
                f"{len(filters)} filters for a side of {side}: wanted {DOUBLINGS} and a multiple "
                f"of {2**DOUBLINGS}"
            )
        self.filters = tuple(filters)
        self.side = side
        self.channels = channels
        self.leak = leak
        first = keras.layers.Conv2DTranspose(
            self.filters[0],
            side // 2**DOUBLINGS,
            kernel_initializer="he_normal",
            name="deconvolution_0",
        )
        self.deconvolutions = [first] + [
            keras.layers.Conv2DTranspose(
                count,
                DECODER_KERNEL,
                2,
                padding="same",
                kernel_initializer="he_normal",
                name=f"deconvolution_{n}",
            )
            for n, count in enumerate((*self.filters[1:], channels), start=1)
        ]

    def build(self, input_shape) -> None:
        """Creates the weights for codes `[B, D]`."""
        channels = input_shape[-1]
        for layer, count in zip(self.deconvolutions, (*self.filters, self.channels), strict=True):
            layer.build((None, None, None, channels))
            channels = count

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pictures `[B, side, side, channels]` in 0..1 of codes `[B, D]`."""
        z = tf.nn.leaky_relu(self.first_places(inputs), self.leak)
        for layer in self.deconvolutions[1:-1]:
            z = tf.nn.leaky_relu(layer(z), self.leak)
        return tf.sigmoid(self.deconvolutions[-1](z))

    def first_places(self, codes: tf.Tensor) -> tf.Tensor:
        """The first transposed convolution `[B, side / 32, side / 32, filters[0]]` of codes.

        Of a single place it is a matrix product, which a CPU does nine times faster.
        """
        layer = self.deconvolutions[0]
        height, width, filters, size = layer.kernel.shape
        places = tf.matmul(codes, tf.reshape(layer.kernel, [-1, size]), transpose_b=True)
        return tf.reshape(places, [-1, height, width, filters]) + layer.bias

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "side": self.side,
            "channels": self.channels,
            "leak": self.leak,
        }
