"""Where eyes and nose lie in stored squares: what a new face must be brought to for their model."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.landmarks import LandmarkPredictor
from deepcoder_tf.faces.squares import ANCHORS, anchors_in, landmarks_in

__all__ = ["ENOUGH", "LOOKED_AT", "measure_anchors"]

LOOKED_AT = 400
"""Stored pictures, evenly spread, in which faces are looked for."""

ENOUGH = 20
"""Faces from which on a median is worth more than the usual places."""

LOG = logging.getLogger(__name__)


def measure_anchors(images: np.ndarray, landmarks: Path | None = None) -> np.ndarray:
    """The median places of eyes and nose in pictures that others have cut.

    Args:
      images: `[N, S, S, C]` uint8.
      landmarks: the user's own landmark model, or None.

    Returns:
      `[3, 2]` shares of the side; `squares.ANCHORS`, with a warning, where faces are found in fewer
      than `ENOUGH` pictures or where dlib is not installed.
    """
    chosen = np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).round().astype(int))
    try:
        aligner = FaceAligner(predictor=LandmarkPredictor(landmarks))
    except UserError as error:
        LOG.warning("warning: faces to predict will be cut as --align=dlib cuts them: %s", error)
        return ANCHORS
    found = [landmarks_in(np.asarray(images[at]), aligner) for at in chosen]
    points = [face for face in found if face is not None]
    if len(points) < ENOUGH:
        LOG.warning(
            "warning: dlib finds a face in %d of %d stored pictures looked at, fewer than %d: "
            "where eyes and nose lie is not known, and faces to predict will be cut as "
            "--align=dlib cuts them",
            len(points),
            len(chosen),
            ENOUGH,
        )
        return ANCHORS
    return np.median([anchors_in(face, images.shape[1]) for face in points], axis=0)
