"""The model card: what a model is, from what, how good, under which terms, and what it is not for.

`assets.extra/deepcoder.json` is for programs, `assets.extra/model_card.md` says the same to people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from deepcoder_tf.action_units import NAMES
from deepcoder_tf.errors import UserError

__all__ = [
    "DATA_TERMS",
    "LICENCES",
    "LIMITS",
    "NOT_TOLD",
    "USE",
    "fingerprint",
    "identity",
    "markdown",
    "number",
    "read_document",
    "read_metrics",
    "signatures_and_terms",
    "table",
]

LICENCES = {
    "code": "Apache-2.0",
    "landmarks": "dlib's 68-point predictor is CC0, but was trained on iBUG 300-W, whose terms are "
    "non-commercial; this model registers faces by landmarks and holds none of that file",
}
"""Terms of what the model stands on; those of weights and data are told by who trained it."""

DATA_TERMS = {
    "disfa": "DISFA: to be asked for from its owners, research only; deepcoder-synthesize writes "
    "the same layout, of faces that need no licence",
    "fera2015": "FERA 2015 (BP4D, SEMAINE): to be asked for from its owners, research only; "
    "deepcoder-synthesize writes the same layout, of faces that need no licence",
}
"""Terms by the name of the reader."""

NOT_TOLD = "not told at export"
"""What a card says of what nobody told it."""

USE = (
    "Research on facial expression: intensities of action units (FACS, 0-5) of one registered "
    "face, each with a distribution over levels."
)
"""What a model is for."""

LIMITS = (
    "Action units are movements of the face. They are not emotions, intentions, health or truth.",
    "Do not decide about a person from these numbers: not in hiring, policing, schools, insurance.",
    "Accuracy on other cameras, ages, skin colours, poses or occlusions than those of the training "
    "data is not known; measure it on labelled frames of your own first.",
    "The uncertainty is that of the model about faces like those it was trained on.",
    "A model of synthetic faces is a demonstration, not a measuring instrument for real people.",
)
"""What every reader of the numbers must know."""


def read_metrics(path: Path, action_units: tuple[str, ...]) -> dict[str, Any]:
    """What `deepcoder-evaluate` measured.

    Args:
      path: of its `metrics.json`.
      action_units: of the model.

    Returns:
      The content of the file.

    Raises:
      UserError: no such file, not such a file, or of other action units.
    """
    document = read_document(path)
    try:
        found, mean = tuple(document["per_au"]), document["mean"]["icc"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"--metrics={path} is no metrics.json of deepcoder-evaluate ({error!r})"
        ) from error
    if found != action_units or not isinstance(mean, float):
        raise UserError(
            f"--metrics={path} is of {', '.join(found)}, the model of {', '.join(action_units)}; "
            "give what deepcoder-evaluate wrote for this model"
        )
    return document


def read_document(path: Path) -> dict[str, Any]:
    """The JSON of a `metrics.json`.

    Raises:
      UserError: no such file, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--metrics={path}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise UserError(
            f"--metrics={path} is no metrics.json of deepcoder-evaluate ({error!r})"
        ) from error


def fingerprint(path: Path) -> dict[str, str]:
    """Hashes by which TensorFlow knows a SavedModel, as decimal numbers: JSON's are too short."""
    found = tf.saved_model.experimental.read_fingerprint(str(path))
    return {
        name: str(getattr(found, name))
        for name in (
            "saved_model_checksum",
            "graph_def_program_hash",
            "signature_def_hash",
            "saved_object_graph_hash",
            "checkpoint_hash",
        )
    }


def markdown(card: Mapping[str, Any]) -> str:
    """The card for people.

    Args:
      card: the content of `deepcoder.json`; what it lacks is told to be missing.

    Returns:
      Markdown.
    """
    units = card["action_units"]
    parts = [
        f"# {card.get('system', 'Model')}: intensities of {len(units)} facial action units",
        card.get("use", USE),
        "## Limits",
        "\n".join(f"- {line}" for line in card.get("limits", LIMITS)),
        "## Action units",
        table(("", "name"), [(unit, NAMES.get(unit, "")) for unit in units]),
        "## Training data",
        training_data(card),
        "## Measured",
        measured(card.get("metrics")),
        *signatures_and_terms(card),
        "## Mean shape",
        "49 points (x, y) to which faces are registered, pixels of the crop of "
        f"{' x '.join(map(str, card.get('crop_shape', [])))} rows and columns:",
        " ".join(f"({x:.2f}, {y:.2f})" for x, y in card["mean_shape"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def signatures_and_terms(card: Mapping[str, Any]) -> list[str]:
    """What the cards of all kinds of models say alike, in parts."""
    return [
        "## Signatures",
        "\n\n".join(signature(name, told) for name, told in card.get("signatures", {}).items()),
        "## Licences",
        table(("of", "terms"), list(card.get("licences", LICENCES).items())),
        "## Identity",
        identity(card),
        "## Options of the training",
        table(("option", "value"), [(k, json.dumps(v)) for k, v in card.get("config", {}).items()]),
    ]


def table(head: tuple[str, ...], rows: list[tuple]) -> str:
    """A table of Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(c) for c in line) + " |" for line in lines)


def cell(value: object) -> str:
    """A value in a table, where a bar would begin a new column."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def training_data(card: Mapping[str, Any]) -> str:
    """Source, fold and subjects."""
    subjects = card.get("subjects", {})
    counted = ", ".join(f"{split} {len(names)}" for split, names in subjects.items())
    return table(
        ("", ""),
        [
            ("reader", card.get("source", NOT_TOLD)),
            ("what", card.get("data", NOT_TOLD)),
            ("fold", card.get("config", {}).get("fold", NOT_TOLD)),
            ("subjects", counted or NOT_TOLD),
        ],
    )


MEASURES = ("icc", "mse", "mae", "ordinal_log_score", "calibration_error")


def measured(metrics: Mapping[str, Any] | None) -> str:
    """The numbers of `deepcoder-evaluate`, per action unit."""
    if not metrics:
        return "Not measured: this model was exported without --metrics."
    rows = [*metrics["per_au"].items(), ("mean", metrics["mean"])]
    return (
        f"On {metrics.get('frames', '?')} frames of the {metrics.get('split', '?')} split "
        "(ICC(3,1); MSE and MAE of the expected level; log-score in nats):\n\n"
        + table(
            ("", *MEASURES),
            [(name, *(number(found.get(m)) for m in MEASURES)) for name, found in rows],
        )
    )


def number(value: float | None) -> str:
    """Three digits behind the point."""
    return "" if value is None else f"{value:.3f}"


def signature(name: str, told: Mapping[str, Any]) -> str:
    """One signature: inputs and outputs with type, shape and meaning."""
    rows = []
    for side in ("inputs", "outputs"):
        for key, entry in told[side].items():
            sizes = ["any" if size is None else str(size) for size in entry["shape"][1:]]
            shape = ", ".join(["batch", *sizes])
            rows.append((side[:-1], f"`{key}`", f"{entry['dtype']} [{shape}]", entry["meaning"]))
    return f"### `{name}`\n\n" + table(("", "name", "type", "what"), rows)


def identity(card: Mapping[str, Any]) -> str:
    """Fingerprint and versions."""
    rows = [*card.get("fingerprint", {}).items(), *card.get("versions", {}).items()]
    return table(("", ""), rows)
