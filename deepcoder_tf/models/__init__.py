"""Systems behind one interface: the stack of coders, and every other row of the paper's Table 1."""

from deepcoder_tf.models.deepcoder import DeepCoder, build_coders
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.models.system import System, summarise_levels

__all__ = ["DeepCoder", "System", "build_coders", "build_system", "summarise_levels"]
