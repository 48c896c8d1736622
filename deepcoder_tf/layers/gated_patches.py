"""Patches of a map of features, each with a gate that it opens by itself."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

__all__ = ["Gate", "GatedPatches"]

KERNEL = 3
GATE_UNITS = 64
"""As the authors have them."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class Gate(keras.layers.Layer):
    """How much a region tells, 0..1: two dense layers and a sigmoid, for each region its own.

    Args:
      count: N, number of regions.
      units: of the hidden layer.

    Source: Li, Zeng, Shan and Chen, Occlusion aware facial expression recognition using CNN with
    attention mechanism, IEEE Transactions on Image Processing 2019, Section III-B.
    """

    def __init__(self, count: int, units: int = GATE_UNITS, **kwargs) -> None:
        super().__init__(**kwargs)
        self.count = count
        self.units = units

    def build(self, input_shape) -> None:
        """Creates the weights for `[B, N, C]`."""
        N, C, H = self.count, input_shape[-1], self.units
        self.W1 = self.add_weight(shape=(N, C, H), initializer=each_he_normal, name="W1")
        self.b1 = self.add_weight(shape=(N, H), initializer="zeros", name="bias1")
        self.W2 = self.add_weight(shape=(N, H, 1), initializer=each_he_normal, name="W2")
        self.b2 = self.add_weight(shape=(N,), initializer="zeros", name="bias2")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Gates `[B, N]` of the means of regions `[B, N, C]`."""
        z = tf.nn.relu(tf.einsum("bnc,nch->bnh", inputs, self.W1) + self.b1)
        return tf.sigmoid(tf.einsum("bnh,nhi->bn", z, self.W2) + self.b2)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "count": self.count, "units": self.units}


@keras.saving.register_keras_serializable("deepcoder_tf")
class GatedPatches(keras.layers.Layer):
    """Patch-gated units: for each patch a convolution, a code, and the gate that scales it.

        u_n = relu(conv_n(patch_n)),    code_n = relu(W_n u_n + b_n) gate_n(mean of u_n)

    Every patch has weights of its own.

    Differs from the paper: one convolution where it has two of 512 filters (113 million weights for
    24 patches), and the gate sees the mean of the convolution without a further one.

    Args:
      count: N, number of patches.
      filters: of the convolution, and size of a patch's code.

    Source: Li, Zeng, Shan and Chen, see `Gate`.
    """

    def __init__(self, count: int, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.count = count
        self.filters = filters
        self.gate = Gate(count, name="gate")

    def build(self, input_shape) -> None:
        """Creates the weights for patches `[B, N, P, P, C]`."""
        N, F, (side, _, C) = self.count, self.filters, input_shape[-3:]
        self.K = self.add_weight(
            shape=(N, KERNEL, KERNEL, C, F), initializer=each_he_normal, name="kernel"
        )
        self.b = self.add_weight(shape=(N, F), initializer="zeros", name="bias")
        self.W = self.add_weight(
            shape=(N, side * side * F, F), initializer=each_he_normal, name="W"
        )
        self.c = self.add_weight(shape=(N, F), initializer="zeros", name="code_bias")
        self.gate.build((None, N, F))

    def convolved(self, patches: tf.Tensor) -> tf.Tensor:
        """u, `[B, N, P, P, F]`: a padded convolution whose kernel differs from patch to patch."""
        # A small convolution for each patch: the libraries have no batched one, and shifting
        # products of all patches at once took four times as long.
        K, bias = tf.convert_to_tensor(self.K), tf.convert_to_tensor(self.b)
        each = [
            tf.nn.conv2d(patch, kernel, 1, "SAME")
            for patch, kernel in zip(
                tf.unstack(patches, self.count, axis=1), tf.unstack(K), strict=True
            )
        ]
        return tf.nn.relu(tf.stack(each, axis=1) + bias[:, tf.newaxis, tf.newaxis])

    def call(self, patches: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes `[B, N, F]`, and their gates `[B, N]`, of patches `[B, N, P, P, C]`."""
        u = self.convolved(patches)
        side = patches.shape[-2]
        flat = tf.reshape(u, (-1, self.count, side * side * self.filters))
        codes = tf.nn.relu(tf.einsum("bnk,nkf->bnf", flat, self.W) + self.c)
        gates = self.gate(tf.reduce_mean(u, axis=[2, 3]))
        return codes * gates[..., tf.newaxis], gates

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "count": self.count, "filters": self.filters}


def each_he_normal(shape: tuple[int, ...], dtype: str | None = None) -> tf.Tensor:
    """He's normal for each region by itself: the first axis counts regions, the last outputs."""
    deviation = math.sqrt(2.0 / math.prod(shape[1:-1]))
    return keras.initializers.RandomNormal(stddev=deviation)(shape, dtype)
