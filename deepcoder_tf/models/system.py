"""What every system of the bench is: crops in, a distribution over levels out."""

from __future__ import annotations

import abc
import dataclasses

import keras
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.config import Config
from deepcoder_tf.preprocessing.scale import model_input
from deepcoder_tf.types import LevelPrediction

__all__ = ["System", "summarise_levels"]


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


class System(keras.layers.Layer, abc.ABC):
    """One row of the table: trained by a `Trainer`, saved, evaluated and exported like all others.

    A system is made by its class from `config`, `outputs` and `points` alone; `build(None)` creates
    every weight, so that a run's folder can be read without the data it was trained on.

    Args:
      config: a `Config`, or its fields as a mapping.
      outputs: Q, number of action units.
      points: N_L, training frames that a Gaussian process owns; 0 where there is none.

    Attributes:
      needs_landmarks: whether `predict` wants registered landmarks beside the picture.
    """

    needs_landmarks: bool = False

    def __init__(self, config: Config | dict, outputs: int, points: int = 0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.config = config if isinstance(config, Config) else Config.from_mapping(config)
        self.outputs = outputs
        self.points = points

    def images(self, crops: tf.Tensor) -> tf.Tensor:
        """Aligned crops `[B, 240, 160, 1]` uint8 to the model's input, equalised and resized."""
        return model_input(crops, self.config.image_height, self.config.image_width)

    @abc.abstractmethod
    def predict(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> LevelPrediction:
        """The prediction for the model's input, outside training.

        Args:
          images: `[B, H, W, 1]` float32 in -1..1, as `images` makes them.
          landmarks: `[B, 49, 2]` float32, registered, crop pixels (x, y); None where the system
            does not need them.

        Returns:
          float32; the rows of the probabilities sum to 1.
        """

    def call(self, crops: tf.Tensor, landmarks: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """Intensities and their uncertainty.

        Args:
          crops: `[B, 240, 160, 1]` uint8 grey aligned crops.
          landmarks: as in `predict`.

        Returns:
          As `summarise_levels`.
        """
        return summarise_levels(self.predict(self.images(crops), landmarks).probabilities)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "config": dataclasses.asdict(self.config),
            "outputs": self.outputs,
            "points": self.points,
        }
