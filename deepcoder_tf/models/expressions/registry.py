"""From a configuration to its recogniser: the one place that knows every row."""

from __future__ import annotations

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.expressions.baseline import Baseline
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.dlp_cnn import DLPCNN
from deepcoder_tf.models.expressions.gated_attention import GatedAttention
from deepcoder_tf.models.expressions.latent_truth import LatentTruth
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.models.expressions.vgg16_classifier import VGG16Classifier
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["ROWS", "build_recogniser"]

ROWS: dict[str, type[ExpressionSystem]] = {
    "disentangled": Disentangler,
    "baseline": Baseline,
    "expression_vgg16": VGG16Classifier,
    "dlp_cnn": DLPCNN,
    "ipa2lt": LatentTruth,
    "gacnn": GatedAttention,
}
"""The class of each `--system`."""


def build_recogniser(
    config: RecogniserConfig, size: int, channels: int, identities: int = 0
) -> ExpressionSystem:
    """The recogniser that `config.system` names, with all its weights at random.

    Args:
      config: every option.
      size: side of the stored pictures, pixels.
      channels: of the stored pictures, 1 or 3.
      identities: number of people in the training pictures; 0 where they are not known.

    Returns:
      The recogniser, built.

    Raises:
      UserError: options that do not fit together or to the data.
    """
    try:
        system = ROWS[config.system](config, size, channels, identities)
        system.build(None)
    except ValueError as error:
        raise UserError(f"--system={config.system}: {error}") from error
    return system
