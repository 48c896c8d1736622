"""`frames.csv`, one row for every frame of the input, and what the user is told at the end."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepcoder_tf.datasets.analysis import Analysis
from deepcoder_tf.datasets.sources import Source
from deepcoder_tf.datasets.works import Work
from deepcoder_tf.errors import UserError
from deepcoder_tf.files import replacing

__all__ = ["FRAME_COLUMNS", "file_names", "report", "write_frames"]

LOG = logging.getLogger(__name__)

FRAME_COLUMNS = (
    *("row", "file", "subject", "video", "frame", "timestamp"),
    *("faces", "choice", "score", "x", "y", "width", "height", "status"),
)
"""Header of `frames.csv`; `prepared` says what the columns mean."""


def write_frames(path: Path, works: list[Work], analyses: dict[str, Analysis]) -> None:
    """Writes `frames.csv`: one row for every frame, in the order of the recordings.

    Args:
      path: where to.
      works: all recordings.
      analyses: what pass 1 found in each.
    """
    with replacing(path) as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(FRAME_COLUMNS)
        row = 0
        for work in works:
            for cells in frame_cells(work.source, analyses[work.name]):
                lines.writerow([row, *cells])
                row += 1


def file_names(folder: Path, rows: np.ndarray) -> list[str]:
    """The `file` column of `frames.csv` at some rows, of action units or of expressions.

    Args:
      folder: that `deepcoder-prepare` wrote.
      rows: `[N]` row numbers, in any order.

    Returns:
      N names, relative to the data set.

    Raises:
      UserError: `frames.csv` is missing or has fewer rows.
    """
    path, names = folder / "frames.csv", {}
    wanted = set(rows.tolist())
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for number, line in enumerate(csv.DictReader(stream)):
                if number in wanted:
                    names[number] = line["file"]
        return [names[row] for row in rows.tolist()]
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}); prepare the folder again") from error


def frame_cells(source: Source, analysis: Analysis) -> Iterator[list[Any]]:
    """The cells of each frame after its row number; empty where there is no such thing."""
    for at, number in enumerate(analysis.numbers.tolist()):
        seconds, faces = float(analysis.timestamps[at]), int(analysis.faces[at])
        face: list[Any] = [faces, *[""] * 6]
        if analysis.chosen[at] >= 0:
            score = f"{analysis.score[at]:.4f}"
            face = [faces, int(analysis.chosen[at]), score, *analysis.boxes[at].tolist()]
        yield [
            analysis.files[at],
            source.subject,
            source.video,
            number,
            "" if math.isnan(seconds) else f"{seconds:.6f}",
            *face,
            analysis.status[at],
        ]


def report(works: list[Work], analyses: dict[str, Analysis]) -> None:
    """Tells how many frames gave a crop, and what was wrong with which recording.

    Args:
      works: all recordings.
      analyses: what pass 1 found in each.
    """
    statuses, counts = np.unique(
        np.concatenate([analyses[work.name].status for work in works]), return_counts=True
    )
    told = ", ".join(f"{count} {name}" for name, count in zip(statuses, counts, strict=True))
    LOG.info("%d frames of %d recordings: %s", counts.sum(), len(works), told)
    for work in works:
        analysis = analyses[work.name]
        bad = int(np.isin(analysis.status, ("unreadable", "missing")).sum())
        if bad:
            LOG.warning(
                "warning: %s (%d of %d frames without a picture)",
                analysis.problem,
                bad,
                len(analysis.numbers),
            )
