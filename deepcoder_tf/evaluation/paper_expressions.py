"""Tables 1 and 2 of the second paper as data."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

__all__ = ["PaperAblation", "PaperExpressions", "paper_expressions"]

FILE = Path(__file__).with_name("paper_expressions.json")


class PaperAblation(NamedTuple):
    """A row of Table 2.

    Attributes:
      beta1: weight of the reconstruction.
      expression: accuracy of C_exp, per cent.
      adversary: accuracy of C_adv, per cent.
    """

    beta1: float
    expression: float
    adversary: float


@dataclass(frozen=True)
class PaperExpressions:
    """The figures as printed.

    Attributes:
      source: where they are printed.
      dataset: on which they were measured.
      labels: the paper's name of each system, in the paper's order.
      accuracy: of Table 1, per cent, by system.
      ablation: rows of Table 2.
    """

    source: str
    dataset: str
    labels: dict[str, str]
    accuracy: dict[str, float]
    ablation: tuple[PaperAblation, ...]


@functools.cache
def paper_expressions() -> PaperExpressions:
    """The paper's figures.

    Returns:
      Both tables.

    Source: Learning Disentangled Expression Representations from Facial Images, Tables 1 and 2.

    >>> paper = paper_expressions()
    >>> paper.accuracy["disentangled"], paper.ablation[-1].adversary
    (60.53, 16.0)
    """
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return PaperExpressions(
        source=content["source"],
        dataset=content["dataset"],
        labels=content["labels"],
        accuracy=content["accuracy"],
        ablation=tuple(PaperAblation(**row) for row in content["ablation"]),
    )
