"""What a run that is killed leaves behind, without a second run that has to be killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from deepcoder_tf.training.trainer import Report


def left_at(iteration: int, folder: Path, copy: Path) -> Callable[[Report], None]:
    """For a trainer to report to: copies its folder at an iteration, which is not saved yet."""

    def keep(report: Report) -> None:
        if report.iteration == iteration:
            shutil.copytree(folder, copy)

    return keep
