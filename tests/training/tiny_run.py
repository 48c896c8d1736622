"""A run of Algorithm 1 that takes seconds, in this process or as a program that kills itself.

    python -m tests.training.tiny_run FOLDER KILL_AT

trains in FOLDER and kills itself while iteration KILL_AT is being reported, that is, after its
steps and before they are saved.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.training.balance import subset
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.loop import Algorithm1
from deepcoder_tf.training.trainer import Report

__all__ = ["ACTION_UNITS", "RANDOM", "TINY", "algorithm", "frames"]

ACTION_UNITS = 2

TINY: dict[str, Any] = {
    "coders": "conv:4,gp:2",
    "image_height": 12,
    "image_width": 8,
    "filters": (3, 2),
    "pools": (1, 0),
    "kernel_size": 3,
    "gp_points": 16,
    "gp_block": 8,
    "gp_inducing": 12,
    "gp_inducing_decoder": 6,
    "gp_init_steps": 4,
    "init_epochs": 1,
    "iterations": 4,
    "warmup_iterations": 2,
    "batch_size": 8,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "seed": 5,
}

RANDOM: dict[str, Any] = {"dropout": 0.1, "augment_shift": 0.1, "augment_flip": 0.5}
"""Options that draw random numbers in every step."""


def frames(count: int = 48) -> Frames:
    """Random pictures of three subjects, with labels and some holes."""
    rng = np.random.default_rng(1)
    levels = np.where(rng.random((count, ACTION_UNITS)) < 0.6, 0, rng.integers(1, 6, (count, 2)))
    levels[rng.random((count, ACTION_UNITS)) < 0.05] = -1
    return Frames(
        images=rng.integers(0, 256, (count, 12, 8, 1), dtype=np.uint8),
        labels=levels.astype(np.int32),
        subjects=np.repeat(["a", "b", "c"], -(-count // 3))[:count],
        rows=np.arange(count),
        landmarks=rng.uniform(20, 140, (count, 49, 2)).astype(np.float32),
    )


def algorithm(folder: Path, **options: Any) -> Algorithm1:
    """Algorithm 1 on random pictures; `validate` and `report` can be given with the options."""
    score = options.pop("validate", validate)
    report = options.pop("report", lambda report: None)
    config = Config(**{**TINY, **options})
    keras.utils.set_random_seed(config.seed)
    data = frames()
    points = np.empty(0, np.int64)
    if config.stack[-1].kind == "gp":
        rng = np.random.default_rng([config.seed, 0])
        count = config.gp_inducing if config.gp == "sparse" else config.gp_points
        points = subset(data.labels, data.subjects, count, rng)
    model = DeepCoder(config, ACTION_UNITS, len(points))
    model.build()
    return Algorithm1(model, data, points, folder, score, report)


def validate(model: DeepCoder, codes) -> dict[str, float]:
    """Any number that depends on every weight that predicts."""
    del model
    return {
        "icc": float(np.tanh(codes[-1].mean.mean())) if codes else 0.5,
        "ordinal_log_score": 1.0,
    }


def main(folder: Path, kill_at: int) -> None:
    """Trains and dies."""
    tf.config.experimental.enable_op_determinism()

    def report(report: Report) -> None:
        with (folder / "history.jsonl").open("a") as stream:
            stream.write(json.dumps(report._asdict()) + "\n")
        if report.iteration == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    folder.mkdir(parents=True)
    algorithm(folder, report=report, **RANDOM).fit()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
