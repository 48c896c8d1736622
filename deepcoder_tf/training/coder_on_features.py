"""Trains a coder that stands alone on features: VO-GPAE, or VAE-DGP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.coder_head import CoderHead
from deepcoder_tf.models.feature_system import FeatureSystem
from deepcoder_tf.models.vae_dgp import VAEDGP
from deepcoder_tf.objectives import Weights, weights_at
from deepcoder_tf.training.averages import epoch_means
from deepcoder_tf.training.balance import balanced_probabilities, sample_epoch
from deepcoder_tf.training.coder_epoch import (
    SKIPS_ALLOWED,
    gp_batch_size,
    gp_steps,
    run_steps,
    turns,
)
from deepcoder_tf.training.data import Frames, RowView
from deepcoder_tf.training.feature_training import FeatureTrainer
from deepcoder_tf.training.step import Step, make_optimizer
from deepcoder_tf.training.trainer import Report
from deepcoder_tf.types import Gaussian

__all__ = ["CoderOnFeatures"]


class CoderOnFeatures(FeatureTrainer):
    """Rounds of the step of Algorithm 1 for one coder whose prior is N(0, I).

    A VO-GPAE trains on blocks of X_L, or as a sparse one on balanced batches of all labelled
    frames, as many steps a round as in a stack, with the warm-up of its divergence. A VAE-DGP
    trains on all labelled frames in epochs as the parametric coders do, without warm-up: each of
    its latents is another's prior, and without their divergence they fall apart.

    Args:
      model: features under a `CoderHead`, built.
      frames: see `FeatureTrainer`.
      subset: see `FeatureTrainer`; empty for VAE-DGP.
      folder: of the run.
      validate: see `Trainer`.
      report: see `Trainer`.
    """

    def __init__(
        self,
        model: FeatureSystem,
        frames: Frames,
        subset: np.ndarray,
        folder: Path,
        validate: Callable[..., dict[str, float]],
        report: Callable[[Report], None] = lambda report: None,
    ) -> None:
        config = model.config
        assert isinstance(model.head, CoderHead)
        self.coder = model.head.coder
        optimizer = make_optimizer(config.gp_optimizer, config.gp_learning_rate)
        self.step = Step(self.coder, optimizer, lambda z, seed: z, None, config.clip_norm)
        super().__init__(model, frames, subset, folder, validate, report, {"optimizer": optimizer})
        self.probabilities = balanced_probabilities(
            self.labels, self.subjects, config.balance, config.balance_ess
        )

    def round(self, iteration: int) -> dict[str, float]:
        """The steps of an outer iteration, and the caches of prediction."""
        config, coder = self.config, self.coder
        if iteration < 0:
            own = self.subset if len(self.subset) else slice(None)
            coder.observe(certain(self.features[own]), self.labels[own], first=True)
        z_in = self.inputs(self.trained)
        parts = {"mean": z_in.mean, "var": z_in.var, "labels": self.labels[self.trained]}
        schedule, weights = self.schedule(iteration), self.weights(iteration)
        seed = config.seed + 1000003 * (iteration + 2), 0
        results = run_steps(self.step, parts, schedule, weights, seed, self.bar.update)
        means = epoch_means(results, self.step.update, config.system, iteration, SKIPS_ALLOWED)
        try:
            coder.refresh()
            own = self.subset if coder.max_points is None else np.arange(len(self.subset))
            coder.fit_labels(z_in, parts["labels"], self.subjects[self.trained], own)
        except ValueError as error:
            raise UserError(f"{config.system}, iteration {iteration}: {error}") from error
        return {f"{config.system}/{name}": value for name, value in means.items()}

    @property
    def trained(self) -> np.ndarray:
        """Rows of the labelled frames that the coder trains on."""
        return np.arange(len(self.labels)) if self.coder.max_points is None else self.subset

    def inputs(self, rows: np.ndarray) -> Gaussian:
        """Features of frames, not copied into memory."""
        every = len(rows) == len(self.labels)
        return certain(self.features if every else RowView(self.features, rows))

    def weights(self, iteration: int) -> Weights:
        """Of the terms of the bound."""
        if isinstance(self.coder, VAEDGP):
            return Weights(kl=1.0, label=self.config.ordinal_weight)
        return weights_at(iteration, last=True, gp=True, config=self.config)

    def schedule(self, iteration: int) -> np.ndarray:
        """The rows, among those trained on, of every batch of an iteration."""
        rng = np.random.default_rng([self.config.seed, iteration + 2])
        count = len(self.trained)
        size, steps = self.batch_size, self.steps_in(iteration)
        if self.coder.max_points is None:
            return sample_epoch(self.probabilities, size, steps, rng)
        return turns(count, size, steps, rng)

    @property
    def batch_size(self) -> int:
        """Frames in a step."""
        count = len(self.trained)
        if isinstance(self.coder, VAEDGP):
            return min(self.config.gp_block, count)
        return gp_batch_size(self.config, count)

    def steps_in(self, iteration: int) -> int:
        """Steps of an outer iteration; -1 is the initial run."""
        config, count = self.config, len(self.trained)
        if not isinstance(self.coder, VAEDGP):
            return gp_steps(config, iteration, count)
        epochs = config.init_epochs if iteration < 0 else config.epochs_per_iteration
        return epochs * max(1, count // self.batch_size)

    def steps_until(self, iteration: int) -> int:
        """Steps made when an iteration is finished."""
        return sum(self.steps_in(i) for i in range(-1, iteration + 1))


def certain(features: np.ndarray | RowView) -> Gaussian:
    """Features as codes without variance, whose zeros take no memory."""
    return Gaussian(features, np.broadcast_to(np.float32(0.0), features.shape))
