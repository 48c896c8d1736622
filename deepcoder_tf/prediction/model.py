"""An exported model: crops of faces in, distributions over levels or over expressions out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from deepcoder_tf.errors import UserError
from deepcoder_tf.face_model import POINTS, FaceModel, ModelDescription
from deepcoder_tf.lite_model import SUFFIX, LiteModel

__all__ = ["DESCRIPTION", "ServingModel", "load_model", "read_description"]

DESCRIPTION = Path("assets.extra") / "deepcoder.json"
"""Where an exported model says what it is, inside its folder."""

SIGNATURE = "serving_default"


def load_model(path: str | Path) -> FaceModel:
    """The exported model at a path, whatever its kind.

    Args:
      path: the folder of a version, `savedmodels/NAME/1`, or a `.tflite` file.

    Raises:
      UserError: no such model, damaged, or not one of ours.
    """
    path = Path(path)
    return LiteModel(path) if path.suffix == SUFFIX and not path.is_dir() else ServingModel(path)


def read_description(folder: str | Path) -> ModelDescription:
    """Reads `assets.extra/deepcoder.json` of an exported model.

    Raises:
      UserError: not a model folder, or a description that is missing, damaged or of another
        version.
    """
    folder = Path(folder)
    check_model_folder(folder)
    path = folder / DESCRIPTION
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} is a SavedModel but has no {DESCRIPTION}; export it with deepcoder-export"
        ) from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); export the model again") from error
    return ModelDescription.from_json(text, path)


def check_model_folder(folder: Path) -> None:
    """Tells a SavedModel from everything else that people pass.

    Raises:
      UserError: with what was found there and what to give in its place.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UserError(
            f"--model={folder} {what}; give the folder that deepcoder-export wrote, "
            "such as savedmodels/NAME/1"
        )
    if (folder / "saved_model.pb").is_file():
        return
    versions = [
        int(inside.name)
        for inside in folder.iterdir()
        if inside.name.isdigit() and (inside / "saved_model.pb").is_file()
    ]
    if versions:
        raise UserError(
            f"--model={folder} holds versions {', '.join(map(str, sorted(versions)))}; "
            f"give one of them: --model={folder / str(max(versions))}"
        )
    raise UserError(
        f"--model={folder} is no exported model (no saved_model.pb in it); "
        "give the folder that deepcoder-export wrote, such as savedmodels/NAME/1"
    )


class ServingModel(FaceModel):
    """A loaded SavedModel."""

    def __init__(self, folder: str | Path) -> None:
        """Loads the model and checks that it answers in the agreed form.

        Args:
          folder: one version, `savedmodels/NAME/1`.

        Raises:
          UserError: not a model folder, damaged, or not one of ours.
        """
        self.folder = Path(folder)
        self.description = read_description(self.folder)
        try:
            # The signature alone would not keep the variables alive.
            self._loaded: Any = tf.saved_model.load(str(self.folder))
            self._serve = self._loaded.signatures[SIGNATURE]
        except KeyError as error:
            raise UserError(
                f"{self.folder} has no signature {SIGNATURE}; export it with deepcoder-export"
            ) from error
        except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            maker = version_of(self.folder)
            cure = "export the model again"
            if maker not in ("", tf.__version__):
                cure = (
                    f"it was made by TensorFlow {maker}, this is {tf.__version__}; "
                    f"install that one, or {cure}"
                )
            raise UserError(f"{self.folder} cannot be loaded ({reason}); {cure}") from error
        parts = self.description.parts
        wanted = [None, *self.description.answer_shape]
        answer = self._serve.structured_outputs.get(parts.answer)
        takes = self._serve.structured_input_signature[1]
        if (
            not fits(takes, self.description)
            or answer is None
            or not answer.shape.is_compatible_with(wanted)
        ):
            raise UserError(
                f"{self.folder}: {SIGNATURE} must take uint8 {parts.faces}, or these and float32 "
                f"landmarks [None, {POINTS}, 2], and give {parts.answer} {wanted}; it takes "
                f"{', '.join(map(str, takes.values()))} and gives {answer}; "
                "export it with deepcoder-export"
            )
        self.needs_landmarks = "landmarks" in takes

    def answer(self, faces: dict[str, np.ndarray]) -> np.ndarray:
        """One call of the signature; see `FaceModel.answer`."""
        given = {name: tf.constant(values) for name, values in faces.items()}
        return self._serve(**given)[self.description.parts.answer].numpy()


def version_of(folder: Path) -> str:
    """The TensorFlow that wrote a SavedModel; an empty text where its file does not say."""
    try:
        content = (folder / "saved_model.pb").read_bytes()
        graphs = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    except (OSError, DecodeError):
        return ""
    return graphs[0].meta_info_def.tensorflow_version if graphs else ""


def fits(takes: dict[str, tf.TensorSpec], description: ModelDescription) -> bool:
    """Whether a signature takes faces as described, and nothing beside them but landmarks."""
    faces = description.parts.faces
    known = {
        faces: tf.TensorSpec((None, *description.face_shape), tf.uint8),
        "landmarks": tf.TensorSpec((None, POINTS, 2), tf.float32),
    }
    return faces in takes and all(
        name in known
        and spec.dtype == known[name].dtype
        and spec.shape.is_compatible_with(known[name].shape)
        for name, spec in takes.items()
    )
