"""What the steps of an epoch found, as averages; and the stop where a number is not finite."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.training.step import ClippedUpdate

__all__ = ["epoch_means"]


def epoch_means(
    results: list[dict[str, tf.Tensor]],
    update: ClippedUpdate,
    where: str,
    iteration: int,
    skips_allowed: int = 1,
) -> dict[str, float]:
    """Means over the steps of an epoch.

    Args:
      results: of each step its terms, `gradient_norm` and `skipped` among them.
      update: that the steps made.
      where: what was trained, for the message.
      iteration: which one, for the message.
      skips_allowed: updates in a row that may be left out before this is an error.

    Returns:
      The means by name, of the steps in which they are finite, and as `skipped` the number of
      updates left out; empty without steps.

    Raises:
      UserError: a term is not finite in too many steps in a row or in all of them, with step, term
        and hyper-parameters.
    """
    if not results:
        return {}
    table = {name: np.array([float(r[name]) for r in results]) for name in results[0]}
    skipped = table.pop("skipped")
    means = {}
    for name, values in table.items():
        finite = np.isfinite(values)
        bad = np.flatnonzero(~finite)
        if len(bad) and (skipped.max() >= skips_allowed or not finite.any()):
            raise UserError(
                f"{where}: the term {name!r} is not finite at step {bad[0]} of iteration "
                f"{iteration} (learning rate {update.optimizer.learning_rate.numpy():g}, "
                f"clip norm {update.clip_norm:g}); lower the learning rate. "
                "The last complete iteration is kept"
            )
        means[name] = float(np.mean(values[finite]))
    return {**means, "skipped": float(np.sum(skipped > 0))}
