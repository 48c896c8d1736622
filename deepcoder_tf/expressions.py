"""The eight expressions as plain data: one order and one naming for every data set.

The order is AffectNet's (Mollahosseini, Hasani and Mahoor, IEEE Transactions on Affective
Computing 2019). Other data sets number the same classes otherwise; their readers translate by name.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf.levels import DIGITS, quantise

__all__ = ["EXPRESSIONS", "ExpressionSummary", "class_of", "summarise"]

EXPRESSIONS: tuple[str, ...] = (
    "neutral",
    "happiness",
    "sadness",
    "surprise",
    "fear",
    "disgust",
    "anger",
    "contempt",
)
"""Names of the classes 0..7."""

SYNONYMS: dict[str, str] = {
    "angry": "anger",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "scared": "fear",
    "surprised": "surprise",
}
"""Other words that data sets use."""


def class_of(text: str) -> int:
    """Reads an expression however people write it: `Happy`, `happiness`, ` SAD `.

    Numbers are refused: each data set numbers the classes in its own order.

    Args:
      text: a folder's name or a cell of a table.

    Returns:
      The class, an index into `EXPRESSIONS`.

    Raises:
      ValueError: the text names none of the eight; the message lists them.

    >>> class_of("Happy"), class_of("contempt")
    (1, 7)
    """
    word = text.strip().lower()
    word = SYNONYMS.get(word, word)
    if word in EXPRESSIONS:
        return EXPRESSIONS.index(word)
    number = "a number, which means another class in each data set; write" if word.isdigit() else ""
    raise ValueError(
        f"expression {text.strip()!r} is {number or 'none of'} {', '.join(EXPRESSIONS)}"
    )


class ExpressionSummary(NamedTuple):
    """One distribution over the eight classes, told in four ways.

    Attributes:
      expression: `[...]` int32, the most probable class, the first one on a tie.
      confidence: `[...]` float64, its probability.
      entropy: `[...]` float64, nats; 0 where the model is sure, log 8 where it knows nothing.
      probabilities: `[..., 8]` float64, sums to 1.
    """

    expression: np.ndarray
    confidence: np.ndarray
    entropy: np.ndarray
    probabilities: np.ndarray


def summarise(probabilities: ArrayLike, digits: int = DIGITS) -> ExpressionSummary:
    """Everything that is reported, computed from the probabilities AS PRINTED.

    Args:
      probabilities: `[..., 8]`, rows summing to 1 up to float32 rounding.
      digits: decimals that they are rounded to first; each row then sums to exactly 1.

    Returns:
      The four views, with `digits` decimals.

    Raises:
      ValueError: as `levels.quantise`.

    >>> summary = summarise([0.5, 0.5, 0, 0, 0, 0, 0, 0])
    >>> int(summary.expression), float(summary.confidence), float(summary.entropy)
    (0, 0.5, 0.693147)
    """
    counts = quantise(probabilities, digits)
    P = counts / 10**digits
    logarithms = np.log(np.where(counts > 0, P, 1.0))
    return ExpressionSummary(
        expression=np.argmax(counts, axis=-1).astype(np.int32),
        confidence=P.max(axis=-1),
        entropy=np.abs(np.round(-(P * logarithms).sum(axis=-1), digits)),
        probabilities=P,
    )
