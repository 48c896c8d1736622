"""Preparation of expressions: pictures and labels in, one array of square faces out.

Pictures are cut in chunks by threads, and each finished chunk is kept until all are, so that a
killed run goes on where it was; then the chunks become one array. The disk must hold the pictures
twice for that while.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.datasets.claims import claim_folder
from deepcoder_tf.datasets.expressions.anchors import measure_anchors
from deepcoder_tf.datasets.expressions.catalogue import EXPRESSION_DATASETS, read_expressions
from deepcoder_tf.datasets.expressions.ferplus import without_single_votes
from deepcoder_tf.datasets.expressions.pictures import (
    ALIGNMENTS,
    Chunk,
    Cutter,
    Part,
    chunks_of,
    load_part,
    probe,
    signature_of,
)
from deepcoder_tf.datasets.expressions.sources import LEFT_OUT, OK, ExpressionSource, Sample
from deepcoder_tf.datasets.expressions.splits import (
    assign_splits,
    check_classes,
    check_identities,
    class_counts,
)
from deepcoder_tf.datasets.expressions.store import (
    KIND,
    ExpressionInfo,
    expression_info,
    images_file,
    landmarks_file,
    samples_file,
)
from deepcoder_tf.datasets.prepared import FORMAT
from deepcoder_tf.datasets.works import run_parallel
from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.detection import CHOICES
from deepcoder_tf.faces.landmarks import LandmarkPredictor, fingerprint, model_path
from deepcoder_tf.faces.squares import ANCHORS
from deepcoder_tf.files import replacing, write_json

__all__ = ["FRAME_COLUMNS", "SIZES", "ExpressionConfig", "prepare_expressions"]

LOG = logging.getLogger(__name__)

SIZES = (16, 1024)
"""Bounds of the side of a stored picture, pixels."""

USUAL_SIZE = 160
"""Side of the pictures that face recognisers of the Inception-ResNet family were trained on;
smaller sources keep their own size."""

FRAME_COLUMNS = (
    *("row", "file", "subject", "split", "expression"),
    *("score", "x", "y", "width", "height", "status", "reason"),
)
"""Header of `frames.csv`; `store` says what the columns mean."""


@dataclass(frozen=True)
class ExpressionConfig:
    """What to prepare, and how.

    Attributes:
      dataset: one of `catalogue.EXPRESSION_DATASETS`.
      input_path: the data set's folder, or the manifest.
      output_dir: the prepared folder.
      align: `"dlib"`, `"box"`, `"none"`, or `"auto"`: as the data set is usually cut.
      size: side of the stored pictures, pixels; 0: 160, or less where the sources are smaller.
      channels: 1, 3, or 0: 1 where the pictures have no colour.
      store_landmarks: find and store 49 landmarks.
      validation_share: of the pictures, where the data set names no validation pictures.
      test_share: of the pictures, where the data set gives no split at all.
      allow_missing_classes: accept classes without a training picture.
      workers: chunks of pictures worked on at once.
      face: which of several faces; see `faces.detection.choose`.
      threshold: lowest detection score that counts.
      landmarks: the user's own landmark model, or None.
      seed: of the splits.
      overwrite: throw away what the folder holds from other settings.
      progress: show a progress bar on stderr.
    """

    dataset: str
    input_path: Path
    output_dir: Path
    align: str = "auto"
    size: int = 0
    channels: int = 0
    store_landmarks: bool = False
    validation_share: float = 0.15
    test_share: float = 0.15
    allow_missing_classes: bool = False
    workers: int = 2
    face: str = "largest_central"
    threshold: float = 0.0
    landmarks: Path | None = None
    seed: int = 0
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ValueError: one of them cannot be.
        """
        choices = {
            "dataset": EXPRESSION_DATASETS,
            "align": ("auto", *ALIGNMENTS),
            "channels": (0, 1, 3),
            "face": CHOICES[:-1],
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r} is not one of {', '.join(map(str, allowed))}")
        if self.size and not SIZES[0] <= self.size <= SIZES[1]:
            raise ValueError(f"size={self.size} must be 0 or {SIZES[0]} to {SIZES[1]}")
        if self.workers < 1:
            raise ValueError(f"workers={self.workers} must be at least 1")
        for name in ("validation_share", "test_share"):
            if not 0 <= getattr(self, name) < 0.5:
                raise ValueError(f"{name}={getattr(self, name)} must be from 0 to below 0.5")


def prepare_expressions(config: ExpressionConfig) -> ExpressionInfo:
    """Prepares a data set; goes on where a killed run was.

    Args:
      config: what and how.

    Returns:
      What the prepared folder holds.

    Raises:
      UserError: mistakes in the data (all listed, before any work), a class without a training
        picture, a folder made with other settings, no face at all, a full disk.
    """
    source = read_expressions(config.dataset, config.input_path, config.store_landmarks)
    samples = assign_splits(source.samples, config.validation_share, config.test_share, config.seed)
    check_identities(samples)
    check_classes(samples, str(config.input_path), config.allow_missing_classes)
    wanted = [sample for sample in samples if sample.status != LEFT_OUT]
    align = source.align if config.align == "auto" else config.align
    check_boxes(wanted, align)
    settings = settings_of(config, wanted, align)
    folder, inputs = config.output_dir, digest(samples)
    try:
        claim_folder(folder, settings, config.overwrite, empty_folder)
        if is_complete(folder, inputs):
            LOG.info("%s is complete", folder)
            return expression_info(folder)
        (folder / "dataset.json").unlink(missing_ok=True)
        chunks = chunks_of(folder / "parts", wanted)
        cut_all(config, settings, chunks)
        found = gather(config, settings, chunks, samples)
        rows = write_rows(folder, source, samples, found)
        write_json(
            folder / "dataset.json",
            {
                "format": FORMAT,
                "kind": KIND,
                "source": config.dataset,
                "expressions": EXPRESSIONS,
                "size": settings["size"],
                "channels": settings["channels"],
                "align": align,
                "anchors": anchors_of(config, align),
                "has_landmarks": config.store_landmarks,
                **rows,
                "inputs": inputs,
                "settings": settings,
            },
        )
    except OSError as error:
        raise explain_os_error(error, f"writing {folder}") from error
    shutil.rmtree(folder / "parts", ignore_errors=True)
    info = expression_info(folder)
    report(info, found)
    return info


def anchors_of(config: ExpressionConfig, align: str) -> list[list[float]]:
    """Where eyes and nose lie in the stored pictures, as shares of the side."""
    if align == "dlib":
        return ANCHORS.tolist()
    images = np.load(images_file(config.output_dir), mmap_mode="r", allow_pickle=False)
    return measure_anchors(images, config.landmarks).round(4).tolist()


def check_boxes(samples: list[Sample], align: str) -> None:
    """Refuses to cut by boxes that are not there."""
    lacking = [sample for sample in samples if sample.box is None]
    if align == "box" and lacking:
        raise UserError(
            f"{lacking[0].file}: has no face box ({len(lacking)} of {len(samples)} pictures have "
            "none); pass --align=dlib, or --align=none for pictures that show a face alone"
        )


def settings_of(config: ExpressionConfig, samples: list[Sample], align: str) -> dict[str, Any]:
    """What decides the result, with size and channels as the pictures have them."""
    size, channels = config.size, config.channels
    if not size or not channels:
        looks = probe(samples, align)
        side = USUAL_SIZE if align == "dlib" else min(USUAL_SIZE, round(looks.side))
        size, channels = size or max(SIZES[0], side), channels or (1 if looks.grey else 3)
    needs_dlib = align == "dlib" or config.store_landmarks
    return {
        "dataset": config.dataset,
        "align": align,
        "size": size,
        "channels": channels,
        "store_landmarks": config.store_landmarks,
        "validation_share": config.validation_share,
        "test_share": config.test_share,
        "face": config.face,
        "threshold": config.threshold,
        "landmarks": fingerprint(model_path(config.landmarks)) if needs_dlib else None,
        "seed": config.seed,
    }


def digest(samples: list[Sample]) -> str:
    """Changes when a picture or anything that is said of it changes."""
    said = hashlib.sha256(signature_of(samples).encode())
    for s in samples:
        points = b"" if s.landmarks is None else s.landmarks.tobytes()
        said.update(
            json.dumps([s.expression, s.split, s.subject, s.reason, s.annotations]).encode()
        )
        said.update(points)
    return said.hexdigest()


def is_complete(folder: Path, inputs: str) -> bool:
    """Whether the folder was finished for this very input."""
    try:
        content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        return bool(content["inputs"] == inputs)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def empty_folder(folder: Path) -> None:
    """Removes what a preparation writes, and nothing else."""
    (folder / "dataset.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    for path in (images_file(folder), samples_file(folder), landmarks_file(folder)):
        path.unlink(missing_ok=True)
    (folder / "frames.csv").unlink(missing_ok=True)


def cut_all(config: ExpressionConfig, settings: dict[str, Any], chunks: list[Chunk]) -> None:
    """Cuts the faces of every chunk that is not finished."""
    todo = [chunk for chunk in chunks if load_part(chunk) is None]
    if not todo:
        return
    cv2.setNumThreads(1)  # one thread per chunk already keeps every core busy
    needs_dlib = settings["align"] == "dlib" or config.store_landmarks
    cutter = Cutter(
        settings["align"],
        settings["size"],
        settings["channels"],
        config.store_landmarks,
        config.face,
        config.threshold,
        LandmarkPredictor(config.landmarks) if needs_dlib else None,
    )
    run_parallel("faces", chunks, todo, config.workers, config.progress, cutter, unit="picture")


@dataclass(frozen=True)
class Found:
    """What became of every sample, in their order.

    Attributes:
      status: `[M]` str.
      reason: `[M]` str.
      boxes: `[M, 4]`, NaN where there is none.
      score: `[M]`, NaN where there is none.
    """

    status: np.ndarray
    reason: np.ndarray
    boxes: np.ndarray
    score: np.ndarray

    @property
    def stored(self) -> np.ndarray:
        """`[N]` rows of the samples that are stored."""
        return np.flatnonzero(np.isin(self.status, (OK, "no_label")))


def gather(
    config: ExpressionConfig, settings: dict[str, Any], chunks: list[Chunk], samples: list[Sample]
) -> Found:
    """Joins the parts: writes pictures and landmarks, returns what became of every sample.

    Raises:
      UserError: no picture is left, or none of some class to train on.
    """
    status = np.array([sample.status for sample in samples], "U12")
    reason = np.array([sample.reason for sample in samples], object)
    boxes = np.full((len(samples), 4), np.nan)
    score = np.full(len(samples), np.nan)
    wanted = np.flatnonzero(status != LEFT_OUT)
    points = []
    for chunk, part in parts_of(chunks):
        rows = wanted[chunk.first : chunk.first + chunk.frames]
        bad = part.status != ""
        status[rows[bad]], reason[rows[bad]] = part.status[bad], part.reason[bad]
        boxes[rows], score[rows] = part.boxes, part.score
        points.append(part.landmarks[~bad])
    found = Found(status, reason, boxes, score)
    if not len(found.stored):
        told = ", ".join(f"{n} {name}" for name, n in Counter(status.tolist()).items())
        raise UserError(
            f"{config.input_path}: no picture is left ({told}); the first: "
            f"{reason[wanted[0]]}; check the folder or pass another --align"
        )
    stored = [samples[row]._replace(status=str(status[row])) for row in found.stored]
    check_classes(stored, f"{config.input_path}: after cutting", config.allow_missing_classes)
    shape = (len(found.stored), settings["size"], settings["size"], settings["channels"])
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    # Written, not memory mapped: a full disk kills a process that writes through a map.
    with replacing(images_file(config.output_dir), "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for _, part in parts_of(chunks):
            stream.write(part.images.tobytes())
    if config.store_landmarks:
        with replacing(landmarks_file(config.output_dir), "wb") as stream:
            np.save(stream, np.concatenate(points), allow_pickle=False)
    return found


def parts_of(chunks: list[Chunk]) -> Iterator[tuple[Chunk, Part]]:
    """The finished parts, one in memory at a time."""
    for chunk in chunks:
        part = load_part(chunk)
        if part is None:
            raise UserError(
                f"{chunk.path}: was finished and cannot be read any more, or a picture changed "
                "meanwhile; run the same deepcoder-prepare again"
            )
        yield chunk, part


def write_rows(
    folder: Path, source: ExpressionSource, samples: list[Sample], found: Found
) -> dict[str, Any]:
    """Writes `samples.npz` and `frames.csv`; returns the counts for `dataset.json`."""
    stored = [samples[row] for row in found.stored]
    labels = np.array([sample.expression for sample in stored], np.int32)
    splits = np.array([sample.split for sample in stored], str)
    width = len(EXPRESSIONS) + 2
    annotations = np.array([s.annotations for s in stored if s.annotations], np.uint8)
    with replacing(samples_file(folder), "wb") as stream:
        np.savez_compressed(
            stream,
            labels=labels,
            votes=votes_of(labels, annotations.reshape(-1, width)),
            annotations=annotations.reshape(-1, width),
            subjects=np.array([sample.subject for sample in stored], str),
            splits=splits,
            rows=found.stored.astype(np.int64),
        )
    with replacing(folder / "frames.csv") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(FRAME_COLUMNS)
        for row, sample in enumerate(samples):
            lines.writerow(cells_of(source.root, row, sample, found))
    return {
        "counts": class_counts(labels, splits),
        "statuses": dict(Counter(found.status.tolist())),
        "reasons": dict(
            Counter(sample.reason for sample in samples if sample.reason and sample.status != OK)
        ),
    }


def votes_of(labels: np.ndarray, annotations: np.ndarray) -> np.ndarray:
    """Shares `[N, 8]` float32 of the votes for the classes; see `store.ExpressionFrames`."""
    classes = len(EXPRESSIONS)
    if len(annotations):
        counts = without_single_votes(annotations)[:, :classes].astype(np.float32)
    else:
        counts = (labels[:, np.newaxis] == np.arange(classes)).astype(np.float32)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def cells_of(root: Path, row: int, sample: Sample, found: Found) -> list[Any]:
    """One line of `frames.csv`; empty where there is no such thing."""
    file = sample.file
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    expression = "" if sample.expression == MISSING else EXPRESSIONS[sample.expression]
    score = found.score[row]
    box = [f"{value:g}" for value in found.boxes[row]]
    return [
        row,
        name,
        sample.subject,
        sample.split,
        expression,
        "" if np.isnan(score) else f"{score:.4f}",
        *([""] * 4 if np.isnan(found.boxes[row]).any() else box),
        found.status[row],
        found.reason[row],
    ]


def report(info: ExpressionInfo, found: Found) -> None:
    """Tells what is stored and what is not, with the first reason of each mishap."""
    told = ", ".join(f"{count} {status}" for status, count in sorted(info.statuses.items()))
    LOG.info("%d pictures: %s", sum(info.statuses.values()), told)
    for reason, count in sorted(info.reasons.items()):
        LOG.info("%d x %s", count, reason)
    for status in ("missing", "unreadable", "no_face"):
        rows = np.flatnonzero(found.status == status)
        if len(rows):
            LOG.warning(
                "warning: %d pictures %s; first: %s", len(rows), status, found.reason[rows[0]]
            )
    for split, counts in info.counts.items():
        absent = [name for name in EXPRESSIONS if not counts[name]]
        if absent and any(counts.values()):
            LOG.warning("warning: no %s picture shows %s", split, " or ".join(absent))
