"""Codes and reconstructions of a few frames, kept so that they can be looked at later.

RUN/latents/iteration_K.npz    codes after outer iteration K of the same train and validation frames
TEST/latents.npz               codes of some test frames by the chosen model
TEST/reconstructions.npz       faces and what the whole stack decodes them to

Arrays of a `latents` file, for n frames: `codes_0`, `codes_1`, ... `[n, D]` mean codes of each
coder, float16 (for pictures, not for computing on); `labels` `[n, Q]` int8, -1 = missing;
`subjects` and `splits` `[n]`; `action_units` `[Q]`. Of a `reconstructions` file: `originals` and
`decoded` `[n, H, W, 1]` uint8; `subjects` `[n]`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from deepcoder_tf.errors import UserError
from deepcoder_tf.evaluation.tables import write_arrays

if TYPE_CHECKING:
    from deepcoder_tf.training.data import Frames

__all__ = [
    "Latents",
    "Reconstructions",
    "Snapshots",
    "latent_files",
    "read_latents",
    "read_reconstructions",
    "sample_frames",
    "shown_unit",
    "write_latents",
    "write_test",
]

TRAIN_FRAMES, VALIDATION_FRAMES, TEST_FRAMES = 450, 150, 450
"""Enough to see clusters of thirty subjects, few enough to be kept after every iteration."""

HALF_LIMIT = 60000.0
"""Codes beyond that do not fit float16 and are kept as float32."""

UNIT = "AU12"
"""The action unit that the paper's Fig. 6 shows."""


class Latents(NamedTuple):
    """Codes of some frames.

    Attributes:
      codes: of each coder, `[n, D]` float32.
      labels: `[n, Q]` int8, -1 = missing.
      subjects: `[n]`.
      splits: `[n]`, `train`, `validation` or `test`.
      action_units: Q names.
    """

    codes: list[np.ndarray]
    labels: np.ndarray
    subjects: np.ndarray
    splits: np.ndarray
    action_units: tuple[str, ...]

    def levels(self, unit: str) -> np.ndarray:
        """`[n]` levels of one action unit."""
        return self.labels[:, self.action_units.index(unit)]


class Reconstructions(NamedTuple):
    """Faces and what a stack of coders makes of them.

    Attributes:
      originals: `[n, H, W, 1]` uint8.
      decoded: the same.
      subjects: `[n]`.
    """

    originals: np.ndarray
    decoded: np.ndarray
    subjects: np.ndarray


class Snapshots:
    """The frames of a run whose codes are kept after every outer iteration.

    Args:
      folder: of the run.
      action_units: Q names.
      train: training frames.
      validation: frames of the validation subjects.

    Attributes:
      images: `[n, H, W, 1]` uint8 of the chosen frames.
    """

    def __init__(
        self, folder: Path, action_units: Sequence[str], train: Frames, validation: Frames
    ) -> None:
        self.folder = folder / "latents"
        self.action_units = tuple(action_units)
        parts = []
        for frames, count in ((train, TRAIN_FRAMES), (validation, VALIDATION_FRAMES)):
            rows = sample_frames(frames.labels, frames.subjects, self.action_units, count)
            parts.append((frames.images[rows], frames.labels[rows], frames.subjects[rows]))
        images, labels, subjects = zip(*parts, strict=True)
        self.images = np.concatenate(images)
        self.labels = np.concatenate(labels)
        self.subjects = np.concatenate(subjects)
        self.splits = np.repeat(["train", "validation"], [len(part) for part in labels])

    def write(self, iteration: int, codes: Sequence[ArrayLike]) -> None:
        """Writes the codes of `images`.

        Args:
          iteration: outer iteration, from 0.
          codes: of each coder, `[n, D]`.

        Raises:
          UserError: the operating system refused.
        """
        latents = Latents(
            [np.asarray(z) for z in codes],
            self.labels,
            self.subjects,
            self.splits,
            self.action_units,
        )
        write_latents(self.folder / f"iteration_{iteration}.npz", latents)


def sample_frames(
    labels: np.ndarray, subjects: np.ndarray, action_units: Sequence[str], count: int, seed: int = 0
) -> np.ndarray:
    """Frames spread evenly over the subjects, and within a subject over the levels of `shown_unit`.

    Args:
      labels: `[N, Q]` levels, -1 = missing.
      subjects: `[N]`.
      action_units: Q names.
      count: how many frames at most.
      seed: the same seed draws the same frames.

    Returns:
      Sorted rows, `[min(count, N)]`.
    """
    levels = labels[:, list(action_units).index(shown_unit(action_units))]
    shuffled = np.random.default_rng(seed).permutation(len(levels))
    who = np.unique(subjects, return_inverse=True)[1][shuffled]
    # One frame of each level, then a second of each, ...; likewise one of each subject.
    within_level = occurrence(np.stack([who, levels[shuffled]], axis=1))
    by_level = np.argsort(within_level, kind="stable")
    within_subject = occurrence(who[by_level, np.newaxis])
    chosen = by_level[np.argsort(within_subject, kind="stable")[:count]]
    return np.sort(shuffled[chosen])


def occurrence(keys: np.ndarray) -> np.ndarray:
    """For each row of `[N, K]` how many equal rows stand before it.

    >>> occurrence(np.array([[3], [5], [3], [3]])).tolist()
    [0, 0, 1, 2]
    """
    _, group, size = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(group.ravel(), kind="stable")
    starts = np.repeat(np.cumsum(size) - size, size)
    found = np.empty(len(keys), np.int64)
    found[order] = np.arange(len(keys)) - starts
    return found


def shown_unit(action_units: Sequence[str]) -> str:
    """AU12 as in the paper, or the first action unit of a set without it."""
    return UNIT if UNIT in action_units else action_units[0]


def write_latents(path: Path, latents: Latents) -> None:
    """Writes codes with what they belong to.

    Raises:
      UserError: the operating system refused.
    """
    codes = {
        f"codes_{n}": z.astype(np.float16 if np.abs(z).max(initial=0) < HALF_LIMIT else np.float32)
        for n, z in enumerate(latents.codes)
    }
    write_arrays(
        path,
        **codes,
        labels=latents.labels.astype(np.int8),
        subjects=latents.subjects.astype(str),
        splits=latents.splits.astype(str),
        action_units=np.array(latents.action_units),
    )


def read_latents(path: Path) -> Latents:
    """Reads a file of `write_latents`.

    Raises:
      UserError: there is none, or it is damaged.
    """
    arrays = read_arrays(path)
    try:
        latents = Latents(
            [arrays[f"codes_{n}"].astype(np.float32) for n in range(coders(arrays))],
            arrays["labels"],
            arrays["subjects"],
            arrays["splits"],
            tuple(arrays["action_units"].tolist()),
        )
    except KeyError as error:
        raise UserError(f"{path}: damaged (no {error}); train again") from error
    if {len(part) for part in (*latents.codes, *latents[1:4])} != {len(latents.labels)}:
        raise UserError(f"{path}: damaged (arrays of different lengths); train again")
    return latents


def write_test(
    folder: Path,
    action_units: Sequence[str],
    labels: np.ndarray,
    subjects: np.ndarray,
    codes: Sequence[np.ndarray],
    faces: Reconstructions,
) -> None:
    """Writes what an evaluation keeps to be looked at: codes of some frames, and faces.

    Args:
      folder: of the results.
      action_units: Q names.
      labels: `[N, Q]` of all test frames.
      subjects: `[N]`.
      codes: of each coder, `[N, D]`.
      faces: some originals and what they are decoded to.

    Raises:
      UserError: the operating system refused.
    """
    rows = sample_frames(labels, subjects, action_units, TEST_FRAMES)
    splits = np.full(len(rows), "test")
    found = [np.asarray(z)[rows] for z in codes]
    latents = Latents(found, labels[rows], subjects[rows], splits, tuple(action_units))
    write_latents(folder / "latents.npz", latents)
    write_arrays(
        folder / "reconstructions.npz",
        originals=faces.originals,
        decoded=faces.decoded,
        subjects=faces.subjects.astype(str),
    )


def read_reconstructions(path: Path) -> Reconstructions:
    """Reads the faces of `write_test`.

    Raises:
      UserError: there is none, or it is damaged.
    """
    arrays = read_arrays(path)
    try:
        return Reconstructions(*(arrays[name] for name in Reconstructions._fields))
    except KeyError as error:
        raise UserError(f"{path}: damaged (no {error}); evaluate again") from error


def latent_files(run: Path) -> dict[int, Path]:
    """The snapshots of a run by iteration, in ascending order."""
    found = {}
    for path in (run / "latents").glob("iteration_*.npz"):
        number = re.fullmatch(r"iteration_(\d+)\.npz", path.name)
        if number:
            found[int(number.group(1))] = path
    return dict(sorted(found.items()))


def coders(arrays: dict[str, np.ndarray]) -> int:
    """How many coders a file has codes of."""
    return sum(name.startswith("codes_") for name in arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an `.npz`, never a pickle."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
