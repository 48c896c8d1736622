"""From a configuration to its system: the one place that knows every row of the table."""

from __future__ import annotations

from deepcoder_tf.config import STACKS, Config
from deepcoder_tf.models.coder_head import vae_dgp_head, vogpae_head
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.facs_network import FACSNetwork, facs_trunk
from deepcoder_tf.models.feature_system import Extractor, FeatureSystem, Head
from deepcoder_tf.models.gp_regression import GPHead
from deepcoder_tf.models.lbp_landmarks import LBPLandmarks
from deepcoder_tf.models.linear import MLRHead, SORHead
from deepcoder_tf.models.system import System
from deepcoder_tf.models.vgg16 import VGG16Network

__all__ = ["build_system"]


def build_system(config: Config, outputs: int, points: int = 0) -> System:
    """The system that `config.system` names, with all its weights.

    Args:
      config: every option.
      outputs: Q, number of action units.
      points: N_L, training frames that a Gaussian process owns; 0 where there is none.

    Returns:
      The system, built.
    """
    system = make_system(config, outputs, points)
    system.build(None)
    return system


def make_system(config: Config, outputs: int, points: int) -> System:
    """The system without its weights."""
    if config.system in STACKS:
        return DeepCoder(config, outputs, points)
    if config.system in ("cnn", "or_cnn"):
        return FACSNetwork(config, outputs, points)
    if config.system == "vgg16":
        return VGG16Network(config, outputs, points)
    return feature_system(config, outputs, points)


def feature_system(config: Config, outputs: int, points: int) -> FeatureSystem:
    """A head on deep features, or on LBP and landmarks, without weights."""
    extractor = make_extractor(config)
    return FeatureSystem(
        config,
        outputs,
        points,
        extractor=extractor,
        head=make_head(config, extractor.feature_dim, outputs, points),
    )


def make_extractor(config: Config) -> Extractor:
    """What `config.features` names."""
    if config.features == "lbp":
        return LBPLandmarks(config.lbp_rows, config.lbp_columns, name="lbp_landmarks")
    return facs_trunk(config)


def make_head(config: Config, features: int, outputs: int, points: int) -> Head:
    """What `config.system` names, on F features."""
    if config.system == "vogpae":
        return vogpae_head(config, features, outputs, points)
    if config.system == "vae_dgp":
        return vae_dgp_head(config, features, outputs)
    if config.system == "mlr":
        return MLRHead(outputs, name="head")
    if config.system == "sor":
        return SORHead(outputs, config.sor_link, name="head")
    return GPHead(outputs, points, config.gp_kernel, name="head")
