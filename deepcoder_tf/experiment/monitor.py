"""What is watched while a stack of coders trains: the health of Z0, the bound, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepcoder_tf.evaluation import baselines, metrics
from deepcoder_tf.experiment.snapshots import Snapshots
from deepcoder_tf.experiment.watching import BATCH, Watch
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.system import System
from deepcoder_tf.objectives import hierarchical_bound
from deepcoder_tf.preprocessing.scale import to_unit_range
from deepcoder_tf.training.data import Frames
from deepcoder_tf.training.run import RunInfo, load_model
from deepcoder_tf.training.trainer import Report
from deepcoder_tf.types import Gaussian

__all__ = ["Monitor", "decoded_codes", "stack_parts"]

BOUND_IMAGES = 32
"""Validation images on which the hierarchical bound is watched."""


class Monitor(Watch):
    """Watches a stack of coders; see `Watch`.

    Args:
      model: in training.
      chosen: the frames of X_L.
      validation: frames of the validation subjects.
      folder: of the run.
      run: its description.
      train: all training frames; some of them are looked at after every iteration.
    """

    def __init__(
        self,
        model: DeepCoder,
        chosen: Frames,
        validation: Frames,
        folder: Path,
        run: RunInfo,
        train: Frames,
    ) -> None:
        super().__init__(model, validation, folder, run)
        self.model: DeepCoder = model
        self.chosen = chosen
        self.predict = graph_of(self._predict)
        self.model_bound = graph_of(self._bound)
        self.model_errors = graph_of(self._errors)
        self.snapshots = Snapshots(folder, run.action_units, train, validation)
        self.pixels: float | None = None

    def _predict(self, images: tf.Tensor) -> tuple[list[Gaussian], tf.Tensor]:
        codes = self.model.encode(to_unit_range(images))
        return codes, self.model.level_probabilities(codes[-1])

    def _bound(self, images: tf.Tensor) -> tf.Tensor:
        return hierarchical_bound(self.model.coders, to_unit_range(images), tf.constant([1, 0]))

    def _errors(self, images: tf.Tensor) -> list[tf.Tensor]:
        x = to_unit_range(images)
        errors = []
        for n, q in enumerate(self.model.encode(x)):
            z = q.mean
            for coder in reversed(self.model.coders[: n + 1]):
                z = coder.decode(z).mean
            errors.append(tf.reduce_mean(tf.square(z - x)))
        return errors

    def watched(self) -> tf.Tensor:
        """A few validation images, uint8."""
        return tf.constant(np.asarray(self.validation.images[:: self.stride][:BOUND_IMAGES]))

    def bound(self) -> float:
        """The mean hierarchical bound on a few validation images, nats per image."""
        return float(tf.reduce_mean(self.model_bound(self.watched())))

    def image_errors(self) -> dict[str, float]:
        """`image_mse/z0`, `image_mse/z1`, ...: mean squared error per pixel, images in -1..1.

        Of a few validation images, decoded from the mean code of each coder up to the image.
        """
        errors = self.model_errors(self.watched())
        return {f"image_mse/z{n}": float(error) for n, error in enumerate(errors)}

    def validate(self, model: System, codes: Sequence[Gaussian] = ()) -> dict[str, float]:
        """Scores on validation subjects, and the health of Z0.

        The health check compares ridge regression on Z0 with ridge regression on as many
        principal components of the same images: below it, Z0 lost what the images tell.

        Args:
          model: as of now.
          codes: of the frames of X_L.

        Returns:
          `icc`, `mse`, `bound`, `ordinal_log_score`, `calibration_error`, `nlpd`,
          `health/ridge_z0`, `health/mlr_z0`, `health/ridge_pca`, `image_mse/z0`, ...
        """
        del model
        found, probabilities = self.encode_validation()
        z0 = found[0].mean
        scores = self.scores(probabilities) | {"bound": self.bound(), **self.health(codes, z0)}
        scores |= self.image_errors()
        if len(self.model.coders) > 1:
            scores["nlpd"] = metrics.nlpd(z0, *decoded_codes(self.model, found))
        return scores

    def encode_validation(self) -> tuple[list[Gaussian], np.ndarray]:
        """Codes and level probabilities of the validation frames."""
        return self.encode(self.validation.images)

    def encode(self, images: np.ndarray) -> tuple[list[Gaussian], np.ndarray]:
        """Codes and level probabilities of images `[N, H, W, 1]` uint8."""
        parts = []
        for start in range(0, len(images), BATCH):
            parts.append(self.predict(tf.constant(np.asarray(images[start : start + BATCH]))))
        return stack_parts([codes for codes, _ in parts]), np.concatenate([p for _, p in parts])

    def health(self, codes: Sequence[Gaussian], z0: np.ndarray) -> dict[str, float]:
        """How well a line reads the labels off Z0, and off the pixels' principal components."""
        if not codes or len(codes[0].mean) < 2:
            return {}
        labels, truth = self.chosen.labels, self.validation.labels
        if self.pixels is None:
            linear = baselines.ridge_pca(
                self.chosen.images, labels, self.validation.images, truth, z0.shape[1]
            )
            self.pixels = self.mean_icc(linear.predict(self.validation.images))
        ridge = baselines.ridge(codes[0].mean, labels, z0, truth).predict(z0)
        mlr = baselines.mlr(codes[0].mean, labels).predict(z0)
        return {
            "health/ridge_z0": self.mean_icc(ridge),
            "health/mlr_z0": self.mean_icc(mlr),
            "health/ridge_pca": self.pixels,
        }

    def mean_icc(self, predictions: np.ndarray) -> float:
        """Mean ICC of predicted levels `[N, Q]` on the validation frames."""
        mean = metrics.evaluate_points(
            self.run.action_units, self.validation.labels, predictions, system="reference"
        ).mean
        return mean.points["mean"].icc or 0.0

    def report(self, report: Report) -> None:
        """Adds reconstructions and codes to what every system reports."""
        super().report(report)
        codes, _ = self.encode(self.snapshots.images)
        self.snapshots.write(report.iteration, [q.mean for q in codes])
        images = to_unit_range(
            tf.constant(np.asarray(self.validation.images[:: 4 * self.stride][:8]))
        )
        decoded = self.model.decode(self.model.encode(images)[-1].mean)
        self.board.reconstructions(images.numpy(), decoded.numpy(), report.iteration)

    @property
    def stride(self) -> int:
        """Spreads a few pictures over all validation frames."""
        return max(1, len(self.validation.labels) // BOUND_IMAGES)

    def finish(self) -> None:
        """Writes the latent spaces of the chosen model for TensorBoard's projector."""
        model, _ = load_model(self.folder)
        self.model.set_weights(model.get_weights())
        codes, _ = self.encode_validation()
        self.board.latents(
            codes, self.validation.subjects, self.validation.labels, self.run.action_units
        )


def stack_parts(parts: list[list[Gaussian]]) -> list[Gaussian]:
    """Batches of codes, coder by coder, as whole NumPy arrays."""
    return [
        Gaussian(np.concatenate([q.mean for q in same]), np.concatenate([q.var for q in same]))
        for same in zip(*parts, strict=True)
    ]


def decoded_codes(model: DeepCoder, codes: list[Gaussian]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of Z0 `[N, D0]` as the second coder decodes it from its mean code."""
    p = model.coders[1].decode(tf.constant(codes[1].mean))
    return p.mean.numpy(), p.var.numpy()
