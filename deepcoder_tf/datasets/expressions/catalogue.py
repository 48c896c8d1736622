"""One door to every reader of expressions."""

from __future__ import annotations

from pathlib import Path

from deepcoder_tf.datasets.expressions.affectnet import read_affectnet
from deepcoder_tf.datasets.expressions.ckplus import read_ckplus
from deepcoder_tf.datasets.expressions.ferplus import read_ferplus
from deepcoder_tf.datasets.expressions.folders import read_folders
from deepcoder_tf.datasets.expressions.manifest import read_expression_manifest
from deepcoder_tf.datasets.expressions.sources import ExpressionSource

__all__ = ["EXPRESSION_DATASETS", "read_expressions"]

EXPRESSION_DATASETS = ("affectnet", "ckplus", "ferplus", "folders", "expression_manifest")
"""Names of the layouts that can be read."""


def read_expressions(dataset: str, path: Path, landmarks: bool = False) -> ExpressionSource:
    """Reads a data set's layout and labels; opens no picture.

    Args:
      dataset: one of `EXPRESSION_DATASETS`.
      path: the data set's folder, or the manifest.
      landmarks: read landmarks that the data set gives, too.

    Returns:
      Its samples.

    Raises:
      UserError: lists everything that is wrong with the data.
      ValueError: an unknown data set.
    """
    if dataset == "affectnet":
        return read_affectnet(path, landmarks)
    if dataset == "ckplus":
        return read_ckplus(path)
    if dataset == "ferplus":
        return read_ferplus(path)
    if dataset == "folders":
        return read_folders(path)
    if dataset == "expression_manifest":
        return read_expression_manifest(path)
    raise ValueError(f"data set {dataset!r} is not one of {', '.join(EXPRESSION_DATASETS)}")
