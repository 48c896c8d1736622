"""Figures, intervals and tables as Markdown that reads as text too."""

from __future__ import annotations

from collections.abc import Sequence

from deepcoder_tf.evaluation.bootstrap import Interval

__all__ = ["DASH", "compared", "grid", "level_text", "number"]

DASH = "–"
"""In place of what is not there."""


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, padded so that it reads as text too."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = [row[0].ljust(widths[0])]
        padded += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    widths = [max(3, width) for width in widths]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(head), line(rule), *map(line, rows)]


def number(value: float | None, digits: int) -> str:
    """A number as the paper prints it, without the zero before the point.

    >>> number(0.5, 2), number(-0.04, 2), number(1.02, 2), number(-0.001, 2)
    ('.50', '-.04', '1.02', '.00')
    """
    if value is None:
        return DASH
    text = f"{value + 0.0:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def compared(found: Interval) -> str:
    """A difference with its interval, bold where it holds."""
    if found.value is None:
        return DASH
    text = f"{found.value:+.3f}"
    if found.low is not None and found.high is not None:
        text += f" [{found.low:+.3f}, {found.high:+.3f}]"
    return f"**{text}**" if found.excludes_zero else text


def level_text(level: float) -> str:
    """The level of intervals.

    >>> level_text(0.95)
    '95 %'
    """
    return f"{level:.0%}".replace("%", " %")
