"""Recognisers of expressions behind one interface: the disentangling network and other rows."""

from deepcoder_tf.models.expressions.registry import build_recogniser
from deepcoder_tf.models.expressions.system import ExpressionSystem, summarise_expressions

__all__ = ["ExpressionSystem", "build_recogniser", "summarise_expressions"]
