"""Photos and videos in, a row a face out: faces in worker threads beside the batched model."""

from __future__ import annotations

import os
import queue
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.face_model import FaceModel
from deepcoder_tf.faces.aligner import Face, FaceAligner
from deepcoder_tf.faces.images import read_image
from deepcoder_tf.prediction.identities import FaceIdentities
from deepcoder_tf.prediction.inputs import (
    Input,
    InputFrame,
    find_inputs,
    problem_of,
    read_frames,
)
from deepcoder_tf.prediction.model import load_model
from deepcoder_tf.prediction.rows import NO_FACE, UNREADABLE, FacePrediction
from deepcoder_tf.prediction.views import CutFace, view_of

__all__ = ["BATCH_SIZE", "PredictedFrame", "Predictor"]

BATCH_SIZE = 8
"""Crops in one call of the model. More does not make a CPU faster, and a photo waits for less."""

WAITING_BATCHES = 2
"""Frames, in batches, that may wait for the model before a part-filled batch is run."""


@dataclass(frozen=True)
class PredictedFrame:
    """One frame with its rows.

    Attributes:
      path: its file.
      number: position in a video from 0.
      rows: one for each face, by face number; one without face where there is none.
      image: `[H, W, 3]` uint8 BGR when it was asked for and can be read.
      frame_rate: frames a second of the video; 0 for a photo.
      identities: as they stand after this frame, until the next one is asked for.
    """

    path: Path
    number: int
    rows: tuple[FacePrediction, ...]
    image: np.ndarray | None
    frame_rate: float
    identities: FaceIdentities


@dataclass(frozen=True)
class AnalysedFrame:
    """What a worker made of a frame: its faces, or the reason why there are none."""

    source: InputFrame
    image: np.ndarray | None
    faces: tuple[Face, ...] = ()
    aligned: tuple[CutFace, ...] = ()
    problem: str = ""


class Predictor:
    """Action units, or the expression, of every face in photos and videos.

    dlib and OpenCV let go of Python's lock, so that threads find faces while the model runs.
    """

    def __init__(
        self,
        model: str | Path | FaceModel,
        *,
        faces: str = "largest_central",
        batch_size: int = BATCH_SIZE,
        threads: int | None = None,
        landmarks: str | Path | None = None,
    ) -> None:
        """Loads the model and the face detector.

        Args:
          model: an exported model, `savedmodels/NAME/1` or a `.tflite` file, or one that is there
            already, such as one behind a server.
          faces: which of several faces: one of `faces.detection.CHOICES`.
          batch_size: crops in one call of the model, at least 1.
          threads: threads that look for faces; as many as there are cores when None.
          landmarks: another landmark model; see `faces.landmarks.model_path`.

        Raises:
          UserError: not a model, or the face detector cannot be loaded.
          ValueError: an unknown choice of faces, or a number below 1.
        """
        threads = os.cpu_count() or 1 if threads is None else threads
        if batch_size < 1 or threads < 1:
            raise ValueError(f"batch_size {batch_size} and threads {threads} must be at least 1")
        self.model = model if isinstance(model, FaceModel) else load_model(model)
        self.view = view_of(self.model.description)
        self.batch_size = batch_size
        self.threads = threads
        first = FaceAligner(choice=faces, landmarks=landmarks)
        others = [FaceAligner(choice=faces, predictor=first.predictor) for _ in range(threads - 1)]
        # A detector serves one thread at a time: whoever analyses borrows one.
        self._aligners: queue.SimpleQueue[FaceAligner] = queue.SimpleQueue()
        for aligner in (first, *others):
            self._aligners.put(aligner)

    @property
    def action_units(self) -> tuple[str, ...]:
        """The model's action units, in column order; none of a model of expressions."""
        return self.model.description.action_units

    def predict_crops(
        self, crops: np.ndarray, landmarks: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Predicts faces that are cut already.

        Args:
          crops: `[N, rows, columns, channels]` uint8, cut as the model wants them: of action units
            `[N, 240, 160, 1]` grey, registered to its mean shape, not equalised.
          landmarks: `[N, 49, 2]`, moved likewise, crop pixels (x, y); for a model that wants them
            beside the picture (`model.needs_landmarks`).

        Returns:
          float64, all from one distribution: `"intensity"` `[N, Q]`, `"presence"` `[N, Q]` int32,
          `"standard_deviation"` `[N, Q]` and `"level_probabilities"` `[N, Q, 6]`; of a model of
          expressions `"expression"` `[N]` int32, `"confidence"` `[N]`, `"entropy"` `[N]` and
          `"expression_probabilities"` `[N, 8]`.

        Raises:
          ValueError: crops of another shape or type, or landmarks that do not fit them.
        """
        return self.view.summarise(
            self.model.probabilities(np.asarray(crops), self.batch_size, landmarks)
        )

    def predict(self, files: str | Path | Sequence[str | Path]) -> Iterator[FacePrediction]:
        """Predicts photos, videos and folders of them.

        Args:
          files: paths; folders are searched with their subfolders.

        Yields:
          One row for each face of each frame, in the order of the input, and one for each frame
          without a face or that cannot be read. The numbers are those of the CSV.

        Raises:
          UserError: not one of the paths leads to a file.
        """
        paths = [files] if isinstance(files, str | Path) else files
        for frame in self.predict_frames(find_inputs(paths)):
            yield from frame.rows

    def predict_frames(
        self,
        inputs: Sequence[Input],
        *,
        keep_images: bool = False,
        start: int = 0,
        identities: FaceIdentities | None = None,
        before: int = 0,
    ) -> Iterator[PredictedFrame]:
        """Predicts frame by frame; memory stays flat however long a video is.

        The n-th face has row n (modulo the size of a batch) of a call of the model, however many
        frames without a face lie in between: a run in two parts gives the numbers of a run in one
        to the last digit.

        Args:
          inputs: from `inputs.find_inputs`.
          keep_images: hand the pictures back, to draw on them.
          start: frames of the first input that are done already.
          identities: of its faces up to there.
          before: faces that were predicted up to there, of all inputs.

        Yields:
          Every frame, in the order of the input.
        """
        identify = FaceIdentities() if identities is None else identities
        for frame, P in self._with_answers(self._analysed(inputs, keep_images, start), before):
            source = frame.source
            if source.number == 0:  # another file
                identify = FaceIdentities()
            rows = self._rows(frame, P, identify)
            yield PredictedFrame(
                source.path, source.number, rows, frame.image, source.frame_rate, identify
            )

    def _analysed(
        self, inputs: Iterable[Input], keep_images: bool, start: int
    ) -> Iterator[AnalysedFrame]:
        """Faces of every frame, found by the worker threads a bounded number of frames ahead."""
        ahead = self.batch_size + 2 * self.threads
        running: deque[Future[AnalysedFrame]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="faces")
        try:
            for position, entry in enumerate(inputs):
                for frame in read_frames(entry):
                    if position == 0 and frame.number < start:
                        continue
                    running.append(pool.submit(self._analyse, frame, keep_images))
                    if len(running) > ahead:
                        yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _analyse(self, frame: InputFrame, keep_image: bool) -> AnalysedFrame:
        """Finds and cuts out the faces of one frame; runs in a worker thread."""
        source = frame._replace(image=None)
        if frame.problem:
            return AnalysedFrame(source, None, problem=frame.problem)
        try:
            image = read_image(frame.path) if frame.image is None else frame.image
        except (UserError, OSError) as error:
            return AnalysedFrame(source, None, problem=problem_of(frame.path, error))
        aligner = self._aligners.get()
        try:
            faces = aligner.analyse(image)
            aligned = tuple(self.view.cut(image, face) for face in faces)
        finally:
            self._aligners.put(aligner)
        return AnalysedFrame(source, image if keep_image else None, tuple(faces), aligned)

    def _with_answers(
        self, frames: Iterable[AnalysedFrame], before: int
    ) -> Iterator[tuple[AnalysedFrame, np.ndarray]]:
        """Runs the model on full batches of faces and gives each frame the answers to its own."""
        waiting: deque[AnalysedFrame] = deque()
        faces: list[CutFace] = []
        answers: deque[np.ndarray] = deque()
        place = before % self.batch_size
        for frame in frames:
            waiting.append(frame)
            faces.extend(frame.aligned)
            # Beside a few faces, a long stretch without any must not pile up.
            if len(waiting) >= WAITING_BATCHES * self.batch_size:
                answers.extend(self._probabilities(faces, place))
                place = (place + len(faces)) % self.batch_size
                faces = []
            while len(faces) >= self.batch_size - place:
                full = self.batch_size - place
                answers.extend(self._probabilities(faces[:full], place))
                faces, place = faces[full:], 0
                # At once: the next call may fail, and what is answered is to be kept.
                while waiting and len(waiting[0].aligned) <= len(answers):
                    yield self._with_own(waiting.popleft(), answers)
            while waiting and len(waiting[0].aligned) <= len(answers):
                yield self._with_own(waiting.popleft(), answers)
        answers.extend(self._probabilities(faces, place))
        while waiting:
            yield self._with_own(waiting.popleft(), answers)

    def _probabilities(self, faces: Sequence[CutFace], place: int) -> np.ndarray:
        """The model's answer to a list of faces, the first in that row; none is no call."""
        if not faces:
            return np.zeros((0, *self.model.description.answer_shape))
        crops, landmarks = (np.stack(parts) for parts in zip(*faces, strict=True))
        return self.model.probabilities(crops, self.batch_size, landmarks, place)

    def _with_own(
        self, frame: AnalysedFrame, answers: deque[np.ndarray]
    ) -> tuple[AnalysedFrame, np.ndarray]:
        own = [answers.popleft() for _ in frame.aligned]
        return frame, np.reshape(own, (len(own), *self.model.description.answer_shape))

    def _rows(
        self, frame: AnalysedFrame, P: np.ndarray, identify: FaceIdentities
    ) -> tuple[FacePrediction, ...]:
        source = frame.source
        boxes = [(f.box.x, f.box.y, f.box.width, f.box.height) for f in frame.faces]
        numbers = identify(boxes)
        where: dict[str, Any] = {
            "file": str(source.path),
            "frame": source.number,
            "timestamp": source.timestamp,
        }
        if not frame.faces:
            status = UNREADABLE if frame.problem else NO_FACE
            return (self.view.none(**where, status=status, reason=frame.problem),)
        said = self.view.summarise(P)
        rows = [
            self.view.row(
                said,
                i,
                **where,
                face_id=numbers[i],
                confidence=face.score,
                box=boxes[i],
                landmarks=face.landmarks49,
            )
            for i, face in enumerate(frame.faces)
        ]
        return tuple(sorted(rows, key=lambda row: row.face_id or 0))
