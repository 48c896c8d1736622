"""From a system to the trainer that fits it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepcoder_tf.models.coder_head import CoderHead
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.feature_system import FeatureSystem
from deepcoder_tf.models.gp_regression import GPHead
from deepcoder_tf.models.linear import MLRHead, SORHead
from deepcoder_tf.models.network import Network
from deepcoder_tf.models.system import System
from deepcoder_tf.training.coder_on_features import CoderOnFeatures
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.feature_training import FeatureTrainer
from deepcoder_tf.training.loop import Algorithm1
from deepcoder_tf.training.network import NetworkTrainer
from deepcoder_tf.training.regression_training import GPTrainer, MLRTrainer, SORTrainer
from deepcoder_tf.training.trainer import Report, Trainer

__all__ = ["make_trainer"]

FEATURE_TRAINERS: dict[type, type[FeatureTrainer]] = {
    MLRHead: MLRTrainer,
    SORHead: SORTrainer,
    GPHead: GPTrainer,
    CoderHead: CoderOnFeatures,
}
"""The trainer of each head on features."""


def make_trainer(
    model: System,
    frames: Frames,
    subset: np.ndarray,
    folder: Path,
    validate: Callable[..., dict[str, float]],
    report: Callable[[Report], None],
) -> Trainer:
    """The trainer of a system.

    Args:
      model: built.
      frames: the training frames of all training subjects.
      subset: rows of X_L, which a Gaussian process owns; empty where there is none.
      folder: of the run.
      validate: see `Trainer`; Algorithm 1 gives it the codes of X_L too.
      report: see `Trainer`.

    Returns:
      The trainer; `fit` runs it.
    """
    if isinstance(model, DeepCoder):
        return Algorithm1(model, frames, subset, folder, validate, report)
    if isinstance(model, Network):
        return NetworkTrainer(model, frames, folder, validate, report)
    assert isinstance(model, FeatureSystem)
    trainer = FEATURE_TRAINERS[type(model.head)]
    return trainer(model, frames, subset, folder, validate, report)
