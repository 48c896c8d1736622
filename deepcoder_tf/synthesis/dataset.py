"""Makes a whole data set: subjects in parallel, each from its own random streams."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.files import PARTIAL, write_json
from deepcoder_tf.synthesis.camera import draw_camera
from deepcoder_tf.synthesis.head import ASSET
from deepcoder_tf.synthesis.layouts import (
    LAYOUTS,
    UNFINISHED,
    DisfaLayout,
    ExpressionsLayout,
    Fera2015Layout,
    Layout,
)
from deepcoder_tf.synthesis.movement import move
from deepcoder_tf.synthesis.performance import Performance, levels, perform
from deepcoder_tf.synthesis.poses import pose_all
from deepcoder_tf.synthesis.renderer import MAXIMUM_SIZE, MINIMUM_SIZE, Renderer
from deepcoder_tf.synthesis.subject import draw_subject

__all__ = ["RECORD", "SynthesisConfig", "synthesize"]

RECORD = "synthesis.json"
"""The file in the output folder that tells from what the data set was made."""
FORMAT = 1
"""Raised whenever the same configuration gives other bytes than before."""

# Streams of one subject; `performance.perform` uses the one between them, `poses` the next.
PERSON, MOVEMENT, SENSOR = 0, 2, 3


@dataclasses.dataclass(frozen=True)
class SynthesisConfig:
    """A synthetic data set.

    Attributes:
      output_dir: folder that receives the layout.
      layout: `"disfa"`, `"fera2015"` or `"expressions"`.
      subjects: how many people, up to 99 (disfa), 41 (fera2015) or 999 (expressions).
      frames: of each subject; of expressions, pictures, the eight in turn.
      size: width and height, pixels, both even.
      seed: the same seed gives the same bytes on the same machine, whatever `workers` is.
      workers: processes; 1 works in this one.
      image_quality: of the JPEG compression, 1-100.
      tasks: FERA 2015 only, over how many tasks a subject's frames are spread, 1-8.
      progress: show a progress bar on stderr.

    Raises:
      ValueError: a value is out of its bounds.
    """

    output_dir: Path
    layout: str = "disfa"
    subjects: int = 27
    frames: int = 400
    size: tuple[int, int] = (320, 240)
    seed: int = 0
    workers: int = 1
    image_quality: int = 95
    tasks: int = 2
    progress: bool = True

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout {self.layout!r} is none of {', '.join(LAYOUTS)}")
        most = len(self.layout_writer().subjects)
        bounds = {
            "subjects": (1, most),
            "frames": (1, 20_000),
            "seed": (0, 2**63 - 1),
            "workers": (1, 256),
            "image_quality": (1, 100),
            "tasks": (1, 8),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} {value} is outside {low} to {high}")
        for side in self.size:
            if side % 2 or not MINIMUM_SIZE <= side <= MAXIMUM_SIZE:
                raise ValueError(
                    f"size {self.size[0]}x{self.size[1]}: both sides must be even and from "
                    f"{MINIMUM_SIZE} to {MAXIMUM_SIZE}"
                )
        if self.layout == "fera2015" and self.frames < self.tasks:
            raise ValueError(f"frames {self.frames} are fewer than the {self.tasks} tasks")

    def layout_writer(self) -> Layout:
        """The writer of the layout."""
        if self.layout == "expressions":
            return ExpressionsLayout()
        return DisfaLayout() if self.layout == "disfa" else Fera2015Layout(tasks=self.tasks)

    def record(self) -> dict[str, object]:
        """What the bytes of a subject depend on, for `RECORD`."""
        return {
            "format": FORMAT,
            "layout": self.layout,
            "frames": self.frames,
            "size": list(self.size),
            "seed": self.seed,
            "image_quality": self.image_quality,
            "tasks": self.tasks if self.layout == "fera2015" else None,
            "head_asset_sha256": hashlib.sha256(ASSET.read_bytes()).hexdigest(),
        }


def stream(config: SynthesisConfig, subject: int, purpose: int) -> np.random.SeedSequence:
    """The random stream of one purpose of subject number `subject`."""
    return np.random.SeedSequence(entropy=config.seed, spawn_key=(subject, purpose))


def check_folder(config: SynthesisConfig) -> None:
    """Makes the output folder, or makes sure that it holds this very data set.

    Raises:
      UserError: it holds something else.
    """
    root, record = config.output_dir, config.record()
    path = root / RECORD
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; give another --output_dir")
    if not path.exists():
        if root.exists() and any(file.name != RECORD + PARTIAL for file in root.iterdir()):
            raise UserError(f"{root} is not empty and has no {RECORD}; give another --output_dir")
        write_json(path, record)
        return
    existing = read_record(path)
    for name, value in record.items():
        if existing.get(name) != value:
            raise UserError(
                f"{root} holds another synthetic data set: {name} is {existing.get(name)!r} there "
                f"and {value!r} here; give another --output_dir or remove that folder"
            )


def read_record(path: Path) -> dict[str, object]:
    """Reads `RECORD`.

    Raises:
      UserError: it is damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); give another --output_dir") from error
    if not isinstance(record, dict):
        raise UserError(f"{path} is damaged (no JSON object); give another --output_dir")
    return record


def draw_frames(
    config: SynthesisConfig, number: int, gender: str | None, performance: Performance
) -> Iterator[NDArray[np.uint8]]:
    """Draws the frames of subject `number`: `[H, W, 3]` uint8 red, green, blue."""
    subject = draw_subject(stream(config, number, PERSON), gender)
    every = performance.spacing
    film = move(np.random.default_rng(stream(config, number, MOVEMENT)), config.frames * every)
    moments = film[::every]
    sensor = np.random.default_rng(stream(config, number, SENSOR))
    camera = draw_camera(sensor)
    renderer = Renderer(subject, config.size)
    for frame, moment in enumerate(moments):
        yield camera.expose(renderer.frame(performance.at(frame), moment), sensor)


def write_subject(config: SynthesisConfig, number: int, performance: Performance) -> int:
    """Writes everything of subject `number`; returns its number of frames.

    Raises:
      UserError: the disk is full or refuses.
    """
    layout = config.layout_writer()
    name = layout.subjects[number]
    if performance.expressions is not None:
        labels = performance.expressions[:, np.newaxis]
    else:
        columns = [performance.action_units.index(unit) for unit in layout.action_units]
        labels = levels(performance.intensities[:, columns])
    images = draw_frames(config, number, layout.gender(name), performance)
    try:
        layout.write(config.output_dir, name, labels, images, config.image_quality)
    except OSError as error:
        raise explain_os_error(error, f"writing subject {name} to {config.output_dir}") from error
    return config.frames


def synthesize(config: SynthesisConfig) -> None:
    """Makes the data set; subjects that are already complete are kept.

    Args:
      config: what to make.

    Raises:
      UserError: the folder holds something else, or the disk is full.
    """
    check_folder(config)
    layout = config.layout_writer()
    if config.layout == "expressions":
        plan = pose_all(config.seed, config.frames, config.subjects)
    else:
        plan = perform(config.seed, config.frames, config.subjects, layout.action_units)
    missing = [
        (number, performance)
        for number, performance in enumerate(plan)
        if not layout.is_written(config.output_dir, layout.subjects[number])
    ]
    bar = tqdm(
        desc="synthesize",
        unit="frame",
        total=config.subjects * config.frames,
        initial=(config.subjects - len(missing)) * config.frames,
        disable=not config.progress,
    )
    with bar:
        for done in write_subjects(config, missing):
            bar.update(done)
    layout.finish(config.output_dir, layout.subjects[: config.subjects])
    shutil.rmtree(config.output_dir / UNFINISHED, ignore_errors=True)


def write_subjects(
    config: SynthesisConfig, missing: Sequence[tuple[int, Performance]]
) -> Iterator[int]:
    """Writes subjects, given as number and performance, in `config.workers` processes.

    Yields:
      The number of frames of each subject that is complete.

    Raises:
      UserError: the disk is full, or the operating system killed a process.
    """
    if config.workers == 1 or len(missing) < 2:
        yield from (write_subject(config, *job) for job in missing)
        return
    pool = ProcessPoolExecutor(
        min(config.workers, len(missing)),
        # A fresh interpreter each: the fork of a process with running threads may hang.
        mp_context=multiprocessing.get_context("spawn"),
        # The subjects are what runs in parallel.
        initializer=cv2.setNumThreads,
        initargs=(1,),
    )
    with pool:
        jobs = [pool.submit(write_subject, config, *job) for job in missing]
        try:
            yield from (job.result() for job in as_completed(jobs))
        except BrokenProcessPool as error:
            raise UserError(
                f"a process that wrote to {config.output_dir} was killed, perhaps for want of "
                "memory; run the same command again with fewer --workers: finished subjects are "
                "kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
