"""Trains a network on all labelled frames by the likelihood of their levels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.errors import UserError
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.network import Network
from deepcoder_tf.training.augmentation import make_prepare
from deepcoder_tf.training.averages import epoch_means
from deepcoder_tf.training.balance import balanced_probabilities, sample_epoch
from deepcoder_tf.training.data import Frames, RowView, batches
from deepcoder_tf.training.step import ClippedUpdate, learning_rate_at, make_optimizer
from deepcoder_tf.training.trainer import Report, Trainer
from deepcoder_tf.types import Gaussian

__all__ = ["NetworkStep", "NetworkTrainer"]


class NetworkStep(tf.Module):
    """A compiled training step of a network.

    Args:
      model: what is trained.
      update: of its trainable variables.
    """

    def __init__(self, model: Network, update: ClippedUpdate) -> None:
        super().__init__()
        self.model = model
        self.update = update
        self.prepare = make_prepare(model.config)
        self.run = graph_of(self._run)

    def _run(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Minimises the penalised cross-entropy once.

        Args:
          images: `[B, H, W, 1]` uint8.
          labels: `[B, Q]`, -1 where missing: such an entry adds nothing.
          seed: `[2]` int32, of augmentation and dropout.

        Returns:
          `label`, the mean log-likelihood of a frame's action unit; `bound`, the same with the
          penalty taken off, which is maximised; `gradient_norm` and `skipped`.
        """
        inputs = self.prepare(Gaussian(images, None), seed).mean
        with tf.GradientTape() as tape:
            log_prob = self.model.log_prob(inputs, labels, seed)
            label = tf.reduce_mean(log_prob) / self.model.outputs
            loss = self.model.penalty() - label
        return {"label": label, "bound": -loss} | self.update(tape, loss)


class NetworkTrainer(Trainer):
    """Epochs of minibatches over all labelled frames.

    Args:
      model: built.
      frames: the training frames of all training subjects; those without any label are left out.
      folder: of the run.
      validate: see `Trainer`.
      report: see `Trainer`.

    Raises:
      UserError: no frame has a label.
    """

    def __init__(
        self,
        model: Network,
        frames: Frames,
        folder: Path,
        validate: Callable[..., dict[str, float]],
        report: Callable[[Report], None] = lambda report: None,
    ) -> None:
        config = model.config
        optimizer = make_optimizer(config.optimizer, config.learning_rate)
        self.step = NetworkStep(
            model, ClippedUpdate(model.trainable_variables, optimizer, config.clip_norm)
        )
        super().__init__(model, folder, validate, report, {"optimizer": optimizer})
        rows = np.flatnonzero(np.any(frames.labels != MISSING, axis=1))
        if not len(rows):
            raise UserError("no training frame has a label; look at the labels of the data set")
        self.network = model
        self.labels = frames.labels[rows]
        self.images = RowView(frames.images, rows)
        self.probabilities = balanced_probabilities(
            self.labels, frames.subjects[rows], config.balance, config.balance_ess
        )

    def round(self, iteration: int) -> dict[str, float]:
        """The epochs of an outer iteration; weights from outside come before the first."""
        config = self.config
        if iteration < 0:
            self.network.start(self.labels)
        update = self.step.update
        update.optimizer.learning_rate.assign(learning_rate_at(config, iteration))
        rng = np.random.default_rng([config.seed, iteration + 2])
        schedule = sample_epoch(self.probabilities, self.batch_size, self.steps_in(iteration), rng)
        results = []
        parts: dict[str, Any] = {"images": self.images, "labels": self.labels}
        for number, batch in enumerate(batches(parts, schedule)):
            seed = tf.constant([config.seed + 1000003 * (iteration + 2), 97 * number])
            results.append(self.step.run(batch["images"], batch["labels"], seed))
            self.bar.update()
        means = epoch_means(results, update, config.system, iteration)
        return {f"network/{name}": value for name, value in means.items()}

    @property
    def batch_size(self) -> int:
        """Frames in a step."""
        return min(self.config.batch_size, len(self.labels))

    def steps_in(self, iteration: int) -> int:
        """Steps of an outer iteration; -1 is the initial run."""
        config = self.config
        epochs = config.init_epochs if iteration < 0 else config.epochs_per_iteration
        return epochs * max(1, len(self.labels) // self.batch_size)

    def steps_until(self, iteration: int) -> int:
        """Steps made when an iteration is finished."""
        return sum(self.steps_in(i) for i in range(-1, iteration + 1))
