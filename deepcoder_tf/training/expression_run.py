"""The folder of a run on expressions; laid out as `run` says, with another `run.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepcoder_tf.errors import UserError
from deepcoder_tf.face_model import ACTION_UNITS_KIND, EXPRESSIONS_KIND
from deepcoder_tf.files import write_json
from deepcoder_tf.models.expressions.registry import build_recogniser
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.run import check_same

__all__ = [
    "ExpressionRun",
    "load_recogniser",
    "open_expression_run",
    "read_expression_run",
    "run_kind",
]

FORMAT = 1


@dataclass(frozen=True)
class ExpressionRun:
    """What a run on expressions is.

    Attributes:
      config: every option.
      size: S, side of the stored pictures, pixels.
      channels: of them.
      anchors: where eyes and nose lie in them, shares of the side; see `faces.squares`.
      source: name of the data set.
      identities: names of the people in the training pictures, empty where not known.
      counts: split -> expression (and `none`) -> pictures.
      versions: of the libraries it was trained with.
    """

    config: RecogniserConfig
    size: int
    channels: int
    anchors: list[list[float]]
    source: str
    identities: list[str]
    counts: dict[str, dict[str, int]]
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        content = json.loads(json.dumps(asdict(self)))
        return {"format": FORMAT, "kind": EXPRESSIONS_KIND, **content}


def run_kind(folder: Path) -> str:
    """Of which kind a run is.

    Args:
      folder: that `deepcoder-train` wrote.

    Returns:
      `action_units` or `expressions`.

    Raises:
      UserError: the folder is no run.
    """
    path = folder / "run.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("kind", ACTION_UNITS_KIND))
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: no model folder (no run.json); run deepcoder-train first"
        ) from error
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error!r}); train again") from error


def read_expression_run(folder: Path) -> ExpressionRun:
    """Reads `run.json`.

    Args:
      folder: that `deepcoder-train` wrote.

    Returns:
      The run.

    Raises:
      UserError: the folder is no run on expressions, damaged, or of another version.
    """
    kind = run_kind(folder)
    if kind != EXPRESSIONS_KIND:
        raise UserError(f"{folder}: a model of {kind.replace('_', ' ')}, wanted one of expressions")
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise UserError(f"{path}: written by another version; train again")
        content.pop("kind")
        content["config"] = RecogniserConfig.from_mapping(content["config"])
        return ExpressionRun(**content)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error!r}); train again") from error


def open_expression_run(folder: Path, run: ExpressionRun) -> None:
    """Starts a run, or finds the same run to go on with.

    Raises:
      UserError: the folder holds another run; the first option that differs is named.
    """
    path = folder / "run.json"
    if not path.exists():
        write_json(path, run.to_json())
        return
    parts = ("size", "channels", "anchors", "source", "identities", "counts")
    check_same(folder, read_expression_run(folder).to_json(), run.to_json(), parts)


def load_recogniser(folder: Path) -> tuple[ExpressionSystem, ExpressionRun]:
    """The chosen model of a finished (or stopped) run.

    Args:
      folder: that `deepcoder-train` wrote.

    Returns:
      The model with its weights, and the run.

    Raises:
      UserError: no run on expressions, or no chosen model in it yet.
    """
    run = read_expression_run(folder)
    model = build_recogniser(run.config, run.size, run.channels, len(run.identities))
    Checkpoints.load_model(folder, model)
    return model, run
