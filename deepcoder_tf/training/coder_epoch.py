"""One epoch of one coder: which frames its batches hold, and the steps over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.objectives import Weights
from deepcoder_tf.training.data import batches
from deepcoder_tf.training.step import Step
from deepcoder_tf.types import Gaussian

__all__ = ["SKIPS_ALLOWED", "gp_batch_size", "gp_steps", "run_steps", "turns"]

SKIPS_ALLOWED = 3
"""Steps of a GP coder in a row without a finite gradient (an indefinite matrix) before stopping."""


def gp_batch_size(config: Config, count: int) -> int:
    """Frames in a step of a GP coder that trains on `count` of them."""
    return count if config.gp == "exact" else min(config.gp_block, count)


def gp_steps(config: Config, iteration: int, count: int) -> int:
    """Steps that a GP coder on `count` frames makes in an iteration; -1 is the initial run."""
    if iteration < 0:
        return config.gp_init_steps
    return config.gp_steps or max(1, count // gp_batch_size(config, count))


def turns(count: int, size: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Batches in which all rows take turns: epochs of blocks, shuffled anew for each epoch.

    Args:
      count: rows.
      size: rows in a batch, at most `count`; what an epoch leaves over waits for another.
      steps: how many batches.
      rng: source of the order.

    Returns:
      `[steps, size]` int64 rows, none twice in a batch.
    """
    per_epoch = max(1, count // size)
    epochs = [
        rng.permutation(count)[: per_epoch * size].reshape(per_epoch, size)
        for _ in range(-(-steps // per_epoch))
    ]
    return np.concatenate(epochs)[:steps] if epochs else np.empty((0, size), np.int64)


def run_steps(
    step: Step,
    parts: dict[str, Any],
    schedule: np.ndarray,
    weights: Weights,
    seed: tuple[int, int],
    tick: Callable[[], Any],
) -> list[dict[str, tf.Tensor]]:
    """Makes one step for each batch.

    Args:
      step: of the coder.
      parts: `mean`, `labels` and, where there are any, `var` of the coder's input and `code` of the
        coder below, with one row for each of its N frames.
      schedule: `[steps, batch]` rows.
      weights: of the terms.
      seed: (s, t); step k draws its random numbers from (s, 97 k + t).
      tick: called after each step.

    Returns:
      What each step found.
    """
    kl, label = tf.constant(weights.kl), tf.constant(weights.label)
    points = tf.constant(float(len(parts["labels"])))
    results = []
    for number, batch in enumerate(batches(parts, schedule)):
        results.append(
            step.run(
                Gaussian(batch["mean"], batch.get("var")),
                batch["labels"],
                batch["index"],
                batch.get("code"),
                kl,
                label,
                points,
                tf.constant([seed[0], 97 * number + seed[1]]),
            )
        )
        tick()
    return results
