"""A run's folder: what it needs to go on after a kill, and the model that was best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.files import write_json

__all__ = ["Checkpoints"]


DAMAGE = (ValueError, KeyError, IndexError, AssertionError, tf.errors.OpError)
"""What TensorFlow raises for tensors of another model, and for cut or changed files."""


class Checkpoints:
    """Saves `items` with the progress that belongs to them, and brings both back.

    A save writes tensors first and then renames `state.json` onto the old one, so that a kill at
    any moment leaves a state whose tensors exist.

    Args:
      folder: of the run.
      items: Keras layers and optimizers by name, built.
    """

    def __init__(self, folder: Path, **items: Any) -> None:
        self.folder = folder
        self.items = tf.train.Checkpoint(**{name: tensors(item) for name, item in items.items()})
        self.manager = tf.train.CheckpointManager(
            self.items, str(folder / "checkpoints"), max_to_keep=2
        )

    def save(self, state: dict[str, Any]) -> None:
        """Saves everything as of the end of an outer iteration.

        Raises:
          UserError: the disk is full; the last complete save is kept.
        """
        try:
            prefix = self.manager.save(checkpoint_number=state["iteration"] + 1)
        except (OSError, tf.errors.OpError) as error:
            raise disk_error(error, self.folder) from error
        write_json(self.folder / "state.json", {**state, "checkpoint": Path(prefix).name})

    def restore(self) -> dict[str, Any] | None:
        """Loads the last complete save.

        Returns:
          Its state, or None in a new folder.

        Raises:
          UserError: the save does not fit the model, or is damaged.
        """
        path = self.folder / "state.json"
        if not path.exists():
            return None
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            prefix = self.folder / "checkpoints" / state["checkpoint"]
            self.items.restore(str(prefix)).assert_consumed()
        except (KeyError, TypeError, *DAMAGE) as error:
            raise UserError(
                f"{path}: the saved state cannot be read ({first_line(error)}); "
                "choose another --model_dir or delete this one"
            ) from error
        return state

    @staticmethod
    def save_model(folder: Path, model: keras.layers.Layer) -> None:
        """Saves a model's weights alone; the older ones go when `best.json` names the new ones."""
        name = f"weights-{best_number(folder) + 1}"
        try:
            tf.train.Checkpoint(model=tensors(model)).write(str(folder / "best" / name))
        except (OSError, tf.errors.OpError) as error:
            raise disk_error(error, folder) from error
        write_json(folder / "best.json", {"weights": name})
        for path in (folder / "best").glob("weights-*"):
            if path.name.split(".")[0] != name:
                path.unlink()

    @staticmethod
    def load_model(folder: Path, model: keras.layers.Layer) -> None:
        """Loads what `save_model` wrote.

        Raises:
          UserError: nothing was saved, or it does not fit.
        """
        try:
            saved = tf.train.Checkpoint(model=tensors(model))
            name = f"weights-{best_number(folder)}"
            saved.read(str(folder / "best" / name)).assert_consumed()
        except DAMAGE as error:
            raise UserError(
                f"{folder}: no complete trained model is here ({first_line(error)}); "
                "run deepcoder-train with this --model_dir to its end"
            ) from error


def best_number(folder: Path) -> int:
    """Number of the weights that `best.json` names; 0 where there are none yet."""
    path = folder / "best.json"
    if not path.is_file():
        return 0
    return int(json.loads(path.read_text(encoding="utf-8"))["weights"].removeprefix("weights-"))


def tensors(item: Any) -> list[tf.Variable]:
    """The variables of a Keras layer or optimizer, in the order of their creation.

    `tf.train.Checkpoint` does not look into lists of layers that a Keras layer holds: it would save
    nothing of them, and restore nothing, without a word.
    """
    return [variable.value for variable in item.variables]


def first_line(error: Exception) -> str:
    """The first line of an exception's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def disk_error(error: Exception, folder: Path) -> UserError:
    """A failed write as one line."""
    if isinstance(error, OSError):
        return explain_os_error(error, f"saving to {folder}")
    return UserError(
        f"saving to {folder} failed: {first_line(error)}; free some space and run the same command "
        "again: the last complete save is kept"
    )
