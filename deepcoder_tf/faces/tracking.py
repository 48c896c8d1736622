"""Faces through a video with fewer detections: between two of them a box follows its landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepcoder_tf.faces.aligner import Face, FaceAligner
from deepcoder_tf.faces.images import to_grey

__all__ = ["FaceTracker"]


class FaceTracker:
    """`FaceAligner.analyse` for the frames of one video in their order.

    Detection takes most of the time; looking only in every Nth frame saves up to (N - 1) / N of
    it. The price: a face that leaves, or a cut, is noticed up to N - 1 frames late.
    """

    def __init__(self, aligner: FaceAligner, detect_every: int = 1) -> None:
        """Starts a video.

        Args:
          aligner: finds faces and landmarks.
          detect_every: frames from one detection to the next; 1 detects in every frame.

        Raises:
          ValueError: `detect_every` below 1.
        """
        if detect_every < 1:
            raise ValueError(f"detect_every={detect_every} must be at least 1")
        self.aligner = aligner
        self.detect_every = detect_every
        self._age = 0
        self._faces: list[Face] = []

    def analyse(self, image: np.ndarray) -> list[Face]:
        """Finds the faces of the next frame.

        Args:
          image: uint8, `[H, W]` grey or `[H, W, 3]` BGR.

        Returns:
          As `FaceAligner.analyse`; between detections with the score of the last one.
        """
        if self._faces and self._age < self.detect_every:
            grey = to_grey(image)
            self._faces = [self.follow(grey, face) for face in self._faces]
        else:
            self._faces = self.aligner.analyse(image)
            self._age = 0
        self._age += 1
        return self._faces

    def follow(self, grey: np.ndarray, face: Face) -> Face:
        """Moves the box as the landmarks moved, and finds the landmarks in it again."""
        landmarks = self.aligner.predictor(grey, face.box)
        move = np.round((landmarks - face.landmarks68).mean(axis=0)).astype(int)
        box = replace(face.box, x=face.box.x + int(move[0]), y=face.box.y + int(move[1]))
        return replace(face, box=box, landmarks68=landmarks)
