"""The variants for TFLite that lie beside the SavedModel, run by LiteRT, or by TensorFlow's own."""

from __future__ import annotations

import functools

import numpy as np

from deepcoder_tf.export.lite_parity import INTENSITY_TOLERANCE, TOLERANCES
from deepcoder_tf.lite_model import SUFFIX, VARIANTS, LiteModel
from tools.parity.route import Limit, Outputs, Question, Route, UnavailableError

__all__ = ["ROUTES", "ask"]


def ask(question: Question, variant: str) -> Outputs:
    """Runs one face after the other, as the files are made."""
    path = question.export / "tflite" / f"{variant}{SUFFIX}"
    if not path.is_file():
        raise UnavailableError(f"exported without --tflite={variant}")
    model = LiteModel(path)
    faces = len(next(iter(question.inputs.values())))
    answers = [
        model.outputs(**{name: value[k : k + 1] for name, value in question.inputs.items()})
        for k in range(faces)
    ]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def limit(variant: str) -> Limit:
    """That of the export; int8 may change single numbers."""
    if variant in TOLERANCES:
        return Limit(TOLERANCES[variant])
    return Limit(np.inf, INTENSITY_TOLERANCE)


def route(variant: str) -> Route:
    """That of one variant."""
    asked = functools.partial(ask, variant=variant)
    return Route(f"tflite {variant}", "TFLite interpreter", limit(variant), asked)


ROUTES = tuple(route(variant) for variant in VARIANTS)
"""One for each variant."""
