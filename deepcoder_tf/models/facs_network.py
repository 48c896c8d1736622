"""CNN and OR-CNN: the FACS network of Gudi et al., with a softmax or with ranks on top."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.coders.label_head import LabelHead
from deepcoder_tf.config import Config
from deepcoder_tf.models.feature_system import Extractor
from deepcoder_tf.models.network import Network
from deepcoder_tf.models.rank_head import RankHead
from deepcoder_tf.preprocessing.scale import area_resize

__all__ = ["FACSNetwork", "FACSTrunk", "facs_trunk"]

LARGEST_INPUT = (60, 40)
"""Rows and columns that the first convolution sees at most."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class FACSTrunk(Extractor):
    """Three convolutions, max pooling and one fully connected layer, whose units are features.

    Args:
      image_shape: `(H, W)` of the grey input, pixels.
      filters: of each convolution.
      kernels: side of each convolution, pixels.
      pools: for each convolution, whether a 3x3 max pooling of stride 2 follows.
      feature_dim: F, units of the fully connected layer; DeepCoder's deep features have 2000.
      dropout: share of the inputs of the fully connected layer and of its features that a training
        step leaves out.

    Source: Gudi, Tasli, den Uyl, Maroulis, Deep learning based FACS action unit occurrence and
    intensity estimation, FG 2015. Of the layers its abstract says: seven with input and output,
    three of them convolutions, one a max pooling. Numbers and sizes of the filters are options
    here; their defaults are ours, of the size usual then.
    Differs from that paper: larger inputs are averaged down to 60x40 pixels, the shape of the crops
    at about as many pixels as the faces of some fifty rows that such networks were made for, and
    the last convolution is pooled too; without both, the fully connected layer alone would have
    over 10^8 weights.
    """

    def __init__(
        self,
        image_shape: tuple[int, int],
        filters: tuple[int, ...],
        kernels: tuple[int, ...],
        pools: tuple[int, ...],
        feature_dim: int,
        dropout: float = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.image_shape = tuple(image_shape)
        self.filters = tuple(filters)
        self.kernels = tuple(kernels)
        self.pools = tuple(pools)
        self.feature_dim = feature_dim
        self.dropout = dropout
        self.convolutions = [
            keras.layers.Conv2D(
                count,
                side,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"convolution_{i}",
            )
            for i, (count, side) in enumerate(zip(self.filters, self.kernels, strict=True))
        ]
        self.dense = keras.layers.Dense(
            feature_dim, activation="relu", kernel_initializer="he_normal", name="dense"
        )

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """`(H, W)` before each convolution, and after the last."""
        rows, columns = (
            min(side, largest)
            for side, largest in zip(self.image_shape, LARGEST_INPUT, strict=True)
        )
        sizes = [(rows, columns)]
        for pool in self.pools:
            rows, columns = (-(-rows // 2), -(-columns // 2)) if pool else (rows, columns)
            sizes.append((rows, columns))
        return sizes

    @property
    def code_size(self) -> int:
        """Number of values that enter the fully connected layer."""
        height, width = self.sizes[-1]
        return height * width * self.filters[-1]

    def build(self, input_shape=None) -> None:
        """Creates every weight; the shapes follow from the constructor."""
        channels = 1
        for i, layer in enumerate(self.convolutions):
            layer.build((None, *self.sizes[i], channels))
            channels = self.filters[i]
        self.dense.build((None, self.code_size))

    def features(
        self,
        images: tf.Tensor,
        landmarks: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Features `[B, F]` float32, not negative, of images `[B, H, W, 1]` in -1..1.

        Args:
          images: the model's input.
          landmarks: not looked at.
          seed: `[2]` int32, of the dropout in a training step; None outside training.

        Returns:
          The activations of the fully connected layer.
        """
        del landmarks
        z = area_resize(images, *self.sizes[0])
        for layer, pool in zip(self.convolutions, self.pools, strict=True):
            z = layer(z)
            if pool:
                z = tf.nn.max_pool2d(z, ksize=3, strides=2, padding="SAME")
        z = self.drop(tf.reshape(z, (-1, self.code_size)), seed, 1)
        return self.drop(self.dense(z), seed, 2)

    def drop(self, z: tf.Tensor, seed: tf.Tensor | None, place: int) -> tf.Tensor:
        """Leaves out a share of the values in a training step."""
        if seed is None or not self.dropout:
            return z
        return tf.nn.experimental.stateless_dropout(z, self.dropout, seed + place)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "filters": self.filters,
            "kernels": self.kernels,
            "pools": self.pools,
            "feature_dim": self.feature_dim,
            "dropout": self.dropout,
        }


def facs_trunk(config: Config) -> FACSTrunk:
    """The trunk that the `cnn_*` options describe, for a network or as an extractor of features.

    Args:
      config: sizes and options.

    Returns:
      The trunk, not yet built. `twin.set_weights(trunk.get_weights())` hands its weights on.
    """
    return FACSTrunk(
        (config.image_height, config.image_width),
        config.cnn_filters,
        config.cnn_kernels,
        config.cnn_pools,
        config.cnn_features,
        config.dropout,
        name="trunk",
    )


@keras.saving.register_keras_serializable("deepcoder_tf")
class FACSNetwork(Network):
    """The trunk with a softmax per action unit (`cnn`), or with ranks (`or_cnn`).

    Args:
      config: a `Config`, or its fields as a mapping.
      outputs: Q.
      points: 0.

    Attributes:
      trunk: the extractor of deep features.
    """

    def __init__(self, config: Config | dict, outputs: int, points: int = 0, **kwargs) -> None:
        super().__init__(config, outputs, points, **kwargs)
        self.trunk = facs_trunk(self.config)
        if self.config.system == "or_cnn":
            self.head = RankHead(outputs, name="head")
        else:
            self.head = LabelHead(outputs, LEVELS, "softmax", name="head")

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        self.trunk.build(None)
        self.head.build((None, self.trunk.feature_dim))

    def features(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """The trunk's features `[B, F]` of images `[B, H, W, 1]`."""
        return self.trunk.features(images, seed=seed)
