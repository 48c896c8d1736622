"""The golden set: the faces that every route is asked about.

Five synthetic faces and one photograph (astronaut Eileen Collins, NASA, public domain, as it comes
with scikit-image). The pictures are made anew each time by the package's renderer. The landmarks
are stored beside this file, so that the crops do not depend on the version of dlib that is here;

    python -m tools.parity.golden

finds them again and rewrites the file, which is to be done when a picture here is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import skimage.data

from deepcoder_tf.faces.aligner import FaceAligner, align
from deepcoder_tf.faces.images import to_grey
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.faces.registration import register
from deepcoder_tf.files import replacing
from deepcoder_tf.synthesis.figure import Moment
from deepcoder_tf.synthesis.renderer import render
from deepcoder_tf.synthesis.subject import draw_subject

__all__ = ["LANDMARKS", "Golden", "golden", "pictures", "stored_landmarks"]

LANDMARKS = Path(__file__).with_name("golden_landmarks.json")
"""68 points (x, y) in picture pixels of each picture, by its name."""

EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"AU06": 3, "AU12": 4, "AU25": 3},
    "surprise": {"AU01": 4, "AU02": 3, "AU05": 3, "AU25": 3, "AU26": 4},
    "anger": {"AU04": 4, "AU09": 3, "AU17": 2},
    "sadness": {"AU01": 2, "AU04": 2, "AU15": 4, "AU20": 2},
}
"""What the synthetic faces show: together every action unit of DISFA, at several levels."""

PEOPLE = 2017
"""Seed of the synthetic people."""


class Golden(NamedTuple):
    """The golden set, registered to one model's mean shape.

    Attributes:
      names: of the F pictures.
      pictures: F pictures `[H, W, 3]` uint8 (blue, green, red) of different sizes.
      points: `[F, 49, 2]` float32, landmarks in pixels of the pictures.
      crops: `[F, rows, columns, 1]` uint8, grey, not equalised.
      landmarks: `[F, 49, 2]` float32, crop pixels.
    """

    names: tuple[str, ...]
    pictures: list[np.ndarray]
    points: np.ndarray
    crops: np.ndarray
    landmarks: np.ndarray


def pictures() -> dict[str, np.ndarray]:
    """The pictures, `[H, W, 3]` uint8 (blue, green, red), by name."""
    made = {}
    for k, (name, intensities) in enumerate(EXPRESSIONS.items()):
        person = draw_subject(np.random.SeedSequence(entropy=PEOPLE, spawn_key=(k,)))
        pose = Moment(yaw=4.0 * (k - 2), pitch=2.0 * (k % 3 - 1), roll=3.0 * (k % 2))
        made[name] = render(person, intensities, pose)[..., ::-1]
    made["photograph"] = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    return made


def stored_landmarks() -> dict[str, np.ndarray]:
    """The 49 points `[49, 2]` of each picture, whole pixels, by name."""
    stored: Mapping[str, list] = json.loads(LANDMARKS.read_text(encoding="utf-8"))
    return {name: np.array(points)[INNER_49] for name, points in stored.items()}


def golden(mean_shape: np.ndarray, crop_shape: tuple[int, int]) -> Golden:
    """The golden set for one model.

    Args:
      mean_shape: `[49, 2]`, crop pixels (x, y), of the model.
      crop_shape: rows and columns.

    Returns:
      The pictures and what the model sees of them.
    """
    made = pictures()
    stored = stored_landmarks()
    points = np.array([stored[name] for name in made], np.float32)
    crops = [
        align(to_grey(picture), face, mean_shape, crop_shape)
        for picture, face in zip(made.values(), points, strict=True)
    ]
    return Golden(
        names=tuple(made),
        pictures=list(made.values()),
        points=points,
        crops=np.stack(crops)[..., np.newaxis],
        landmarks=register(points, np.asarray(mean_shape)),
    )


def find_landmarks() -> dict[str, list[list[int]]]:
    """Where dlib sees the 68 points of each picture, whole pixels."""
    aligner = FaceAligner()
    found = {}
    for name, picture in pictures().items():
        (face,) = aligner.analyse(picture)
        found[name] = np.round(face.landmarks68).astype(int).tolist()
    return found


def main() -> None:
    """Rewrites the stored landmarks."""
    lines = [f'  "{name}": {json.dumps(points)}' for name, points in find_landmarks().items()]
    with replacing(LANDMARKS) as stream:
        stream.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
