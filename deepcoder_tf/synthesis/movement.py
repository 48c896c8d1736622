"""How people move while they are filmed: head sway, gaze, blinks, a light that wavers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.synthesis.figure import Moment

__all__ = ["FRAME_RATE", "move"]

FRAME_RATE = 20
"""Frames a second, as in DISFA."""

SWAY = {"yaw": 4.0, "pitch": 3.0, "roll": 2.2}
"""Standard deviation of the head's turns, degrees."""
LARGEST_TURN = 11.0
"""Degrees; beyond them a frontal face detector begins to miss faces."""
SHIFT = 0.05
"""Standard deviation of the head's position, decimetres."""
BLINK_EVERY = 4.0
"""Mean seconds between blinks."""
BLINK = (0.5, 1.0, 1.0, 0.6, 0.2)
"""How far the lids are closed in the frames of one blink."""
LARGEST_GAZE = 16.0
"""Degrees from straight ahead."""


def wander(rng: np.random.Generator, frames: int, spread: float) -> NDArray[np.float64]:
    """A smooth random walk about a random place: `[frames]` with standard deviation `spread`."""
    seconds = np.arange(frames) / FRAME_RATE
    rates = rng.uniform(0.05, 0.5, 5)  # cycles a second
    phases = rng.uniform(0, 2 * np.pi, 5)
    waves = np.sin(2 * np.pi * rates[:, None] * seconds + phases[:, None]) / rates[:, None] ** 0.5
    walk = (rng.standard_normal(5) @ waves) / np.sqrt((1 / rates).sum() / 2)
    return spread * (0.8 * walk + 0.6 * rng.standard_normal())


def look(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Fixations with jumps between them: `[frames, 2]` degrees to the left and up."""
    gaze = np.zeros((frames, 2))
    frame = 0
    while frame < frames:
        length = int(rng.integers(8, 50))
        target = np.zeros(2) if rng.uniform() < 0.5 else rng.normal(0, (7.0, 3.5))
        gaze[frame : frame + length] = np.clip(target, -LARGEST_GAZE, LARGEST_GAZE)
        frame += length
    return gaze


def blinks(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """How far the lids are closed, `[frames]` from 0 to 1."""
    closed = np.zeros(frames)
    for start in np.flatnonzero(rng.uniform(size=frames) < 1 / (BLINK_EVERY * FRAME_RATE)):
        window = closed[start : start + len(BLINK)]
        np.maximum(window, BLINK[: len(window)], out=window)
    return closed


def move(rng: np.random.Generator, frames: int) -> list[Moment]:
    """Plans the movement of one subject.

    Args:
      rng: that subject's own stream.
      frames: how many.

    Returns:
      One moment for each frame.
    """
    turns = {
        name: np.clip(wander(rng, frames, spread), -LARGEST_TURN, LARGEST_TURN)
        for name, spread in SWAY.items()
    }
    x, y = wander(rng, frames, SHIFT), wander(rng, frames, SHIFT)
    gaze, closed = look(rng, frames), blinks(rng, frames)
    light = 1 + wander(rng, frames, 0.03)
    return [
        Moment(
            yaw=float(turns["yaw"][t]),
            pitch=float(turns["pitch"][t]),
            roll=float(turns["roll"][t]),
            shift=(float(x[t]), float(y[t])),
            gaze=(float(gaze[t, 0]), float(gaze[t, 1])),
            blink=float(closed[t]),
            light=float(light[t]),
        )
        for t in range(frames)
    ]
