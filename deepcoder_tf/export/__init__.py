"""From a trained model to files that other programs load."""

from deepcoder_tf.export.parity import check_parity
from deepcoder_tf.export.savedmodel import CARD, export_model, next_version

__all__ = ["CARD", "check_parity", "export_model", "next_version"]
