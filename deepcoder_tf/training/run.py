"""A run's folder: everything that a trained model needs to be read again without its maker.

RUN/run.json        options, action units, mean shape, fold, versions; written first
RUN/state.json      progress of the last complete iteration
RUN/checkpoints/    tensors of the last two complete iterations
RUN/best/           weights of the chosen model
RUN/history.jsonl   one line of terms and validation scores per outer iteration
RUN/log/            TensorBoard events
RUN/cache/          training images at the model's size; can be deleted
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.files import write_json
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.models.system import System
from deepcoder_tf.training.checkpoints import Checkpoints

__all__ = ["RunInfo", "check_same", "load_model", "open_run", "read_run"]

FORMAT = 1


@dataclass(frozen=True)
class RunInfo:
    """What a run is.

    Attributes:
      config: every option.
      action_units: of the predictions, in order.
      mean_shape: 49 points (x, y) in crop pixels, to which faces are registered.
      points: N_L, frames that the GP coder owns.
      source: name of the data set.
      subjects: of each split.
      versions: of the libraries it was trained with.
    """

    config: Config
    action_units: tuple[str, ...]
    mean_shape: list[list[float]]
    points: int
    source: str
    subjects: dict[str, list[str]]
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {"format": FORMAT, **json.loads(json.dumps(asdict(self)))}


def read_run(folder: Path) -> RunInfo:
    """Reads `run.json`.

    Args:
      folder: that `deepcoder-train` wrote.

    Returns:
      The run.

    Raises:
      UserError: the folder is no run, or of another version.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise UserError(f"{folder}: no model folder (no run.json); run deepcoder-train first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise UserError(f"{path}: written by another version; train again")
        content["config"] = Config.from_mapping(content["config"])
        content["action_units"] = tuple(content["action_units"])
        return RunInfo(**content)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error!r}); train again") from error


def open_run(folder: Path, info: RunInfo) -> None:
    """Starts a run, or finds the same run to go on with.

    Raises:
      UserError: the folder holds another run; the first option that differs is named.
    """
    path = folder / "run.json"
    if not path.exists():
        write_json(path, info.to_json())
        return
    parts = ("action_units", "points", "source", "subjects", "mean_shape")
    check_same(folder, read_run(folder).to_json(), info.to_json(), parts)


def check_same(
    folder: Path, old: dict[str, Any], new: dict[str, Any], parts: Sequence[str]
) -> None:
    """Makes sure that a folder's run is the wanted one.

    Args:
      folder: of the run.
      old: its `run.json`.
      new: what it would say.
      parts: beside the options, what must be the same.

    Raises:
      UserError: it holds another run; the first option that differs is named.
    """
    for name, value in new["config"].items():
        if old["config"].get(name) != value:
            raise UserError(
                f"{folder} holds a run with --{name}={old['config'].get(name)}, not {value}; "
                "choose another --model_dir or delete this one"
            )
    for name in parts:
        if old[name] != new[name]:
            raise UserError(
                f"{folder} holds a run on other data ({name} differs); "
                "choose another --model_dir or delete this one"
            )


def load_model(folder: Path) -> tuple[System, RunInfo]:
    """The chosen model of a finished (or stopped) run.

    Args:
      folder: that `deepcoder-train` wrote.

    Returns:
      The model with its weights, and the run.

    Raises:
      UserError: no run, or no chosen model in it yet.
    """
    info = read_run(folder)
    model = build_system(info.config, len(info.action_units), info.points)
    Checkpoints.load_model(folder, model)
    return model, info
