"""The SavedModel, loaded by TensorFlow in Python."""

from __future__ import annotations

import tensorflow as tf

from tools.parity.route import Limit, Outputs, Question, Route

__all__ = ["ROUTE", "ask"]


def ask(question: Question) -> Outputs:
    """Calls the signature."""
    loaded = tf.saved_model.load(str(question.export))
    given = {name: tf.constant(value) for name, value in question.inputs.items()}
    answer = loaded.signatures[question.signature](**given)
    return {name: value.numpy() for name, value in answer.items()}


ROUTE = Route(
    "saved_model", "tf.saved_model.load in Python", Limit(1e-5), ask, every_signature=True
)
