"""DeepCoder: a stack of coders, top first, as one model from crops to intensities (Algorithm 1)."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.coders.conv_vae import ConvVAE
from deepcoder_tf.coders.dense_vae import DenseVAE
from deepcoder_tf.coders.vogpae import VOGPAE
from deepcoder_tf.config import Config
from deepcoder_tf.preprocessing.scale import model_input
from deepcoder_tf.types import Gaussian

__all__ = ["DeepCoder", "build_coders", "summarise_levels"]


def build_coders(config: Config, outputs: int, points: int) -> list[Coder]:
    """The coders that a configuration names.

    Args:
      config: sizes and options.
      outputs: Q, number of action units.
      points: N_L, frames that a GP coder owns.

    Returns:
      Coders, top first.
    """
    coders: list[Coder] = []
    for n, spec in enumerate(config.stack):
        above = coders[-1].latent_dim if coders else 0
        if spec.kind == "conv":
            coder: Coder = ConvVAE(
                (config.image_height, config.image_width),
                config.filters,
                config.pools,
                config.kernel_size,
                spec.latent_dim,
                outputs,
                config.label_head,
                config.dropout,
                bool(config.pixel_path),
                name=f"coder_{n}",
            )
        elif spec.kind == "dense":
            coder = DenseVAE(
                above,
                config.dense_units,
                spec.latent_dim,
                outputs,
                config.label_head,
                name=f"coder_{n}",
            )
        else:
            coder = VOGPAE(
                points,
                above,
                spec.latent_dim,
                outputs,
                init=config.gp_init,
                lengthscale_factor=config.gp_lengthscale,
                expectation=config.expectation,
                z0_uncertainty=config.z0_uncertainty,
                tie_variance=config.tie_variance,
                test_variance=config.test_variance,
                seed=config.seed,
                name=f"coder_{n}",
            )
        coders.append(coder)
    return coders


def summarise_levels(probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
    """Everything that is said of an action unit, from one distribution over its levels.

    Presence is P(y >= 1) > 1/2, that is, the median level is not 0; the expected intensity is then
    above 1/2, so that presence and intensity cannot contradict each other.

    Args:
      probabilities: `[B, Q, L]`, rows that sum to 1.

    Returns:
      `intensity` `[B, Q]` expected level, `presence` `[B, Q]` int32, `standard_deviation` `[B, Q]`
      in levels, `level_probabilities` `[B, Q, L]`.
    """
    levels = tf.range(LEVELS, dtype=probabilities.dtype)
    intensity = tf.linalg.matvec(probabilities, levels)
    spread = tf.square(levels - intensity[..., tf.newaxis])
    return {
        "intensity": intensity,
        "presence": tf.cast(probabilities[..., 0] < 0.5, tf.int32),
        "standard_deviation": tf.sqrt(tf.reduce_sum(probabilities * spread, axis=-1)),
        "level_probabilities": probabilities,
    }


@keras.saving.register_keras_serializable("deepcoder_tf")
class DeepCoder(keras.layers.Layer):
    """The stack: X -> Z0 -> ... -> ZN -> levels, and back up to X.

    Args:
      config: a `Config`, or its fields as a mapping.
      outputs: Q, number of action units.
      points: N_L, frames that a GP coder owns.

    Source: DeepCoder, Section 3 and Algorithm 1, "Inference".
    """

    def __init__(self, config: Config | dict, outputs: int, points: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config = config if isinstance(config, Config) else Config.from_mapping(config)
        self.outputs = outputs
        self.points = points
        self.coders = build_coders(self.config, outputs, points)

    def build(self, input_shape=None) -> None:
        """Creates every weight of every coder."""
        for coder in self.coders:
            coder.build(None)

    def images(self, crops: tf.Tensor) -> tf.Tensor:
        """Aligned crops `[B, 240, 160, 1]` uint8 to the model's input, equalised and resized."""
        return model_input(crops, self.config.image_height, self.config.image_width)

    def encode(self, images: tf.Tensor) -> list[Gaussian]:
        """q(Z0|X), q(Z1|Z0), ...; each coder sees the mean of the code above it."""
        codes: list[Gaussian] = []
        z = images
        for coder in self.coders:
            codes.append(coder.encode(z))
            z = codes[-1].mean
        return codes

    def decode(self, code: tf.Tensor) -> tf.Tensor:
        """The image `[B, H, W, 1]` of a code `[B, D_N]` of the last coder."""
        for coder in reversed(self.coders):
            code = coder.decode(code).mean
        return code

    def level_probabilities(self, code: Gaussian) -> tf.Tensor:
        """p(y = s) `[B, Q, L]` from the code of the last coder, float32, rows that sum to 1."""
        p = tf.cast(self.coders[-1].level_probabilities(code), tf.float32)
        return p / tf.reduce_sum(p, axis=-1, keepdims=True)

    def call(self, crops: tf.Tensor) -> dict[str, tf.Tensor]:
        """Intensities and their uncertainty.

        Args:
          crops: `[B, 240, 160, 1]` uint8 grey aligned crops.

        Returns:
          As `summarise_levels`.
        """
        code = self.encode(self.images(crops))[-1]
        return summarise_levels(self.level_probabilities(code))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "outputs": self.outputs,
            "points": self.points,
        }
