"""A versioned SavedModel that TF Serving loads, checked against the model in memory."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import absl.logging
import tensorflow as tf

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.export.answers import Served, Signature
from deepcoder_tf.export.expression_card import expression_markdown
from deepcoder_tf.export.model_card import fingerprint, markdown
from deepcoder_tf.export.parity import check_parity
from deepcoder_tf.export.signatures import MEANING, describe, meanings_of, signatures_of
from deepcoder_tf.export.warmup import write_warmup
from deepcoder_tf.face_model import EXPRESSIONS_KIND
from deepcoder_tf.graphs import graph_of

__all__ = ["CARD", "README", "export_model", "next_version"]

CARD = "assets.extra/deepcoder.json"
"""What prediction needs beside the graph: action units, mean shape, configuration, signatures."""

README = "assets.extra/model_card.md"
"""The same for people."""


def next_version(folder: Path) -> int:
    """The integer version after the newest in `folder`; 1 where there is none."""
    numbers = [int(p.name) for p in folder.glob("*") if p.is_dir() and p.name.isdigit()]
    return max(numbers, default=0) + 1


def export_model(
    model: Served,
    card: Mapping[str, Any],
    folder: Path,
    version: int | None = None,
    *,
    overwrite: bool = False,
    additions: Sequence[Callable[[Path], None]] = (),
) -> Path:
    """Writes `folder/VERSION/` under a temporary name, checks it, then renames it.

    A server that polls the folder therefore never sees half a version.

    Args:
      model: built, with its trained weights.
      card: JSON content of `assets.extra/deepcoder.json`, with action units and mean shape, or
        with expressions and anchors; its `signatures` and `fingerprint` are added here.
      folder: of the served model.
      version: a positive integer; None is the next one.
      overwrite: replace the version where it exists; the old one stays until the new one is whole.
      additions: write further files into the folder under its temporary name, one after another.

    Returns:
      The version's folder.

    Raises:
      UserError: the version exists, the disk is full, the folder cannot be written, or the export
        differs from the model.
      ValueError: the card lacks what the signatures tell of it.
    """
    version = next_version(folder) if version is None else version
    target = folder / str(version)
    if target.exists() and not overwrite:
        raise UserError(
            f"{target} exists; choose another --version, leave it out for the next, or replace it "
            "by --overwrite"
        )
    partial = folder / f".{version}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_version(model, card, folder.name, partial)
        check_parity(model, partial, card)
        for add in additions:
            add(partial)
        publish(partial, target)
    except OSError as error:
        raise explain_os_error(error, f"writing {target}") from error
    except tf.errors.OpError as error:
        raise UserError(f"writing {target} failed: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def publish(partial: Path, target: Path) -> None:
    """Gives a finished version its name; one that stood there before goes afterwards."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_version(model: Served, card: Mapping[str, Any], name: str, path: Path) -> None:
    """Everything that lies in a version's folder but what others add."""
    signatures = signatures_of(model, card)
    described = write_archive(signatures, path, meanings_of(model))
    told = {**card, "signatures": described, "fingerprint": fingerprint(path)}
    (path / CARD).parent.mkdir(parents=True)
    (path / CARD).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    for_people = expression_markdown if card.get("kind") == EXPRESSIONS_KIND else markdown
    (path / README).write_text(for_people(told), encoding="utf-8")
    write_warmup(path, name, signatures, card)


def write_archive(
    signatures: Sequence[Signature], path: Path, meanings: Mapping[str, str] = MEANING
) -> dict[str, Any]:
    """Writes the SavedModel; returns what its signatures take and give, by name."""
    functions = {
        signature.name: graph_of(signature.answer, signature.inputs).get_concrete_function()
        for signature in signatures
    }
    save_functions(functions, path)
    return {
        signature.name: describe(signature, functions[signature.name].structured_outputs, meanings)
        for signature in signatures
    }


def save_functions(functions: Mapping[str, Any], path: Path) -> None:
    """Writes graphs as the signatures of a SavedModel.

    No model is tracked: the archive then holds the variables that a signature reads, each once,
    and nothing that only training needs. Nor are gradients saved.

    Args:
      functions: concrete functions by the name of their signature; see `traced`. Given these,
        TensorFlow does not trace once more, which takes half the time of an export.
      path: of the folder to write.
    """
    archive = tf.Module()
    read = {id(v): v for function in functions.values() for v in function.variables}
    archive.read = list(read.values())
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with only_warnings(tf.get_logger(), absl.logging.get_absl_logger()):
        tf.saved_model.save(archive, str(path), signatures=dict(functions), options=options)


@contextlib.contextmanager
def only_warnings(*loggers: logging.Logger) -> Iterator[None]:
    """TensorFlow would tell of inputs of its own, and of a folder that is renamed at once."""
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.WARNING))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
