"""What happens to stored images on their way into a training step."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.preprocessing.augment import AugmentConfig, augment
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.types import Gaussian

__all__ = ["augmentation_of", "make_prepare"]


def make_prepare(config: Config) -> Callable[[Gaussian, tf.Tensor], Gaussian]:
    """From stored images and a seed to the scaled and augmented input of the top coder.

    Args:
      config: the `augment_*` options.

    Returns:
      A function of (images as a `Gaussian` without variance, seed `[2]`).
    """
    options = augmentation_of(config)
    active = any(vars(options).values())

    def prepare(z_in: Gaussian, seed: tf.Tensor) -> Gaussian:
        images = to_unit_range(z_in.mean)
        return Gaussian(augment(images, seed, options) if active else images, None)

    return prepare


def augmentation_of(config: Config | RecogniserConfig) -> AugmentConfig:
    """The `augment_*` options."""
    return AugmentConfig(
        shift=config.augment_shift,
        scale=config.augment_scale,
        rotation=config.augment_rotation,
        contrast=config.augment_contrast,
        brightness=config.augment_brightness,
        blur=config.augment_blur,
        flip=config.augment_flip,
    )
