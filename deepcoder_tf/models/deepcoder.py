"""DeepCoder: a stack of coders, top first, as one model from crops to intensities (Algorithm 1)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from deepcoder_tf.coders.coder import Coder
from deepcoder_tf.coders.conv_vae import ConvVAE
from deepcoder_tf.coders.dense_vae import DenseVAE
from deepcoder_tf.coders.gp_coder import GPCoder
from deepcoder_tf.coders.sparse_vogpae import SparseVOGPAE
from deepcoder_tf.coders.vogpae import VOGPAE
from deepcoder_tf.config import Config
from deepcoder_tf.models.system import System
from deepcoder_tf.types import Gaussian, LevelPrediction

__all__ = ["DeepCoder", "build_coders", "build_gp_coder"]


def build_gp_coder(
    config: Config, input_dims: int, latent_dim: int, outputs: int, points: int, name: str
) -> GPCoder:
    """The GP coder that a configuration names.

    Args:
      config: options; `gp=sparse` makes the one that trains on all frames.
      input_dims: D0.
      latent_dim: D1.
      outputs: Q, number of action units.
      points: frames that it owns: N_L, or the anchors of the sparse one.
      name: of the layer.

    Returns:
      The coder.
    """
    options: dict[str, Any] = {
        "init": config.gp_init,
        "lengthscale_factor": config.gp_lengthscale,
        "expectation": config.expectation,
        "z0_uncertainty": config.z0_uncertainty,
        "tie_variance": config.tie_variance,
        "head_steps": config.gp_head_steps,
        "head_prior": config.gp_head_prior,
        "head_codes": config.gp_head_codes,
        "seed": config.seed,
        "name": name,
    }
    sizes = points, input_dims, latent_dim, outputs
    if config.gp == "sparse":
        inducing = min(config.gp_inducing_decoder, points)
        return SparseVOGPAE(*sizes, inducing=inducing, **options)
    return VOGPAE(*sizes, test_variance=config.test_variance, **options)


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
        bottom = coders and n == len(config.stack) - 1
        head = config.bottom_head if bottom else config.label_head
        if spec.kind == "conv":
            coder: Coder = ConvVAE(
                (config.image_height, config.image_width),
                config.filters,
                config.pools,
                config.kernel_size,
                spec.latent_dim,
                outputs,
                head,
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
                head,
                name=f"coder_{n}",
            )
        else:
            coder = build_gp_coder(
                config, above, spec.latent_dim, outputs, points, name=f"coder_{n}"
            )
        coders.append(coder)
    return coders


@keras.saving.register_keras_serializable("deepcoder_tf")
class DeepCoder(System):
    """The stack: X -> Z0 -> ... -> ZN -> levels, and back up to X.

    Args:
      config: a `Config`, or its fields as a mapping.
      outputs: Q, number of action units.
      points: N_L, frames that a GP coder owns.

    Source: DeepCoder, Section 3 and Algorithm 1, "Inference".
    """

    def __init__(self, config: Config | dict, outputs: int, points: int, **kwargs) -> None:
        super().__init__(config, outputs, points, **kwargs)
        self.coders = build_coders(self.config, outputs, points)

    def build(self, input_shape=None) -> None:
        """Creates every weight of every coder."""
        for coder in self.coders:
            coder.build(None)

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

    def predict(self, images: tf.Tensor, landmarks: tf.Tensor | None = None) -> LevelPrediction:
        """The levels as the last coder reads them off its code."""
        del landmarks
        return LevelPrediction(self.level_probabilities(self.encode(images)[-1]))
