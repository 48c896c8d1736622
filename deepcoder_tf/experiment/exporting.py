"""Export: a run's chosen model as a folder that TF Serving and prediction load."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from deepcoder_tf.experiment.evaluating import system_name
from deepcoder_tf.export import export_model
from deepcoder_tf.training.run import load_model

__all__ = ["export"]

log = logging.getLogger(__name__)


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
