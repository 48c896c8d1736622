"""Variants of a model for TFLite: float32, float16, and int8 with a float Gaussian process.

Each is one file and a whole model (`deepcoder_tf.lite_model`). It takes one face a call: with a
batch that is known when the graph is made, the runtime plans its memory once and hands the whole
network to its fast kernels.
"""

from __future__ import annotations

import copy
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from deepcoder_tf.errors import UserError
from deepcoder_tf.export.answers import Served, Signature
from deepcoder_tf.export.lite_graph import LiteGraph, lite_graph
from deepcoder_tf.export.lite_parity import (
    MEASURES,
    TOLERANCES,
    Cost,
    Faces,
    HeldOut,
    Judge,
    check_outputs,
)
from deepcoder_tf.export.parity import faces_for, inputs_of
from deepcoder_tf.export.quantisation import quantised
from deepcoder_tf.export.savedmodel import CARD
from deepcoder_tf.export.signatures import signatures_of
from deepcoder_tf.face_model import ACTION_UNITS_KIND
from deepcoder_tf.lite_model import SIGNATURE, SUFFIX, VARIANTS, LiteModel, join

__all__ = ["Examples", "Variant", "add_variants", "convert", "operations", "write_variants"]

log = logging.getLogger(__name__)

FOLDER = "tflite"
"""Of the files, in that of a version."""

BYTES = dict(zip(VARIANTS, (4, 2, 1), strict=True))
"""That a weight takes at least."""

FULL = 0.9
"""Share of the weights' bytes below which a file cannot hold them."""


class Examples(NamedTuple):
    """Prepared faces, which int8 needs.

    Attributes:
      representative: of the training split, from which ranges are taken.
      held_out: of the validation split.
    """

    representative: Faces
    held_out: HeldOut


class Variant(NamedTuple):
    """A file that was written and checked.

    Attributes:
      path: of the file.
      megabytes: of 10⁶ bytes.
      difference: the largest of an output, on faces drawn at random; None for int8.
      cost: on held-out faces; None where there are none.
    """

    path: Path
    megabytes: float
    difference: float | None
    cost: Cost | None

    def __str__(self) -> str:
        """One line for people."""
        parts = [f"{self.path.name}: {self.megabytes:.2f} MB"]
        if self.difference is not None:
            parts.append(f"largest difference {self.difference:.1e}")
        if self.cost is not None:
            parts.append(str(self.cost))
        return ", ".join(parts)


def add_variants(
    folder: Path, *, model: Served, variants: Sequence[str], examples: Examples | None = None
) -> None:
    """Adds `tflite/` to the folder of a version, and tells what each file costs.

    Args:
      folder: with the description of the model.
      model: built, with its trained weights.
      variants: as in `write_variants`.
      examples: as in `write_variants`.

    Raises:
      UserError, OSError: as `write_variants`.
    """
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    for variant in write_variants(model, card, folder / FOLDER, variants, examples):
        log.info("%s", variant)


def write_variants(
    model: Served,
    card: Mapping[str, Any],
    folder: Path,
    variants: Sequence[str],
    examples: Examples | None = None,
) -> list[Variant]:
    """Writes `folder/VARIANT.tflite` for each variant, and compares it with the model in memory.

    Args:
      model: built, with its trained weights.
      card: JSON content of the description, with the mean shape, or with the anchors.
      folder: for the files; made.
      variants: of `VARIANTS`.
      examples: prepared frames; int8 cannot do without.

    Returns:
      What was written, in the order of `variants`.

    Raises:
      UserError: a graph that TFLite cannot take, a file too small for the weights, a difference or
        a cost above its limit, or int8 without examples or without ai-edge-quantizer.
      OSError: a file cannot be written.
    """
    if "int8" in variants and examples is None:
        raise UserError(
            "--tflite=int8 takes its ranges from prepared frames and is checked on them; give "
            "--data_dir, or leave int8 out"
        )
    asked = serving_default(model, card)
    graph = lite_graph(model, asked.inputs)
    folder.mkdir(parents=True)
    faces = few_faces(asked, card)
    measure = MEASURES[card.get("kind", ACTION_UNITS_KIND)]
    judge = None if examples is None else Judge(model, examples.held_out, measure)
    written = []
    for variant in variants:
        content = convert(graph, variant, examples)
        path = folder / f"{variant}{SUFFIX}"
        path.write_bytes(join(content, card_of(card, variant)))
        lite = LiteModel(path)
        difference = None
        if variant in TOLERANCES:
            difference = check_outputs(model, lite, faces, variant)
        cost = None if judge is None else judge.cost(lite, variant)
        written.append(Variant(path, path.stat().st_size / 1e6, difference, cost))
    return written


def card_of(card: Mapping[str, Any], variant: str) -> dict[str, Any]:
    """The description of a variant: one signature, one face a call."""
    told = copy.deepcopy(card.get("signatures", {}))
    signatures = {name: s for name, s in told.items() if name == SIGNATURE}
    for signature in signatures.values():
        for tensor in (*signature["inputs"].values(), *signature["outputs"].values()):
            tensor["shape"] = [1, *tensor["shape"][1:]]
    return {**card, "signatures": signatures, "variant": variant}


def serving_default(model: Served, card: Mapping[str, Any]) -> Signature:
    """The signature that a file answers."""
    return next(asked for asked in signatures_of(model, card) if asked.name == SIGNATURE)


def few_faces(asked: Signature, card: Mapping[str, Any]) -> Faces:
    """Faces drawn at random, the same each time."""
    given = {name: value.numpy() for name, value in inputs_of(asked, faces_for(card)).items()}
    landmarks = given.pop("landmarks", None)
    ((name, crops),) = given.items()
    return Faces(crops, landmarks, name)


def convert(graph: LiteGraph, variant: str, examples: Examples | None = None) -> bytes:
    """A graph in TFLite's format, of operations that every TFLite runtime has.

    Args:
      graph: from `lite_graph`.
      variant: one of `VARIANTS`.
      examples: prepared frames, for int8.

    Returns:
      The content of a file, without a description.

    Raises:
      UserError: TFLite cannot take it, the result is too small to hold the weights, or there is
        nothing to quantise.
    """
    content = converted(graph, halves=variant == "float16")
    if variant == "int8":
        assert examples is not None  # `write_variants` has seen to it
        if "CONV_2D" not in operations(content):
            raise UserError("this system has no convolutions for int8; leave int8 out")
        faces = examples.representative
        rows = range(len(faces.crops))
        content = quantised(content, SIGNATURE, (faces.inputs(row) for row in rows))
    check_content(content, graph.weights * BYTES[variant], variant)
    return content


def converted(graph: LiteGraph, halves: bool) -> bytes:
    """The graph by TFLite's converter, with weights of single or half precision.

    Through a SavedModel, since it is there that inputs and outputs keep their names.
    """
    module = tf.Module()
    module.answer = graph.answer
    with tempfile.TemporaryDirectory() as folder:
        plain = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, folder, {SIGNATURE: graph.answer}, plain)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if halves:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            return converter.convert()
        except Exception as error:  # its own kind of error is not public
            reason = str(error).splitlines()[0]
            raise UserError(f"TFLite cannot take this system: {reason}") from error


def check_content(content: bytes, least: int, variant: str) -> None:
    """Raises `UserError` for what a converter may return without an error, and is no model."""
    if len(content) < FULL * least:
        raise UserError(
            f"{variant}.tflite has {len(content)} bytes, too few for weights of {least}; "
            "nothing was published"
        )
    foreign = sorted(name for name in operations(content) if name not in vars(BUILTIN))
    if foreign:
        raise UserError(
            f"{variant}.tflite needs operations that not every runtime has "
            f"({', '.join(foreign)}); nothing was published"
        )


BUILTIN = schema.BuiltinOperator


def operations(content: bytes) -> list[str]:
    """The operations of a graph by name: those of TFLite in capitals, any other as it is called."""
    names = {code: name for name, code in vars(BUILTIN).items() if isinstance(code, int)}
    model = schema.Model.GetRootAsModel(content, 0)
    found = []
    for i in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(i)
        if code.CustomCode() is not None:
            found.append(code.CustomCode().decode())
        else:
            found.append(names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())])
    return found
