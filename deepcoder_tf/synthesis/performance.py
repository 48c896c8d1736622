"""What people do: action-unit intensities over time, and the labels that a coder would give them.

An episode raises one action unit, or a group that people show together, from rest to an apex and
back. Upper and lower face are separate tracks, so that unrelated episodes may overlap. A planner
keeps every action unit near its share of frames: it compares what has been shown so far, by all
subjects before, with what should have been, and picks among the episodes that are due.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.synthesis.expression import MAXIMUM

__all__ = ["Performance", "levels", "perform"]

Template = tuple[str, ...]

TEMPLATES: tuple[Template, ...] = (
    ("AU01",),
    ("AU02",),
    ("AU04",),
    ("AU05",),
    ("AU06",),
    ("AU09",),
    ("AU12",),
    ("AU15",),
    ("AU17",),
    ("AU20",),
    ("AU25",),
    ("AU25", "AU26"),
    ("AU01", "AU02"),
    ("AU01", "AU02", "AU05"),
    ("AU01", "AU02", "AU05", "AU25", "AU26"),
    ("AU01", "AU04"),
    ("AU01", "AU04", "AU15"),
    ("AU01", "AU04", "AU15", "AU17"),
    ("AU04", "AU05"),
    ("AU04", "AU09"),
    ("AU04", "AU09", "AU17"),
    ("AU04", "AU20", "AU25"),
    ("AU05", "AU20", "AU25", "AU26"),
    ("AU06", "AU09"),
    ("AU06", "AU12"),
    ("AU06", "AU12", "AU25"),
    ("AU06", "AU12", "AU25", "AU26"),
    ("AU12", "AU25"),
    ("AU15", "AU17"),
    ("AU20", "AU25"),
    ("AU10",),
    ("AU14",),
    ("AU04", "AU10"),
    ("AU06", "AU10"),
    ("AU06", "AU10", "AU12"),
    ("AU10", "AU17"),
    ("AU10", "AU25"),
    ("AU12", "AU14"),
    ("AU14", "AU17"),
)
"""Groups that occur together in spontaneous expressions, and every action unit on its own.

AU26 never comes without AU25: a jaw that drops parts the lips unless something holds them.
"""

SHARES: dict[str, float] = {"AU12": 0.14, "AU25": 0.16, "AU26": 0.11, "AU05": 0.11}
"""Share of frames in which an action unit is to be seen; `USUAL_SHARE` where not named."""
USUAL_SHARE = 0.125
BACKGROUND, BACKGROUND_SHARE = frozenset({"AU04", "AU25"}), 0.03
"""Action units that FERA 2015's faces show although its labels leave them out, and how often."""

UPPER = frozenset({"AU01", "AU02", "AU04", "AU05"})
"""Action units of the upper track; AU06 and AU09 are on the lower one, whose groups they join."""

PEAKS = (0.17, 0.28, 0.29, 0.17, 0.09)
"""Probabilities that an episode's apex lies at level 1, 2, 3, 4, 5 in an average subject."""
ONSET, APEX, OFFSET = (5, 12), (8, 24), (7, 16)
"""Shortest and longest duration of each phase, frames at 20 frames a second."""
LOOKAHEAD = 30
"""Frames by which the planner looks ahead: about one episode."""
DUE = 8.0
"""An episode begins when its action units are this many frames short of their share."""
HABIT, CHANCE = 6.0, 5.0
"""Spread of what a subject favours always, and of what comes up now: frames as in `DUE`."""
PATIENCE = 8
"""Frames for which a group of both tracks waits for the busy one."""
FIRST, PAUSE, REST = 12, (1, 10), (4, 16)
"""Latest first frame; rest after an episode; rest when nothing is due. Frames, end excluded."""
EXPRESSIVENESS = (0.7, 1.2)
"""Factor on a subject's apexes, lowest and highest."""
GROUP_SPREAD = 0.7
"""Spread of the apexes within one group, levels."""
LOWEST_PEAK = 0.8
"""An apex is at least this intense, so that every episode gets a label."""
PARTED = 0.7
"""Least intensity of AU25 as a share of that of AU26, see `TEMPLATES`."""


@dataclasses.dataclass(frozen=True)
class Performance:
    """What one subject shows.

    Attributes:
      action_units: Q names, the columns of `intensities`.
      intensities: `[F, Q]` from 0 to 5, continuous.
      expressions: `[F]` int64 index into `expressions.EXPRESSIONS`, where poses are what is shown.
      spacing: frames of a film at 20 frames a second from one row to the next.
    """

    action_units: tuple[str, ...]
    intensities: NDArray[np.float64]
    expressions: NDArray[np.int64] | None = None
    spacing: int = 1

    def at(self, frame: int) -> dict[str, float]:
        """Action unit -> intensity in one frame, resting ones left out."""
        row = self.intensities[frame]
        return {name: float(x) for name, x in zip(self.action_units, row, strict=True) if x > 0}


def levels(intensities: NDArray[np.float64]) -> NDArray[np.int64]:
    """FACS levels of continuous intensities: the nearest whole number, halves upwards.

    >>> levels(np.array([0.0, 0.49, 0.5, 4.6, 5.0]))
    array([0, 0, 1, 5, 5])
    """
    return np.floor(intensities + 0.5).astype(np.int64)


def episode_curve(rng: np.random.Generator, peak: float) -> NDArray[np.float64]:
    """Onset, apex with a little drift, offset: `[n]` intensities of one action unit."""
    onset, apex, offset = (int(rng.integers(a, b + 1)) for a, b in (ONSET, APEX, OFFSET))
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(onset) + 1) / (onset + 1))
    hold = 1 + 0.06 * np.sin(np.linspace(0, rng.uniform(2, 9), apex) + rng.uniform(0, 6))
    fall = 0.5 + 0.5 * np.cos(np.pi * (np.arange(offset) + 1) / (offset + 1))
    return np.clip(peak * np.concatenate([rise, hold, fall]), 0, MAXIMUM)


def tracks(template: Template) -> list[int]:
    """The tracks that an episode needs: 0 upper face, 1 lower face."""
    return sorted({0 if name in UPPER else 1 for name in template})


class Planner:
    """Chooses episodes so that each action unit keeps its share over all subjects.

    Args:
      labelled: the action units that the data set is about.
    """

    def __init__(self, labelled: Sequence[str]) -> None:
        known = {name for template in TEMPLATES for name in template}
        background = BACKGROUND if tuple(labelled) == FERA2015 else frozenset()
        self.names = tuple(sorted(known & (set(labelled) | background)))
        self.templates = [t for t in TEMPLATES if set(t) <= set(self.names)]
        self.targets = np.array(
            [
                SHARES.get(name, USUAL_SHARE) if name in labelled else BACKGROUND_SHARE
                for name in self.names
            ]
        )
        self.members = np.array([[n in t for n in self.names] for t in self.templates], float)
        self.shown = np.zeros(len(self.names))
        self.frames = 0

    def perform(self, rng: np.random.Generator, frames: int) -> Performance:
        """Plans the next subject.

        Args:
          rng: that subject's own stream.
          frames: F.

        Returns:
          The intensities of all F frames.
        """
        expressiveness = rng.uniform(*EXPRESSIVENESS)
        habit = rng.normal(0, HABIT, len(self.names))
        intensities = np.zeros((frames, len(self.names)))
        free = [int(x) for x in rng.integers(0, FIRST, 2)]  # when each track is at rest again
        while min(free) < frames:
            track = int(np.argmin(free))
            template = self._choose(rng, track, free, habit)
            if template is None:
                free[track] += int(rng.integers(*REST))
                continue
            used = tracks(template)
            start = max(free[k] for k in used)
            end = self._play(rng, template, start, expressiveness, intensities)
            for k in used:
                free[k] = end + int(rng.integers(*PAUSE))
        self.frames += frames
        return Performance(self.names, intensities)

    def _choose(
        self, rng: np.random.Generator, track: int, free: list[int], habit: NDArray[np.float64]
    ) -> Template | None:
        """The group that begins when `track` is free, or None when nothing is due."""
        now = free[track]
        due = self.targets * (self.frames + now + LOOKAHEAD) - self.shown + habit
        usable = [
            index
            for index, template in enumerate(self.templates)
            if track in tracks(template)
            and all(free[k] - now <= PATIENCE for k in tracks(template))
        ]
        if not usable:
            return None
        scores = (self.members[usable] @ due) / self.members[usable].sum(axis=1)
        scores += rng.gumbel(0, CHANCE, len(usable))
        best = int(np.argmax(scores))
        return self.templates[usable[best]] if scores[best] > DUE else None

    def _play(
        self,
        rng: np.random.Generator,
        template: Template,
        start: int,
        expressiveness: float,
        intensities: NDArray[np.float64],
    ) -> int:
        """Adds one episode in place and returns the frame after its last."""
        before = (levels(intensities) > 0).sum(axis=0)
        middle = (1 + rng.choice(len(PEAKS), p=PEAKS)) * expressiveness
        end = start
        for name in template:
            column = self.names.index(name)
            peak = float(np.clip(middle + rng.normal(0, GROUP_SPREAD), LOWEST_PEAK, MAXIMUM))
            curve = episode_curve(rng, peak)
            first = start + int(rng.integers(0, 4))
            end = max(end, first + len(curve))
            window = intensities[first : first + len(curve), column]
            np.maximum(window, curve[: len(window)], out=window)
        if "AU26" in template:
            lips, jaw = (intensities[:, self.names.index(name)] for name in ("AU25", "AU26"))
            np.maximum(lips, PARTED * jaw, out=lips)
        self.shown += (levels(intensities) > 0).sum(axis=0) - before
        return end


def perform(
    seed: int, frames: int, subjects: int, labelled: Sequence[str] = DISFA
) -> Iterator[Performance]:
    """Plans what subjects 0, 1, ... show; subject k does not depend on how many follow.

    Args:
      seed: of the data set.
      frames: of each subject.
      subjects: how many.
      labelled: the action units of the data set.

    Yields:
      One performance for each subject.
    """
    planner = Planner(labelled)
    for subject in range(subjects):
        stream = np.random.SeedSequence(entropy=seed, spawn_key=(subject, 1))
        yield planner.perform(np.random.default_rng(stream), frames)
