"""Algorithm 1: coders take turns, tied through their priors, until the joint bound converges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.objectives import weights_at
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training.augmentation import make_prepare
from deepcoder_tf.training.balance import balanced_probabilities, sample_epoch
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.data import Frames, batches
from deepcoder_tf.training.step import Step, make_optimizer
from deepcoder_tf.types import Gaussian

__all__ = ["Algorithm1", "Progress", "Report"]

ENCODE_BATCH = 128
SKIPS_ALLOWED = 3
"""Consecutive steps without a finite gradient (an indefinite matrix) before stopping."""


class Report(NamedTuple):
    """What one outer iteration found, for logs and for choosing the model.

    Attributes:
      iteration: counted from 0.
      terms: term averages by name, such as `coder_0/recon`.
      validation: scores on validation subjects, `icc` and `ordinal_log_score` among them.
      improved: whether this is the best model so far.
    """

    iteration: int
    terms: dict[str, float]
    validation: dict[str, float]
    improved: bool


@dataclasses.dataclass
class Progress:
    """How far a run has come; saved with every checkpoint.

    Attributes:
      iteration: the last finished outer iteration; -1 after the initial epochs.
      best_score: of the chosen model, higher is better; None before the first.
      best_iteration: when that was.
      bounds: the joint bound of each iteration.
      finished: why the run ended, or empty.
    """

    iteration: int = -2
    best_score: float | None = None
    best_iteration: int = -1
    bounds: list[float] = dataclasses.field(default_factory=list)
    finished: str = ""


class Algorithm1:
    """Trains a stack of coders in turns.

    Every random number follows from the seed and the iteration, so that a run which was killed
    and resumed ends with the numbers of one that was not.

    Args:
      model: the stack, built.
      frames: the training frames of all training subjects.
      subset: rows of X_L, which a GP coder owns; X_R is the rest where there is a GP coder.
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
        self.folder = folder
        self.validate = validate
        self.report = report
        rest = np.setdiff1d(np.arange(len(frames.labels)), subset)
        self.frames = frames
        self.subset = subset
        self.rest = rest if len(rest) else np.arange(len(frames.labels))
        self.probabilities = balanced_probabilities(
            frames.labels[self.rest],
            frames.subjects[self.rest],
            self.config.balance,
            self.config.balance_ess,
        )
        self.steps = [self.make_step(n) for n in range(len(model.coders))]
        self.encode = tf.function(self._encode, reduce_retracing=True)
        self.codes: list[np.ndarray | None] = [None] * len(model.coders)
        self.progress = Progress()
        self.checkpoints = Checkpoints(
            folder,
            model=model,
            **{f"optimizer_{n}": step.optimizer for n, step in enumerate(self.steps)},
        )

    # Algorithm 1 --------------------------------------------------------------------------------

    def fit(self) -> Progress:
        """Runs Algorithm 1 to its end, or on from where a killed run stopped.

        Returns:
          The final progress; the chosen model's weights are in `folder/best`.

        Raises:
          UserError: a term is not finite (with step, term and hyper-parameters), or the disk is
            full.
        """
        state = self.checkpoints.restore()
        coders = range(len(self.model.coders))
        with tqdm(total=self.total_steps(), desc="training", unit="step") as self.bar:
            if state:
                state.pop("checkpoint")
                self.progress = Progress(**state)
                self.bar.update(self.steps_until(self.progress.iteration))
            else:
                for n in coders:
                    self.epoch(n, iteration=-1)  # init run: p(Z) = N(0, I)
                self.finish_iteration(-1, {})
            self.tie()
            while not self.progress.finished:
                iteration = self.progress.iteration + 1
                terms: dict[str, float] = {}
                for n in coders:  # step 1: VC-AE given X_R; step 2: VO-GPAE given Z0_L
                    terms |= self.epoch(n, iteration)
                self.tie()  # Z0_R = f(f(Z0_R)), update p̃(Z0_R)
                self.finish_iteration(iteration, terms)
        return self.progress

    def epoch(self, n: int, iteration: int) -> dict[str, float]:
        """One epoch of coder n on its own frames; the coders above it are constants."""
        coder, step = self.model.coders[n], self.steps[n]
        owns = coder.max_points is not None
        rows = self.subset if owns else self.rest
        weights = weights_at(
            iteration,
            last=n == len(self.model.coders) - 1,
            gp=owns,
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
            coder.observe(z_in, labels, first=iteration < 0)
        if not owns:
            step.optimizer.learning_rate.assign(self.learning_rate(iteration))
        code = self.codes[n + 1] if n + 1 < len(self.codes) else None
        if code is not None:
            parts["code"] = code
        schedule = self.schedule(n, iteration, len(rows))
        kl, label = tf.constant(weights.kl), tf.constant(weights.label)
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
                    tf.constant(float(len(rows))),
                    tf.constant([self.config.seed + 1000003 * (iteration + 2), 97 * number + n]),
                )
            )
            self.bar.update()
        means = self.average(n, iteration, results)
        try:
            coder.refresh()
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

    def make_step(self, n: int) -> Step:
        """The compiled step of coder n."""
        gp = self.model.coders[n].max_points is not None
        config = self.config
        optimizer = (
            make_optimizer(config.gp_optimizer, config.gp_learning_rate)
            if gp
            else make_optimizer(config.optimizer, config.learning_rate)
        )
        below = self.model.coders[n + 1] if n + 1 < len(self.model.coders) else None
        prepare = make_prepare(config) if n == 0 else lambda z_in, seed: z_in
        return Step(self.model.coders[n], optimizer, prepare, below, config.clip_norm)

    def steps_in(self, n: int, iteration: int) -> int:
        """How many steps coder n makes in an iteration; -1 is the initial run."""
        config = self.config
        if self.model.coders[n].max_points is not None:
            if iteration < 0:
                return config.gp_init_steps
            return config.gp_steps or max(1, len(self.subset) // self.block)
        epochs = config.init_epochs if iteration < 0 else config.epochs_per_iteration
        return epochs * max(1, len(self.rest) // min(config.batch_size, len(self.rest)))

    @property
    def block(self) -> int:
        """Frames in a step of the GP coder."""
        every = len(self.subset)
        return every if self.config.gp == "exact" else min(self.config.gp_block, every)

    def learning_rate(self, iteration: int) -> float:
        """Of the parametric coders; constant in the initial run, then falling linearly."""
        done = max(0, iteration) / max(1, self.config.iterations - 1)
        return self.config.learning_rate * (1 - done * (1 - self.config.learning_rate_end))

    def schedule(self, n: int, iteration: int, count: int) -> np.ndarray:
        """The rows of every batch of an epoch, `[steps, batch]`, without repeats in a batch."""
        rng = np.random.default_rng([self.config.seed, iteration + 2, n])
        steps = self.steps_in(n, iteration)
        if self.model.coders[n].max_points is None:
            size = min(self.config.batch_size, count)
            return sample_epoch(self.probabilities, size, steps, rng)
        per_epoch = max(1, count // self.block)
        epochs = [
            rng.permutation(count)[: per_epoch * self.block].reshape(per_epoch, self.block)
            for _ in range(-(-steps // per_epoch))
        ]
        return np.concatenate(epochs)[:steps] if epochs else np.empty((0, self.block), np.int64)

    def steps_until(self, iteration: int) -> int:
        """Steps made when an iteration is finished."""
        coders = range(len(self.model.coders))
        return sum(self.steps_in(n, e) for e in range(-1, iteration + 1) for n in coders)

    def total_steps(self) -> int:
        """Steps of the whole run, if it is not stopped early."""
        return self.steps_until(self.config.iterations - 1)

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
        if not results:
            return {}
        table = {name: np.array([float(r[name]) for r in results]) for name in results[0]}
        for name in ("recon", "kl", "label", "bound", "gradient_norm"):
            bad = np.flatnonzero(~np.isfinite(table[name]))
            limit = SKIPS_ALLOWED if self.model.coders[n].max_points is not None else 1
            if len(bad) and table["skipped"].max() >= limit:
                raise UserError(
                    f"coder {n} ({self.config.stack[n].kind}): the term {name!r} is not finite at "
                    f"step {bad[0]} of iteration {iteration} "
                    f"(learning rate {self.steps[n].optimizer.learning_rate.numpy():g}, "
                    f"clip norm {self.config.clip_norm:g}); lower the learning rate. "
                    "The last complete iteration is kept"
                )
        means = {name: float(np.nanmean(values)) for name, values in table.items()}
        means["skipped"] = float(np.sum(table["skipped"] > 0))
        return {f"coder_{n}/{name}": value for name, value in means.items()}

    def finish_iteration(self, iteration: int, terms: dict[str, float]) -> None:
        """Validates, chooses, logs, decides whether to stop, and saves."""
        progress = self.progress
        progress.iteration = iteration
        if iteration >= 0:
            codes = self.propagate(self.subset, len(self.model.coders)) if len(self.subset) else []
            scores = self.validate(self.model, codes)
            joint = sum(v for name, v in terms.items() if name.endswith("/bound"))
            progress.bounds.append(joint)
            self.bar.set_postfix(
                {f"validation {self.config.selection}": f"{scores[self.config.selection]:.3f}"}
            )
            score = scores[self.config.selection]
            if self.config.selection == "ordinal_log_score":
                score = -score
            improved = progress.best_score is None or score > progress.best_score
            if improved:
                progress.best_score, progress.best_iteration = score, iteration
                Checkpoints.save_model(self.folder, self.model)
            self.report(Report(iteration, {**terms, "joint/bound": joint}, scores, improved))
            progress.finished = self.reason_to_stop(iteration)
        self.checkpoints.save(dataclasses.asdict(progress))

    def reason_to_stop(self, iteration: int) -> str:
        """Why training ends after this iteration, or an empty text."""
        config, progress = self.config, self.progress
        if iteration + 1 >= config.iterations:
            return f"all {config.iterations} iterations are done"
        if iteration - progress.best_iteration >= config.patience:
            return f"no better validation score for {config.patience} iterations"
        warm = progress.bounds[config.warmup_iterations :]
        if len(warm) >= 4:
            before, now = np.mean(warm[-4:-1]), np.mean(warm[-3:])
            if abs(now - before) < config.tolerance * abs(before):
                return "the joint bound has converged"
        return ""


class RowView:
    """Some rows of an array on disk, without a copy.

    Args:
      array: `[N, ...]`.
      rows: which rows are seen, in order.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array, self.rows = array, rows
        self.dtype = array.dtype
        self.shape = (len(rows), *array.shape[1:])

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.array[self.rows[index]]
