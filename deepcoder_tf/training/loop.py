"""Algorithm 1: coders take turns, tied through their priors, until the joint bound converges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.objectives import weights_at
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training.augmentation import make_prepare
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
from deepcoder_tf.training.step import Step, learning_rate_at, make_optimizer
from deepcoder_tf.training.trainer import Report, Trainer
from deepcoder_tf.types import Gaussian

__all__ = ["Algorithm1"]

ENCODE_BATCH = 128


class Algorithm1(Trainer):
    """Trains a stack of coders in turns.

    Args:
      model: the stack, built.
      frames: the training frames of all training subjects.
      subset: rows of X_L, which a GP coder owns. X_R is the rest where the GP coder trains on X_L,
        and all frames where they are the anchors of a sparse one or no coder is a GP.
      folder: of the run.
      validate: from the model and its codes of X_L, none where no coder is a GP, to scores on
        validation subjects.
      report: called after each outer iteration, for logs.
    """

    def __init__(
        self,
        model: DeepCoder,
        frames: Frames,
        subset: np.ndarray,
        folder: Path,
        validate: Callable[[DeepCoder, list[Gaussian]], dict[str, float]],
        report: Callable[[Report], None] = lambda report: None,
    ) -> None:
        self.model = model
        self.config: Config = model.config
        self.steps = [self.make_step(n) for n in range(len(model.coders))]
        super().__init__(
            model,
            folder,
            validate,
            report,
            {f"optimizer_{n}": step.optimizer for n, step in enumerate(self.steps)},
        )
        every = np.arange(len(frames.labels))
        owned = any(coder.max_points is not None for coder in model.coders)
        rest = np.setdiff1d(every, subset) if owned and not self.config.overlap else every
        self.frames = frames
        self.subset = subset
        self.rest = rest if len(rest) else every
        self.probabilities = balanced_probabilities(
            frames.labels[self.rest],
            frames.subjects[self.rest],
            self.config.balance,
            self.config.balance_ess,
        )
        self.encode = graph_of(self._encode)
        self.codes: list[np.ndarray | None] = [None] * len(model.coders)

    # Algorithm 1 --------------------------------------------------------------------------------

    def round(self, iteration: int) -> dict[str, float]:
        """Each coder in its turn, then the tie; -1 is the initial run with p(Z) = N(0, I)."""
        terms: dict[str, float] = {}
        # Step 1: VC-AE given X_R. Step 2: VO-GPAE given Z0_L.
        for n in range(len(self.model.coders)):
            terms |= self.epoch(n, iteration=iteration)
        if iteration >= 0:
            self.tie()  # Z0_R = f(f(Z0_R)), update p̃(Z0_R)
        return terms

    def resume(self) -> None:
        """The tied prior is not saved: it follows from the coders."""
        self.tie()

    def scores(self) -> dict[str, float]:
        """Scores on validation subjects, with the codes of X_L for whoever compares."""
        codes = self.propagate(self.subset, len(self.model.coders)) if len(self.subset) else []
        return self.validate(self.model, codes)

    def epoch(self, n: int, iteration: int) -> dict[str, float]:
        """One epoch of coder n on its own frames; the coders above it are constants."""
        coder, step, rows = self.model.coders[n], self.steps[n], self.rows(n)
        weights = weights_at(
            iteration,
            last=n == len(self.model.coders) - 1,
            gp=self.is_gp(n),
            config=self.config,
        )
        labels = self.frames.labels[rows]
        parts: dict[str, Any] = {"labels": labels}
        if n == 0:
            parts["mean"] = (
                self.frames.images
                if len(rows) == len(self.frames.labels)
                else RowView(self.frames.images, rows)
            )
        else:
            z_in = self.propagate(rows, n)[-1]
            parts["mean"], parts["var"] = z_in.mean, z_in.var
            own = np.isin(rows, self.subset)
            coder.observe(Gaussian(z_in.mean[own], z_in.var[own]), labels[own], first=iteration < 0)
        if not self.is_gp(n):
            step.optimizer.learning_rate.assign(learning_rate_at(self.config, iteration))
        code = self.codes[n + 1] if n + 1 < len(self.codes) else None
        if code is not None:
            parts["code"] = code
        schedule = self.schedule(n, iteration, len(rows))
        seed = self.config.seed + 1000003 * (iteration + 2), n
        results = run_steps(step, parts, schedule, weights, seed, self.bar.update)
        means = self.average(n, iteration, results)
        try:
            coder.refresh()
            if n > 0:
                coder.fit_labels(z_in, labels, self.frames.subjects[rows], np.flatnonzero(own))
        except ValueError as error:
            raise UserError(
                f"coder {n} ({self.config.stack[n].kind}), iteration {iteration}: {error}"
            ) from error
        return means

    def tie(self) -> None:
        """p̃(Z_n) of every frame of X_R: the mean codes from which each coder below predicts."""
        if not self.config.tie or len(self.model.coders) == 1:
            return
        codes = self.propagate(self.rest, len(self.model.coders))
        self.codes = [None, *[code.mean for code in codes[1:]]]

    # What it is made of -------------------------------------------------------------------------

    def is_gp(self, n: int) -> bool:
        """Whether coder n is a Gaussian process, which has an optimizer and a pace of its own."""
        return self.config.stack[n].kind == "gp"

    def rows(self, n: int) -> np.ndarray:
        """The frames that coder n trains on: X_R, or X_L."""
        return self.rest if self.model.coders[n].max_points is None else self.subset

    def make_step(self, n: int) -> Step:
        """The compiled step of coder n."""
        config = self.config
        optimizer = (
            make_optimizer(config.gp_optimizer, config.gp_learning_rate)
            if self.is_gp(n)
            else make_optimizer(config.optimizer, config.learning_rate, config.shrinkage)
        )
        below = self.model.coders[n + 1] if n + 1 < len(self.model.coders) else None
        prepare = make_prepare(config) if n == 0 else lambda z_in, seed: z_in
        return Step(self.model.coders[n], optimizer, prepare, below, config.clip_norm)

    def steps_in(self, n: int, iteration: int) -> int:
        """How many steps coder n makes in an iteration; -1 is the initial run."""
        config, count = self.config, len(self.rows(n))
        if self.is_gp(n):
            return gp_steps(config, iteration, count)
        per_epoch = max(1, count // self.batch_size(n))
        return per_epoch * (config.init_epochs if iteration < 0 else config.epochs_per_iteration)

    def batch_size(self, n: int) -> int:
        """Frames in a step of coder n."""
        config, count = self.config, len(self.rows(n))
        if not self.is_gp(n):
            return min(config.batch_size, count)
        return gp_batch_size(config, count)

    def schedule(self, n: int, iteration: int, count: int) -> np.ndarray:
        """The rows of every batch of an epoch, `[steps, batch]`, without repeats in a batch.

        Drawn from X_R with balance; blocks of X_L, which is balanced, take turns.
        """
        rng = np.random.default_rng([self.config.seed, iteration + 2, n])
        steps, size = self.steps_in(n, iteration), self.batch_size(n)
        if self.model.coders[n].max_points is None:
            return sample_epoch(self.probabilities, size, steps, rng)
        return turns(count, size, steps, rng)

    def steps_until(self, iteration: int) -> int:
        """Steps made when an iteration is finished."""
        coders = range(len(self.model.coders))
        return sum(self.steps_in(n, e) for e in range(-1, iteration + 1) for n in coders)

    def _encode(self, images: tf.Tensor, depth: int) -> list[Gaussian]:
        images = to_unit_range(images)
        codes: list[Gaussian] = []
        for coder in self.model.coders[:depth]:
            codes.append(coder.encode(codes[-1].mean if codes else images))
        return codes

    def propagate(self, rows: np.ndarray, depth: int) -> list[Gaussian]:
        """q(Z_0), ..., q(Z_{depth-1}) of training frames, as NumPy arrays `[len(rows), D]`."""
        found: list[list[Gaussian]] = []
        for start in range(0, len(rows), ENCODE_BATCH):
            images = np.asarray(self.frames.images[rows[start : start + ENCODE_BATCH]])
            codes = self.encode(tf.constant(images), depth)
            found.append([Gaussian(q.mean.numpy(), q.var.numpy()) for q in codes])
        return [
            Gaussian(
                np.concatenate([part[d].mean for part in found]),
                np.concatenate([part[d].var for part in found]),
            )
            for d in range(depth)
        ]

    def average(
        self, n: int, iteration: int, results: list[dict[str, tf.Tensor]]
    ) -> dict[str, float]:
        """Means over an epoch; stops where a term is not finite."""
        where = f"coder {n} ({self.config.stack[n].kind})"
        allowed = SKIPS_ALLOWED if self.is_gp(n) else 1
        means = epoch_means(results, self.steps[n].update, where, iteration, allowed)
        return {f"coder_{n}/{name}": value for name, value in means.items()}
