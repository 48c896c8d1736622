"""The Facial Action Coding System as plain data: names, levels, the AU set of each data set.

Source: Ekman, Friesen and Hager, Facial Action Coding System (2002). Intensities A-E are coded
1-5, with 0 for an action unit that is absent.
"""

from __future__ import annotations

import re

__all__ = ["DISFA", "FERA2015", "LEVELS", "MISSING", "NAMES", "index_of", "parse"]

LEVELS = 6
"""Number of intensity levels: 0 (absent) and A-E as 1-5."""

MISSING = -1
"""The label of a frame that nobody annotated; masked out of every sum."""

NAMES: dict[str, str] = {
    "AU01": "inner brow raiser",
    "AU02": "outer brow raiser",
    "AU04": "brow lowerer",
    "AU05": "upper lid raiser",
    "AU06": "cheek raiser",
    "AU07": "lid tightener",
    "AU09": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU11": "nasolabial deepener",
    "AU12": "lip corner puller",
    "AU13": "sharp lip puller",
    "AU14": "dimpler",
    "AU15": "lip corner depressor",
    "AU16": "lower lip depressor",
    "AU17": "chin raiser",
    "AU18": "lip pucker",
    "AU20": "lip stretcher",
    "AU22": "lip funneler",
    "AU23": "lip tightener",
    "AU24": "lip pressor",
    "AU25": "lips part",
    "AU26": "jaw drop",
    "AU27": "mouth stretch",
    "AU28": "lip suck",
    "AU43": "eyes closed",
    "AU45": "blink",
}
"""FACS name of every action unit that a manifest may speak of."""

DISFA: tuple[str, ...] = (
    "AU01",
    "AU02",
    "AU04",
    "AU05",
    "AU06",
    "AU09",
    "AU12",
    "AU15",
    "AU17",
    "AU20",
    "AU25",
    "AU26",
)
"""The twelve action units annotated in DISFA (Mavadati et al. 2013)."""

FERA2015: tuple[str, ...] = ("AU06", "AU10", "AU12", "AU14", "AU17")
"""The five action units with intensities in FERA 2015 / BP4D (Valstar et al. 2015)."""


def parse(text: str) -> str:
    """Reads an action unit however people write it: `12`, `au12`, `AU 12`, `AU12_r`.

    Args:
      text: a column name or number.

    Returns:
      The canonical name, `"AU12"`.

    Raises:
      ValueError: the text names no action unit of FACS; the message lists the known ones.

    >>> parse("au6"), parse("12")
    ('AU06', 'AU12')
    """
    found = re.fullmatch(r"\s*(?:AU)?[ _-]?0*(\d{1,2})(?:_[rc])?\s*", str(text), re.IGNORECASE)
    name = f"AU{int(found.group(1)):02d}" if found else ""
    if name not in NAMES:
        raise ValueError(f"{text!r} is no action unit; known are {', '.join(NAMES)}")
    return name


def index_of(name: str, action_units: tuple[str, ...]) -> int:
    """The column of one action unit in a set.

    Args:
      name: for example `"AU12"`.
      action_units: the set, in column order.

    Returns:
      The zero-based column.

    Raises:
      ValueError: the set does not hold it.
    """
    if name not in action_units:
        raise ValueError(f"{name} is not among {', '.join(action_units)}")
    return action_units.index(name)
