"""A coder that sees features in the place of the code of a coder above it."""

from __future__ import annotations

import keras
import tensorflow as tf

from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.config import Config
from deepcoder_tf.models.deepcoder import build_gp_coder
from deepcoder_tf.models.feature_system import Head
from deepcoder_tf.models.regression import normalised
from deepcoder_tf.models.vae_dgp import VAEDGP
from deepcoder_tf.types import LevelPrediction

__all__ = ["CoderHead", "vae_dgp_head", "vogpae_head"]


@keras.saving.register_keras_serializable("deepcoder_tf")
class CoderHead(Head):
    """Features -> q(Z) -> levels, by one coder alone.

    Args:
      coder: whose input are the features; a VO-GPAE (Eleftheriadis et al., ACCV 2016) or a VAE-DGP.
    """

    def __init__(self, coder: Coder, **kwargs) -> None:
        super().__init__(**kwargs)
        self.coder = coder

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Creates every weight of the coder.

        Raises:
          ValueError: the coder wants another number of features.
        """
        if input_shape[-1] != self.coder.input_dims:
            raise ValueError(
                f"{type(self.coder).__name__} wants {self.coder.input_dims} features, "
                f"the extractor gives {input_shape[-1]}"
            )
        if not self.coder.built:  # as it is when it comes from a saved configuration
            self.coder.build(None)

    def predict(self, features: tf.Tensor) -> LevelPrediction:
        """The levels as the coder reads them off its code of the features."""
        q = self.coder.encode(features)
        regression = self.coder.regression(q) if isinstance(self.coder, VAEDGP) else None
        return LevelPrediction(normalised(self.coder.level_probabilities(q)), regression)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "coder": keras.saving.serialize_keras_object(self.coder)}

    @classmethod
    def from_config(cls, config: dict) -> CoderHead:
        """The inverse of `get_config`."""
        coder = keras.saving.deserialize_keras_object(config["coder"])
        return cls(**{**config, "coder": coder})


def vogpae_head(config: Config, features: int, outputs: int, points: int) -> CoderHead:
    """VO-GPAE on features; its latent dimensions are those of the last coder of `--coders`.

    Args:
      config: every option.
      features: F.
      outputs: Q.
      points: N_L, training frames that the coder owns, or the anchors of `--gp=sparse`.

    Returns:
      The head.
    """
    latent_dim = config.stack[-1].latent_dim
    return CoderHead(build_gp_coder(config, features, latent_dim, outputs, points, "vogpae"))


def vae_dgp_head(config: Config, features: int, outputs: int) -> CoderHead:
    """VAE-DGP on features.

    Args:
      config: every option.
      features: F.
      outputs: Q.

    Returns:
      The head.
    """
    return CoderHead(
        VAEDGP(
            features,
            config.dgp_latents,
            config.dense_units,
            outputs,
            config.dgp_inducing,
            config.gp_init,
            config.seed,
            name="vae_dgp",
        )
    )
