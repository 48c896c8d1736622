"""Systems assembled from coders."""

from deepcoder_tf.models.deepcoder import DeepCoder, build_coders, summarise_levels

__all__ = ["DeepCoder", "build_coders", "summarise_levels"]
