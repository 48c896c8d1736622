"""A versioned SavedModel that TF Serving loads, checked against the model in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.export.parity import check_parity
from deepcoder_tf.export.signatures import describe, signatures_of
from deepcoder_tf.models.system import System

__all__ = ["CARD", "export_model", "next_version"]

CARD = "assets.extra/deepcoder.json"
"""What prediction needs beside the graph: action units, mean shape, configuration, signatures."""


def next_version(folder: Path) -> int:
    """The integer version after the newest in `folder`; 1 where there is none."""
    numbers = [int(p.name) for p in folder.glob("*") if p.is_dir() and p.name.isdigit()]
    return max(numbers, default=0) + 1


def export_model(
    model: System, card: Mapping[str, Any], folder: Path, version: int | None = None
) -> Path:
    """Writes `folder/VERSION/` under a temporary name, checks it, then renames it.

    A server that polls the folder therefore never sees half a version.

    Args:
      model: built, with its trained weights.
      card: JSON content of `assets.extra/deepcoder.json`, with action units and mean shape; its
        `signatures` are added here.
      folder: of the served model.
      version: a positive integer; None is the next one.

    Returns:
      The version's folder.

    Raises:
      UserError: the version exists, the disk is full, or the export differs from the model.
      ValueError: the card has no action units or no mean shape.
    """
    version = next_version(folder) if version is None else version
    target = folder / str(version)
    if target.exists():
        raise UserError(f"{target} exists; choose another --version, or leave it out for the next")
    partial = folder / f".{version}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        signatures = write_archive(model, card, partial)
        extra = partial / CARD
        extra.parent.mkdir(parents=True)
        text = json.dumps({**card, "signatures": signatures}, indent=2)
        extra.write_text(text + "\n", encoding="utf-8")
        check_parity(model, partial, card)
        partial.rename(target)
    except (OSError, tf.errors.OpError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not isinstance(error, OSError):
            raise UserError(f"writing {target} failed: {error}") from error
        raise explain_os_error(error, f"writing {target}") from error
    except UserError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def write_archive(model: System, card: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Writes the SavedModel; returns what its signatures take and give, by name.

    The model itself is not tracked: the archive then holds the variables that a signature reads,
    each once, and nothing that only training needs.
    """
    archive = keras.export.ExportArchive()
    described = {}
    for signature in signatures_of(model, card):
        function = archive.add_endpoint(
            signature.name, signature.answer, input_signature=list(signature.inputs)
        )
        outputs = function.get_concrete_function().structured_outputs
        described[signature.name] = describe(signature, outputs)
    archive.write_out(str(path), verbose=False)
    return described
