"""What is said about one action unit, all from one distribution over the six levels.

Every number that leaves the package about an action unit (expected intensity, presence, standard
deviation, probabilities) is computed here from one set of probabilities, so that no two of them
can contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["DIGITS", "LevelSummary", "columns", "format_cells", "mode", "quantise", "summarise"]

DIGITS = 6
"""Decimals of everything printed: float32 probabilities carry no more."""


class LevelSummary(NamedTuple):
    """One distribution over levels 0..L-1, told in four ways.

    Attributes:
      intensity: `[...]` float64, expected level, 0..L-1.
      presence: `[...]` int32, 1 where level 1 or more is more probable than level 0.
      standard_deviation: `[...]` float64, in levels.
      probabilities: `[..., L]` float64, sums to 1.
    """

    intensity: np.ndarray
    presence: np.ndarray
    standard_deviation: np.ndarray
    probabilities: np.ndarray


def quantise(probabilities: ArrayLike, digits: int = DIGITS) -> np.ndarray:
    """Rounds distributions to `digits` decimals so that each still sums to 1.

    The remainders decide (Hamilton's method): everything is rounded down, and the units that are
    then missing go to the levels that lost most. No entry moves by a whole unit or more.

    Args:
      probabilities: `[..., L]`, not negative, each row summing to 1 up to float32 rounding.
      digits: decimals.

    Returns:
      `[..., L]` int64 counts of `10**-digits`, each row summing to `10**digits`.

    Raises:
      ValueError: a negative or not finite entry, or a row whose sum is off by more than 1e-3.

    >>> quantise([1 / 3, 1 / 3, 1 / 3], digits=2).tolist()
    [34, 33, 33]
    """
    P = np.asarray(probabilities, np.float64)
    total = P.sum(-1, keepdims=True)
    if not (np.isfinite(P).all() and (P >= 0).all() and (np.abs(total - 1) <= 1e-3).all()):
        raise ValueError(
            "level probabilities must be finite, not negative and sum to 1; "
            f"got sums {total.min(initial=1):.6g} to {total.max(initial=1):.6g} "
            f"and a least entry of {P.min(initial=1):.6g}"
        )
    unit = 10**digits
    exact = P / total * unit
    counts = np.floor(exact).astype(np.int64)
    missing = unit - counts.sum(-1, keepdims=True)
    # A level's rank by remainder, largest first; stable, so ties go to the lower level.
    order = np.argsort(-(exact - counts), axis=-1, kind="stable")
    rank = np.argsort(order, axis=-1, kind="stable")
    return counts + (rank < missing)


def mode(probabilities: ArrayLike) -> np.ndarray:
    """The most probable level, the lower one on a tie.

    Args:
      probabilities: `[..., L]`.

    Returns:
      `[...]` int64.
    """
    return np.argmax(np.asarray(probabilities), axis=-1)


def summarise(probabilities: ArrayLike, digits: int = DIGITS) -> LevelSummary:
    """Everything that is reported, computed from the probabilities AS PRINTED.

    Presence is `P(level >= 1) > 1/2`, that is: the median level is at least 1. Hence, always:
    presence 0 means that level 0 is the most probable one; a most probable level above 0 means
    presence 1; presence 1 means an intensity above 1/2; an intensity up to 1/2 means presence 0.

    Args:
      probabilities: `[..., L]`, rows summing to 1 up to float32 rounding.
      digits: decimals that the probabilities are rounded to first.

    Returns:
      The four views, all of them with `digits` decimals; `intensity` and `probabilities` exactly.

    Raises:
      ValueError: as `quantise`.

    >>> summary = summarise([0.25, 0.5, 0.25, 0, 0, 0])
    >>> float(summary.intensity), int(summary.presence), round(float(summary.standard_deviation), 4)
    (1.0, 1, 0.7071)
    """
    counts = quantise(probabilities, digits)
    unit = 10**digits
    level = np.arange(counts.shape[-1])
    first = counts @ level
    second = counts @ level**2
    # Integers up to here, so a distribution on one level has a deviation of exactly 0.
    variance = (second * unit - first**2) / unit**2
    return LevelSummary(
        intensity=first / unit,
        presence=(2 * counts[..., 0] < unit).astype(np.int32),
        standard_deviation=np.round(np.sqrt(variance), digits),
        probabilities=counts / unit,
    )


def columns(name: str, levels: int) -> list[str]:
    """The CSV columns of one action unit.

    >>> columns("AU01", 3)
    ['AU01_r', 'AU01_c', 'AU01_sd', 'AU01_p0', 'AU01_p1', 'AU01_p2']
    """
    return [f"{name}_r", f"{name}_c", f"{name}_sd", *(f"{name}_p{s}" for s in range(levels))]


def format_cells(
    intensity: float, presence: int, standard_deviation: float, probabilities: Iterable[float]
) -> list[str]:
    """The CSV cells of one action unit in one frame, in the order of `columns`.

    Returns:
      Text that says exactly the numbers of `summarise`.

    >>> format_cells(0.5, 0, 0.5, [0.5, 0.5])
    ['0.500000', '0', '0.500000', '0.500000', '0.500000']
    """
    return [
        f"{intensity:.{DIGITS}f}",
        str(presence),
        f"{standard_deviation:.{DIGITS}f}",
        *(f"{p:.{DIGITS}f}" for p in probabilities),
    ]
