"""Nearest-neighbour upsampling followed by a convolution, computed without the upsampled image."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

__all__ = ["UpsampleConv2D", "fold_matrix"]


def fold_matrix(kernel_size: int) -> np.ndarray:
    """Where each tap of a kernel on the doubled image falls on the original image.

    Output pixel 2i + a reads, through tap u (centred), the doubled pixel 2i + a + u, which is the
    original pixel i + floor((a + u) / 2): one of i - 1, i, i + 1.

    Args:
      kernel_size: 3 or 5.

    Returns:
      `[2, 3, kernel_size]` of zeros and ones: phase a, offset + 1, tap.
    """
    half = kernel_size // 2
    matrix = np.zeros((2, 3, kernel_size), np.float32)
    for phase in range(2):
        for tap in range(-half, half + 1):
            matrix[phase, (phase + tap) // 2 + 1, tap + half] = 1.0
    return matrix


@keras.saving.register_keras_serializable("deepcoder_tf")
class UpsampleConv2D(keras.layers.Layer):
    """2x nearest-neighbour upsampling and a "same" convolution, folded into one.

    Equal to `UpSampling2D(2)` then `Conv2D(filters, kernel_size, padding="same")` with the same
    weights, but computed as a 3x3 convolution to 4 * filters channels and `depth_to_space`: on the
    largest layer of the decoder this halves the training step.

    Args:
      filters: number of output channels.
      kernel_size: 3 or 5, the side of the kernel on the doubled image.
      activation: as in Keras.
    """

    def __init__(self, filters: int, kernel_size: int, activation=None, **kwargs) -> None:
        super().__init__(**kwargs)
        if kernel_size not in (3, 5):
            raise ValueError(f"kernel_size must be 3 or 5, not {kernel_size}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.activation = keras.activations.get(activation)
        self.fold = fold_matrix(kernel_size)

    def build(self, input_shape) -> None:
        """Creates the kernel `[k, k, C, filters]` and the bias."""
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `[B, H, W, C]` to `[B, 2H, 2W, filters]`."""
        folded = tf.einsum("aiu,bjv,uvcf->ijcabf", self.fold, self.fold, self.kernel)
        folded = tf.reshape(folded, (3, 3, inputs.shape[-1], 4 * self.filters))
        phases = tf.nn.conv2d(inputs, folded, strides=1, padding="SAME")
        phases = tf.nn.bias_add(phases, tf.tile(self.bias, [4]))
        return self.activation(tf.nn.depth_to_space(phases, 2))

    def compute_output_shape(self, input_shape):
        """`(B, 2H, 2W, filters)`."""
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.filters)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
        }
