"""The eight expressions as plain data: one order and one naming for every data set.

The order is AffectNet's (Mollahosseini, Hasani and Mahoor, IEEE Transactions on Affective
Computing 2019). Other data sets number the same classes otherwise; their readers translate by name.
"""

from __future__ import annotations

__all__ = ["EXPRESSIONS", "class_of"]

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
