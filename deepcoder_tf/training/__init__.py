"""Trainers: Algorithm 1 and those of the other systems; steps, balanced batches, checkpoints."""

from deepcoder_tf.training.loop import Algorithm1
from deepcoder_tf.training.registry import make_trainer
from deepcoder_tf.training.trainer import Progress, Report, Trainer

__all__ = ["Algorithm1", "Progress", "Report", "Trainer", "make_trainer"]
