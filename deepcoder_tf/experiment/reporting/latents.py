"""Fig. 3e-f and 5-8: the latent spaces of one run, and what it makes of faces."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

import numpy as np

from deepcoder_tf.evaluation import figures
from deepcoder_tf.experiment.reporting.cells import AbsentError, BenchFolder, CellFolder, present
from deepcoder_tf.experiment.snapshots import (
    Latents,
    latent_files,
    read_latents,
    read_reconstructions,
    shown_unit,
)

__all__ = ["LatentSpaces", "faces"]

SINGLE_SUBJECTS = 3
NEAREST = 3
"""Training subjects that are named in Fig. 7."""

FACES = 8
PER_ROW = 4

T_SNE = "t-SNE (scikit-learn, seeded); its axes have no unit, distances between clusters no meaning"


class LatentSpaces:
    """The figures of one run's codes; each map is computed once.

    Args:
      bench: whose run is shown.
    """

    def __init__(self, bench: BenchFolder) -> None:
        self.bench = bench

    @cached_property
    def cell(self) -> CellFolder:
        """The run that is shown."""
        return self.bench.shown()

    @cached_property
    def moments(self) -> dict[int, Latents]:
        """Codes after the first, a middle and the chosen iteration, in ascending order."""
        paths = latent_files(self.cell.run)
        last = self.cell.best_iteration
        iterations = [i for i in paths if last < 0 or i <= last]
        if not iterations:
            raise AbsentError(f"{self.cell.name} kept no codes")
        chosen = sorted({iterations[0], iterations[len(iterations) // 2], iterations[-1]})
        return {i: present(read_latents, paths[i]) for i in chosen}

    @cached_property
    def chosen(self) -> Latents:
        """Codes by the chosen model."""
        return list(self.moments.values())[-1]

    @cached_property
    def maps(self) -> dict[int, list[np.ndarray]]:
        """By iteration the map of each coder's codes; each begins where the one before ended."""
        found: dict[int, list[np.ndarray]] = {}
        before: list[np.ndarray | None] = [None] * len(self.chosen.codes)
        for iteration, latents in self.moments.items():
            found[iteration] = [
                figures.t_sne(z, start=start)
                for z, start in zip(latents.codes, before, strict=True)
            ]
            before = list(found[iteration])
        return found

    def of_coder(self, n: int, path: Path) -> str:
        """Fig. 3e and 3f: one latent space by subject."""
        iteration = list(self.moments)[-1]
        if n >= len(self.chosen.codes):
            raise AbsentError(
                f"{self.cell.name} has {len(self.chosen.codes)} coder, so there is no Z{n}"
            )
        figures.spaces_by_subject(
            path, {"": {f"Z{n}": self.maps[iteration][n]}}, self.chosen.subjects.tolist()
        )
        return (
            f"Z{n} ({self.chosen.codes[n].shape[1]} dimensions) after iteration {iteration}, the "
            f"chosen model: {self.sample()}, a colour and marker for each, which the model never "
            f"knew. {T_SNE}. "
            f"From {self.cell.name}."
        )

    def z0(self, bench: BenchFolder, path: Path) -> str:
        """Fig. 3e."""
        del bench
        return self.of_coder(0, path)

    def z1(self, bench: BenchFolder, path: Path) -> str:
        """Fig. 3f."""
        del bench
        return self.of_coder(1, path)

    def over_iterations(self, bench: BenchFolder, path: Path) -> str:
        """Fig. 5."""
        del bench
        rows = {
            f"iteration {iteration}": {f"Z{n}": points for n, points in enumerate(maps)}
            for iteration, maps in self.maps.items()
        }
        figures.spaces_by_subject(path, rows, self.chosen.subjects.tolist())
        few = "" if len(rows) > 1 else " The chosen model is that of the first iteration."
        return (
            f"The same frames ({self.sample()}) in each latent space as training goes on, up to "
            f"the chosen model. {T_SNE}; each map begins at the one above it.{few} "
            f"From {self.cell.name}."
        )

    def by_level(self, bench: BenchFolder, path: Path) -> str:
        """Fig. 6."""
        del bench
        unit = shown_unit(self.chosen.action_units)
        levels = self.chosen.levels(unit)
        points = list(self.maps.values())[-1][-1]
        train = self.chosen.splits == "train"
        names = sorted(set(self.chosen.subjects[train].tolist()))

        def variety(name: str) -> tuple[int, int]:
            own = levels[train & (self.chosen.subjects == name)]
            return -len(set(own[own >= 0].tolist())), -int(np.sum(own > 0))

        names = sorted(sorted(names, key=variety)[:SINGLE_SUBJECTS])
        space = f"Z{len(self.chosen.codes) - 1}"
        panels = {
            name: (points[own], levels[own])
            for name in names
            for own in [train & (self.chosen.subjects == name)]
        }
        figures.spaces_by_level(path, {space: panels}, unit)
        return (
            f"Frames of single training subjects in {space}, cut out of one map of all, by "
            f"annotated level of {unit}. Shown are the subjects with the widest range of levels "
            f"among the kept frames. {T_SNE}. From {self.cell.name}."
        )

    def stranger(self, bench: BenchFolder, path: Path) -> str:
        """Fig. 7."""
        del bench
        test = present(read_latents, self.cell.test / "latents.npz")
        train = self.chosen.splits == "train"
        z, known = self.chosen.codes[-1][train], self.chosen.subjects[train]
        counts = Counter(test.subjects.tolist())
        name = min(counts, key=lambda subject: (-counts[subject], subject))
        own = test.codes[-1][test.subjects == name]
        votes = Counter(known[nearest(own, z)].tolist()).most_common(NEAREST)
        points = figures.t_sne(np.concatenate([z, own]))
        figures.neighbourhood(
            path, points, [*known.tolist(), *[name] * len(own)], name, [who for who, _ in votes]
        )
        shares = ", ".join(f"{who} {100 * n / len(own):.0f} %" for who, n in votes)
        space = f"Z{len(self.chosen.codes) - 1}"
        return (
            f"Test subject {name} ({len(own)} frames) among {len(set(known.tolist()))} training "
            f"subjects in {space}. Share of its frames whose nearest training frame (Euclidean, "
            f"all {z.shape[1]} dimensions) is of: {shares}. {T_SNE}. From {self.cell.name}."
        )

    def sample(self) -> str:
        """Which frames the maps show."""
        counts = Counter(self.chosen.splits.tolist())
        subjects = len(set(self.chosen.subjects.tolist()))
        parts = " and ".join(f"{count} {split}" for split, count in counts.items())
        return f"{parts} frames of {subjects} subjects"


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Row of `others` `[M, D]` nearest to each of `points` `[N, D]`."""
    p, o = points.astype(np.float64), others.astype(np.float64)
    squares = (o**2).sum(1) - 2 * p @ o.T  # + |p|^2, which changes no comparison
    return squares.argmin(1)


def faces(cell: CellFolder, path: Path) -> str:
    """Fig. 8."""
    shown = present(read_reconstructions, cell.test / "reconstructions.npz")
    rows = np.linspace(0, len(shown.subjects) - 1, min(FACES, len(shown.subjects))).astype(int)
    figures.reconstructions(
        path,
        shown.originals[rows].astype(np.float64),
        shown.decoded[rows].astype(np.float64),
        shown.subjects[rows].tolist(),
        columns=PER_ROW,
        cell=0.95,
    )
    return (
        "Faces of test subjects, what the stack decodes from the code of its last coder, and the "
        f"difference (red: too bright). From {cell.name}."
    )
