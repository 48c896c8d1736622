"""How far two answers are from each other, and whether that is near enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tools.parity.route import Limit, Outputs

__all__ = ["LEVELS", "Differences", "compare", "presence_disagreements", "verdict"]


LEVELS = ("intensity", "standard_deviation", "level_probabilities")
"""Outputs in levels and probabilities, whose differences are absolute."""


class Differences(NamedTuple):
    """Of one route from the model in memory, in one signature.

    Attributes:
      largest: difference of each output of numbers, by its name; NaN where one of the two is no
        number. Absolute for `LEVELS`; of codes, whose units are their own, as a share of their size
        where that is above 1; of grey levels, which are rounded, beyond one level.
      mean_intensity: mean absolute difference of `intensity`, levels; None where it is no output.
      presence: (face, action unit) pairs that the two judge differently; None as above.
    """

    largest: dict[str, float]
    mean_intensity: float | None = None
    presence: int | None = None


def compare(reference: Outputs, answer: Outputs, limit: Limit) -> Differences:
    """Measures the differences.

    Args:
      reference: of the model in memory.
      answer: of a route.
      limit: of the route; presence is no disagreement where the reference is this near to a tie.

    Returns:
      The differences of all outputs.

    Raises:
      ValueError: other outputs, or of another shape.
    """
    missing = set(reference) - set(answer)
    if missing:
        raise ValueError(f"the answer has no {', '.join(sorted(missing))}")
    largest = {}
    for name, wanted in reference.items():
        found = answer[name]
        if found.shape != wanted.shape:
            raise ValueError(f"{name} has the shape {list(found.shape)}, not {list(wanted.shape)}")
        if name != "presence":
            largest[name] = float(np.max(change_of(name, wanted, found)))
    if "intensity" not in reference or "presence" not in reference:
        return Differences(largest)
    change = answer["intensity"].astype(np.float64) - reference["intensity"]
    return Differences(
        largest,
        float(np.abs(change).mean()),
        presence_disagreements(reference, answer["presence"], limit.largest),
    )


def change_of(name: str, wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The differences of one output, as `Differences.largest` has them."""
    change = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    if wanted.dtype == np.uint8:
        return np.maximum(change - 1.0, 0.0)
    return change if name in LEVELS else change / np.maximum(1.0, np.abs(wanted))


def presence_disagreements(reference: Outputs, presence: np.ndarray, tie: float) -> int:
    """Counts where presence differs although P(level 0) is further than `tie` from 1/2."""
    differs = presence != reference["presence"]
    decided = np.abs(reference["level_probabilities"][..., 0] - 0.5) > tie
    return int(np.count_nonzero(differs & decided))


def verdict(differences: Differences, limit: Limit) -> str:
    """What is wrong, in a few words; empty where nothing is."""
    if limit.mean_intensity is not None:
        found = differences.mean_intensity
        if found is not None and not found <= limit.mean_intensity:
            return f"mean change of intensity {found:.2g}"
        if not all(np.isfinite(value) for value in differences.largest.values()):
            return "not finite"
        return ""
    for name, value in differences.largest.items():
        if not value <= limit.largest:
            return f"{name} by {value:.2g}"
    return f"presence of {differences.presence}" if differences.presence else ""
