"""What a run that is killed leaves behind, without a second run that has to be killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from deepcoder_tf.training.trainer import Report


def left_at(iteration: int, folder: Path, copy: Path) -> Callable[[Report], None]:
    """Reports to this copy the run's folder at an iteration that is told, but not yet saved."""

    def report(report: Report) -> None:
        if report.iteration == iteration:
            shutil.copytree(folder, copy)

    return report
