"""From a sample to a square face: read, cut, landmarks, in portions that can be resumed."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepcoder_tf.datasets.expressions.sources import Sample
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.images import read_image
from deepcoder_tf.faces.landmarks import LandmarkPredictor
from deepcoder_tf.faces.squares import (
    box_matrix,
    cut,
    face_matrix,
    is_grey,
    landmarks_in,
    move_points,
)
from deepcoder_tf.files import replacing

__all__ = [
    "ALIGNMENTS",
    "Chunk",
    "Cutter",
    "Part",
    "Probe",
    "chunks_of",
    "load_part",
    "probe",
    "signature_of",
]

ALIGNMENTS = ("dlib", "box", "none")
"""How a face is cut: by detected landmarks; by the data set's own box; the whole picture."""

CHUNK = 256
"""Pictures that are finished, and kept, together."""

PROBED = 32
"""Pictures, evenly spread, that decide on size and channels where the user does not."""

POINTS = 49


class Probe(NamedTuple):
    """What some of the pictures look like.

    Attributes:
      side: median of the longer side of the box or picture, pixels.
      grey: whether none of them has colour.
    """

    side: float
    grey: bool


def probe(samples: Sequence[Sample], align: str) -> Probe:
    """Looks at a few pictures.

    Args:
      samples: those to be stored.
      align: one of `ALIGNMENTS`.

    Returns:
      What they look like.

    Raises:
      UserError: none of them can be read, with the reason of the first.
    """
    sides, grey, problem = [], True, None
    for at in np.unique(np.linspace(0, len(samples) - 1, PROBED).round().astype(int)):
        sample = samples[at]
        try:
            image = read_image(sample.file)
        except UserError as error:
            problem = problem or error
            continue
        grey = grey and is_grey(image)
        by_box = align == "box" and sample.box is not None
        sides.append(max(sample.box[2:]) if by_box and sample.box else max(image.shape[:2]))
    if not sides:
        raise UserError(f"none of the first pictures looked at can be read: {problem}")
    return Probe(float(np.median(sides)), grey)


@dataclass(frozen=True)
class Chunk:
    """Pictures that are finished together.

    Attributes:
      path: the file of the finished part.
      first: place of the first sample among all that are to be stored.
      samples: the pictures.
    """

    path: Path
    first: int
    samples: tuple[Sample, ...]

    @property
    def frames(self) -> int:
        """How many they are."""
        return len(self.samples)


def chunks_of(folder: Path, samples: Sequence[Sample]) -> list[Chunk]:
    """Divides the pictures.

    Args:
      folder: of the finished parts.
      samples: those to be stored.

    Returns:
      Chunks of at most `CHUNK` pictures.
    """
    return [
        Chunk(folder / f"{first:08d}.npz", first, tuple(samples[first : first + CHUNK]))
        for first in range(0, len(samples), CHUNK)
    ]


def signature_of(samples: Sequence[Sample]) -> str:
    """Changes when a picture, its name or its box changes."""
    digest = hashlib.sha256()
    for sample in samples:
        try:
            stat = sample.file.stat()
            found = [stat.st_size, stat.st_mtime_ns]
        except OSError:
            found = []
        digest.update(json.dumps([str(sample.file), found, sample.box]).encode())
    return digest.hexdigest()


class Part(NamedTuple):
    """The pictures of one chunk.

    Attributes:
      images: `[n, S, S, C]` uint8 of the pictures with an empty `status`.
      status: `[F]` str, empty, or `no_face`, `unreadable`, `missing`.
      reason: `[F]` str, what went wrong.
      boxes: `[F, 4]` float64 x, y, width, height in pixels of the picture, NaN where there is none.
      score: `[F]` float64 of the detector, NaN where it was not asked or found nothing.
      landmarks: `[F, 49, 2]` float32 in pixels of the stored picture, NaN where no face was found.
      signature: what the files were.
    """

    images: np.ndarray
    status: np.ndarray
    reason: np.ndarray
    boxes: np.ndarray
    score: np.ndarray
    landmarks: np.ndarray
    signature: np.ndarray


def load_part(chunk: Chunk) -> Part | None:
    """A finished part.

    Args:
      chunk: whose.

    Returns:
      The part; None when it is not there, damaged, or of pictures that have changed since.
    """
    try:
        with np.load(chunk.path, allow_pickle=False) as arrays:
            part = Part(**{name: arrays[name] for name in Part._fields})
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return part if str(part.signature) == signature_of(chunk.samples) else None


class Face(NamedTuple):
    """One picture's outcome; see `Part`."""

    image: np.ndarray | None
    status: str = ""
    reason: str = ""
    box: tuple[float, ...] = (np.nan,) * 4
    score: float = np.nan
    landmarks: np.ndarray | None = None


class Cutter:
    """Cuts the faces of chunks; may be used by several threads.

    Args:
      align: one of `ALIGNMENTS`.
      size: side of the result, pixels.
      channels: 1 or 3.
      landmarks: find landmarks too.
      choice: which of several faces; see `faces.detection.choose`.
      threshold: lowest detection score that counts.
      predictor: the landmark model; not needed to cut by boxes without landmarks.
    """

    def __init__(
        self,
        align: str,
        size: int,
        channels: int,
        landmarks: bool,
        choice: str,
        threshold: float,
        predictor: LandmarkPredictor | None,
    ) -> None:
        self.align, self.size, self.channels = align, size, channels
        self.landmarks = landmarks
        self.choice, self.threshold, self.predictor = choice, threshold, predictor
        self._own = threading.local()

    @property
    def aligner(self) -> FaceAligner:
        """This thread's own."""
        if not hasattr(self._own, "aligner"):
            self._own.aligner = FaceAligner(
                self.choice, None, self.threshold, predictor=self.predictor
            )
        return self._own.aligner

    def __call__(self, chunk: Chunk, on_frame: Callable[[], None]) -> None:
        """Cuts the faces of one chunk and stores its part.

        Args:
          chunk: the pictures.
          on_frame: called after every picture; may raise to stop.

        Raises:
          UserError: the disk is full.
        """
        signature = signature_of(chunk.samples)
        faces = []
        for sample in chunk.samples:
            faces.append(self.cut(sample))
            on_frame()
        nothing = np.full((POINTS, 2), np.nan, np.float32)
        points = [nothing if face.landmarks is None else face.landmarks for face in faces]
        shape = (-1, self.size, self.size, self.channels)
        part = Part(
            images=np.array([f.image for f in faces if f.image is not None], np.uint8).reshape(
                shape
            ),
            status=np.array([face.status for face in faces], str),
            reason=np.array([face.reason for face in faces], str),
            boxes=np.array([face.box for face in faces], np.float64),
            score=np.array([face.score for face in faces], np.float64),
            landmarks=np.array(points, np.float32),
            signature=np.array(signature),
        )
        with replacing(chunk.path, "wb") as stream:
            np.savez(stream, **part._asdict())

    def cut(self, sample: Sample) -> Face:
        """One picture's face, or why there is none."""
        try:
            image = read_image(sample.file)
        except UserError as error:
            there = sample.file.is_file()
            return Face(None, "unreadable" if there else "missing", str(error))
        if self.align == "dlib":
            return self.cut_by_landmarks(image)
        height, width = image.shape[:2]
        whole = (0.0, 0.0, float(width), float(height))
        by_box = self.align == "box" and sample.box is not None
        box = sample.box if by_box and sample.box is not None else whole
        matrix = box_matrix(box, self.size)
        square = cut(image, matrix, self.size, self.channels)
        points = None
        if self.landmarks and sample.landmarks is not None:
            points = move_points(sample.landmarks, matrix)
        elif self.landmarks:
            points = landmarks_in(square, self.aligner)
        return Face(square, box=box if by_box else Face(None).box, landmarks=points)

    def cut_by_landmarks(self, image: np.ndarray) -> Face:
        """The face that dlib finds, turned upright."""
        faces = self.aligner.analyse(image)
        if not faces:
            return Face(None, "no_face", "dlib found no face")
        points, box = faces[0].landmarks49, faces[0].box
        matrix = face_matrix(points, self.size)
        return Face(
            cut(image, matrix, self.size, self.channels),
            box=(box.x, box.y, box.width, box.height),
            score=box.score,
            landmarks=move_points(points, matrix) if self.landmarks else None,
        )
