"""From a configuration to its system: the one place that knows every row of the table."""

from __future__ import annotations

from deepcoder_tf.config import STACKS, Config
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.facs_network import FACSNetwork
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
    raise NotImplementedError(config.system)
