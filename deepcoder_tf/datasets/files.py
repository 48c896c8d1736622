"""Writing so that a kill or a full disk never leaves half a file under a good name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing", "safe_name", "write_text"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; renames it to `path` when the block succeeds.

    Args:
      path: the final name; its folder is made.

    Yields:
      The name to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file, or nothing."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def safe_name(text: str) -> str:
    """A file name on every system: all but letters, digits, dot, minus and underscore replaced.

    >>> safe_name("session 1/clip")
    'session-1-clip'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)
    return kept.strip(".") or "-"
