"""One run of `deepcoder-predict`: inputs to a CSV, and annotated pictures when asked for."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from deepcoder_tf.errors import UserError
from deepcoder_tf.face_model import FaceModel
from deepcoder_tf.files import replacing
from deepcoder_tf.prediction.annotation import AnnotationWriter
from deepcoder_tf.prediction.identities import FaceIdentities
from deepcoder_tf.prediction.inputs import Input, count_frames, find_inputs
from deepcoder_tf.prediction.predictor import BATCH_SIZE, PredictedFrame, Predictor
from deepcoder_tf.prediction.progress import Progress, digest_of, partial_path
from deepcoder_tf.prediction.rows import NO_FACE, OK, UNREADABLE, csv_header, csv_line

__all__ = ["PredictionRun", "PredictionSummary", "predict_to_csv"]

FLUSH_EVERY = 64
"""Frames after which the rows go to the disk, so that a killed run leaves them there."""

FRAMES = "frames"
"""The name of the count of frames, beside those of the rows' statuses."""

TOLD = 5
"""Files with unreadable frames that are named at the end; the CSV names all of them."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionRun:
    """What to predict and where to write it.

    Attributes:
      model: an exported model, `savedmodels/NAME/1`, or one that is there already.
      files: photos, videos, folders.
      output: the CSV.
      annotate: folder for annotated pictures and videos, or None.
      faces: which of several faces; one of `faces.detection.CHOICES`.
      batch_size: crops in one call of the model.
      threads: threads that look for faces; as many as there are cores when None.
      landmarks: another landmark model, or None.
      progress: show a progress bar on standard error.
      resume: go on behind the frames that an earlier run of the same finished; pictures cannot be
        drawn in parts, so that a run with `annotate` always begins anew.
    """

    model: str | Path | FaceModel
    files: Sequence[str | Path]
    output: str | Path
    annotate: str | Path | None = None
    faces: str = "largest_central"
    batch_size: int = BATCH_SIZE
    threads: int | None = None
    landmarks: str | Path | None = None
    progress: bool = True
    resume: bool = True


@dataclass(frozen=True)
class PredictionSummary:
    """What came of a run.

    Attributes:
      frames: frames and photos, readable or not.
      faces: rows with a face.
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
    killed leaves what it computed there, and the same run goes on behind it. What cannot be read is
    a row with its status; the rest goes on.

    Args:
      run: what to do.

    Returns:
      The counts.

    Raises:
      UserError: no model, no input at all, the output cannot be written, or a server went away.
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
    progress = _begin(run, output, predictor, inputs)
    try:
        with replacing(output, keep=True, start=progress.size) as stream:
            reasons, annotated = _write_rows(run, predictor, inputs, stream, progress)
    except (UserError, KeyboardInterrupt) as error:
        kept = f"{progress.counts[FRAMES]} finished frames are in {partial_path(output)}"
        if not progress.counts[FRAMES] or not partial_path(output).exists():
            raise
        if isinstance(error, UserError):
            how = "the same command" if run.annotate is None else "without --annotate it"
            raise UserError(f"{error}; {kept}: {how} goes on from there") from error
        logger.warning("the rows computed so far are in %s", partial_path(output))
        raise
    Progress.remove(output)
    _tell_unreadable(reasons)
    counts = progress.counts
    return PredictionSummary(
        counts[FRAMES], counts[OK], counts[NO_FACE], counts[UNREADABLE], annotated
    )


def _begin(
    run: PredictionRun, output: Path, predictor: Predictor, inputs: Sequence[Input]
) -> Progress:
    """Where the run begins: behind what an earlier one finished, or at the first frame."""
    # Threads leave the numbers as they are, batches all but their last digits: they may change.
    options = (predictor.model.description.names, run.faces, run.landmarks)
    digest = digest_of(predictor.model.identity, options, inputs)
    if not run.resume:
        return Progress(digest)
    if run.annotate is not None:
        if partial_path(output).is_file():
            logger.info("%s is begun anew: --annotate draws every frame", partial_path(output))
        return Progress(digest)
    progress = Progress.read(output, digest)
    if progress.size:
        logger.info(
            "going on behind %d frames in %s", progress.counts[FRAMES], partial_path(output)
        )
    elif partial_path(output).is_file():
        logger.info("%s is of another run and is begun anew", partial_path(output))
    return progress


def _write_rows(
    run: PredictionRun,
    predictor: Predictor,
    inputs: Sequence[Input],
    stream: IO[str],
    progress: Progress,
) -> tuple[dict[str, str], tuple[Path, ...]]:
    """Writes the rows from `progress` on and moves it along; also when it ends with an error.

    Returns:
      Reasons of unreadable files, and the pictures and videos that were drawn.
    """
    writer = csv.writer(stream, lineterminator="\n")
    if not progress.size:
        writer.writerow(csv_header(predictor.view.columns))
    reasons: dict[str, str] = {}
    drawer = _drawer(run, predictor, inputs)
    frames = predictor.predict_frames(
        inputs[max(progress.entry, 0) :],
        keep_images=drawer is not None,
        start=progress.done,
        identities=FaceIdentities(progress.identities),
        before=progress.counts[OK],
    )
    bar = tqdm(
        total=count_frames(inputs),
        initial=progress.counts[FRAMES],
        unit="frame",
        disable=not run.progress,
        smoothing=0.1,
    )
    last: PredictedFrame | None = None
    between = True
    with bar:
        try:
            for frame in frames:
                between = False
                for row in frame.rows:
                    writer.writerow(csv_line(row, predictor.view.columns))
                    progress.counts[row.status] += 1
                    if row.reason:
                        reasons.setdefault(row.file, row.reason)
                if drawer is not None:
                    drawer.write(frame)
                last = frame
                progress.entry += frame.number == 0  # another file
                progress.done = frame.number + 1
                progress.counts[FRAMES] += 1
                between = True
                bar.update()
                if progress.counts[FRAMES] % FLUSH_EVERY == 0:
                    _keep(progress, run, stream, frame)
        except (UserError, KeyboardInterrupt):
            # Ctrl-C within a frame leaves some of its rows: then the place kept before holds.
            if last is not None and between:
                _keep(progress, run, stream, last)
            raise
    if drawer is None:
        return reasons, ()
    drawer.close()
    return reasons, tuple(drawer.written)


def _keep(progress: Progress, run: PredictionRun, stream: IO[str], last: PredictedFrame) -> None:
    """Brings the rows to the disk, then the place behind them."""
    stream.flush()
    progress.size = os.fstat(stream.fileno()).st_size
    progress.identities = last.identities.state()
    progress.write(Path(run.output))


def _drawer(
    run: PredictionRun, predictor: Predictor, inputs: Sequence[Input]
) -> AnnotationWriter | None:
    if run.annotate is None:
        return None
    return AnnotationWriter(
        run.annotate,
        predictor.model.description.names,
        drawn=predictor.view.drawn,
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
