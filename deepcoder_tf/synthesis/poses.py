"""Posed expressions: the combinations of action units by which people recognise them.

Every subject shows the eight expressions in turn, each picture with one of the variants below at an
intensity of its own.

Source: Ekman, Friesen and Hager, FACS Investigator's Guide (2002), the prototypes of EMFACS, as
far as the head can show them (AU24 stands where the guide has 23 or 24).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.synthesis.expression import MAXIMUM
from deepcoder_tf.synthesis.performance import Performance

__all__ = ["PROTOTYPES", "pose_all"]

PROTOTYPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "neutral": ((),),
    "happiness": (("AU06", "AU12"), ("AU06", "AU12", "AU25")),
    "sadness": (("AU01", "AU04", "AU15"), ("AU01", "AU04", "AU15", "AU17")),
    "surprise": (("AU01", "AU02", "AU05", "AU25", "AU26"),),
    "fear": (
        ("AU01", "AU02", "AU04", "AU05", "AU20", "AU25"),
        ("AU01", "AU02", "AU04", "AU05", "AU07", "AU20", "AU25", "AU26"),
    ),
    "disgust": (("AU09", "AU15", "AU16"), ("AU09", "AU10", "AU17")),
    "anger": (("AU04", "AU05", "AU07", "AU24"), ("AU04", "AU05", "AU07", "AU17", "AU24")),
    "contempt": (("R12", "R14"), ("L12", "L14")),
}
"""Expression -> its variants; R and L are one side of the face alone."""

UNITS = tuple(
    sorted({name for variants in PROTOTYPES.values() for units in variants for name in units})
)

APEX = (2.0, 4.5)
"""Lowest and highest mean intensity of a picture."""
UNIT_SPREAD = 0.5
"""Spread of the action units' intensities about it, levels."""
LOWEST = 1.0
"""An action unit of the expression is at least this intense."""
APART = 20
"""Frames between two pictures: one second, in which head and gaze have moved."""
STREAM = 4
"""Random stream of a subject's poses; `dataset` lists the others."""


def pose_all(seed: int, pictures: int, subjects: int) -> Iterator[Performance]:
    """Plans the pictures of subjects 0, 1, ...; subject k does not depend on how many follow.

    Args:
      seed: of the data set.
      pictures: of each subject; the expressions come in turn.
      subjects: how many.

    Yields:
      One performance for each subject.
    """
    for subject in range(subjects):
        stream = np.random.SeedSequence(entropy=seed, spawn_key=(subject, STREAM))
        yield pose(np.random.default_rng(stream), pictures)


def pose(rng: np.random.Generator, pictures: int) -> Performance:
    """Plans the pictures of one subject."""
    expressions = np.arange(pictures) % len(EXPRESSIONS)
    intensities: NDArray[np.float64] = np.zeros((pictures, len(UNITS)))
    for row, expression in enumerate(expressions):
        variants = PROTOTYPES[EXPRESSIONS[expression]]
        units = variants[int(rng.integers(len(variants)))]
        apex = rng.uniform(*APEX)
        for name in units:
            level = np.clip(apex + rng.normal(0, UNIT_SPREAD), LOWEST, MAXIMUM)
            intensities[row, UNITS.index(name)] = level
    return Performance(UNITS, intensities, expressions, APART)
