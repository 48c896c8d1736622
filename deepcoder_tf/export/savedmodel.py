"""A versioned SavedModel that TF Serving loads, checked against the model in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.export.signatures import POINTS, Signature, describe, signatures_of
from deepcoder_tf.faces.registration import CROP_SHAPE
from deepcoder_tf.models.system import System

__all__ = ["CARD", "check_parity", "export_model", "next_version"]

CARD = "assets.extra/deepcoder.json"
"""What prediction needs beside the graph: action units, mean shape, configuration, signatures."""

TOLERANCE = 1e-5
"""Largest difference allowed between an export and the model in memory."""

CHECKED = 3
"""Faces that both are compared on."""


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
      card: JSON content of `assets.extra/deepcoder.json`; its `signatures` are added here. A
        system that needs landmarks needs the card's `mean_shape`.
      folder: of the served model.
      version: a positive integer; None is the next one.

    Returns:
      The version's folder.

    Raises:
      UserError: the version exists, the disk is full, or the export differs from the model.
      ValueError: the mean shape is missing.
    """
    version = next_version(folder) if version is None else version
    target = folder / str(version)
    if target.exists():
        raise UserError(f"{target} exists; choose another --version, or leave it out for the next")
    partial = folder / f".{version}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        signatures = write_archive(model, partial)
        extra = partial / CARD
        extra.parent.mkdir(parents=True)
        text = json.dumps({**card, "signatures": signatures}, indent=2)
        extra.write_text(text + "\n", encoding="utf-8")
        check_parity(model, partial, card.get("mean_shape"))
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


def write_archive(model: System, path: Path) -> dict[str, Any]:
    """Writes the SavedModel; returns what its signatures take and give, by name."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    described = {}
    for signature in signatures_of(model):
        function = archive.add_endpoint(
            signature.name, signature.answer, input_signature=list(signature.inputs)
        )
        outputs = function.get_concrete_function().structured_outputs
        described[signature.name] = describe(signature, outputs)
    archive.write_out(str(path), verbose=False)
    return described


def check_parity(
    model: System, path: Path, mean_shape: Sequence[Sequence[float]] | None = None
) -> float:
    """Compares the export with the model in memory on faces drawn at random.

    Args:
      model: in memory.
      path: of the SavedModel.
      mean_shape: 49 points (x, y) in crop pixels; for systems that need landmarks.

    Returns:
      The largest absolute difference over all outputs of all signatures.

    Raises:
      UserError: it is more than 1e-5, or not finite; the message names signature and output.
      ValueError: the mean shape is missing.
    """
    loaded = tf.saved_model.load(str(path))
    worst = 0.0
    for signature in signatures_of(model):
        given = drawn_inputs(signature, mean_shape)
        there = loaded.signatures[signature.name](**given)
        for name, here in signature.answer(*given.values()).items():
            found = difference(here, there[name])
            if not found <= TOLERANCE:
                raise UserError(
                    f"{signature.name}: {name} of the export differs from the model in memory by "
                    f"{found:.2g}, more than {TOLERANCE:g}; nothing was published"
                )
            worst = max(worst, found)
    return worst


def difference(one: tf.Tensor, two: tf.Tensor) -> float:
    """The largest absolute difference of two outputs; NaN where one of them has one."""
    return float(np.max(np.abs(np.asarray(one, np.float64) - np.asarray(two, np.float64))))


def drawn_inputs(
    signature: Signature, mean_shape: Sequence[Sequence[float]] | None
) -> dict[str, tf.Tensor]:
    """Inputs of a signature by name, the same each time: blurred noise, and shapes of a face."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (CHECKED, 15, 10, 1)).astype(np.float32)
    drawn = {"crops": tf.cast(tf.image.resize(coarse, CROP_SHAPE, "bicubic"), tf.uint8)}
    if "landmarks" in (spec.name for spec in signature.inputs):
        if mean_shape is None:
            raise ValueError("a system that needs landmarks is checked near its mean shape")
        points = np.asarray(mean_shape) + 2.0 * rng.standard_normal((CHECKED, POINTS, 2))
        drawn["landmarks"] = tf.constant(points, tf.float32)
    return {spec.name: drawn[spec.name] for spec in signature.inputs}
