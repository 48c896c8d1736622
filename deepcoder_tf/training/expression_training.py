"""Trains a recogniser of expressions: players take one step each on every batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.landmarks import MIRRORED_49
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.expressions.system import ExpressionBatch, ExpressionSystem
from deepcoder_tf.objectives_expressions import expression_weights, total
from deepcoder_tf.preprocessing.augment import augment, augment_points
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training.augmentation import augmentation_of
from deepcoder_tf.training.averages import epoch_means
from deepcoder_tf.training.balance import class_probabilities, sample_epoch
from deepcoder_tf.training.data import RowView, batches
from deepcoder_tf.training.step import ClippedUpdate, make_optimizer
from deepcoder_tf.training.trainer import Report, Trainer

__all__ = ["ExpressionStep", "ExpressionTrainer", "TrainingPictures", "targets_of"]

WARM_STEPS = 100
"""Steps over which the learning rate rises: the first gradients of new branches are large."""


class TrainingPictures(NamedTuple):
    """Pictures of the training split, row by row.

    Attributes:
      images: `[N, S, S, C]` uint8; usually a memory map.
      labels: `[N]` int32 classes, -1 for none.
      votes: `[N, 8]` float32 shares, zeros without any.
      identities: `[N]` int32 place of each picture's person, -1 where not known.
      landmarks: `[N, 49, 2]` float32, pixels of the picture, or None.
      annotations: `[N, 10]` counts of the annotators' choices, or None.
    """

    images: np.ndarray
    labels: np.ndarray
    votes: np.ndarray
    identities: np.ndarray
    landmarks: np.ndarray | None = None
    annotations: np.ndarray | None = None


def targets_of(labels: np.ndarray, votes: np.ndarray, kind: str) -> np.ndarray:
    """What the classifiers learn.

    Args:
      labels: `[N]` classes.
      votes: `[N, 8]` shares.
      kind: `majority` or `votes`; pictures without votes have their class.

    Returns:
      `[N, 8]` float32, rows that sum to 1.
    """
    one_hot = (labels[:, np.newaxis] == np.arange(len(EXPRESSIONS))).astype(np.float32)
    if kind == "majority":
        return one_hot
    return np.where(votes.sum(axis=1, keepdims=True) > 0, votes, one_hot).astype(np.float32)


class ExpressionStep(tf.Module):
    """A compiled training step: every player minimises its own terms once, on the same batch.

    Args:
      model: what is trained.
      updates: of each player's variables.
    """

    def __init__(self, model: ExpressionSystem, updates: dict[str, ClippedUpdate]) -> None:
        super().__init__()
        self.model = model
        self.updates = updates
        self.weights = expression_weights(model.config)
        self.augmentation = augmentation_of(model.config)
        self.run = graph_of(self._run)

    def _run(self, parts: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step.

        Args:
          parts: `images` `[B, S, S, C]` uint8, `targets`, `identities`, `index`, and what else
            `ExpressionBatch` has.
          seed: `[2]` int32, of augmentation and dropout.

        Returns:
          Every term by `player/term`, and of each player its `bound` (the loss with the sign
          turned), `gradient_norm` and `skipped`.
        """
        faces = augment(to_unit_range(parts["images"]), seed, self.augmentation)
        batch = ExpressionBatch(
            self.model.enlarged(faces),
            parts["targets"],
            parts["identities"],
            self.moved(parts.get("landmarks"), seed),
            parts.get("annotations"),
            parts["index"],
        )
        with tf.GradientTape(persistent=True) as tape:
            losses = self.model.losses(batch, seed + 1)
            totals = {player: total(terms, self.weights) for player, terms in losses.items()}
        found: dict[str, tf.Tensor] = {}
        for player, terms in losses.items():
            found |= {f"{player}/{name}": term for name, term in terms.items()}
            found[f"{player}/bound"] = -totals[player]
            told = self.updates[player](tape, totals[player])
            found |= {f"{player}/{name}": value for name, value in told.items()}
        del tape
        return found

    def moved(self, landmarks: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor | None:
        """Landmarks where the augmentation took what they mark."""
        if landmarks is None:
            return None
        size = (self.model.size, self.model.size)
        return augment_points(landmarks, size, seed, self.augmentation, MIRRORED_49.tolist())


class ExpressionTrainer(Trainer):
    """Epochs of minibatches over all pictures that have a class.

    Args:
      model: built.
      frames: the training pictures.
      folder: of the run.
      validate: see `Trainer`.
      report: see `Trainer`.

    Raises:
      ValueError: no picture has a class.
    """

    def __init__(
        self,
        model: ExpressionSystem,
        frames: TrainingPictures,
        folder: Path,
        validate: Callable[..., dict[str, float]],
        report: Callable[[Report], None] = lambda report: None,
    ) -> None:
        config = model.config
        optimizers = {}
        updates = {}
        for player, variables in model.players().items():
            rate = config.learning_rate if player == "network" else config.adversary_learning_rate
            optimizers[player] = make_optimizer(config.optimizer, rate, config.weight_decay)
            updates[player] = ClippedUpdate(variables, optimizers[player], config.clip_norm)
        self.step = ExpressionStep(model, updates)
        super().__init__(model, folder, validate, report, optimizers)
        self.recogniser = model
        self.frames = frames
        rows = np.flatnonzero(frames.labels != MISSING)
        self.probabilities = class_probabilities(frames.labels[rows], config.balance_power)
        self.parts: dict[str, Any] = {
            "images": RowView(frames.images, rows),
            "targets": targets_of(frames.labels[rows], frames.votes[rows], config.targets),
            "identities": frames.identities[rows],
        }
        if model.needs_landmarks and frames.landmarks is not None:
            self.parts["landmarks"] = frames.landmarks[rows]
        if frames.annotations is not None:
            self.parts["annotations"] = frames.annotations[rows].astype(np.float32)
        self.count = len(rows)

    def round(self, iteration: int) -> dict[str, float]:
        """An epoch; weights from outside come before the first."""
        if iteration < 0:
            self.recogniser.start(self.frames.labels, self.frames.landmarks)
            return {}
        rng = np.random.default_rng([self.config.seed, iteration + 2])
        schedule = sample_epoch(self.probabilities, self.batch_size, self.steps, rng)
        results = []
        network = self.step.updates["network"]
        for number, batch in enumerate(batches(self.parts, schedule)):
            network.optimizer.learning_rate.assign(
                self.learning_rate(iteration * self.steps + number)
            )
            seed = tf.constant([self.config.seed + 1000003 * (iteration + 2), 97 * number])
            results.append(self.step.run(batch, seed))
            self.bar.update()
        means: dict[str, float] = {}
        for player, update in self.step.updates.items():
            own = [
                {n.split("/")[1]: v for n, v in r.items() if n.startswith(f"{player}/")}
                for r in results
            ]
            found = epoch_means(own, update, f"{self.config.system}, {player}", iteration)
            means |= {f"{player}/{name}": value for name, value in found.items()}
        # An adversary's loss is no part of what the network minimises.
        return {n.replace("adversary/bound", "adversary/own_bound"): v for n, v in means.items()}

    def learning_rate(self, step: int) -> float:
        """Of the network: rises over the first steps, then falls linearly."""
        config = self.config
        share = step / max(1, config.iterations * self.steps - 1)
        falling = 1 - share * (1 - config.learning_rate_end)
        return config.learning_rate * min(1.0, (step + 1) / WARM_STEPS) * falling

    @property
    def batch_size(self) -> int:
        """Pictures in a step."""
        return min(self.config.batch_size, self.count)

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return max(1, self.count // self.batch_size)

    def steps_until(self, iteration: int) -> int:
        """Steps made when an epoch is finished."""
        return self.steps * (iteration + 1)

    def at_rest(self) -> bool:
        """Never: epochs and patience decide."""
        return False
