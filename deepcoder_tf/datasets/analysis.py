"""Pass 1 of preparation: faces and landmarks of every frame of one recording, done once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.datasets.sources import Source
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.images import read_image
from deepcoder_tf.faces.landmarks import POINTS
from deepcoder_tf.faces.tracking import FaceTracker
from deepcoder_tf.faces.videos import Video
from deepcoder_tf.files import replacing

__all__ = [
    "Analysis",
    "Picture",
    "analyse",
    "expected_frames",
    "load_analysis",
    "pictures",
    "save_analysis",
    "signature_of",
]

NO_FACE_INDEX = -1


@dataclass(frozen=True)
class Picture:
    """One frame of the input.

    Attributes:
      number: frame number as in the source.
      timestamp: seconds; NaN where there is none.
      file: the file it comes from.
      image: `[height, width, 3]` uint8 BGR, or None.
      problem: why there is no image.
    """

    number: int
    timestamp: float
    file: Path
    image: np.ndarray | None
    problem: str = ""


@dataclass(frozen=True)
class Analysis:
    """What pass 1 knows about the F frames of a recording.

    Attributes:
      numbers: `[F]` int64, frame numbers as in the source.
      timestamps: `[F]` float64, seconds, NaN where there is none.
      files: `[F]` str, names relative to the data set.
      status: `[F]` str: `ok`, `no_label`, `no_face`, `unreadable` or `missing`.
      faces: `[F]` int32, faces found.
      chosen: `[F]` int32, place of the chosen face among them, surest first, from 0; -1 for none.
      score: `[F]` float32, detection score, NaN without face.
      boxes: `[F, 4]` int32: x, y, width, height in pixels; zeros without face.
      landmarks: `[F, 68, 2]` float32 pixels, NaN without face.
      labels: `[F, Q]` int8, -1 where missing.
      problem: the first thing that went wrong, empty if nothing did.
      signature: what the recording's files and labels were; another one means do it again.
    """

    numbers: np.ndarray
    timestamps: np.ndarray
    files: np.ndarray
    status: np.ndarray
    faces: np.ndarray
    chosen: np.ndarray
    score: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray
    labels: np.ndarray
    problem: str
    signature: str


def pictures(source: Source) -> Iterator[Picture]:
    """Every frame of the input: decoded, damaged, or labelled but not there.

    Args:
      source: the recording.

    Yields:
      Pictures in ascending order of their numbers.
    """
    if source.is_video:
        yield from video_pictures(source)
        return
    file_of = dict(zip(source.numbers.tolist(), source.files, strict=True))
    for number in sorted({*file_of, *source.label_numbers.tolist()}):
        if number not in file_of:
            folder = source.files[0].parent
            problem = f"{folder}: no picture of the labelled frame {number}"
            yield Picture(number, np.nan, folder, None, problem)
            continue
        path = file_of[number]
        try:
            image, problem = read_image(path), ""
        except UserError as error:
            image, problem = None, str(error)
        yield Picture(number, np.nan, path, image, problem)


def video_pictures(source: Source) -> Iterator[Picture]:
    """Frames of a video; where it cannot be opened, its labelled frames, without image."""
    path, first = source.files[0], int(source.numbers[0])
    try:
        video = Video(path)
    except UserError as error:
        for number in source.label_numbers.tolist():
            yield Picture(number, np.nan, path, None, str(error))
        return
    for frame in video:
        number = frame.number + first
        problem = "" if frame.image is not None else f"{path}: frame {number} cannot be decoded"
        timestamp = np.nan if frame.timestamp is None else frame.timestamp
        yield Picture(number, timestamp, path, frame.image, problem)
    for number in source.label_numbers[source.label_numbers >= first + len(video)].tolist():
        yield Picture(number, np.nan, path, None, f"{path}: has no frame {number}")


def expected_frames(source: Source) -> int:
    """Frames of a recording, for the progress bar."""
    if not source.is_video:
        return len({*source.numbers.tolist(), *source.label_numbers.tolist()})
    try:
        return len(Video(source.files[0]))
    except UserError:
        return len(source.label_numbers)


def signature_of(source: Source) -> str:
    """Changes when a file of the recording, or a label, changes."""
    digest = hashlib.sha256()
    for path in source.files:
        try:
            stat = path.stat()
            digest.update(json.dumps([path.name, stat.st_size, stat.st_mtime_ns]).encode())
        except FileNotFoundError:
            digest.update(json.dumps([path.name, None]).encode())
    for array in (source.numbers, source.label_numbers, source.labels):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def analyse(
    source: Source,
    root: Path,
    aligner: FaceAligner | FaceTracker,
    on_frame: Callable[[], None],
) -> Analysis:
    """Detects the chosen face and its landmarks in every frame; pictures are not kept.

    Args:
      source: the recording.
      root: folder to which the names of files are made relative.
      aligner: finds faces; the caller's own (one per thread, and a tracker per video).
      on_frame: called after every frame; may raise to stop.

    Returns:
      One entry for every frame.
    """
    rows: list[tuple] = []
    landmarks: list[np.ndarray] = []
    problem, signature = "", signature_of(source)
    nothing = np.full((POINTS, 2), np.nan, np.float32)
    for picture in pictures(source):
        problem = problem or picture.problem
        faces = [] if picture.image is None else aligner.analyse(picture.image)
        file = relative_name(picture.file, root)
        if faces:
            face, box = faces[0], faces[0].box
            found = ("ok", face.count, face.index, face.score, box.x, box.y, box.width, box.height)
            landmarks.append(face.landmarks68)
        else:
            found = (status_without_face(picture), 0, NO_FACE_INDEX, np.nan, 0, 0, 0, 0)
            landmarks.append(nothing)
        rows.append((picture.number, picture.timestamp, file, *found))
        on_frame()
    columns = list(zip(*rows, strict=True)) or [()] * 11
    numbers = np.array(columns[0], np.int64)
    labels = source.labels_of(numbers)
    status = np.array(columns[3], "U10")
    status[(status == "ok") & (labels == MISSING).all(axis=1)] = "no_label"
    return Analysis(
        numbers=numbers,
        timestamps=np.array(columns[1], np.float64),
        files=np.array(columns[2], str),
        status=status,
        faces=np.array(columns[4], np.int32),
        chosen=np.array(columns[5], np.int32),
        score=np.array(columns[6], np.float32),
        boxes=np.array(columns[7:], np.int32).T.reshape(-1, 4),
        landmarks=np.array(landmarks, np.float32).reshape(-1, POINTS, 2),
        labels=labels,
        problem=problem,
        signature=signature,
    )


def status_without_face(picture: Picture) -> str:
    """Why a picture gives no crop."""
    if picture.image is not None:
        return "no_face"
    return "unreadable" if picture.file.is_file() else "missing"


def relative_name(path: Path, root: Path) -> str:
    """The file's name as `frames.csv` tells it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def save_analysis(path: Path, analysis: Analysis) -> None:
    """Writes one recording's analysis, wholly or not at all."""
    with replacing(path, "wb") as stream:
        np.savez_compressed(stream, **vars(analysis))


def load_analysis(path: Path) -> Analysis | None:
    """Reads one recording's analysis; None when it is not there or damaged (then do it again)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in Analysis.__dataclass_fields__}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    for name in ("problem", "signature"):
        content[name] = str(content[name])
    return Analysis(**content)
