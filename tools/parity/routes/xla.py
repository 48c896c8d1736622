"""The SavedModel, compiled as a whole by XLA: fused kernels, another order of sums."""

from __future__ import annotations

import tensorflow as tf

from tools.parity.route import Limit, Outputs, Question, Route

__all__ = ["ROUTE", "ask"]


def ask(question: Question) -> Outputs:
    """Compiles the signature for the batch at hand."""
    # The signature alone would not keep the variables alive.
    loaded = tf.saved_model.load(str(question.export))
    serve = loaded.signatures[question.signature]
    compiled = tf.function(lambda given: serve(**given), jit_compile=True)
    given = {name: tf.constant(value) for name, value in question.inputs.items()}
    return {name: value.numpy() for name, value in compiled(given).items()}


ROUTE = Route("xla", "tf.function(jit_compile=True)", Limit(1e-4), ask)
