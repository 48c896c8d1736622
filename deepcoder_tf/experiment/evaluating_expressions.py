"""Evaluation of a recogniser of expressions on one split, in numbers and pictures.

metrics.json is flat but for the tables; what cannot be told is null, and `reasons` says why.

    kind                          "expressions"
    system, split                 `--system` of the run; `--split`
    source, trained_on            data sets of the pictures and of the run
    pictures, labelled            of the split; those with a class, which are scored
    accuracy, balanced_accuracy, macro_f1, log_loss, calibration_error, majority_rate
    absent_classes, per_class, confusion           see `expression_metrics`
    adversary_accuracy, adversary_balanced_accuracy
                                  of C_adv as the training left it; null where there is none
    reconstruction_error          mean L_r, pixels in 0..1; null without a decoder
    reconstruction_rms            root of the mean squared error of a pixel, 0..1
    similarity, similarity_non_expression          cosine of all pairs, see `similarity`
    probes                        what classifiers trained afresh read off each code:
                                  train_pictures, test_pictures, then code -> linear, mlp
    identity_probes               who is seen, read off each code, see `probes`
    swaps                         what judges trained apart see in swapped pictures, see `swapping`
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from deepcoder_tf.datasets.expressions.store import (
    ExpressionFrames,
    ExpressionInfo,
    expression_info,
    load_expressions,
)
from deepcoder_tf.datasets.frames_table import file_names
from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation import probes
from deepcoder_tf.evaluation.expression_metrics import (
    NO_CLASS,
    ExpressionMetrics,
    measure_expressions,
)
from deepcoder_tf.evaluation.expression_tables import (
    expression_table,
    write_expression_predictions,
)
from deepcoder_tf.evaluation.similarity import Similarity, compare_pairs
from deepcoder_tf.evaluation.tables import write_arrays
from deepcoder_tf.experiment.drawing_expressions import draw_expressions
from deepcoder_tf.experiment.reading_expressions import Told, codes_of, tell
from deepcoder_tf.experiment.swapping import can_swap, measure_swaps
from deepcoder_tf.face_model import EXPRESSIONS_KIND
from deepcoder_tf.files import write_json
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.system import ExpressionSystem
from deepcoder_tf.training.expression_run import ExpressionRun, load_recogniser

__all__ = ["evaluate_recogniser"]

REASONS = {
    "adversary_accuracy": "the system has no adversary",
    "reconstruction_error": "the system has no decoder",
    "similarity_non_expression": "the system has no non-expression code",
    "probes": "the training split has no labelled pictures of two classes",
    "identity_probes": "no two people are known to have several pictures in the split",
    "swaps": "it needs a decoder, and people of whom the split has several pictures",
}
"""Why something is null."""


def evaluate_recogniser(
    model_dir: Path, data_dir: Path, output_dir: Path, split: str
) -> dict[str, Any]:
    """Measures a recogniser of expressions on one split and writes what was found.

    Writes `metrics.json`, `predictions.csv`, `predictions.npz`, `confusion.png`, `similarity.png`
    and `reliability.png`; of a network with a decoder also `reconstructions.png` and `swaps.png`.

    Args:
      model_dir: that `deepcoder-train` wrote.
      data_dir: folder of expressions that `deepcoder-prepare` wrote.
      output_dir: for the results.
      split: `train`, `validation` or `test`.

    Returns:
      The content of `metrics.json`.

    Raises:
      UserError: the model and the data do not belong together, nothing can be scored, or the disk
        is full.
    """
    model, run = load_recogniser(model_dir)
    info = expression_info(data_dir)
    check_fits(model_dir, model, info)
    everything = load_expressions(data_dir)
    frames = everything.of(split)
    check_scored(data_dir, frames, split)
    told = tell(model, frames, np.arange(len(frames.labels)))
    metrics = measure_expressions(frames.labels, told.probabilities)
    similar = {
        name: compare_pairs(code, frames.labels, frames.subjects)
        for name, code in told.codes.items()
    }
    document = {
        "kind": EXPRESSIONS_KIND,
        "system": run.config.system,
        "split": split,
        "source": info.source,
        "trained_on": run.source,
        **metrics.to_json(),
        **adversary_scores(frames, told),
        **reconstruction_scores(model, told),
        **similarity_scores(similar),
        **probe_scores(model, run, everything.of("train"), frames, told),
        "swaps": swap_rates(model, everything.of("train"), frames),
    }
    document["reasons"] = reasons(document)
    print(expression_table(metrics, run.config.system, summary(document)))
    write_predicted(output_dir, info, frames, told)
    draw_expressions(output_dir, model, run, frames, told, metrics, similar)
    write_json(output_dir / "metrics.json", document)
    return document


def swap_rates(
    model: ExpressionSystem, train: ExpressionFrames, frames: ExpressionFrames
) -> dict[str, Any] | None:
    """Fig. 2 measured, where codes can be decoded and people are known."""
    if not isinstance(model, Disentangler) or not can_swap(model, frames):
        return None
    return measure_swaps(model, train, frames)


def check_fits(model_dir: Path, model: ExpressionSystem, info: ExpressionInfo) -> None:
    """Raises `UserError` where pictures have another form than the model's."""
    wanted, found = (model.size, model.channels), (info.size, info.channels)
    if wanted != found:
        raise UserError(
            f"{model_dir} sees {form(*wanted)}, but {info.folder} holds {form(*found)}; prepare "
            f"the data with --size={model.size} --channels={model.channels}"
        )
    if model.needs_landmarks and not info.has_landmarks:
        raise UserError(
            f"{model_dir} sees landmarks, but {info.folder} has none; prepare the data with "
            "--store_landmarks"
        )


def form(size: int, channels: int) -> str:
    """A kind of picture in words."""
    return f"{'grey' if channels == 1 else 'colour'} pictures of {size} x {size}"


def check_scored(data_dir: Path, frames: ExpressionFrames, split: str) -> None:
    """Raises `UserError` where a split has nothing to score."""
    if not len(frames.labels):
        raise UserError(
            f"{data_dir}: the {split} split has no picture; choose another --split, or prepare "
            "data that has one"
        )
    if not np.any(frames.labels != NO_CLASS):
        raise UserError(
            f"{data_dir}: the {split} split has no picture with a class; look at the status column "
            "of frames.csv"
        )


def adversary_scores(frames: ExpressionFrames, told: Told) -> dict[str, Any]:
    """How well C_adv still tells expressions."""
    scores: ExpressionMetrics | None = None
    if told.adversary is not None:
        scores = measure_expressions(frames.labels, told.adversary)
    return {
        "adversary_accuracy": scores and scores.accuracy,
        "adversary_balanced_accuracy": scores and scores.balanced_accuracy,
    }


def reconstruction_scores(model: ExpressionSystem, told: Told) -> dict[str, Any]:
    """How far decoded pictures are from the originals."""
    error = rms = None
    if told.distances is not None:
        values = 3 * model.config.picture_side**2
        distances = told.distances.astype(np.float64)
        error, rms = float(distances.mean()), float(np.sqrt(np.mean(distances**2) / values))
    return {"reconstruction_error": error, "reconstruction_rms": rms}


def similarity_scores(similar: dict[str, Similarity]) -> dict[str, Any]:
    """Table 3 for each code."""
    other = similar.get("non_expression")
    return {
        "similarity": similar["expression"].to_json(),
        "similarity_non_expression": other and other.to_json(),
    }


def probe_scores(
    model: ExpressionSystem,
    run: ExpressionRun,
    train: ExpressionFrames,
    frames: ExpressionFrames,
    told: Told,
) -> dict[str, Any]:
    """What classifiers that are trained afresh read off the frozen codes."""
    seed, labels = run.config.seed, frames.labels
    who = probes.identity_probes(told.codes, frames.subjects, seed)
    rows = np.flatnonzero(train.labels != NO_CLASS)
    scores: dict[str, Any] | None = None
    if len(np.unique(train.labels[rows])) > 1:
        if len(rows) > probes.PICTURES:
            draw = np.random.default_rng([seed, 5])
            rows = np.sort(draw.choice(rows, probes.PICTURES, replace=False))
        known, codes = labels != NO_CLASS, codes_of(model, train, rows)
        scores = {"train_pictures": len(rows), "test_pictures": int(known.sum())}
        for name, code in codes.items():
            found = probes.probe_codes(
                code, train.labels[rows], told.codes[name][known], labels[known], seed
            )
            scores[name] = {kind: asdict(probe) for kind, probe in found.items()}
    return {"probes": scores, "identity_probes": who and who.to_json()}


def reasons(document: dict[str, Any]) -> dict[str, str]:
    """Why something is null, by its name."""
    why = {name: text for name, text in REASONS.items() if document[name] is None}
    if document["absent_classes"]:
        why["per_class"] = "the split has no picture of the classes under absent_classes"
    return why


def summary(document: dict[str, Any]) -> dict[str, float | None]:
    """What the printed table says beside the metrics."""
    lines: dict[str, float | None] = {"AUC of similar codes": document["similarity"]["auc"]}
    if document["adversary_accuracy"] is not None:
        lines["C_adv"] = document["adversary_accuracy"]
    for name in ("expression", "non_expression"):
        for kind, found in (document["probes"] or {}).get(name, {}).items():
            lines[f"{kind} probe, {name} code"] = found["accuracy"]
    if document["reconstruction_rms"] is not None:
        lines["reconstruction RMS"] = document["reconstruction_rms"]
    for kind in ("expression", "identity") if document["swaps"] else ():
        for shown in ("real", "reconstructed", "swapped"):
            lines[f"{kind} seen by a judge, {shown}"] = document["swaps"][f"{kind}_{shown}"]
    return lines


def write_predicted(
    folder: Path, info: ExpressionInfo, frames: ExpressionFrames, told: Told
) -> None:
    """`predictions.csv` and `predictions.npz`."""
    write_expression_predictions(
        folder / "predictions.csv",
        rows=frames.rows.tolist(),
        file_names=file_names(info.folder, frames.rows),
        subjects=frames.subjects.tolist(),
        labels=frames.labels,
        probabilities=told.probabilities,
    )
    more = {}
    if told.adversary is not None:
        more["adversary_probabilities"] = told.adversary.astype(np.float32)
    write_arrays(
        folder / "predictions.npz",
        probabilities=told.probabilities.astype(np.float32),
        labels=frames.labels.astype(np.int8),
        subjects=frames.subjects,
        rows=frames.rows.astype(np.int64),
        **more,
    )
