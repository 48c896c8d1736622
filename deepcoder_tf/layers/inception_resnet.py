"""The layers that Inception-ResNet-V1 is built of: normalised units, and blocks of branches."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

__all__ = ["EPSILON", "ConvBatchNorm", "DenseBatchNorm", "InceptionBlock", "ResidualBlock", "Unit"]

EPSILON = 0.001
"""Added to the variance by batch normalisation, as FaceNet was trained."""

MOMENTUM = 0.995


class Unit(NamedTuple):
    """One convolution of a branch, named as in the literature.

    Attributes:
      name: such as `Conv2d_0b_1x7`.
      filters: number of output channels.
      kernel: its height and width, pixels.
      strides: 1 keeps the size ("same"); 2 halves it ("valid").
    """

    name: str
    filters: int
    kernel: tuple[int, int]
    strides: int = 1


def strided(pixels: int | None, kernel: int, strides: int) -> int | None:
    """How many places a kernel has on a side of that many pixels."""
    return None if pixels is None else (pixels - kernel) // strides + 1


class BatchNormUnit(keras.layers.Layer, abc.ABC):
    """A linear map without bias, batch normalisation without scale, and perhaps a ReLU.

    Args:
      relu: whether a ReLU follows.
      folded: a bias stands in the place of batch normalisation, whose statistics are then part of
        kernel and bias. The same function as long as the statistics are constant, and the only
        way to train weights that came without them. No faster on a processor: a step takes the
        same time within the noise.
    """

    def __init__(self, relu: bool = True, folded: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.relu = relu
        self.folded = folded
        if not folded:
            self.norm = keras.layers.BatchNormalization(
                scale=False, epsilon=EPSILON, momentum=MOMENTUM, name="BatchNorm"
            )

    @abc.abstractmethod
    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The linear map, then `finish`."""

    def create(self, kernel: tuple[int, ...]) -> None:
        """Creates the weights for a kernel of a shape whose last axis is the output."""
        self.kernel = self.add_weight(shape=kernel, initializer="glorot_uniform", name="kernel")
        if self.folded:
            self.bias = self.add_weight(shape=kernel[-1:], initializer="zeros", name="bias")
        else:
            self.norm.build((None,) * (len(kernel) - 1) + kernel[-1:])

    def finish(self, z: tf.Tensor, training: bool) -> tf.Tensor:
        """What follows the linear map."""
        if self.folded:
            z = tf.nn.bias_add(z, tf.convert_to_tensor(self.bias))
        else:
            z = self.norm(z, training=training)
        return tf.nn.relu(z) if self.relu else z

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "relu": self.relu, "folded": self.folded}


@keras.saving.register_keras_serializable("deepcoder_tf")
class ConvBatchNorm(BatchNormUnit):
    """A convolution, batch normalisation and ReLU.

    Args:
      filters: number of output channels.
      kernel_size: height and width, pixels.
      strides: pixels.
      padding: `same` or `valid`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sequence[int],
        strides: int = 1,
        padding: str = "same",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.strides = strides
        self.padding = padding

    def build(self, input_shape) -> None:
        """Creates the weights for images `[B, H, W, C]`."""
        self.create((*self.kernel_size, input_shape[-1], self.filters))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[B, H, W, C]` to `[B, H', W', filters]`."""
        kernel = tf.convert_to_tensor(self.kernel)
        z = tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())
        return self.finish(z, training)

    def compute_output_shape(self, input_shape):
        """`(B, H', W', filters)`."""
        batch, *size, _ = input_shape
        cut = (1, 1) if self.padding == "same" else self.kernel_size
        height, width = (strided(n, k, self.strides) for n, k in zip(size, cut, strict=True))
        return (batch, height, width, self.filters)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": self.strides,
            "padding": self.padding,
        }


@keras.saving.register_keras_serializable("deepcoder_tf")
class DenseBatchNorm(BatchNormUnit):
    """A fully connected layer and batch normalisation.

    Args:
      units: number of outputs.
    """

    def __init__(self, units: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape) -> None:
        """Creates the weights for features `[B, F]`."""
        self.create((input_shape[-1], self.units))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[B, F]` to `[B, units]`."""
        return self.finish(tf.matmul(inputs, tf.convert_to_tensor(self.kernel)), training)

    def compute_output_shape(self, input_shape):
        """`(B, units)`."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}


def as_units(branches: Sequence[Sequence[Sequence]]) -> tuple[tuple[Unit, ...], ...]:
    """Branches from a configuration, where tuples have become lists."""
    return tuple(
        tuple(
            Unit(name, filters, (kernel[0], kernel[1]), strides)
            for name, filters, kernel, strides in branch
        )
        for branch in branches
    )


@keras.saving.register_keras_serializable("deepcoder_tf")
class InceptionBlock(keras.layers.Layer):
    """Branches of convolutions side by side, concatenated.

    Args:
      branches: the units of each branch, in order.
      pool: a last branch of 3x3 max pooling with stride 2: a reduction block.
      folded: see `ConvBatchNorm`.

    Source: Szegedy et al., Inception-v4, Inception-ResNet and the impact of residual connections
    on learning, AAAI 2017, Figures 7, 10-13.
    """

    def __init__(
        self,
        branches: Sequence[Sequence[Sequence]],
        pool: bool = False,
        folded: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.units = as_units(branches)
        self.pool = pool
        self.folded = folded
        self.branches = [
            keras.Sequential([self.unit(unit) for unit in units], name=f"Branch_{number}")
            for number, units in enumerate(self.units)
        ]

    def unit(self, unit: Unit) -> ConvBatchNorm:
        """The layer of one unit."""
        padding = "same" if unit.strides == 1 else "valid"
        return ConvBatchNorm(
            unit.filters, unit.kernel, unit.strides, padding, folded=self.folded, name=unit.name
        )

    def channels(self, inputs: int) -> int:
        """Number of channels after concatenation, of that many input channels."""
        return sum(units[-1].filters for units in self.units) + (inputs if self.pool else 0)

    def build(self, input_shape) -> None:
        """Creates the weights for images `[B, H, W, C]`."""
        for branch in self.branches:
            branch.build((None, None, None, input_shape[-1]))

    def concatenated(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """The branches' outputs, one behind the other in the last axis."""
        outputs = [branch(inputs, training=training) for branch in self.branches]
        if self.pool:
            outputs.append(tf.nn.max_pool2d(inputs, 3, 2, "VALID"))
        return tf.concat(outputs, axis=-1)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[B, H, W, C]` to `[B, H', W', channels(C)]`."""
        return self.concatenated(inputs, training)

    def compute_output_shape(self, input_shape):
        """`(B, H', W', channels(C))`."""
        shape = self.branches[0].compute_output_shape(input_shape)
        return (*shape[:-1], self.channels(input_shape[-1]))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "branches": [
                [[u.name, u.filters, list(u.kernel), u.strides] for u in units]
                for units in self.units
            ],
            "pool": self.pool,
            "folded": self.folded,
        }


@keras.saving.register_keras_serializable("deepcoder_tf")
class ResidualBlock(InceptionBlock):
    """An inception block whose scaled output is added to its input: Block35, Block17, Block8.

    x + scale * Conv2d_1x1(branches(x)), then a ReLU.

    Args:
      branches: the units of each branch, all of stride 1.
      scale: keeps the sum of many residuals from blowing up.
      relu: whether a ReLU follows.

    Source: as for `InceptionBlock`; Section 3.3 for the scale.
    """

    def __init__(
        self, branches: Sequence[Sequence[Sequence]], scale: float, relu: bool = True, **kwargs
    ) -> None:
        super().__init__(branches, **kwargs)
        self.scale = scale
        self.relu = relu

    def build(self, input_shape) -> None:
        """Creates the weights for images `[B, H, W, C]`."""
        super().build(input_shape)
        channels = input_shape[-1]
        self.up = keras.layers.Conv2D(channels, 1, name="Conv2d_1x1")
        self.up.build((None, None, None, self.channels(channels)))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[B, H, W, C]` to the same shape."""
        z = inputs + self.scale * self.up(self.concatenated(inputs, training))
        return tf.nn.relu(z) if self.relu else z

    def compute_output_shape(self, input_shape):
        """The same."""
        return tuple(input_shape)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        config = {**super().get_config(), "scale": self.scale, "relu": self.relu}
        del config["pool"]
        return config
