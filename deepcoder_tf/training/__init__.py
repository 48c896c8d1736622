"""Steps, balanced batches, checkpoints and Algorithm 1."""

from deepcoder_tf.training.loop import Algorithm1, Progress, Report

__all__ = ["Algorithm1", "Progress", "Report"]
