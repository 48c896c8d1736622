"""From photos, folders and videos to action units: `Predictor` is the door."""

from __future__ import annotations

from deepcoder_tf.prediction.predictor import Predictor
from deepcoder_tf.prediction.rows import ActionUnit, AUPrediction
from deepcoder_tf.prediction.run import PredictionRun, predict_to_csv

__all__ = ["AUPrediction", "ActionUnit", "PredictionRun", "Predictor", "predict_to_csv"]
