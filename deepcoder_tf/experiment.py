"""The composition root: one function per command, usable without a shell.

    train -> evaluate -> export

Preparation (`datasets.prepare`), synthesis (`synthesis.synthesize`) and prediction
(`prediction.Predictor`) stand on their own.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepcoder_tf import files
from deepcoder_tf.action_units import MISSING
from deepcoder_tf.config import Config
from deepcoder_tf.datasets.prepared import Index, dataset_info, load_index, mean_shape_of
from deepcoder_tf.datasets.records import read_fold
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation import baselines, figures, metrics, tables
from deepcoder_tf.export import export_model
from deepcoder_tf.models.deepcoder import DeepCoder, summarise_levels
from deepcoder_tf.training.augmentation import scale_images
from deepcoder_tf.training.balance import subset
from deepcoder_tf.training.data import Frames, open_store, write_store
from deepcoder_tf.training.loop import Algorithm1, Progress, Report
from deepcoder_tf.training.run import RunInfo, load_model, open_run
from deepcoder_tf.training.tensorboard import TensorBoard
from deepcoder_tf.types import Gaussian

__all__ = ["evaluate", "export", "train"]

log = logging.getLogger(__name__)

BATCH = 64
"""Frames encoded at a time."""

SHOWN = 16
"""Faces in a picture of reconstructions."""

LIBRARIES = ("tensorflow", "tensorflow-probability", "keras", "numpy", "deepcoder-tf")


# Training ---------------------------------------------------------------------------------------


def train(data_dir: Path, model_dir: Path, config: Config) -> Progress:
    """Trains a stack of coders on one fold of a prepared folder, or goes on with a killed run.

    Args:
      data_dir: folder that `deepcoder-prepare` wrote.
      model_dir: of the run; made if it does not exist.
      config: every option.

    Returns:
      How far it came and why it ended.

    Raises:
      UserError: the data cannot be used, the folder holds another run, a term is not finite, or
        the disk is full.
    """
    info = dataset_info(data_dir)
    fold = info.fold(config.fold)
    tf.keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    index = {split: load_index(data_dir, config.fold, split) for split in ("train", "validation")}
    check_trainable(data_dir, index, info.action_units)
    chosen = choose_subset(index["train"], config)
    run = RunInfo(
        config=config,
        action_units=info.action_units,
        mean_shape=mean_shape_of(data_dir, config.fold).tolist(),
        points=len(chosen),
        source=info.source,
        subjects={split: list(fold.subjects(split)) for split in ("train", "validation", "test")},
        versions={name: version_of(name) for name in LIBRARIES},
    )
    open_run(model_dir, run)
    model = DeepCoder(config, len(info.action_units), len(chosen))
    model.build()
    frames = {
        split: stored_frames(model, data_dir, model_dir, config.fold, split, index[split])
        for split in index
    }
    monitor = Monitor(model, frames["train"].take(chosen), frames["validation"], model_dir, run)
    algorithm = Algorithm1(
        model, frames["train"], chosen, model_dir, monitor.validate, monitor.report
    )
    progress = algorithm.fit()
    monitor.finish()
    log.info(
        "%s: %s; iteration %d is kept (validation %s %.3f)",
        model_dir,
        progress.finished,
        progress.best_iteration,
        config.selection,
        progress.best_score,
    )
    return progress


def check_trainable(data_dir: Path, index: dict[str, Index], action_units: tuple[str, ...]) -> None:
    """Raises `UserError` where a split has no frame, or nothing that could be learnt."""
    for split, part in index.items():
        if not np.any(part.labels != MISSING):
            raise UserError(
                f"{data_dir}: the {split} split has no labelled frame with a face in it; "
                "look at the status column of frames.csv"
            )
    for column, name in enumerate(action_units):
        if not np.any(index["train"].labels[:, column] > 0):
            log.warning("%s: %s is never active in the training frames", data_dir, name)


def choose_subset(index: Index, config: Config) -> np.ndarray:
    """X_L: rows of labelled training frames, balanced in subjects and levels."""
    if config.stack[-1].kind != "gp":
        return np.empty(0, np.int64)
    labelled = np.flatnonzero(np.any(index.labels != MISSING, axis=1))
    rows = subset(
        index.labels[labelled],
        index.subjects[labelled],
        min(config.gp_points, max(2, len(labelled) // 2)),
        np.random.default_rng([config.seed, 0]),
        config.balance_ess,
        config.balance,
    )
    return labelled[rows]


def stored_frames(
    model: DeepCoder, data_dir: Path, model_dir: Path, fold: int, split: str, index: Index
) -> Frames:
    """The frames of a split with their images at the model's size, made once per run."""
    shape = (model.config.image_height, model.config.image_width)
    path = model_dir / "cache" / f"{split}.npy"
    if not path.exists():
        write_store(path, small_images(model, data_dir, fold, split), len(index.rows), shape)
    return Frames(open_store(path), index.labels.astype(np.int32), index.subjects, index.rows)


def small_images(model: DeepCoder, data_dir: Path, fold: int, split: str) -> Iterator[np.ndarray]:
    """Equalised and resized images `[b, H, W, 1]` uint8, batch by batch."""
    to_image = tf.function(model.images, reduce_retracing=True)
    for batch in read_fold(data_dir, fold, split).batch(BATCH):
        images = to_image(batch["crop"])
        yield tf.cast(tf.round((images + 1.0) * 127.5), tf.uint8).numpy()


def version_of(name: str) -> str:
    """A library's version, or an empty text."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


class Monitor:
    """Scores the model on validation subjects after every outer iteration and writes the logs.

    Args:
      model: in training.
      chosen: the frames of X_L.
      validation: frames of the validation subjects.
      folder: of the run.
      run: its description.
    """

    def __init__(
        self, model: DeepCoder, chosen: Frames, validation: Frames, folder: Path, run: RunInfo
    ) -> None:
        self.model = model
        self.chosen = chosen
        self.validation = validation
        self.folder = folder
        self.run = run
        self.board = TensorBoard(folder / "log")
        self.predict = tf.function(self._predict, reduce_retracing=True)
        self.pixels: metrics.Metrics | None = None

    def _predict(self, images: tf.Tensor) -> tuple[list[Gaussian], tf.Tensor]:
        codes = self.model.encode(scale_images(images))
        return codes, self.model.level_probabilities(codes[-1])

    def validate(self, model: DeepCoder, codes: list[Gaussian]) -> dict[str, float]:
        """Scores on validation subjects, and the health of Z0.

        The health check compares ridge regression on Z0 with ridge regression on as many
        principal components of the same images: below it, Z0 lost what the images tell.

        Args:
          model: as of now.
          codes: of the frames of X_L.

        Returns:
          `icc`, `mse`, `ordinal_log_score`, `calibration_error`, `nlpd`, `health/ridge_z0`,
          `health/mlr_z0`, `health/ridge_pca`.
        """
        found, probabilities = self.encode_validation()
        units, labels = self.run.action_units, self.validation.labels
        z0 = found[0].mean
        quality = (
            metrics.nlpd(z0, *self.reconstruct(model, found)) if len(model.coders) > 1 else None
        )
        scores = metrics.evaluate_predictions(
            units, labels, probabilities, quality, split="validation"
        ).mean
        values: dict[str, Any] = {
            "icc": scores.points["mean"].icc,
            "mse": scores.points["mean"].mse,
            "ordinal_log_score": scores.ordinal_log_score,
            "calibration_error": scores.calibration_error,
            "nlpd": quality,
            **self.health(codes, z0),
        }
        return {name: float(value) for name, value in values.items() if value is not None}

    def encode_validation(self) -> tuple[list[Gaussian], np.ndarray]:
        """Codes and level probabilities of the validation frames."""
        parts = []
        for start in range(0, len(self.validation.labels), BATCH):
            images = np.asarray(self.validation.images[start : start + BATCH])
            codes, p = self.predict(tf.constant(images))
            parts.append(([Gaussian(q.mean.numpy(), q.var.numpy()) for q in codes], p.numpy()))
        depth = range(len(self.model.coders))
        return [
            Gaussian(
                np.concatenate([codes[n].mean for codes, _ in parts]),
                np.concatenate([codes[n].var for codes, _ in parts]),
            )
            for n in depth
        ], np.concatenate([p for _, p in parts])

    @staticmethod
    def reconstruct(model: DeepCoder, found: list[Gaussian]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of Z0 as decoded from Z1."""
        p = model.coders[1].decode(tf.constant(found[1].mean))
        return p.mean.numpy(), p.var.numpy()

    def health(self, codes: list[Gaussian], z0: np.ndarray) -> dict[str, float]:
        """How well a line reads the labels off Z0, and off the pixels' principal components."""
        if not codes or len(codes[0].mean) < 2:
            return {}
        labels, truth = self.chosen.labels, self.validation.labels
        if self.pixels is None:
            linear = baselines.ridge_pca(
                self.chosen.images, labels, self.validation.images, truth, z0.shape[1]
            )
            self.pixels = self.points(linear.predict(self.validation.images))
        ridge = baselines.ridge(codes[0].mean, labels, z0, truth).predict(z0)
        mlr = baselines.mlr(codes[0].mean, labels).predict(z0)
        return {
            "health/ridge_z0": self.points(ridge).mean.points["mean"].icc,
            "health/mlr_z0": self.points(mlr).mean.points["mean"].icc,
            "health/ridge_pca": self.pixels.mean.points["mean"].icc,
        }

    def points(self, predictions: np.ndarray) -> metrics.Metrics:
        """Metrics of predicted levels on the validation frames."""
        return metrics.evaluate_points(
            self.run.action_units,
            self.validation.labels,
            predictions,
            system="reference",
            split="validation",
        )

    def report(self, report: Report) -> None:
        """Writes one outer iteration to TensorBoard and to `history.jsonl`."""
        scalars = {
            **report.terms,
            **{f"validation/{name}": value for name, value in report.validation.items()},
        }
        self.board.scalars(scalars, report.iteration)
        images = scale_images(tf.constant(np.asarray(self.validation.images[:: self.stride][:8])))
        decoded = self.model.decode(self.model.encode(images)[-1].mean)
        self.board.reconstructions(images.numpy(), decoded.numpy(), report.iteration)
        line = {"iteration": report.iteration, "improved": report.improved, **scalars}
        append_line(self.folder / "history.jsonl", line)

    @property
    def stride(self) -> int:
        """Spreads a few pictures over all validation frames."""
        return max(1, len(self.validation.labels) // 8)

    def finish(self) -> None:
        """Writes the latent spaces of the chosen model for TensorBoard's projector."""
        model, _ = load_model(self.folder)
        self.model.set_weights(model.get_weights())
        codes, _ = self.encode_validation()
        self.board.latents(
            codes, self.validation.subjects, self.validation.labels, self.run.action_units
        )


def append_line(path: Path, content: dict[str, Any]) -> None:
    """Adds an iteration to `history.jsonl`; one that is repeated after a kill replaces its own."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["iteration"] < content["iteration"]]
    with files.replacing(path) as stream:
        stream.write("\n".join([*kept, json.dumps(content)]) + "\n")


# Evaluation -------------------------------------------------------------------------------------


def evaluate(
    model_dir: Path,
    data_dir: Path,
    output_dir: Path,
    fold: int,
    split: str = "test",
    references: bool = False,
) -> dict[str, Any]:
    """Measures a trained model on one split and writes what was found.

    Writes `metrics.json`, `predictions.csv`, `reconstructions.png`, `latent_spaces.png` and
    `reliability.png`.

    Args:
      model_dir: that `deepcoder-train` wrote.
      data_dir: folder that `deepcoder-prepare` wrote.
      output_dir: for the results.
      fold: must be the fold that the model was trained on.
      split: `train`, `validation` or `test`.
      references: also fit two linear references on the training frames and measure them on the
        same frames: regression on the same Z0, and ridge on as many principal components.

    Returns:
      The content of `metrics.json`.

    Raises:
      UserError: the model and the data do not belong together, or the disk is full.
    """
    model, run = load_model(model_dir)
    info = dataset_info(data_dir)
    check_compatible(model_dir, run, data_dir, fold)
    index = load_index(data_dir, fold, split)
    if not len(index.rows):
        raise UserError(f"{data_dir}: the {split} split of fold {fold} has no frame with a face")
    found = encode_split(model, data_dir, fold, split)
    quality = None
    if len(model.coders) > 1:
        quality = metrics.nlpd(found.codes[0].mean, *Monitor.reconstruct(model, found.codes))
    system = system_name(run.config)
    measured = metrics.evaluate_predictions(
        run.action_units, index.labels, found.probabilities, quality, system=system, split=split
    )
    document = measured.to_json()
    systems = [measured]
    if references:
        more = linear_references(model, run, data_dir, fold, index, found, split)
        document["references"] = {m.system: m.mean.points["mean"].icc for m in more}
        systems += more
    print(tables.metrics_table(systems))
    tables.write_predictions(
        output_dir / "predictions.csv",
        run.action_units,
        rows=index.rows,
        file_names=file_names(info.folder, index.rows),
        subjects=index.subjects,
        frames=index.frames,
        labels=index.labels,
        probabilities=found.probabilities,
    )
    draw(model, run, index, found, output_dir, measured.system)
    tables.write_json(output_dir / "metrics.json", document)
    return document


class Encoded:
    """What a model makes of the frames of a split.

    Attributes:
      images: `[N, H, W, 1]` uint8, at the model's size.
      codes: of each coder, `[N, D]`.
      probabilities: `[N, Q, L]`.
    """

    def __init__(self, images: np.ndarray, codes: list[Gaussian], probabilities: np.ndarray):
        self.images, self.codes, self.probabilities = images, codes, probabilities


def encode_split(model: DeepCoder, data_dir: Path, fold: int, split: str) -> Encoded:
    """Streams a split through the model, from stored crops as prediction does."""

    @tf.function(reduce_retracing=True)
    def run(crops: tf.Tensor) -> tuple[tf.Tensor, list[Gaussian], tf.Tensor]:
        images = model.images(crops)
        codes = model.encode(images)
        stored = tf.cast(tf.round((images + 1.0) * 127.5), tf.uint8)
        levels = summarise_levels(model.level_probabilities(codes[-1]))
        return stored, codes, levels["level_probabilities"]

    parts = [run(batch["crop"]) for batch in read_fold(data_dir, fold, split).batch(BATCH)]
    depth = range(len(model.coders))
    return Encoded(
        np.concatenate([images.numpy() for images, _, _ in parts]),
        [
            Gaussian(
                np.concatenate([codes[n].mean.numpy() for _, codes, _ in parts]),
                np.concatenate([codes[n].var.numpy() for _, codes, _ in parts]),
            )
            for n in depth
        ],
        np.concatenate([p.numpy() for _, _, p in parts]),
    )


def check_compatible(model_dir: Path, run: RunInfo, data_dir: Path, fold: int) -> None:
    """Raises `UserError` where a model would be measured on the wrong frames or columns."""
    info = dataset_info(data_dir)
    subjects = info.fold(fold)
    if tuple(run.action_units) != info.action_units:
        raise UserError(
            f"{model_dir} predicts {', '.join(run.action_units)}, but {data_dir} is labelled with "
            f"{', '.join(info.action_units)}; evaluate on data with the model's action units"
        )
    seen = set(run.subjects["train"]) | set(run.subjects["validation"])
    mixed = sorted(seen & set(subjects.subjects("test")))
    if run.source == info.source and mixed:
        raise UserError(
            f"{model_dir} was trained on fold {run.config.fold}, in which {mixed[0]} is a training "
            f"subject; --fold={fold} tests on it: use --fold={run.config.fold}"
        )


def linear_references(
    model: DeepCoder,
    run: RunInfo,
    data_dir: Path,
    fold: int,
    index: Index,
    found: Encoded,
    split: str,
) -> list[metrics.Metrics]:
    """Linear regression on Z0, and ridge on as many principal components of the same images."""
    train = encode_split(model, data_dir, fold, "train")
    validation = encode_split(model, data_dir, fold, "validation")
    labels = {s: load_index(data_dir, fold, s).labels for s in ("train", "validation")}
    z0 = found.codes[0].mean
    mlr = baselines.mlr(train.codes[0].mean, labels["train"]).predict(z0)
    pca = baselines.ridge_pca(
        train.images, labels["train"], validation.images, labels["validation"], z0.shape[1]
    ).predict(found.images)
    return [
        metrics.evaluate_points(run.action_units, index.labels, p, system=name, split=split)
        for name, p in (("mlr_z0", mlr), ("ridge_pca", pca))
    ]


def system_name(config: Config) -> str:
    """`2DC` for the paper's stack, otherwise the coders."""
    kinds = [spec.kind for spec in config.stack]
    return {("conv", "gp"): "2DC", ("conv", "dense"): "DCp"}.get(tuple(kinds), config.coders)


def file_names(folder: Path, rows: np.ndarray) -> list[str]:
    """The `file` column of `frames.csv` at some rows."""
    wanted, names = set(rows.tolist()), {}
    with (folder / "frames.csv").open(encoding="utf-8", newline="") as stream:
        for number, line in enumerate(csv.DictReader(stream)):
            if number in wanted:
                names[number] = line["file"]
    return [names[row] for row in rows.tolist()]


def draw(
    model: DeepCoder, run: RunInfo, index: Index, found: Encoded, folder: Path, system: str
) -> None:
    """The pictures of an evaluation."""
    shown = np.linspace(0, len(index.rows) - 1, min(SHOWN, len(index.rows))).astype(int)
    decoded = model.decode(tf.constant(found.codes[-1].mean[shown])).numpy()
    originals = scale_images(tf.constant(found.images[shown])).numpy()
    figures.reconstructions(
        folder / "reconstructions.png",
        originals,
        np.clip(decoded, -1, 1),
        [str(subject) for subject in index.subjects[shown]],
    )
    unit = "AU12" if "AU12" in run.action_units else run.action_units[0]
    if len(index.rows) >= 3:
        figures.latent_spaces(
            folder / "latent_spaces.png",
            {f"Z{n}": q.mean for n, q in enumerate(found.codes)},
            index.subjects,
            index.labels[:, run.action_units.index(unit)],
            action_unit=unit,
        )
    table = metrics.reliability(found.probabilities, index.labels)
    figures.reliability_diagram(folder / "reliability.png", {system: table})


# Export -----------------------------------------------------------------------------------------


def export(model_dir: Path, output_dir: Path, version: int | None = None) -> Path:
    """Writes a trained model as `output_dir/VERSION/`, ready for TF Serving and for prediction.

    Args:
      model_dir: that `deepcoder-train` wrote.
      output_dir: of the served model.
      version: a positive integer; None is the next one.

    Returns:
      The version's folder.

    Raises:
      UserError: no trained model, the version exists, or the disk is full.
    """
    model, run = load_model(model_dir)
    card = {
        "format": 1,
        "system": system_name(run.config),
        "action_units": list(run.action_units),
        "mean_shape": run.mean_shape,
        "crop_shape": [240, 160],
        "config": json.loads(run.config.to_json()),
        "source": run.source,
        "subjects": run.subjects,
        "versions": run.versions,
    }
    path = export_model(model, card, output_dir, version)
    log.info("%s: ready to serve", path)
    return path
