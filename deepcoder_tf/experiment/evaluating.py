"""Evaluation: a trained model measured on one split, in numbers and pictures.

`evaluating_expressions` does so with a recogniser of expressions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.config import FEATURE_SYSTEMS, STACKS, Config
from deepcoder_tf.datasets.frames_table import file_names
from deepcoder_tf.datasets.landmarks import load_landmarks
from deepcoder_tf.datasets.prepared import Index, dataset_info, load_index
from deepcoder_tf.datasets.records import read_fold
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation import baselines, figures, metrics, tables
from deepcoder_tf.experiment.evaluating_expressions import evaluate_recogniser
from deepcoder_tf.experiment.monitor import decoded_codes, stack_parts
from deepcoder_tf.experiment.snapshots import Reconstructions, write_test
from deepcoder_tf.face_model import EXPRESSIONS_KIND
from deepcoder_tf.files import write_json
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.system import System, summarise_levels
from deepcoder_tf.preprocessing.scale import to_uint8, to_unit_range
from deepcoder_tf.training.expression_run import run_kind
from deepcoder_tf.training.run import RunInfo, load_model
from deepcoder_tf.types import Gaussian

__all__ = ["evaluate", "system_name"]

BATCH = 64
"""Crops encoded at a time."""

COMPONENTS = 200
"""Principal components of the reference for systems without a code."""

NAMES = {
    "cnn": "CNN",
    "or_cnn": "OR-CNN",
    "vgg16": "VGG16",
    "vogpae": "VO-GPAE",
    "vae_dgp": "VAE-DGP",
    "gp": "GP",
    "sor": "SOR",
    "mlr": "MLR",
}

SHOWN = 16
"""Faces in a picture of reconstructions."""


def evaluate(
    model_dir: Path,
    data_dir: Path,
    output_dir: Path,
    fold: int,
    split: str = "test",
    references: bool = False,
) -> dict[str, Any]:
    """Measures a trained model on one split and writes what was found.

    A recogniser of expressions is left to `evaluate_recogniser`. Otherwise writes `metrics.json`,
    `predictions.csv`, `predictions.npz` and `reliability.png`; of a stack of coders also
    `reconstructions.png` and `latent_spaces.png`, and what they show as `reconstructions.npz` and,
    of some frames, `latents.npz`.

    Args:
      model_dir: that `deepcoder-train` wrote.
      data_dir: folder that `deepcoder-prepare` wrote.
      output_dir: for the results.
      fold: must be the fold that the model was trained on; 0 for expressions.
      split: `train`, `validation` or `test`.
      references: also fit two linear references on the training frames and measure them on the
        same frames: regression on the same Z0, and ridge on as many principal components.

    Returns:
      The content of `metrics.json`.

    Raises:
      UserError: the model and the data do not belong together, or the disk is full.
    """
    if run_kind(model_dir) == EXPRESSIONS_KIND:
        check_flags(fold, references)
        return evaluate_recogniser(model_dir, data_dir, output_dir, split)
    model, run = load_model(model_dir)
    info = dataset_info(data_dir)
    check_compatible(model_dir, run, data_dir, fold)
    index = load_index(data_dir, fold, split)
    if not len(index.rows):
        raise UserError(f"{data_dir}: the {split} split of fold {fold} has no frame with a face")
    found = predict_split(model, data_dir, fold, split)
    quality = None
    if len(found.codes) > 1:
        quality = metrics.nlpd(found.codes[0].mean, *decoded_codes(model, found.codes))
    system = system_name(run.config)
    measured = metrics.evaluate_predictions(
        run.action_units,
        index.labels,
        found.probabilities,
        quality,
        expected=found.expected,
        system=system,
        split=split,
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
        rows=index.rows.tolist(),
        file_names=file_names(info.folder, index.rows),
        subjects=index.subjects.tolist(),
        frames=index.frames.tolist(),
        labels=index.labels,
        probabilities=found.probabilities,
    )
    tables.write_arrays(
        output_dir / "predictions.npz",
        probabilities=found.probabilities.astype(np.float32),
        expected=found.expected.astype(np.float32),
        labels=index.labels.astype(np.int8),
        subjects=index.subjects,
        rows=index.rows.astype(np.int64),
    )
    draw(model, run, index, found, output_dir, measured.system)
    write_json(output_dir / "metrics.json", document)
    return document


class Predicted(NamedTuple):
    """What a system makes of the frames of a split.

    Attributes:
      images: `[N, H, W, 1]` uint8, at the model's size.
      codes: of each coder, `[N, D]`; none where the system is no stack of coders.
      probabilities: `[N, Q, L]`.
      expected: `[N, Q]` levels: the regression's where the system regresses them, otherwise the
        expectation of the probabilities.
    """

    images: np.ndarray
    codes: list[Gaussian]
    probabilities: np.ndarray
    expected: np.ndarray


def predict_split(model: System, data_dir: Path, fold: int, split: str) -> Predicted:
    """Streams a split through the model, from stored crops as prediction does."""

    @graph_of
    def run(crops: tf.Tensor, landmarks: tf.Tensor | None) -> Predicted:
        images = model.images(crops)
        codes = model.encode(images) if isinstance(model, DeepCoder) else []
        found = model.predict(images, landmarks)
        expected = summarise_levels(found.probabilities)["intensity"]
        if found.regression is not None:
            expected = tf.clip_by_value(found.regression.mean, 0.0, LEVELS - 1.0)
        return Predicted(to_uint8(images), codes, found.probabilities, expected)

    points = load_landmarks(data_dir, fold, split) if model.needs_landmarks else None
    parts, start = [], 0
    for batch in read_fold(data_dir, fold, split).batch(BATCH):
        crops = batch["crop"]
        landmarks = None if points is None else tf.constant(points[start : start + len(crops)])
        parts.append(run(crops, landmarks))
        start += len(crops)
    return Predicted(
        np.concatenate([part.images for part in parts]),
        stack_parts([part.codes for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.expected for part in parts]),
    )


def check_flags(fold: int, references: bool) -> None:
    """Raises `UserError` for what a recogniser of expressions does not have."""
    if fold:
        raise UserError(f"--fold={fold}: prepared expressions have one split, of number 0")
    if references:
        raise UserError(
            "--references measures references of action units; leave it out for expressions, whose "
            "metrics hold probes and the majority's rate"
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
    model: System,
    run: RunInfo,
    data_dir: Path,
    fold: int,
    index: Index,
    found: Predicted,
    split: str,
) -> list[metrics.Metrics]:
    """Ridge on principal components of the images; of a stack also linear regression on its Z0."""
    train = predict_split(model, data_dir, fold, "train")
    validation = predict_split(model, data_dir, fold, "validation")
    labels = {s: load_index(data_dir, fold, s).labels for s in ("train", "validation")}
    estimates, components = {}, COMPONENTS
    if found.codes:
        z0 = found.codes[0].mean
        components = z0.shape[1]
        estimates["mlr_z0"] = baselines.mlr(train.codes[0].mean, labels["train"]).predict(z0)
    estimates["ridge_pca"] = baselines.ridge_pca(
        train.images, labels["train"], validation.images, labels["validation"], components
    ).predict(found.images)
    return [
        metrics.evaluate_points(run.action_units, index.labels, p, system=name, split=split)
        for name, p in estimates.items()
    ]


def system_name(config: Config) -> str:
    """As the paper's Table 1 has it; a deeper stack is named by its coders."""
    if config.system not in STACKS:
        suffix = " (LBP)" if config.features == "lbp" and config.system in FEATURE_SYSTEMS else ""
        return NAMES[config.system] + suffix
    kinds = "-".join(spec.kind for spec in config.stack)
    return {"conv-gp": "2DC", "conv-dense": "DCp"}.get(kinds, config.coders)


def draw(
    model: System, run: RunInfo, index: Index, found: Predicted, folder: Path, system: str
) -> None:
    """The pictures of an evaluation."""
    table = metrics.reliability(found.probabilities, index.labels)
    figures.reliability_diagram(folder / "reliability.png", {system: table})
    if not isinstance(model, DeepCoder):
        return
    shown = np.linspace(0, len(index.rows) - 1, min(SHOWN, len(index.rows))).astype(int)
    decoded = model.decode(tf.constant(found.codes[-1].mean[shown])).numpy()
    originals = to_unit_range(tf.constant(found.images[shown])).numpy()
    faces = Reconstructions(found.images[shown], to_uint8(decoded).numpy(), index.subjects[shown])
    codes = [q.mean for q in found.codes]
    write_test(folder, run.action_units, index.labels, index.subjects, codes, faces)
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
            index.subjects.tolist(),
            index.labels[:, run.action_units.index(unit)],
            action_unit=unit,
        )
