"""Prepared folders of small drawn faces, and runs of tiny recognisers on them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import skimage.data

from deepcoder_tf.cli import prepare
from deepcoder_tf.datasets.expressions.store import expression_info, load_expressions
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.models.expressions.registry import build_recogniser
from deepcoder_tf.recogniser_config import recogniser_preset
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.expression_run import ExpressionRun, open_expression_run
from tests.experiment.tiny_recogniser import sharpened

__all__ = [
    "PEOPLE",
    "SIZE",
    "TINY",
    "UNLABELLED",
    "photographed_face",
    "prepared_folder",
    "saved_run",
]

SIZE = 32
PEOPLE = {"train": ("ann", "bob"), "validation": ("cyd", "dan"), "test": ("eve",)}
UNLABELLED = 1

TINY: dict[str, Any] = {
    "trunk_weights": "random",
    "trunk_width": 0.05,
    "trunk_blocks": (1, 1, 1),
    "trunk_endpoint": "Mixed_6a",
    "picture_side": 96,
    "branch_filters": (8, 8, 8, 6),
    "decoder_filters": (8, 8, 8, 8, 8),
    "batch_size": 8,
    "iterations": 1,
}
"""Options of a recogniser that is built in a second."""


def drawn_face(label: int, person: int, rng: np.random.Generator) -> np.ndarray:
    """A bar whose place is the expression, on the colour of the person."""
    face = np.zeros((SIZE, SIZE, 3), np.float64) + np.eye(3)[person % 3] * 120 + 60
    face[4 * label : 4 * label + 4] += 60
    return np.clip(face + rng.normal(0, 8, face.shape), 0, 255).astype(np.uint8)


def photographed_face(label: int, person: int, rng: np.random.Generator) -> np.ndarray:
    """The astronaut, turned and scaled by chance; of one person's last class a wall."""
    if person and label == len(EXPRESSIONS) - 1:
        return np.full((128, 128, 3), 99, np.uint8)
    photo = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[:256, 96:352]
    turn, scale = rng.uniform(-8, 8), rng.uniform(0.45, 0.55)
    matrix = cv2.getRotationMatrix2D((127.5, 127.5), turn, scale) - [[0, 0, 64], [0, 0, 64]]
    return cv2.warpAffine(photo, matrix, (128, 128), None, cv2.INTER_AREA, cv2.BORDER_REFLECT)


def prepared_folder(
    root: Path,
    splits: tuple[str, ...] = ("train", "validation"),
    *,
    known: bool = True,
    labelled: bool = True,
    learnt: int = len(EXPRESSIONS),
    copies: int = 2,
    size: int = SIZE,
    channels: int = 3,
    draw: Callable[[int, int, np.random.Generator], np.ndarray] = drawn_face,
    flags: Sequence[str] = (),
) -> Path:
    """`copies` pictures of every class and person, and one without a class in each split.

    Args:
      root: for the pictures and the prepared folder.
      splits: that have pictures.
      known: whether the people are named.
      labelled: whether the last split has classes.
      learnt: classes that the training pictures show, from the first.
      copies: see above.
      size: side of the stored pictures.
      channels: of them.
      draw: makes the picture of a class and a person, BGR.
      flags: more of `deepcoder-prepare`.

    Returns:
      The prepared folder.
    """
    rng = np.random.default_rng(0)
    lines: list[list[str]] = [["path", "expression", "subject", "split"]]
    for split in splits:
        for person, name in enumerate(PEOPLE[split]):
            classes = learnt if split == "train" else len(EXPRESSIONS)
            wanted = [(k, c) for k in range(classes) for c in range(copies)]
            for label, copy in [*wanted, *([(0, -1)] * UNLABELLED if not person else [])]:
                file = f"{split}/{name}_{label}_{copy}.png"
                (root / split).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(root / file), draw(label, person, rng))
                told = copy >= 0 and (labelled or split != splits[-1])
                lines.append(
                    [file, EXPRESSIONS[label] if told else "", name if known else "", split]
                )
    with (root / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    arguments = [
        "prepare",
        "--dataset=expression_manifest",
        f"--manifest={root / 'manifest.csv'}",
        f"--output_dir={root / 'prepared'}",
        f"--size={size}",
        f"--channels={channels}",
        f"--allow_missing_classes={learnt < len(EXPRESSIONS)}",
        *flags,
    ]
    assert prepare.main(arguments) == 0
    return root / "prepared"


def saved_run(folder: Path, prepared: Path, **changes: Any) -> Path:
    """A run on a prepared folder whose chosen model is as before the first step of training.

    But for its head; see `sharpened`.

    Args:
      folder: for the run.
      prepared: see `prepared_folder`.
      **changes: options that differ from `TINY`.

    Returns:
      The run's folder.
    """
    info = expression_info(prepared)
    config = recogniser_preset("small", **{**TINY, "trunk_frozen": "", **changes})
    identities = ["ann", "bob"]
    run = ExpressionRun(
        config=config,
        size=info.size,
        channels=info.channels,
        anchors=[list(map(float, point)) for point in info.anchors],
        source=info.source,
        identities=identities,
        counts=info.counts,
        versions={},
    )
    open_expression_run(folder, run)
    # A run is made for a whole module, before the seed of any test is set.
    keras.utils.set_random_seed(1)
    model = build_recogniser(config, info.size, info.channels, len(identities))
    train = load_expressions(prepared).of("train")
    model.start(train.labels, train.landmarks)
    Checkpoints.save_model(folder, sharpened(model))
    return folder
