"""Keras layers that the coders are built of."""

from deepcoder_tf.layers.gaussian import GaussianHead, sample
from deepcoder_tf.layers.pooling import PooledConv2D
from deepcoder_tf.layers.upsampling import UpsampleConv2D

__all__ = ["GaussianHead", "PooledConv2D", "UpsampleConv2D", "sample"]
