"""A versioned SavedModel that TF Serving loads, checked against the model in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.models.deepcoder import DeepCoder

__all__ = ["CARD", "check_parity", "export_model", "next_version"]

CARD = "assets.extra/deepcoder.json"
"""What prediction needs beside the graph: action units, mean shape, configuration."""

TOLERANCE = 1e-5
"""Largest difference allowed between an export and the model in memory."""


def next_version(folder: Path) -> int:
    """The integer version after the newest in `folder`; 1 where there is none."""
    numbers = [int(p.name) for p in folder.glob("*") if p.is_dir() and p.name.isdigit()]
    return max(numbers, default=0) + 1


def export_model(
    model: DeepCoder, card: Mapping[str, Any], folder: Path, version: int | None = None
) -> Path:
    """Writes `folder/VERSION/` under a temporary name, checks it, then renames it.

    A server that polls the folder therefore never sees half a version.

    Args:
      model: built, with its trained weights.
      card: JSON content of `assets.extra/deepcoder.json`.
      folder: of the served model.
      version: a positive integer; None is the next one.

    Returns:
      The version's folder.

    Raises:
      UserError: the version exists, the disk is full, or the export differs from the model.
    """
    version = next_version(folder) if version is None else version
    target = folder / str(version)
    if target.exists():
        raise UserError(f"{target} exists; choose another --version, or leave it out for the next")
    partial = folder / f".{version}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_archive(model, partial)
        extra = partial / CARD
        extra.parent.mkdir(parents=True)
        extra.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        check_parity(model, partial)
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


def write_archive(model: DeepCoder, path: Path) -> None:
    """The SavedModel with its one signature, `serving_default`."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        name="serving_default",
        fn=model.call,
        input_signature=[tf.TensorSpec((None, 240, 160, 1), tf.uint8, name="crops")],
    )
    archive.write_out(str(path), verbose=False)


def check_parity(model: DeepCoder, path: Path) -> float:
    """Compares the export with the model in memory on crops drawn at random.

    Args:
      model: in memory.
      path: of the SavedModel.

    Returns:
      The largest absolute difference over all outputs.

    Raises:
      UserError: it is more than 1e-5.
    """
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 15, 10, 1)).astype(np.float32)
    crops = tf.cast(tf.image.resize(coarse, (240, 160), "bicubic"), tf.uint8)
    loaded = tf.saved_model.load(str(path))
    there = loaded.signatures["serving_default"](crops=crops)
    here = model(crops)
    worst = max(
        float(np.max(np.abs(np.asarray(here[name], np.float64) - there[name].numpy())))
        for name in here
    )
    if not worst <= TOLERANCE:
        raise UserError(
            f"the export differs from the model in memory by {worst:.2g}, more than {TOLERANCE:g}; "
            "nothing was published"
        )
    return worst
