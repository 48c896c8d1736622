"""The composition root: one function per command, usable without a shell.

    train -> evaluate -> export

Preparation (`datasets.prepare`), synthesis (`synthesis.synthesize`) and prediction
(`prediction.Predictor`) stand on their own.
"""

from deepcoder_tf.experiment.evaluating import evaluate
from deepcoder_tf.experiment.exporting import export
from deepcoder_tf.experiment.running import train

__all__ = ["evaluate", "export", "train"]
