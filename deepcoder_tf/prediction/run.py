"""One run of `deepcoder-predict`: inputs to a CSV, and annotated pictures when asked for."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from deepcoder_tf.errors import UserError
from deepcoder_tf.files import PARTIAL, replacing
from deepcoder_tf.prediction.annotation import AnnotationWriter
from deepcoder_tf.prediction.inputs import Input, count_frames, find_inputs
from deepcoder_tf.prediction.predictor import BATCH_SIZE, Predictor
from deepcoder_tf.prediction.rows import NO_FACE, OK, UNREADABLE, csv_header, csv_line

__all__ = ["PredictionRun", "PredictionSummary", "predict_to_csv"]

FLUSH_EVERY = 64
"""Frames after which the rows go to the disk, so that a killed run leaves them there."""

TOLD = 5
"""Files with unreadable frames that are named at the end; the CSV names all of them."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionRun:
    """What to predict and where to write it.

    Attributes:
      model: an exported model, `savedmodels/NAME/1`.
      files: photos, videos, folders.
      output: the CSV.
      annotate: folder for annotated pictures and videos, or None.
      faces: which of several faces; one of `faces.detection.CHOICES`.
      batch_size: crops in one call of the model.
      threads: threads that look for faces; as many as there are cores when None.
      landmarks: another landmark model, or None.
      progress: show a progress bar on standard error.
    """

    model: str | Path
    files: Sequence[str | Path]
    output: str | Path
    annotate: str | Path | None = None
    faces: str = "largest_central"
    batch_size: int = BATCH_SIZE
    threads: int | None = None
    landmarks: str | Path | None = None
    progress: bool = True


@dataclass(frozen=True)
class PredictionSummary:
    """What came of a run.

    Attributes:
      frames: frames and photos, readable or not.
      faces: rows with action units.
      no_face: frames without a face.
      unreadable: frames and files that could not be read.
      annotated: pictures and videos written.
    """

    frames: int
    faces: int
    no_face: int
    unreadable: int
    annotated: tuple[Path, ...] = ()

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.frames} frames: {self.faces} faces, {self.no_face} without a face, "
            f"{self.unreadable} unreadable"
        )


def predict_to_csv(run: PredictionRun) -> PredictionSummary:
    """Predicts every input and writes the CSV, a line for each face of each frame.

    The CSV grows under the name `OUTPUT.partial` and is renamed at the end. A run that fails or is
    killed leaves what it computed there. What cannot be read is a row with its status; the rest
    goes on.

    Args:
      run: what to do.

    Returns:
      The counts.

    Raises:
      UserError: no model, no input at all, or the output cannot be written.
    """
    output = Path(run.output)
    inputs = find_inputs(run.files)
    _check_output(output, inputs)
    predictor = Predictor(
        run.model,
        faces=run.faces,
        batch_size=run.batch_size,
        threads=run.threads,
        landmarks=run.landmarks,
    )
    partial = output.with_name(output.name + PARTIAL)
    rows = 0
    try:
        with replacing(output, keep=True) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(csv_header(predictor.action_units))
            counts, reasons, annotated = Counter[str](), dict[str, str](), tuple[Path, ...]()
            drawer = _drawer(run, predictor, inputs)
            bar = tqdm(
                total=count_frames(inputs), unit="frame", disable=not run.progress, smoothing=0.1
            )
            with bar:
                for frame in predictor.predict_frames(inputs, keep_images=drawer is not None):
                    for row in frame.rows:
                        writer.writerow(csv_line(row, predictor.action_units))
                        counts[row.status] += 1
                        if row.reason:
                            reasons.setdefault(row.file, row.reason)
                    if drawer is not None:
                        drawer.write(frame)
                    rows += len(frame.rows)
                    counts["frames"] += 1
                    bar.update()
                    if counts["frames"] % FLUSH_EVERY == 0:
                        stream.flush()
            if drawer is not None:
                drawer.close()
                annotated = tuple(drawer.written)
    except (UserError, KeyboardInterrupt):
        if rows and partial.exists():
            logger.warning("the rows computed so far are in %s", partial)
        raise
    _tell_unreadable(reasons)
    return PredictionSummary(
        counts["frames"], counts[OK], counts[NO_FACE], counts[UNREADABLE], annotated
    )


def _drawer(
    run: PredictionRun, predictor: Predictor, inputs: Sequence[Input]
) -> AnnotationWriter | None:
    if run.annotate is None:
        return None
    return AnnotationWriter(
        run.annotate,
        predictor.action_units,
        all_faces=run.faces == "all",
        inputs=[entry.path for entry in inputs],
    )


def _check_output(output: Path, inputs: Sequence[Input]) -> None:
    """The output must be a file, and not one of the inputs."""
    if output.is_dir():
        raise UserError(f"--output={output} is a folder; give the CSV's name in it")
    if any(output.resolve() == entry.path.resolve() for entry in inputs):
        raise UserError(f"--output={output} is one of the inputs; give the CSV another name")


def _tell_unreadable(reasons: dict[str, str]) -> None:
    for file, reason in list(reasons.items())[:TOLD]:
        logger.warning("%s: %s", file, reason)
    if len(reasons) > TOLD:
        logger.warning("... and %d more files; see the status column", len(reasons) - TOLD)
