"""Export: a run's chosen model as a folder that TF Serving and prediction load."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deepcoder_tf.experiment.evaluating import system_name
from deepcoder_tf.experiment.lite_examples import lite_examples, lite_expressions
from deepcoder_tf.export import export_model, expression_card, model_card
from deepcoder_tf.export.answers import Served
from deepcoder_tf.export.signing import sign
from deepcoder_tf.export.tflite import Examples, add_variants
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.face_model import EXPRESSIONS_KIND, FORMAT
from deepcoder_tf.faces.registration import CROP_SHAPE
from deepcoder_tf.training.expression_run import ExpressionRun, load_recogniser, run_kind
from deepcoder_tf.training.run import RunInfo, load_model

__all__ = ["export"]

log = logging.getLogger(__name__)


def export(
    model_dir: Path,
    output_dir: Path,
    version: int | None = None,
    *,
    overwrite: bool = False,
    metrics: Path | None = None,
    data: str | None = None,
    licence: str | None = None,
    signing_key: Path | None = None,
    tflite: Sequence[str] = (),
    data_dir: Path | None = None,
) -> Path:
    """Writes a trained model as `output_dir/VERSION/`, ready for TF Serving and for prediction.

    Args:
      model_dir: that `deepcoder-train` wrote.
      output_dir: of the served model.
      version: a positive integer; None is the next one.
      overwrite: replace the version where it exists.
      metrics: `metrics.json` that `deepcoder-evaluate` wrote for this model, for its card.
      data: what the training data are, in words, for the card.
      licence: of the weights, for the card.
      signing_key: PEM file with a private key; the version is then signed.
      tflite: variants of `lite_model.VARIANTS` to write beside the SavedModel.
      data_dir: folder that `deepcoder-prepare` wrote; int8 cannot do without.

    Returns:
      The version's folder.

    Raises:
      UserError: no trained model, the version exists, the disk is full, the folder cannot be
        written, metrics of another model, a key that cannot be used, or a variant that differs
        from the model by more than it may.
    """
    model: Served
    examples_in: Callable[[Path], Examples]
    if run_kind(model_dir) == EXPRESSIONS_KIND:
        model, of_expressions = recogniser = load_recogniser(model_dir)
        card = expressions_card(of_expressions, metrics, data, licence)
        examples_in = partial(lite_expressions, *recogniser, model_dir)
    else:
        model, run = system = load_model(model_dir)
        card = action_units_card(run, metrics, data, licence)
        examples_in = partial(lite_examples, *system, model_dir)
    additions: list[Callable[[Path], None]] = []
    if tflite:
        examples = None if data_dir is None else examples_in(data_dir)
        additions.append(partial(add_variants, model=model, variants=tflite, examples=examples))
    if signing_key is not None:
        additions.append(partial(sign, key=signing_key))
    path = export_model(model, card, output_dir, version, overwrite=overwrite, additions=additions)
    log.info("%s: ready to serve", path)
    return path


def action_units_card(
    run: RunInfo, metrics: Path | None, data: str | None, licence: str | None
) -> dict[str, Any]:
    """What is told of a model of action units."""
    return {
        "format": 1,
        "system": system_name(run.config),
        "use": model_card.USE,
        "limits": list(model_card.LIMITS),
        "action_units": list(run.action_units),
        "mean_shape": run.mean_shape,
        "crop_shape": list(CROP_SHAPE),
        "config": json.loads(run.config.to_json()),
        "source": run.source,
        "data": data or model_card.NOT_TOLD,
        "subjects": run.subjects,
        "metrics": model_card.read_metrics(metrics, run.action_units) if metrics else None,
        "licences": {
            **model_card.LICENCES,
            "weights": licence or model_card.NOT_TOLD,
            "data": model_card.DATA_TERMS.get(run.source, model_card.NOT_TOLD),
        },
        "versions": run.versions,
    }


def expressions_card(
    run: ExpressionRun, metrics: Path | None, data: str | None, licence: str | None
) -> dict[str, Any]:
    """What is told of a recogniser of expressions."""
    return {
        "format": FORMAT,
        "kind": EXPRESSIONS_KIND,
        "system": run.config.system,
        "use": expression_card.EXPRESSION_USE,
        "limits": list(expression_card.EXPRESSION_LIMITS),
        "expressions": list(EXPRESSIONS),
        "anchors": run.anchors,
        "crop_shape": [run.size, run.size],
        "channels": run.channels,
        "config": json.loads(run.config.to_json()),
        "source": run.source,
        "data": data or model_card.NOT_TOLD,
        "counts": run.counts,
        "people": len(run.identities),
        "metrics": expression_card.read_expression_metrics(metrics) if metrics else None,
        "licences": expression_card.expression_licences(run.config, run.source, licence),
        "versions": run.versions,
    }
