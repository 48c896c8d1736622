"""The report of a bench: every figure as PNG and SVG, and one page with all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from deepcoder_tf import __version__
from deepcoder_tf.experiment.reporting import comparison, levels, training
from deepcoder_tf.experiment.reporting.cells import AbsentError, BenchFolder, CellFolder, open_bench
from deepcoder_tf.experiment.reporting.latents import LatentSpaces, faces
from deepcoder_tf.experiment.reporting.page import Missing, Picture, Section, Table, render
from deepcoder_tf.files import replacing

__all__ = ["report"]

log = logging.getLogger(__name__)

Draw = Callable[[BenchFolder, Path], str]
"""Draws a figure to a path without ending, and returns its caption."""


def report(bench_dir: Path, output_dir: Path | None = None, data_dir: Path | None = None) -> Path:
    """Draws what a bench found.

    What the bench does not have yet is said in the page in one line.

    Args:
      bench_dir: folder that `deepcoder-benchmark` wrote; it need not be finished.
      output_dir: for `report.html` and the figures; None for `report` in the bench's folder.
      data_dir: the prepared folder of the bench, to count the labels of all its frames.

    Returns:
      The page.

    Raises:
      UserError: no bench, no such data, or the operating system refused.
    """
    bench = open_bench(bench_dir)
    folder = bench_dir / "report" if output_dir is None else output_dir
    sections = [
        compare(bench, folder),
        train(bench, folder),
        latent(bench, folder),
        labels(bench, folder, data_dir),
        errors(bench, folder),
        state(bench),
    ]
    units = ", ".join(bench.action_units)
    finished = sum(not cell.reason for cell in bench.cells)
    text = render(
        f"Bench on {bench.source or bench_dir.name}",
        [
            f"{len(bench.variants)} systems, {finished} of {len(bench.cells)} begun cells finished",
            f"Action units: {units}",
        ],
        sections,
        f"Made by deepcoder-report {__version__}. Figures of this page lie beside it as PNG and "
        "SVG under the names below them.",
    )
    path = folder / "report.html"
    with replacing(path) as stream:
        stream.write(text)
    missing = [i.title for s in sections for i in s.items if isinstance(i, Missing)]
    log.info("%s written%s", path, f"; not shown: {', '.join(missing)}" if missing else "")
    return path


def item(title: str, name: str, draw: Draw, bench: BenchFolder, folder: Path) -> Picture | Missing:
    """Draws one figure, or finds out why it cannot be drawn."""
    try:
        return Picture(title, draw(bench, folder / name), folder / name)
    except AbsentError as error:
        return Missing(title, str(error))


def compare(bench: BenchFolder, folder: Path) -> Section:
    """The table and its intervals."""
    items: list[Picture | Missing | Table] = []
    try:
        headings, rows = comparison.averages(bench)
        caption = (
            "Means over action units, seeds and folds on test subjects, with bootstrap intervals "
            "over subjects. All of it, with every action unit, is in table1.md."
        )
        items.append(Table("Averages", caption, headings, rows))
    except AbsentError as error:
        items.append(Missing("Averages", str(error)))
    items.append(item("Mean ICC by system", "icc_by_system", comparison.mean_icc, bench, folder))
    items.append(item("Differences", "icc_differences", comparison.differences, bench, folder))
    return Section("systems", "Systems compared", items, {})


def train(bench: BenchFolder, folder: Path) -> Section:
    """Fig. 3a-d."""
    drawn = [
        item(title, name, draw, bench, folder)
        for title, name, draw in (
            (
                "Fig. 3a: reconstruction error of the images",
                "fig3a_image_mse",
                training.image_error,
            ),
            ("Fig. 3b: NLPD of Z0", "fig3b_nlpd", training.nlpd),
            ("Fig. 3c: lower bound, with and without warm-up", "fig3c_bound", training.bound),
            ("Fig. 3d: mean ICC", "fig3d_icc", training.icc),
        )
    ]
    return Section("training", "Training", drawn, {})


def latent(bench: BenchFolder, folder: Path) -> Section:
    """Fig. 3e-f and 5-8."""
    spaces = LatentSpaces(bench)
    drawn: list[Picture | Missing | Table] = [
        item(title, name, draw, bench, folder)
        for title, name, draw in (
            ("Fig. 3e: Z0 by subject", "fig3e_z0_subjects", spaces.z0),
            ("Fig. 3f: Z1 by subject", "fig3f_z1_subjects", spaces.z1),
            ("Fig. 5: latent spaces over iterations", "fig5_iterations", spaces.over_iterations),
            ("Fig. 6: single subjects by level", "fig6_levels", spaces.by_level),
            ("Fig. 7: a test subject among others", "fig7_test_subject", spaces.stranger),
        )
    ]
    drawn += [
        item(f"Fig. 8: reconstructions, {bench.label(cell.variant)}", name, draw, bench, folder)
        for cell in face_cells(bench)
        for name, draw in [(f"fig8_faces_{cell.variant}", draw_faces(cell))]
    ] or [Missing("Fig. 8: reconstructions", "no finished cell of a stack of coders")]
    return Section("latents", "Latent spaces and faces", drawn, {})


def face_cells(bench: BenchFolder) -> list[CellFolder]:
    """One cell of each of the paper's stacks whose test kept faces."""
    found = []
    for variant in training.STACKS:
        kept = [c for c in bench.of(variant) if (c.test / "reconstructions.npz").exists()]
        found += kept[:1]
    return found


def draw_faces(cell: CellFolder) -> Draw:
    """Fig. 8 of one cell."""

    def draw(bench: BenchFolder, path: Path) -> str:
        del bench
        return faces(cell, path)

    return draw


def labels(bench: BenchFolder, folder: Path, data_dir: Path | None) -> Section:
    """Fig. 4."""
    draw = levels.label_distribution(data_dir)
    drawn = [item("Fig. 4: label distribution", "fig4_labels", draw, bench, folder)]
    return Section("labels", "Labels", drawn, {})


def errors(bench: BenchFolder, folder: Path) -> Section:
    """Confusion and reliability: of the first system in view, of the others folded."""

    def both(variant: str) -> list[Picture | Missing | Table]:
        name = bench.label(variant)
        return [
            item(
                f"Confusion, {name}",
                f"confusion_{variant}",
                levels.confusion(variant),
                bench,
                folder,
            ),
            item(
                f"Reliability, {name}",
                f"reliability_{variant}",
                levels.reliability_by_unit(variant),
                bench,
                folder,
            ),
        ]

    finished = [variant for variant in bench.variants if bench.of(variant)]
    drawn = {bench.label(variant): both(variant) for variant in finished}
    first = next(iter(drawn), "")
    shown = drawn.pop(first, [Missing("Confusion and reliability", "no finished cell")])
    return Section("errors", "Confusion and reliability", shown, drawn)


def state(bench: BenchFolder) -> Section:
    """How each row's cells ended."""
    rows = []
    for variant in bench.variants:
        begun = [cell for cell in bench.cells if cell.variant == variant]
        wrong = [f"fold {c.fold}, seed {c.seed}: {c.reason}" for c in begun if c.reason]
        finished = len(begun) - len(wrong)
        rows.append([bench.label(variant), str(finished), str(len(begun)), "; ".join(wrong) or "–"])
    caption = "A cell is one system, trained and tested on one fold with one seed."
    table = Table("Cells", caption, ["system", "finished", "begun", "not finished because"], rows)
    return Section("cells", "Cells of the bench", [table], {})
