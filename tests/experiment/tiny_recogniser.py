"""A recogniser with weights drawn at random, in the folder of a run."""

from __future__ import annotations

from pathlib import Path

import keras

from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.squares import ANCHORS
from deepcoder_tf.models.expressions.baseline import Baseline
from deepcoder_tf.models.expressions.registry import build_recogniser
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.expression_run import ExpressionRun, open_expression_run

SIZE = 48

SHARPNESS = 50.0
"""Times which the weights of a sharpened head are larger than they were drawn."""


def sharpened(model: Baseline) -> Baseline:
    """The same model, whose head tells faces apart: as it was drawn it says nearly the same of all.

    A comparison to 1e-5 would then see no difference.
    """
    model.head.kernel.assign(SHARPNESS * model.head.kernel)
    return model


def write_run(folder: Path, channels: int = 1, **changes) -> Path:
    """The folder of a run, as training leaves it."""
    config = RecogniserConfig.from_mapping(
        {
            "trunk_weights": "random",
            "trunk_width": 0.05,
            "trunk_blocks": (1, 1, 1),
            "picture_side": 96,
            "branch_filters": (8, 8, 8, 8),
            "decoder_filters": (8, 8, 8, 4, 4),
            **changes,
        }
    )
    keras.utils.set_random_seed(3)
    model = sharpened(build_recogniser(config, SIZE, channels))
    counts = {split: dict.fromkeys(EXPRESSIONS, 2) for split in ("train", "validation")}
    run = ExpressionRun(
        config=config,
        size=SIZE,
        channels=channels,
        anchors=ANCHORS.tolist(),
        source="ferplus",
        identities=[],
        counts=counts,
        versions={"tensorflow": "2.21.0"},
    )
    folder.mkdir(parents=True, exist_ok=True)
    open_expression_run(folder, run)
    Checkpoints.save_model(folder, model)
    return folder
