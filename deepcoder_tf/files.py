"""Writing files so that a killed run leaves no half file under a finished name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from deepcoder_tf.errors import explain_os_error

__all__ = ["PARTIAL", "replacing", "write_json"]

PARTIAL = ".partial"
"""What the name of an unfinished file ends in."""


@contextmanager
def replacing(
    path: str | Path, mode: str = "w", *, keep: bool = False, start: int = 0
) -> Iterator[IO[Any]]:
    """Opens `path + ".partial"` for writing and renames it to `path` when the block ends well.

    Missing parent folders are made. A file that stood under `path` stays whole until the rename.

    Args:
      path: the finished name.
      mode: `"w"` (UTF-8 text, newlines as written) or `"wb"`.
      keep: leave the partial file in place when the block fails, for what is already in it.
      start: bytes of a partial file left by `keep` that stay; the block writes behind them.

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
        if start:
            os.truncate(partial, start)
        stream = partial.open(mode.replace("w", "a") if start else mode, **text)
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


def write_json(path: str | Path, content: Any, indent: int = 1) -> None:
    """Writes JSON, wholly or not at all.

    Args:
      path: the finished name.
      content: plain types.
      indent: spaces of a level.

    Raises:
      ValueError: a number that is not finite; JSON has no word for it.
      UserError: the operating system refused.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    with replacing(path) as stream:
        stream.write(text + "\n")
