"""Table 3 of the second paper over all pairs: how similar the expression codes of two pictures are.

The paper shows the cosine similarity of two pairs of pictures. Here every pair of a split counts,
and the question is whether a shared expression brings codes closer than a shared identity:

    same   same expression, other identity
    other  other expression, same identity

Where a data set does not say who is seen, it is the same expression against another over all pairs.
AUC is the probability that a pair of the first kind is more similar than one of the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["ACROSS_IDENTITIES", "ANY_PAIR", "Pairs", "Similarity", "compare_pairs"]

ACROSS_IDENTITIES = "across identities"
"""Same expression and other identity against other expression and same identity."""

ANY_PAIR = "any pair"
"""Same expression against other expression, whoever is seen: identities are not known, or nobody
is seen with two expressions."""

BINS = 2**16
"""Of the similarity from -1 to 1. Pairs in one bin count as ties, as float32 cannot tell cosines
apart much better."""

BLOCK = 256
"""Rows of the table of similarities that are in memory at a time."""

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles that are reported."""


@dataclass(frozen=True)
class Pairs:
    """The similarities of one kind of pairs.

    Attributes:
      kind: what the pairs have in common.
      pairs: their number.
      mean: of their similarities; None without a pair.
      standard_deviation: likewise.
      quantiles: of their similarities, by share; None without a pair.
      counts: `[BINS]` int64, pairs in each bin of equal width from -1 to 1.
    """

    kind: str
    pairs: int
    mean: float | None
    standard_deviation: float | None
    quantiles: dict[float, float | None]
    counts: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Plain types only, without the histogram."""
        return {
            "kind": self.kind,
            "pairs": self.pairs,
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
            "quantiles": {f"{share:g}": value for share, value in self.quantiles.items()},
        }


@dataclass(frozen=True)
class Similarity:
    """Two kinds of pairs side by side.

    Attributes:
      comparison: `ACROSS_IDENTITIES` or `ANY_PAIR`.
      same: pairs of the same expression.
      other: pairs of another expression.
      auc: probability that a pair of `same` is more similar than one of `other`, ties counted
        half; None where one of them is empty.
    """

    comparison: str
    same: Pairs
    other: Pairs
    auc: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain types only."""
        return {
            "comparison": self.comparison,
            "auc": self.auc,
            "same": self.same.to_json(),
            "other": self.other.to_json(),
        }


def compare_pairs(codes: ArrayLike, labels: ArrayLike, subjects: ArrayLike) -> Similarity:
    """Cosine similarities of all pairs of labelled pictures, by kind of pair.

    The table of similarities is made by blocks of rows and kept as two histograms, so that memory
    does not grow with the number of pairs. A code of length 0 has the similarity 0 with all others.

    Args:
      codes: `[N, D]`.
      labels: `[N]` classes, -1 = none.
      subjects: `[N]` names, empty where not known.

    Returns:
      Both distributions and the AUC.

    Raises:
      ValueError: shapes that do not fit, or a code that is not finite.

    Source: Disentangling expression representations, Table 3; AUC as the statistic of Mann and
    Whitney (1947).
    """
    Z, y, who = np.asarray(codes, np.float32), np.asarray(labels), np.asarray(subjects)
    if Z.ndim != 2 or y.shape != (len(Z),) or who.shape != (len(Z),):
        raise ValueError(
            f"codes {Z.shape}, labels {y.shape} and subjects {who.shape} are not [N, D], [N], [N]"
        )
    if not np.isfinite(Z).all():
        raise ValueError("codes must be finite")
    Z, y, who = Z[y >= 0], y[y >= 0], who[y >= 0]
    named = who != ""
    if shared_identities(y[named], who[named]):
        people = np.unique(who[named], return_inverse=True)[1]
        kinds = ("same expression, other identity", "other expression, same identity")
        same, other = all_pairs(unit(Z[named]), y[named], people, kinds)
        comparison = ACROSS_IDENTITIES
    else:
        same, other = all_pairs(unit(Z), y, None, ("same expression", "other expression"))
        comparison = ANY_PAIR
    return Similarity(comparison, same, other, mann_whitney(same.counts, other.counts))


def shared_identities(labels: np.ndarray, subjects: np.ndarray) -> bool:
    """Whether there are pairs of both kinds: a person of two expressions, an expression of two."""
    if not len(labels):
        return False
    seen = np.unique(np.stack([labels.astype(str), subjects.astype(str)]), axis=1)
    return all(len(np.unique(names)) < len(names) for names in seen)


def unit(Z: np.ndarray) -> np.ndarray:
    """Codes of length 1; those of length 0 stay."""
    length = np.linalg.norm(Z, axis=1, keepdims=True)
    return Z / np.where(length > 0, length, 1)


def all_pairs(
    Z: np.ndarray, labels: np.ndarray, people: np.ndarray | None, kinds: tuple[str, str]
) -> tuple[Pairs, Pairs]:
    """The distributions of both kinds, each pair counted once."""
    counts = np.zeros((2, BINS), np.int64)
    sums = np.zeros((2, 2))
    for values, chosen in blocks(Z, labels, people):
        # Bins from -1 to 1; 1 itself belongs to the last.
        place = np.minimum((values + 1) * (BINS / 2), BINS - 1).astype(np.int32)
        for number, mask in enumerate(chosen):
            found = values[mask].astype(np.float64)
            counts[number] += np.bincount(place[mask], minlength=BINS)
            sums[number] += found.sum(), np.square(found).sum()
    same, other = (pairs_of(*parts) for parts in zip(kinds, counts, sums, strict=True))
    return same, other


def blocks(
    Z: np.ndarray, labels: np.ndarray, people: np.ndarray | None
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]]:
    """Similarities of some rows with all later ones, and which of them are of which kind."""
    for start in range(0, len(Z), BLOCK):
        rows = slice(start, min(start + BLOCK, len(Z)))
        S = np.clip(Z[rows] @ Z[start:].T, -1, 1)
        later = np.triu(np.ones(S.shape, bool), 1)
        same = labels[rows, None] == labels[None, start:]
        if people is None:
            yield S, (later & same, later & ~same)
            continue
        person = people[rows, None] == people[None, start:]
        yield S, (later & same & ~person, later & ~same & person)


def pairs_of(kind: str, counts: np.ndarray, sums: np.ndarray) -> Pairs:
    """A distribution from its histogram, its sum and its sum of squares."""
    pairs = int(counts.sum())
    if not pairs:
        return Pairs(kind, 0, None, None, dict.fromkeys(SHARES), counts)
    mean = sums[0] / pairs
    spread = np.sqrt(max(sums[1] / pairs - mean**2, 0.0))
    quantiles: dict[float, float | None] = {share: quantile(counts, share) for share in SHARES}
    return Pairs(kind, pairs, float(mean), float(spread), quantiles, counts)


def quantile(counts: np.ndarray, share: float) -> float:
    """A quantile of a histogram from -1 to 1, read in the middle of its bin."""
    place = int(np.searchsorted(np.cumsum(counts), share * (counts.sum() - 1), side="right"))
    return float((place + 0.5) * 2 / len(counts) - 1)


def mann_whitney(first: np.ndarray, second: np.ndarray) -> float | None:
    """P(a > b) + P(a = b) / 2 for a and b drawn from two histograms; None where one is empty."""
    if not first.sum() or not second.sum():
        return None
    p, q = first / first.sum(), second / second.sum()
    below = np.cumsum(q) - q
    return float(np.sum(p * (below + 0.5 * q)))
