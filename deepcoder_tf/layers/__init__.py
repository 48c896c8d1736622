"""Keras layers that the coders are built of."""

from deepcoder_tf.layers.gaussian import GaussianHead, sample
from deepcoder_tf.layers.upsampling import UpsampleConv2D

__all__ = ["GaussianHead", "UpsampleConv2D", "sample"]
