"""Preparation: labelled video in, registered crops and a row for every frame out.

Pass 1 finds faces and landmarks, once per recording. Then each fold's mean shape is computed from
its training subjects alone, and pass 2 cuts the crops for every fold. Both passes keep each
finished recording, so that a killed run goes on where it was.

Recordings are worked on by threads: dlib and OpenCV let go of Python's lock while they compute
(two threads do 60 frames a second where one does 34), and TensorFlow and the 100 MB landmark model
are loaded once.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from deepcoder_tf.datasets.analysis import (
    Analysis,
    analyse,
    expected_frames,
    load_analysis,
    save_analysis,
    signature_of,
)
from deepcoder_tf.datasets.catalogue import DATASETS, Catalogue, read_catalogue
from deepcoder_tf.datasets.disfa import CAMERAS
from deepcoder_tf.datasets.folds import Fold, check_disjoint
from deepcoder_tf.datasets.prepared import (
    FORMAT,
    STATUSES_WITH_CROP,
    PreparedInfo,
    dataset_info,
    fold_folder,
    landmarks_file,
    mean_shape_file,
    shard_file,
)
from deepcoder_tf.datasets.sources import Source
from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.detection import CHOICES
from deepcoder_tf.faces.landmarks import INNER_49, LandmarkPredictor, fingerprint, model_path
from deepcoder_tf.faces.registration import CROP_SHAPE, mean_shape, place_in_crop
from deepcoder_tf.faces.tracking import FaceTracker
from deepcoder_tf.files import replacing

__all__ = ["PrepareConfig", "prepare"]

LOG = logging.getLogger(__name__)

SHAPES_PER_SUBJECT = 1000
"""Frames of each training subject, evenly spread, that enter the mean shape."""

FRAME_COLUMNS = (
    *("row", "file", "subject", "video", "frame", "timestamp"),
    *("faces", "choice", "score", "x", "y", "width", "height", "status"),
)


@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare, and how.

    Attributes:
      dataset: `"disfa"`, `"fera2015"` or `"manifest"`.
      input_path: the data set's folder, or the manifest.
      output_dir: the prepared folder.
      workers: recordings worked on at once.
      face: which of several faces; see `faces.detection.choose`.
      threshold: lowest detection score that counts.
      landmarks: the user's own landmark model, or None.
      detect_every: frames of a video from one detection to the next; see `faces.tracking`.
      camera: which of DISFA's cameras.
      folds: number of folds of a manifest without a column `split`.
      seed: of the folds and the validation subjects.
      ignore_extra_labels: leave out labels beyond the end of a recording, not refuse them.
      overwrite: throw away what the folder holds from other settings.
      progress: show a progress bar on stderr.
    """

    dataset: str
    input_path: Path
    output_dir: Path
    workers: int = 2
    face: str = "largest_central"
    threshold: float = 0.0
    landmarks: Path | None = None
    detect_every: int = 1
    camera: str = "left"
    folds: int = 5
    seed: int = 0
    ignore_extra_labels: bool = False
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ValueError: one of them cannot be.
        """
        if self.dataset not in DATASETS:
            raise ValueError(f"dataset={self.dataset!r} is not one of {', '.join(DATASETS)}")
        if self.workers < 1:
            raise ValueError(f"workers={self.workers} must be at least 1")
        if self.face not in CHOICES or self.face == "all":
            raise ValueError(f"face={self.face!r} is not one of {', '.join(CHOICES[:-1])}")
        if self.camera not in CAMERAS:
            raise ValueError(f"camera={self.camera!r} is not one of {', '.join(CAMERAS)}")
        if self.detect_every < 1:
            raise ValueError(f"detect_every={self.detect_every} must be at least 1")
        if self.folds < 2:
            raise ValueError(f"folds={self.folds} must be at least 2")

    def settings(self) -> dict[str, Any]:
        """What decides the result: a resumed run must agree in all of these.

        Raises:
          UserError: the landmark model is missing.
        """
        settings: dict[str, Any] = {
            "dataset": self.dataset,
            "face": self.face,
            "threshold": self.threshold,
            "landmarks": fingerprint(model_path(self.landmarks)),
            "detect_every": self.detect_every,
            "crop_shape": list(CROP_SHAPE),
            "seed": self.seed,
            "ignore_extra_labels": self.ignore_extra_labels,
        }
        if self.dataset == "disfa":
            settings["camera"] = self.camera
        if self.dataset == "manifest":
            settings["folds"] = self.folds
        return settings


@dataclass(frozen=True)
class Work:
    """One recording on its way through the passes.

    Attributes:
      source: the recording.
      name: stem of its files in the prepared folder.
      frames: frames to expect.
    """

    source: Source
    name: str
    frames: int


def prepare(config: PrepareConfig) -> PreparedInfo:
    """Prepares a data set; goes on where a killed run was.

    Args:
      config: what and how.

    Returns:
      What the prepared folder holds.

    Raises:
      UserError: mistakes in the data (all listed, before any work), a folder made with other
        settings, no face at all, a full disk.
    """
    catalogue = read_catalogue(
        config.dataset,
        config.input_path,
        config.camera,
        config.folds,
        config.seed,
        config.ignore_extra_labels,
    )
    folds, unusable = usable_folds(catalogue.folds)
    cv2.setNumThreads(1)  # one thread per recording already keeps every core busy
    try:
        claim_folder(config)
        works = list_works(catalogue.sources)
        analyses = find_landmarks(config, catalogue, works)
        first_rows = number_rows(works, analyses)
        shapes = mean_shapes(config.output_dir, folds, unusable, works, analyses, first_rows)
        folds = {number: folds[number] for number in shapes}
        write_all_crops(config, works, analyses, folds, shapes, first_rows)
        write_frames(config.output_dir / "frames.csv", works, analyses)
        write_json(
            config.output_dir / "dataset.json",
            {
                "format": FORMAT,
                "source": config.dataset,
                "action_units": catalogue.action_units,
                "crop_shape": CROP_SHAPE,
                "seed": config.seed,
                "folds": {number: vars(fold) for number, fold in folds.items()},
                "unusable": unusable,
                "recordings": recording_rows(works, analyses),
                "settings": config.settings(),
            },
        )
    except OSError as error:
        raise explain_os_error(error, f"writing {config.output_dir}") from error
    report(works, analyses)
    return dataset_info(config.output_dir)


def usable_folds(folds: list[Fold]) -> tuple[dict[int, Fold], dict[int, str]]:
    """Sorts folds into those that can be used and the reasons of those that cannot."""
    usable, unusable = {}, {}
    for number, fold in enumerate(folds):
        check_disjoint(fold, f"fold {number}")
        problem = fold.problem()
        if problem:
            unusable[number] = problem
        else:
            usable[number] = fold
    if not usable:
        raise no_fold(unusable)
    return usable, unusable


def no_fold(unusable: dict[int, str]) -> UserError:
    """The message that no fold can be used, with the reason of each."""
    told = "; ".join(f"fold {number}: {why}" for number, why in unusable.items())
    return UserError(f"no fold can be used ({told}); add recordings of other subjects")


def claim_folder(config: PrepareConfig) -> None:
    """Makes sure that the output folder is new, or holds an earlier run of the same settings."""
    folder, path = config.output_dir, config.output_dir / "settings.json"
    if folder.is_file():
        raise UserError(f"{folder}: is a file; choose another --output_dir")
    settings = config.settings()
    if path.is_file():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            earlier = {}
        differing = [
            f"{key} was {earlier.get(key)!r} and is {settings.get(key)!r}"
            for key in sorted({*earlier, *settings})
            if earlier.get(key) != settings.get(key)
        ]
        if differing and not config.overwrite:
            raise UserError(
                f"{folder}: was prepared with other settings ({'; '.join(differing)}); choose "
                "another --output_dir or pass --overwrite to throw it away"
            )
        if differing or config.overwrite:
            empty_folder(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"{folder}: is not empty and not a prepared folder; choose another --output_dir"
        )
    write_json(path, settings)


def empty_folder(folder: Path) -> None:
    """Removes what a preparation writes, and nothing else."""
    (folder / "dataset.json").unlink(missing_ok=True)
    for part in [folder / "landmarks", *folder.glob("fold*")]:
        shutil.rmtree(part, ignore_errors=True)
    (folder / "frames.csv").unlink(missing_ok=True)


def list_works(sources: list[Source]) -> list[Work]:
    """Gives every recording a file name of its own."""
    works: list[Work] = []
    taken: set[str] = set()
    for source in sources:
        name = stem = f"{safe_name(source.subject)}__{safe_name(source.video)}"
        count = 1
        while name.lower() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.lower())
        works.append(Work(source, name, expected_frames(source)))
    return works


def safe_name(text: str) -> str:
    """A file name on every system: all but letters, digits, dot, minus and underscore replaced.

    >>> safe_name("session 1/clip")
    'session-1-clip'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in text)
    return kept.strip(".") or "-"


def find_landmarks(
    config: PrepareConfig, catalogue: Catalogue, works: list[Work]
) -> dict[str, Analysis]:
    """Pass 1 over every recording that is not done yet."""
    folder = config.output_dir
    analyses: dict[str, Analysis] = {}
    for work in works:
        known = load_analysis(landmarks_file(folder, work.name))
        if known is not None and known.signature == signature_of(work.source):
            analyses[work.name] = known
    todo = [work for work in works if work.name not in analyses]
    if not todo:
        return analyses
    predictor = LandmarkPredictor(config.landmarks)
    own = threading.local()

    def one(work: Work, on_frame: Callable[[], None]) -> None:
        if not hasattr(own, "aligner"):
            own.aligner = FaceAligner(config.face, None, config.threshold, predictor)
        # Successive pictures of a video are alike; those of a manifest need not be.
        finder = (
            FaceTracker(own.aligner, config.detect_every) if work.source.is_video else own.aligner
        )
        analysis = analyse(work.source, catalogue.root, finder, on_frame)
        for shard in folder.glob(f"fold*/{work.name}.tfrecord"):
            shard.unlink()  # it was cut by other landmarks
        save_analysis(landmarks_file(folder, work.name), analysis)
        analyses[work.name] = analysis

    run_parallel("faces and landmarks", todo, works, config, one)
    return analyses


def write_all_crops(
    config: PrepareConfig,
    works: list[Work],
    analyses: dict[str, Analysis],
    folds: dict[int, Fold],
    shapes: dict[int, np.ndarray],
    first_rows: dict[str, int],
) -> None:
    """Pass 2 over every recording that lacks a shard in some fold."""
    folder = config.output_dir
    missing = {
        work.name: {
            path: shapes[number]
            for number, fold in folds.items()
            if not (path := shard_file(folder, number, work.name)).is_file()
            and work.source.subject in (*fold.train, *fold.validation, *fold.test)
        }
        for work in works
    }
    todo = [work for work in works if missing[work.name]]
    if not todo:
        return
    from deepcoder_tf.datasets.cropping import write_crops  # loads TensorFlow: seconds

    def one(work: Work, on_frame: Callable[[], None]) -> None:
        write_crops(
            work.source,
            analyses[work.name],
            first_rows[work.name],
            missing[work.name],
            on_frame,
        )

    run_parallel("registered crops", todo, works, config, one)


def number_rows(works: list[Work], analyses: dict[str, Analysis]) -> dict[str, int]:
    """Row of `frames.csv` at which each recording begins."""
    ends = np.cumsum([len(analyses[work.name].numbers) for work in works]).tolist()
    return dict(zip((work.name for work in works), [0, *ends[:-1]], strict=True))


def mean_shapes(
    folder: Path,
    folds: dict[int, Fold],
    unusable: dict[int, str],
    works: list[Work],
    analyses: dict[str, Analysis],
    first_rows: dict[str, int],
) -> dict[int, np.ndarray]:
    """Computes and stores each fold's mean shape; notes folds that have none as unusable.

    Raises:
      UserError: no fold has a face among its training subjects.
    """
    shapes = {}
    for number, fold in folds.items():
        found = training_shapes(fold, works, analyses)
        if not found:
            unusable[number] = (
                "no face was found in any frame of its training subjects (they must be upright, "
                "frontal and at least 80 pixels wide)"
            )
            continue
        shapes[number] = place_in_crop(mean_shape(list(found.values())))
        content = {
            "mean_shape": shapes[number].tolist(),
            "subjects": sorted(found),
            "crop_shape": list(CROP_SHAPE),
            "first_rows": first_rows,
        }
        store_mean_shape(folder, number, content)
    if not shapes:
        raise no_fold(unusable)
    return shapes


def store_mean_shape(folder: Path, number: int, content: dict[str, Any]) -> None:
    """Writes `mean_shape.json`; first drops shards that were cut by another mean shape."""
    path = mean_shape_file(folder, number)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = {}
    if stored != content:
        shutil.rmtree(fold_folder(folder, number), ignore_errors=True)
        write_json(path, content)


def training_shapes(
    fold: Fold, works: list[Work], analyses: dict[str, Analysis]
) -> dict[str, np.ndarray]:
    """Landmarks `[frames, 49, 2]` of each training subject that has a face, evenly spread."""
    by_subject: dict[str, list[np.ndarray]] = {}
    for work in works:
        if work.source.subject in fold.train:
            analysis = analyses[work.name]
            found = np.isin(analysis.status, STATUSES_WITH_CROP)
            by_subject.setdefault(work.source.subject, []).append(
                analysis.landmarks[found][:, INNER_49]
            )
    shapes = {name: np.concatenate(parts) for name, parts in by_subject.items()}
    return {name: spread(frames) for name, frames in shapes.items() if len(frames)}


def spread(frames: np.ndarray) -> np.ndarray:
    """At most `SHAPES_PER_SUBJECT` frames, evenly spread."""
    count = min(len(frames), SHAPES_PER_SUBJECT)
    return frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]


def run_parallel(
    title: str,
    todo: list[Work],
    works: list[Work],
    config: PrepareConfig,
    one: Callable[[Work, Callable[[], None]], None],
) -> None:
    """Works on recordings in threads under one progress bar; the first error stops all."""
    if todo:
        (config.output_dir / "dataset.json").unlink(missing_ok=True)  # written last: complete
    total = sum(work.frames for work in works)
    done = total - sum(work.frames for work in todo)
    stop = threading.Event()
    with (
        tqdm(
            total=total,
            initial=done,
            desc=title,
            unit="frame",
            mininterval=0.5,
            disable=not config.progress,
        ) as bar,
        ThreadPoolExecutor(config.workers) as pool,
    ):

        def on_frame() -> None:
            if stop.is_set():
                raise StoppedError
            with bar.get_lock():
                bar.update()

        # The longest recordings first, so that the last minutes still use every worker.
        ordered = sorted(todo, key=lambda work: -work.frames)
        futures = [pool.submit(one, work, on_frame) for work in ordered]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    for future in futures:
        if not future.cancelled():
            error = future.exception()
            if error is not None and not isinstance(error, StoppedError):
                raise error


class StoppedError(Exception):
    """Another recording failed, or the user pressed Ctrl-C: leave this one unfinished."""


def recording_rows(works: list[Work], analyses: dict[str, Analysis]) -> list[dict[str, Any]]:
    """The recordings as `dataset.json` lists them."""
    return [
        {
            "subject": work.source.subject,
            "video": work.source.video,
            "name": work.name,
            "frames": len(analyses[work.name].numbers),
            "crops": int(np.isin(analyses[work.name].status, STATUSES_WITH_CROP).sum()),
        }
        for work in works
    ]


def write_frames(path: Path, works: list[Work], analyses: dict[str, Analysis]) -> None:
    """Writes `frames.csv`: one row for every frame, in the order of the recordings."""
    with replacing(path) as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(FRAME_COLUMNS)
        row = 0
        for work in works:
            for cells in frame_cells(work.source, analyses[work.name]):
                lines.writerow([row, *cells])
                row += 1


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


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file, wholly or not at all."""
    with replacing(path) as stream:
        stream.write(json.dumps(content, indent=1) + "\n")


def report(works: list[Work], analyses: dict[str, Analysis]) -> None:
    """Tells how many frames gave a crop, and what was wrong with which recording."""
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
