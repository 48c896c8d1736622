"""Whose an output folder is: a new run's, or that of an earlier run with the same settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepcoder_tf.errors import UserError
from deepcoder_tf.files import write_json

__all__ = ["claim_folder"]


def claim_folder(
    folder: Path, settings: dict[str, Any], overwrite: bool, empty: Callable[[Path], None]
) -> None:
    """Makes sure that the output folder is new, or holds an earlier run of the same settings.

    Args:
      folder: the prepared folder to write.
      settings: what decides the result; written to `settings.json`.
      overwrite: throw away what the folder holds from other settings.
      empty: removes what a preparation writes, and nothing else.

    Raises:
      UserError: the folder is something else, or was made with other settings.
    """
    path = folder / "settings.json"
    if folder.is_file():
        raise UserError(f"{folder}: is a file; choose another --output_dir")
    if path.is_file():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            earlier = {}
        differing = [
            f"{key} was {earlier.get(key)!r} and is {settings.get(key)!r}"
            for key in sorted({*earlier, *settings})
            if earlier.get(key) != settings.get(key)
        ]
        if differing and not overwrite:
            raise UserError(
                f"{folder}: was prepared with other settings ({'; '.join(differing)}); choose "
                "another --output_dir or pass --overwrite to throw it away"
            )
        if differing or overwrite:
            empty(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"{folder}: is not empty and not a prepared folder; choose another --output_dir"
        )
    write_json(path, settings)
