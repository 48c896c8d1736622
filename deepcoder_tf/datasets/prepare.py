"""Preparation: labelled video in, registered crops and a row for every frame out.

Pass 1 finds faces and landmarks, once per recording. Then each fold's mean shape is computed from
its training subjects alone, and pass 2 cuts the crops for every fold. Both passes keep each
finished recording, so that a killed run goes on where it was.

Recordings are worked on by threads: dlib and OpenCV let go of Python's lock while they compute
(two threads do 60 frames a second where one does 34), and TensorFlow and the 100 MB landmark model
are loaded once.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepcoder_tf.datasets.analysis import (
    Analysis,
    analyse,
    load_analysis,
    save_analysis,
    signature_of,
)
from deepcoder_tf.datasets.catalogue import DATASETS, Catalogue, read_catalogue
from deepcoder_tf.datasets.claims import claim_folder
from deepcoder_tf.datasets.disfa import CAMERAS
from deepcoder_tf.datasets.folds import Fold, usable_folds
from deepcoder_tf.datasets.frames_table import report, write_frames
from deepcoder_tf.datasets.prepared import (
    FORMAT,
    KIND,
    STATUSES_WITH_CROP,
    PreparedInfo,
    dataset_info,
    landmarks_file,
    shard_file,
)
from deepcoder_tf.datasets.shapes import mean_shapes
from deepcoder_tf.datasets.works import Work, list_works, run_parallel
from deepcoder_tf.errors import explain_os_error
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.detection import CHOICES
from deepcoder_tf.faces.landmarks import LandmarkPredictor, fingerprint, model_path
from deepcoder_tf.faces.registration import CROP_SHAPE
from deepcoder_tf.faces.tracking import FaceTracker
from deepcoder_tf.files import write_json

__all__ = ["PrepareConfig", "prepare"]


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
        claim_folder(config.output_dir, config.settings(), config.overwrite, empty_folder)
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
                "kind": KIND,
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


def empty_folder(folder: Path) -> None:
    """Removes what a preparation writes, and nothing else."""
    (folder / "dataset.json").unlink(missing_ok=True)
    for part in [folder / "landmarks", *folder.glob("fold*")]:
        shutil.rmtree(part, ignore_errors=True)
    (folder / "frames.csv").unlink(missing_ok=True)


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

    run_pass("faces and landmarks", config, works, todo, one)
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

    run_pass("registered crops", config, works, todo, one)


def run_pass(
    title: str,
    config: PrepareConfig,
    works: list[Work],
    todo: list[Work],
    one: Callable[[Work, Callable[[], None]], None],
) -> None:
    """Runs one pass; from its beginning on the folder counts as unfinished."""
    (config.output_dir / "dataset.json").unlink(missing_ok=True)
    run_parallel(title, works, todo, config.workers, config.progress, one)


def number_rows(works: list[Work], analyses: dict[str, Analysis]) -> dict[str, int]:
    """Row of `frames.csv` at which each recording begins."""
    ends = np.cumsum([len(analyses[work.name].numbers) for work in works]).tolist()
    return dict(zip((work.name for work in works), [0, *ends[:-1]], strict=True))


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
