"""A model in one .tflite file: the graph for TFLite, and behind it a zip that says what it is.

A reader of TFLite graphs looks at the front of a file, a reader of zips at its end: one file is
both, as TFLite's own associated files are. The zip holds `deepcoder.json`, the description, and
`graph.sha256`, by which a file that was cut or changed on its way is told.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.face_model import POINTS, FaceModel, ModelDescription

__all__ = ["CARD", "SIGNATURE", "SUFFIX", "VARIANTS", "LiteModel", "join", "split"]

SUFFIX = ".tflite"
"""Of the files."""

VARIANTS = ("float32", "float16", "int8")
"""Precisions of the weights that a model comes in."""

CARD = "deepcoder.json"
"""The description, in the zip."""

DIGEST = "graph.sha256"

SIGNATURE = "serving_default"
"""What the graph answers to."""

IDENTIFIER = slice(4, 8), b"TFL3"
"""Where a TFLite graph says that it is one."""

DATE = (1980, 1, 1, 0, 0, 0)
"""Of the members, so that one model gives one file."""

log = logging.getLogger(__name__)


def join(graph: bytes, card: Mapping[str, Any]) -> bytes:
    """The content of a .tflite file from a graph and its description.

    Args:
      graph: for TFLite.
      card: JSON content of the description.

    Returns:
      The graph, the zip behind it.
    """
    members = {
        CARD: json.dumps(card, indent=2) + "\n",
        DIGEST: hashlib.sha256(graph).hexdigest() + "\n",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), text, zipfile.ZIP_DEFLATED)
    return graph + stream.getvalue()


def split(content: bytes, source: object) -> tuple[bytes, str]:
    """The graph and the text of the description in a .tflite file's content.

    Args:
      content: of the file.
      source: its name, for errors.

    Raises:
      UserError: no TFLite graph, no description, or damaged.
    """
    place, identifier = IDENTIFIER
    if content[place] != identifier:
        raise UserError(
            f"{source} is no TFLite model; give a file that deepcoder-export --tflite wrote"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            start = min(member.header_offset for member in archive.infolist())
            card, digest = (archive.read(name).decode("utf-8") for name in (CARD, DIGEST))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(
            f"{source} has no description behind its graph, or was cut; "
            "give a file as deepcoder-export --tflite wrote it"
        ) from error
    graph = content[:start]
    if hashlib.sha256(graph).hexdigest() != digest.strip():
        raise UserError(f"{source} is damaged (its checksum differs); copy or export it again")
    return graph, card


def interpreter(graph: bytes, threads: int) -> tuple[Any, str]:
    """An interpreter of a graph, and the name of the runtime: LiteRT's own where it is installed.

    Raises:
      ValueError, RuntimeError: not a graph that this runtime can run.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=graph, num_threads=threads), "ai-edge-litert"
    except ImportError:
        import tensorflow as tf

        with warnings.catch_warnings():  # that it will move to ai-edge-litert
            warnings.simplefilter("ignore")
            return tf.lite.Interpreter(model_content=graph, num_threads=threads), "tensorflow"


class LiteModel(FaceModel):
    """A model in a .tflite file, which takes one face at a time.

    Attributes:
      runtime: what runs it, `ai-edge-litert` or `tensorflow`.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Loads the model and checks that it answers in the agreed form.

        Args:
          path: of the file.
          threads: of the runtime; as many as there are cores when None.

        Raises:
          UserError: no such file, not a TFLite model, or not one of ours.
        """
        self.path = Path(path)
        try:
            content = self.path.read_bytes()
        except FileNotFoundError as error:
            raise UserError(
                f"--model={path} does not exist; give a file that deepcoder-export --tflite wrote"
            ) from error
        except OSError as error:
            raise explain_os_error(error, f"reading {path}") from error
        graph, card = split(content, path)
        self.description = ModelDescription.from_json(card, f"{path} ({CARD})")
        try:
            # The runner alone would not keep the interpreter alive.
            self._interpreter, self.runtime = interpreter(graph, threads or os.cpu_count() or 1)
            self._serve = self._interpreter.get_signature_runner(SIGNATURE)
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path} cannot be loaded ({reason}); export it again") from error
        self.needs_landmarks = "landmarks" in self._serve.get_input_details()
        self.check()
        log.info("%s: run by %s", path, self.runtime)

    def check(self) -> None:
        """Raises `UserError` where the graph is not what the description says."""
        parts = self.description.parts
        wanted = {
            parts.faces: ((1, *self.description.face_shape), np.uint8),
            "landmarks": ((1, POINTS, 2), np.float32),
        }
        if not self.needs_landmarks:
            del wanted["landmarks"]
        answer = (1, *self.description.answer_shape), np.float32
        takes = shapes_and_types(self._serve.get_input_details())
        gives = shapes_and_types(self._serve.get_output_details())
        if takes != wanted or gives.get(parts.answer) != answer:
            raise UserError(
                f"{self.path}: {SIGNATURE} must take {told(wanted)} and give "
                f"{told({parts.answer: answer})}; it takes {told(takes)} and gives "
                f"{told(gives)}; export it with deepcoder-export --tflite"
            )

    def outputs(self, **face: np.ndarray) -> dict[str, np.ndarray]:
        """Everything that the model says of one face.

        Args:
          **face: as `FaceModel.answer` takes them, a batch of one.

        Returns:
          The outputs by name, a batch of one each.
        """
        return self._serve(**face)

    def answer(self, faces: dict[str, np.ndarray]) -> np.ndarray:
        """See `FaceModel.answer`; face by face."""
        parts = self.description.parts
        answers = [
            self.outputs(**{name: v[i : i + 1] for name, v in faces.items()})[parts.answer]
            for i in range(len(faces[parts.faces]))
        ]
        return np.concatenate(answers)

    def probabilities(
        self,
        crops: np.ndarray,
        batch_size: int,
        landmarks: np.ndarray | None = None,
        place: int = 0,
    ) -> np.ndarray:
        """See `FaceModel.probabilities`; batches are not filled up, since one face is a call."""
        del batch_size, place
        return super().probabilities(crops, 1, landmarks)


def shapes_and_types(details: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and type of each input or output by name."""
    return {name: (tuple(map(int, d["shape"])), d["dtype"]) for name, d in details.items()}


def told(tensors: Mapping[str, tuple[tuple[int, ...], Any]]) -> str:
    """For an error message."""
    return ", ".join(
        f"{name} {np.dtype(kind).name} {list(shape)}" for name, (shape, kind) in tensors.items()
    )
