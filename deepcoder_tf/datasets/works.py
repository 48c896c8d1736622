"""Recordings on their way through the passes: names, threads, one progress bar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tqdm import tqdm

from deepcoder_tf.datasets.analysis import expected_frames
from deepcoder_tf.datasets.sources import Source

__all__ = ["Portion", "Work", "list_works", "run_parallel", "safe_name"]


class Portion(Protocol):
    """What one thread does at a time."""

    @property
    def frames(self) -> int:
        """Frames to expect, for the progress bar."""


P = TypeVar("P", bound=Portion)


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


def list_works(sources: list[Source]) -> list[Work]:
    """Gives every recording a file name of its own.

    Args:
      sources: what the reader found.

    Returns:
      The recordings in the same order.
    """
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


class StoppedError(Exception):
    """Another recording failed, or the user pressed Ctrl-C: leave this one unfinished."""


def run_parallel(
    title: str,
    works: Sequence[P],
    todo: Sequence[P],
    workers: int,
    progress: bool,
    one: Callable[[P, Callable[[], None]], None],
    unit: str = "frame",
) -> None:
    """Works on recordings in threads under one progress bar; the first error stops all.

    Args:
      title: of the progress bar.
      works: all recordings, or other portions of the work.
      todo: those that are not finished yet.
      workers: threads.
      progress: show the bar.
      unit: what the bar counts.
      one: does one recording; calls its second argument after every frame.
    """
    total = sum(work.frames for work in works)
    done = total - sum(work.frames for work in todo)
    stop = threading.Event()
    with (
        tqdm(
            total=total,
            initial=done,
            desc=title,
            unit=unit,
            mininterval=0.5,
            disable=not progress,
        ) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):

        def on_frame() -> None:
            if stop.is_set():
                raise StoppedError
            with bar.get_lock():
                bar.update()

        def or_stop(work: P) -> None:
            # At once, not when the caller wakes up: short portions would be done by then.
            try:
                one(work, on_frame)
            except BaseException:
                stop.set()
                raise

        # The longest recordings first, so that the last minutes still use every worker.
        ordered = sorted(todo, key=lambda work: -work.frames)
        futures = [pool.submit(or_stop, work) for work in ordered]
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
