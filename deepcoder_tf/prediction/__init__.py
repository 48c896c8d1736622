"""From photos, folders and videos to action units or expressions: `Predictor` is the door."""

from __future__ import annotations

from deepcoder_tf.prediction.predictor import Predictor
from deepcoder_tf.prediction.rows import (
    ActionUnit,
    AUPrediction,
    ExpressionPrediction,
    FacePrediction,
)
from deepcoder_tf.prediction.run import PredictionRun, predict_to_csv

__all__ = [
    "AUPrediction",
    "ActionUnit",
    "ExpressionPrediction",
    "FacePrediction",
    "PredictionRun",
    "Predictor",
    "predict_to_csv",
]
