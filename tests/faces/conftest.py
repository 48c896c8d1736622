"""A real face: scikit-image's photograph of Eileen Collins."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from deepcoder_tf.faces.aligner import Face, FaceAligner


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """`[512, 512, 3]` uint8 BGR, one upright face of 90 pixels."""
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope="session")
def aligner() -> FaceAligner:
    """With the default choice."""
    return FaceAligner()


@pytest.fixture(scope="session")
def face(aligner: FaceAligner, photo: np.ndarray) -> Face:
    """The face in the photograph."""
    return aligner.analyse(photo)[0]
