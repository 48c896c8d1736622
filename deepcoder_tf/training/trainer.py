"""What all trainers share: rounds, choice by validation subjects, and going on after a kill."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.models.system import System
from deepcoder_tf.training.checkpoints import Checkpoints

__all__ = ["Progress", "Report", "Trainer"]

LOWER_IS_BETTER = ("ordinal_log_score", "log_loss", "reconstruction")
"""Scores of which the chosen model has the least."""


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
      iteration: the last finished outer iteration; -1 after the initial run.
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


class Trainer(abc.ABC):
    """Trains a system in rounds; after each, validation subjects decide which weights are kept.

    Every random number follows from the seed and the iteration, so that a run which was killed
    and resumed ends with the numbers of one that was not.

    Args:
      model: the system, built.
      folder: of the run.
      validate: scores of the model on validation subjects, `icc` and `ordinal_log_score` among
        them; what else it is given, `scores` decides.
      report: called after each outer iteration, for logs.
      optimizers: by name, built; saved with the checkpoints.
    """

    def __init__(
        self,
        model: System | ExpressionSystem,
        folder: Path,
        validate: Callable[..., dict[str, float]],
        report: Callable[[Report], None],
        optimizers: dict[str, keras.optimizers.Optimizer],
    ) -> None:
        self.model = model
        self.config: Any = model.config
        self.folder = folder
        self.validate = validate
        self.report = report
        self.progress = Progress()
        self.checkpoints = Checkpoints(folder, model=model, **optimizers)

    @abc.abstractmethod
    def round(self, iteration: int) -> dict[str, float]:
        """Trains for one outer iteration; -1 is the initial run.

        Args:
          iteration: which one.

        Returns:
          Averages of what was optimised, by name; names that end with `/bound` are summed into
          the joint bound, whose convergence ends the training.

        Raises:
          UserError: a term is not finite (with step, term and hyper-parameters).
        """

    @abc.abstractmethod
    def steps_until(self, iteration: int) -> int:
        """Steps made when an iteration is finished; the round calls `self.bar.update()` on each."""

    def resume(self) -> None:  # noqa: B027 (most trainers have nothing to bring back)
        """Brings back what the checkpoint does not hold, before the first or next iteration."""

    def scores(self) -> dict[str, float]:
        """Scores of the model as it is now, on validation subjects."""
        return self.validate(self.model)

    def rounds(self) -> int:
        """Outer iterations at most."""
        return self.config.iterations

    def fit(self) -> Progress:
        """Trains to the end, or on from where a killed run stopped.

        Returns:
          The final progress; the chosen model's weights are in `folder/best`.

        Raises:
          UserError: a term is not finite (with step, term and hyper-parameters), or the disk is
            full.
        """
        state = self.checkpoints.restore()
        total = self.steps_until(self.rounds() - 1)
        with tqdm(total=total, desc="training", unit="step") as self.bar:
            if state:
                state.pop("checkpoint")
                self.progress = Progress(**state)
                self.bar.update(self.steps_until(self.progress.iteration))
            else:
                self.round(-1)
                self.finish_iteration(-1, {})
            self.resume()
            while not self.progress.finished:
                iteration = self.progress.iteration + 1
                self.finish_iteration(iteration, self.round(iteration))
        return self.progress

    def finish_iteration(self, iteration: int, terms: dict[str, float]) -> None:
        """Validates, chooses, logs, decides whether to stop, and saves."""
        progress = self.progress
        progress.iteration = iteration
        if iteration >= 0:
            scores = self.scores()
            joint = sum(v for name, v in terms.items() if name.endswith("/bound"))
            progress.bounds.append(joint)
            self.bar.set_postfix(
                {f"validation {self.config.selection}": f"{scores[self.config.selection]:.3f}"}
            )
            score = scores[self.config.selection]
            if self.config.selection in LOWER_IS_BETTER:
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
        config, progress, rounds = self.config, self.progress, self.rounds()
        if iteration + 1 >= rounds:
            return f"all {rounds} iterations are done" if rounds > 1 else "it is done in one go"
        if iteration - progress.best_iteration >= config.patience:
            return f"no better validation score for {config.patience} iterations"
        return "the joint bound has converged" if self.at_rest() else ""

    def at_rest(self) -> bool:
        """Whether the 3-iteration mean of the joint bound has come to rest after the warm-up."""
        warm = self.progress.bounds[self.config.warmup_iterations :]
        if len(warm) < 4:
            return False
        before, now = np.mean(warm[-4:-1]), np.mean(warm[-3:])
        return bool(abs(now - before) < self.config.tolerance * abs(before))
