"""A convolution and its max pooling, computed with the bias and the ReLU on the pooled quarter."""

from __future__ import annotations

import keras
import tensorflow as tf

__all__ = ["PooledConv2D"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class PooledConv2D(keras.layers.Layer):
    """A "same" convolution, ReLU and 2x2 max pooling, in one layer.

    Equal to `Conv2D(filters, kernel_size, padding="same", activation="relu")` then
    `MaxPooling2D(2, padding="same")` with the same weights, bit for bit: adding a bias and ReLU
    never change the order of two numbers, so that they commute with the maximum. After it they
    have a quarter of the values to go through, and to go back through: at the paper's size a
    training step is a tenth shorter. (Inference in large batches is a twentieth longer, since
    TensorFlow would fuse the bias and the ReLU into the convolution.)

    Args:
      filters: number of output channels.
      kernel_size: side of the kernel, pixels.
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, input_shape) -> None:
        """Creates the kernel `[k, k, C, filters]` and the bias."""
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="he_normal", name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps `[B, H, W, C]` to `[B, ceil(H / 2), ceil(W / 2), filters]`."""
        z = tf.nn.conv2d(inputs, tf.convert_to_tensor(self.kernel), strides=1, padding="SAME")
        z = tf.nn.max_pool2d(z, ksize=2, strides=2, padding="SAME")
        return tf.nn.relu(tf.nn.bias_add(z, tf.convert_to_tensor(self.bias)))

    def compute_output_shape(self, input_shape):
        """`(B, ceil(H / 2), ceil(W / 2), filters)`."""
        batch, height, width, _ = input_shape
        return (batch, -(-height // 2), -(-width // 2), self.filters)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }
