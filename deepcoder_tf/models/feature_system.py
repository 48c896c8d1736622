"""Systems that see features of a face instead of its pixels: an extractor, and a head on top."""

from __future__ import annotations

import abc

import keras
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.models.system import System
from deepcoder_tf.types import LevelPrediction

__all__ = ["Extractor", "FeatureSystem", "Head"]


class Extractor(keras.layers.Layer, abc.ABC):
    """From the model's input to features, frozen while the head is trained.

    Attributes:
      feature_dim: F.
      needs_landmarks: whether registered landmarks are wanted beside the picture.
    """

    feature_dim: int
    needs_landmarks: bool = False

    @abc.abstractmethod
    def features(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> tf.Tensor:
        """Features `[B, F]` float32 of images `[B, H, W, 1]` in -1..1."""


class Head(keras.layers.Layer, abc.ABC):
    """From features to levels; owns whatever standardisation it needs, as constants."""

    @abc.abstractmethod
    def predict(self, features: tf.Tensor) -> LevelPrediction:
        """The prediction for features `[B, F]` float32."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class FeatureSystem(System):
    """A head on a frozen extractor.

    Args:
      config: a `Config`, or its fields as a mapping.
      outputs: Q.
      points: N_L, training frames that a Gaussian process owns; 0 where there is none.
      extractor: of the features.
      head: on them.
    """

    def __init__(
        self,
        config: Config | dict,
        outputs: int,
        points: int,
        *,
        extractor: Extractor,
        head: Head,
        **kwargs,
    ) -> None:
        super().__init__(config, outputs, points, **kwargs)
        self.extractor = extractor
        self.head = head
        self.needs_landmarks = extractor.needs_landmarks

    def build(self, input_shape=None) -> None:
        """Creates every weight of the extractor and of the head."""
        self.extractor.build(None)
        self.head.build((None, self.extractor.feature_dim))

    def features(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> tf.Tensor:
        """Features `[B, F]` of the model's input."""
        return self.extractor.features(images, landmarks)

    def predict(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> LevelPrediction:
        """What the head makes of the features."""
        return self.head.predict(self.features(images, landmarks))

    def get_config(self) -> dict:
        """The constructor's arguments."""
        parts: dict[str, keras.layers.Layer] = {"extractor": self.extractor, "head": self.head}
        return {
            **super().get_config(),
            **{
                name: [keras.saving.get_registered_name(type(part)), part.get_config()]
                for name, part in parts.items()
            },
        }

    @classmethod
    def from_config(cls, config: dict) -> FeatureSystem:
        """The inverse of `get_config`; unlike Keras's own, its parts are not built yet."""
        parts = {
            name: keras.saving.get_registered_object(config[name][0]).from_config(config[name][1])
            for name in ("extractor", "head")
        }
        return cls(**{**config, **parts})
