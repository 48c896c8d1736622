"""From a picture to registered crops: the one class that preparation and prediction share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcoder_tf.faces.detection import Detection, FaceDetector, choose
from deepcoder_tf.faces.images import to_grey
from deepcoder_tf.faces.landmarks import INNER_49, LandmarkPredictor
from deepcoder_tf.faces.registration import CROP_SHAPE, fit_similarity, warp

__all__ = ["Face", "FaceAligner", "align"]


@dataclass(frozen=True)
class Face:
    """A face with its landmarks.

    Attributes:
      box: where it is, and the detector's score.
      landmarks68: `[68, 2]` float32, x and y in pixels of the picture.
      index: its place among all faces of the picture, surest first, from 0.
      count: number of faces found in the picture.
    """

    box: Detection
    landmarks68: np.ndarray
    index: int = 0
    count: int = 1

    @property
    def score(self) -> float:
        """The detector's score; higher is surer."""
        return self.box.score

    @property
    def landmarks49(self) -> np.ndarray:
        """`[49, 2]` float32: the points used for registration."""
        return self.landmarks68[INNER_49]


class FaceAligner:
    """Detects faces, finds their landmarks, and cuts registered crops.

    Not for use by two threads at once; `FaceAligner(..., predictor=other.predictor)` makes a second
    one that shares the large landmark model.
    """

    def __init__(
        self,
        choice: str = "largest_central",
        landmarks: str | Path | None = None,
        threshold: float = 0.0,
        predictor: LandmarkPredictor | None = None,
    ) -> None:
        """Loads the models.

        Args:
          choice: which of several faces `analyse` returns; see `detection.choose`.
          landmarks: the user's own landmark model; see `landmarks.model_path`.
          threshold: lowest detection score that counts.
          predictor: a loaded landmark model to share.

        Raises:
          UserError: dlib or the landmark model is missing.
          ValueError: an unknown choice.
        """
        choose([], (1, 1), choice)
        self.choice = choice
        self.detector = FaceDetector(threshold, reduce=choice in ("largest", "largest_central"))
        self.predictor = predictor or LandmarkPredictor(landmarks)

    def analyse(self, image: np.ndarray) -> list[Face]:
        """Finds faces.

        Args:
          image: uint8, `[H, W]` grey or `[H, W, 3]` BGR.

        Returns:
          The chosen face, or all of them (surest first); empty when there is none.

        Raises:
          ValueError: not such an array.
        """
        grey = to_grey(image)
        found = self.detector(grey)
        return [
            Face(found[index], self.predictor(grey, found[index]), index, len(found))
            for index in choose(found, grey.shape, self.choice)
        ]

    def align(
        self,
        image: np.ndarray,
        face: Face,
        mean_shape: np.ndarray,
        crop_shape: tuple[int, int] = CROP_SHAPE,
    ) -> np.ndarray:
        """Cuts one face out, registered to the mean shape.

        Args:
          image: the picture in which the face was found.
          face: as `analyse` returned it.
          mean_shape: `[49, 2]` in crop pixels, as stored with the training data.
          crop_shape: rows and columns.

        Returns:
          `[rows, columns]` uint8 grey, not equalised.
        """
        return align(to_grey(image), face.landmarks49, mean_shape, crop_shape)


def align(
    grey: np.ndarray,
    landmarks49: np.ndarray,
    mean_shape: np.ndarray,
    crop_shape: tuple[int, int] = CROP_SHAPE,
) -> np.ndarray:
    """`FaceAligner.align` for landmarks that are already known."""
    return warp(grey, fit_similarity(landmarks49, np.asarray(mean_shape)), crop_shape)
