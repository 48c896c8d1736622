"""What every route is: a question in, numbers out, or the reason why it cannot be asked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["SERVING_DEFAULT", "Limit", "Outputs", "Question", "Route", "UnavailableError"]

SERVING_DEFAULT = "serving_default"
"""The signature that every export has."""

Outputs = Mapping[str, np.ndarray]
"""The answer: arrays by the names of the signature's outputs."""


class UnavailableError(Exception):
    """A route needs something that is not here; its text says what, in a few words."""


class Question(NamedTuple):
    """What a route is asked.

    Attributes:
      model_dir: the run that the model was trained in.
      export: the model's SavedModel, one version.
      signature: by its name.
      inputs: arrays by the names of the signature's inputs; bytes are arrays of objects.
      folder: where the route may leave files for as long as it runs.
    """

    model_dir: Path
    export: Path
    signature: str
    inputs: Mapping[str, np.ndarray]
    folder: Path


class Limit(NamedTuple):
    """How far a route may be from the model in memory.

    Attributes:
      largest: difference of any number of any output; see `compare.Differences`.
      mean_intensity: mean absolute difference of `intensity` instead, in levels; None where
        `largest` is meant.
    """

    largest: float
    mean_intensity: float | None = None


class Route(NamedTuple):
    """One way to a model's answer.

    Attributes:
      name: short, unique.
      what: whose code computes the answer.
      limit: of the differences.
      ask: gives the answer; raises `UnavailableError`.
      every_signature: asked for all signatures that give numbers, not `serving_default` alone.
    """

    name: str
    what: str
    limit: Limit
    ask: Callable[[Question], Outputs]
    every_signature: bool = False
