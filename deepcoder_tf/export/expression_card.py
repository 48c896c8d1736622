"""The model card of a recogniser of expressions; see `model_card`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepcoder_tf.errors import UserError
from deepcoder_tf.export.model_card import (
    LICENCES,
    NOT_TOLD,
    number,
    read_document,
    signatures_and_terms,
    table,
)
from deepcoder_tf.face_model import EXPRESSIONS_KIND
from deepcoder_tf.models.trunks import FACENET
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = [
    "EXPRESSION_LIMITS",
    "EXPRESSION_USE",
    "expression_licences",
    "expression_markdown",
    "read_expression_metrics",
]

EXPRESSION_USE = (
    "Research on facial expression: which of eight expressions the picture of a face shows, as a "
    "distribution over them."
)
"""What a model is for."""

EXPRESSION_LIMITS = (
    "An expression is what a face shows, as others judged it. It is not what a person feels, "
    "intends or is.",
    "Do not decide about a person from these numbers: not in hiring, policing, schools, insurance.",
    "Classes that are rare in the training data (often disgust and contempt) are the least sure.",
    "Accuracy on other cameras, ages, skin colours, poses or occlusions than those of the training "
    "data is not known; measure it on labelled pictures of your own first.",
    "Codes that an adversary cannot read are not therefore empty; a decoded or swapped picture of "
    "a person is not a picture that was taken of them, and must be told to be none.",
)
"""What every reader of the numbers must know."""

DATA_TERMS = {
    "affectnet": "AffectNet: to be asked for from its owners, research only",
    "ckplus": "CK+: to be asked for from its owners, research only",
    "ferplus": "FERPlus: labels by Microsoft under the terms of their repository; the pictures are "
    "FER2013, gathered from the web for a challenge, without a licence of the people shown",
}
"""Terms by the name of the reader."""

TRUNK_TERMS = {
    FACENET: "FaceNet weights, where the training began with them: code MIT (David Sandberg), "
    "trained on CASIA-WebFace or VGGFace2, whose terms are non-commercial research",
    "imagenet": "weights of keras.applications, trained on ImageNet, whose terms are "
    "non-commercial research",
    "random": "begun without weights of others",
}


def expression_licences(
    config: RecogniserConfig, source: str, licence: str | None
) -> dict[str, str]:
    """The terms of what a recogniser stands on.

    Args:
      config: of its training.
      source: name of the data set.
      licence: of the weights, as who exports it tells them.
    """
    network = "imagenet" if config.trunk != FACENET else FACENET
    return {
        **LICENCES,
        "trunk": TRUNK_TERMS["random" if config.trunk_weights == "random" else network],
        "weights": licence or NOT_TOLD,
        "data": DATA_TERMS.get(source, NOT_TOLD),
    }


def read_expression_metrics(path: Path) -> dict[str, Any]:
    """What `deepcoder-evaluate` measured of a recogniser.

    Args:
      path: of its `metrics.json`.

    Returns:
      The content of the file.

    Raises:
      UserError: no such file, not such a file, or of a model of action units.
    """
    document = read_document(path)
    try:
        if document["kind"] != EXPRESSIONS_KIND:
            raise ValueError(f"kind {document['kind']!r}")
        measured(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"--metrics={path} is no metrics.json of deepcoder-evaluate for a model of expressions "
            f"({error!r}); give what it wrote for this model"
        ) from error
    return document


def expression_markdown(card: Mapping[str, Any]) -> str:
    """The card for people.

    Args:
      card: the content of `deepcoder.json`; what it lacks is told to be missing.

    Returns:
      Markdown.
    """
    counts = card.get("counts", {})
    side, channels = card["crop_shape"][0], card["channels"]
    anchors = " ".join(f"({x:.3f}, {y:.3f})" for x, y in card["anchors"])
    metrics = card.get("metrics")
    parts = [
        f"# {card.get('system', 'Model')}: expressions of faces",
        card.get("use", EXPRESSION_USE),
        "## Limits",
        "\n".join(f"- {line}" for line in card.get("limits", EXPRESSION_LIMITS)),
        "## Training data",
        table(
            ("", ""),
            [("reader", card.get("source", NOT_TOLD)), ("what", card.get("data", NOT_TOLD))],
        ),
        "## Expressions",
        table(
            ("pictures", *counts),
            [(name, *(of.get(name, 0) for of in counts.values())) for name in card["expressions"]],
        ),
        "## Measured",
        measured(metrics)
        if metrics
        else "Not measured: this model was exported without --metrics.",
        *signatures_and_terms(card),
        "## Faces",
        f"Squares of {side} x {side} pixels, {'grey' if channels == 1 else 'red, green, blue'}; "
        "the two eyes' centres and the base of the nose lie at these shares of the side (x, y): "
        f"{anchors}.",
        SEES_LANDMARKS if sees_landmarks(card) else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


SEES_LANDMARKS = (
    "This model sees landmarks too: 49 inner points of each face, moved as the face was. "
    "`deepcoder-predict` and `deepcoder-client` find and send them."
)


def sees_landmarks(card: Mapping[str, Any]) -> bool:
    """Whether the model of a card takes landmarks beside the faces."""
    served = card.get("signatures", {}).get("serving_default", {})
    return "landmarks" in served.get("inputs", ())


MEASURES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")
OF_CLASSES = ("precision", "recall", "f1")


def measured(metrics: Mapping[str, Any]) -> str:
    """The numbers of `deepcoder-evaluate`, of all pictures and of each expression."""
    overall = table(
        ("of all", "value"),
        [(name.replace("_", " "), number(metrics[name])) for name in (*MEASURES, "majority_rate")],
    )
    classes = table(
        ("expression", "pictures", *OF_CLASSES),
        [
            (name, found["pictures"], *(number(found[m]) for m in OF_CLASSES))
            for name, found in metrics["per_class"].items()
        ],
    )
    return (
        f"On {metrics['labelled']} labelled pictures of the {metrics.get('split', '?')} split of "
        f"{metrics.get('source', '?')} (log loss in nats; majority rate: always saying the most "
        f"frequent class):\n\n{overall}\n\n{classes}"
    )
