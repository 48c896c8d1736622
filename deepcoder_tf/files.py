"""Writing files so that a killed run leaves no half file under a finished name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from deepcoder_tf.errors import explain_os_error

__all__ = ["PARTIAL", "replacing"]

PARTIAL = ".partial"
"""What the name of an unfinished file ends in."""


@contextmanager
def replacing(path: str | Path, mode: str = "w", *, keep: bool = False) -> Iterator[IO[Any]]:
    """Opens `path + ".partial"` for writing and renames it to `path` when the block ends well.

    Missing parent folders are made. A file that stood under `path` stays whole until the rename.

    Args:
      path: the finished name.
      mode: `"w"` (UTF-8 text, newlines as written) or `"wb"`.
      keep: leave the partial file in place when the block fails, for what is already in it.

    Yields:
      The open file.

    Raises:
      UserError: the disk is full, the folder cannot be written, or another refusal of the
        operating system while writing.
    """
    path = Path(path)
    partial = path.with_name(path.name + PARTIAL)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = partial.open(mode, **text)
    except OSError as error:
        raise explain_os_error(error, f"writing {path}") from error
    try:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        finally:
            stream.close()
        partial.replace(path)
    except BaseException as error:
        if not keep:
            partial.unlink(missing_ok=True)
        # An open or a read inside the block names its own file; a refused write names none.
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            raise explain_os_error(error, f"writing {path}") from error
        raise
