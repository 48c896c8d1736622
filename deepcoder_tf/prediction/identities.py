"""Faces keep their number from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["FaceIdentities", "overlap"]

Box = tuple[int, int, int, int]

LEAST_OVERLAP = 0.3
"""Intersection over union below which two boxes are two faces. At 25 frames/s a head moves by a
few percent of its width from frame to frame; 0.3 allows half of it."""

PATIENCE = 50
"""Frames for which a face that is not found keeps its number: two seconds of video."""


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height), 0 to 1.

    >>> round(overlap((0, 0, 10, 10), (5, 0, 10, 10)), 4)
    0.3333
    """
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


class FaceIdentities:
    """Numbers the faces of one video by the overlap of their boxes."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Starts without faces, or where another one stood.

        Args:
          state: from `FaceIdentities.state`.
        """
        self._next = 0
        self._seen: dict[int, tuple[Box, int]] = {}  # number -> last box, frames since
        if state is not None:
            self._next = state["next"]
            self._seen = {number: (tuple(box), age) for number, box, age in state["seen"]}

    def state(self) -> dict[str, Any]:
        """What the numbers of later frames depend on, in plain types.

        >>> identities = FaceIdentities()
        >>> identities([(0, 0, 10, 10)])
        [0]
        >>> FaceIdentities(identities.state())([(60, 0, 10, 10), (1, 0, 10, 10)])
        [1, 0]
        """
        seen = [[number, list(box), age] for number, (box, age) in self._seen.items()]
        return {"next": self._next, "seen": seen}

    def __call__(self, boxes: Sequence[Box]) -> list[int]:
        """Numbers the faces of the next frame.

        Pairs of largest overlap come first, each face and each number at most once; a face that
        overlaps no known one gets the next number.

        Args:
          boxes: x, y, width, height of each face; may be empty.

        Returns:
          The number of each face, in the same order.
        """
        known = list(self._seen)
        shared = np.array([[overlap(box, self._seen[i][0]) for i in known] for box in boxes])
        numbers: list[int | None] = [None] * len(boxes)
        while shared.size and shared.max() >= LEAST_OVERLAP:
            face, column = divmod(int(shared.argmax()), len(known))
            numbers[face] = known[column]
            shared[face, :] = shared[:, column] = -1
        for face, number in enumerate(numbers):
            if number is None:
                numbers[face], self._next = self._next, self._next + 1
        result = [number for number in numbers if number is not None]
        missed = {i: (box, age + 1) for i, (box, age) in self._seen.items() if age < PATIENCE}
        self._seen = missed | {i: (box, 0) for i, box in zip(result, boxes, strict=True)}
        return result
