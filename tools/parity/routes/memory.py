"""The model in memory, as training and evaluation use it: what all routes are compared with."""

from __future__ import annotations

import json

import tensorflow as tf

from deepcoder_tf.export import CARD
from deepcoder_tf.export.signatures import signatures_of
from deepcoder_tf.training.run import load_model
from tools.parity.route import Limit, Outputs, Question, Route, UnavailableError

__all__ = ["ROUTE", "ask"]


def ask(question: Question) -> Outputs:
    """Runs the layers one by one on the weights of the run's folder."""
    model, _ = load_model(question.model_dir)
    card = json.loads((question.export / CARD).read_text(encoding="utf-8"))
    for signature in signatures_of(model, card):
        if signature.name == question.signature:
            given = [tf.constant(question.inputs[spec.name]) for spec in signature.inputs]
            return {name: value.numpy() for name, value in signature.answer(*given).items()}
    raise UnavailableError(f"the model in memory has no {question.signature}")


ROUTE = Route("memory", "Keras layers, eager", Limit(0.0), ask, every_signature=True)
