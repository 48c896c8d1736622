"""An exported model: crops in, distributions over levels out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf import action_units
from deepcoder_tf.errors import UserError

__all__ = ["DESCRIPTION", "FORMAT", "ModelDescription", "ServingModel"]

DESCRIPTION = Path("assets.extra") / "deepcoder.json"
"""Where an exported model says what it is, inside its folder."""

FORMAT = 1
"""Version of that description; a model without a number is of version 1."""

SIGNATURE = "serving_default"

POINTS = 49


@dataclass(frozen=True)
class ModelDescription:
    """What has to be known about a model to feed it.

    Attributes:
      action_units: Q names, in the order of the outputs.
      mean_shape: `[49, 2]` float64, crop pixels (x, y) that landmarks are registered to.
      crop_shape: rows and columns.
    """

    action_units: tuple[str, ...]
    mean_shape: np.ndarray
    crop_shape: tuple[int, int]

    @classmethod
    def read(cls, folder: str | Path) -> ModelDescription:
        """Reads `assets.extra/deepcoder.json` of an exported model.

        Raises:
          UserError: not a model folder, or a description that is missing, damaged or of another
            version.
        """
        folder = Path(folder)
        check_model_folder(folder)
        path = folder / DESCRIPTION
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(
                f"{folder} is a SavedModel but has no {DESCRIPTION}; "
                "export it with deepcoder-export"
            ) from error
        except (ValueError, OSError) as error:
            raise UserError(f"{path} cannot be read ({error}); export the model again") from error
        version = document.get("format", FORMAT) if isinstance(document, dict) else None
        if version != FORMAT:
            raise UserError(
                f"{path} has format {version}, this program reads {FORMAT}; "
                "export the model again with this version"
            )
        try:
            names = tuple(action_units.parse(name) for name in document["action_units"])
            mean_shape = np.asarray(document["mean_shape"], np.float64)
            rows, columns = (int(size) for size in document["crop_shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: {type(error).__name__} {error}; export the model again"
            ) from error
        if mean_shape.shape != (POINTS, 2) or not np.isfinite(mean_shape).all() or not names:
            raise UserError(
                f"{path}: the mean shape is {list(mean_shape.shape)} for {len(names)} action "
                f"units, wanted [{POINTS}, 2] finite numbers; export the model again"
            )
        return cls(names, mean_shape, (rows, columns))


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


class ServingModel:
    """A loaded SavedModel."""

    def __init__(self, folder: str | Path) -> None:
        """Loads the model and checks that it answers in the agreed form.

        Args:
          folder: one version, `savedmodels/NAME/1`.

        Raises:
          UserError: not a model folder, damaged, or not one of ours.
        """
        self.folder = Path(folder)
        self.description = ModelDescription.read(self.folder)
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
            raise UserError(
                f"{self.folder} cannot be loaded ({reason}); export the model again"
            ) from error
        wanted = [None, len(self.description.action_units), action_units.LEVELS]
        answer = self._serve.structured_outputs.get("level_probabilities")
        takes = self._serve.structured_input_signature[1]
        if (
            not fits(takes, self.description.crop_shape)
            or answer is None
            or not answer.shape.is_compatible_with(wanted)
        ):
            raise UserError(
                f"{self.folder}: {SIGNATURE} must take uint8 crops, or these and float32 landmarks "
                f"[None, {POINTS}, 2], and give level_probabilities {wanted}; it takes "
                f"{', '.join(map(str, takes.values()))} and gives {answer}; "
                "export it with deepcoder-export"
            )
        self.needs_landmarks = "landmarks" in takes

    def probabilities(
        self, crops: np.ndarray, batch_size: int, landmarks: np.ndarray | None = None
    ) -> np.ndarray:
        """Predicts any number of crops.

        Every call of the model has the same shape, the last one filled up with blank crops: the
        numbers of a crop then do not depend on how many others came with it.

        Args:
          crops: `[N, rows, columns, 1]` uint8 grey, not equalised.
          batch_size: crops in one call.
          landmarks: `[N, 49, 2]` registered to the mean shape, crop pixels (x, y); a model that
            sees the picture alone does not look at them.

        Returns:
          `[N, Q, 6]` float64, as the model gives them.

        Raises:
          ValueError: crops of another shape or type, or landmarks that do not fit them.
        """
        wanted = (*self.description.crop_shape, 1)
        if crops.dtype != np.uint8 or crops.shape[1:] != wanted:
            raise ValueError(
                f"crops must be uint8 [N, {', '.join(map(str, wanted))}], "
                f"got {crops.dtype} {list(crops.shape)}"
            )
        given = {"crops": crops}
        if self.needs_landmarks:
            if landmarks is None or landmarks.shape != (len(crops), POINTS, 2):
                raise ValueError(
                    f"this model wants landmarks [{len(crops)}, {POINTS}, 2] beside the crops, "
                    f"got {None if landmarks is None else list(landmarks.shape)}"
                )
            given["landmarks"] = landmarks.astype(np.float32)
        P = np.zeros((len(crops), len(self.description.action_units), action_units.LEVELS))
        for start in range(0, len(crops), batch_size):
            rows = slice(start, start + batch_size)
            part = {name: tf.constant(filled(v[rows], batch_size)) for name, v in given.items()}
            answer = self._serve(**part)["level_probabilities"].numpy()
            P[rows] = answer[: len(P[rows])]
        return P


def fits(takes: dict[str, tf.TensorSpec], crop_shape: tuple[int, int]) -> bool:
    """Whether a signature takes crops, and nothing beside them but landmarks."""
    known = {
        "crops": tf.TensorSpec((None, *crop_shape, 1), tf.uint8),
        "landmarks": tf.TensorSpec((None, POINTS, 2), tf.float32),
    }
    return "crops" in takes and all(
        name in known
        and spec.dtype == known[name].dtype
        and spec.shape.is_compatible_with(known[name].shape)
        for name, spec in takes.items()
    )


def filled(rows: np.ndarray, count: int) -> np.ndarray:
    """Rows of a batch, and 0 behind them up to a count."""
    return np.pad(rows, [(0, count - len(rows)), *[(0, 0)] * (rows.ndim - 1)])
