"""Weights in an HDF5 file by name, with notes on where they come from."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.files import replacing

__all__ = ["read_weights", "write_weights"]

NOTES = "deepcoder_notes"
"""Attribute of the file that holds the notes as JSON."""


def write_weights(path: Path, arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> None:
    """Writes arrays under their names; the file appears when it is complete.

    Args:
      path: of the file, `.h5`.
      arrays: float32, by names with slashes.
      notes: what JSON can hold; `network` names the network.

    Raises:
      UserError: the disk is full, or the folder cannot be written.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs[NOTES] = json.dumps(notes)
        for name, value in arrays.items():
            file[name] = value
    with replacing(path, "wb") as stream:
        stream.write(buffer.getbuffer())


def read_weights(path: Path, network: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `write_weights` wrote.

    Args:
      path: of the file.
      network: whose weights they must be.

    Returns:
      The arrays by name, and the notes.

    Raises:
      UserError: no such file, no HDF5 file, a cut one, or weights of another network.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the weights of {network}")
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = np.asarray(item)

    try:
        with h5py.File(path) as file:
            notes = json.loads(file.attrs.get(NOTES, "{}"))
            file.visititems(collect)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: not a file of weights, or cut off ({first_line(error)}); give the .h5 file "
            f"of {network}, or make it again"
        ) from error
    if notes.get("network") != network:
        held = f"weights of {notes['network']}" if "network" in notes else "no named weights"
        raise UserError(f"{path}: holds {held}, not those of {network}; give the file of {network}")
    return arrays, notes


def first_line(error: Exception) -> str:
    """What an exception says, short."""
    return (str(error).splitlines() or [type(error).__name__])[0]
