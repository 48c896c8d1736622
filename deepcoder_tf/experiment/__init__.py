"""The composition root: one function per command, usable without a shell.

    train -> evaluate -> export
    benchmark (many times train -> evaluate) -> tabulate -> report

Preparation (`datasets.prepare`), synthesis (`synthesis.synthesize`) and prediction
(`prediction.Predictor`) stand on their own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepcoder_tf.experiment.benchmarking import benchmark
    from deepcoder_tf.experiment.evaluating import evaluate
    from deepcoder_tf.experiment.exporting import export
    from deepcoder_tf.experiment.importing import import_facenet
    from deepcoder_tf.experiment.reporting import report
    from deepcoder_tf.experiment.running import train
    from deepcoder_tf.experiment.tabulating import tabulate

__all__ = ["benchmark", "evaluate", "export", "import_facenet", "report", "tabulate", "train"]

HOMES = {
    "benchmark": "benchmarking",
    "evaluate": "evaluating",
    "export": "exporting",
    "import_facenet": "importing",
    "report": "reporting",
    "tabulate": "tabulating",
    "train": "running",
}


def __getattr__(name: str) -> Any:
    """Loads what is asked for: the bench needs no TensorFlow, its cells have their own."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
