"""Runs the cells of a bench, each in processes of its own, some at a time.

A crash, an exhausted memory or a term that is not finite costs one cell, never the bench.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.bench_cells import (
    Cell,
    Outcome,
    outcome_of,
    read_json,
    write_options,
    write_outcome,
)

__all__ = ["Commands", "claimed", "commands_of", "run_cells"]

Commands = Callable[[Cell, Path], dict[str, list[str]]]
"""From a cell and the bench's folder to its steps: a command line for each name."""

POLL = 0.2
"""Seconds between looks at the processes."""

REFRESH, REFRESH_LOG = 1.0, 60.0
"""Seconds between two states of the bar, on a terminal and in a log."""

PATIENCE = 10.0
"""Seconds that a process has to end after it was asked to."""

TAIL = 65536
"""Bytes at the end of a log in which the reason of a failure is looked for."""

REASON = 300
"""Characters of a reason that are kept."""

DISPOSABLE = ("cache", "checkpoints")
"""Folders of a finished run that nobody needs; the chosen model is in `best`."""

EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit)\b")


def commands_of(data_dir: Path, split: str = "test", python: str = sys.executable) -> Commands:
    """The steps of a real cell.

    Args:
      data_dir: folder that `deepcoder-prepare` wrote.
      split: on which cells are tested.
      python: interpreter.

    Returns:
      `train` and `test` of a cell.
    """

    def commands(cell: Cell, output_dir: Path) -> dict[str, list[str]]:
        folder = cell.folder(output_dir)
        common = [f"--data_dir={data_dir}", f"--model_dir={folder / 'run'}"]

        def module(name: str, *arguments: str) -> list[str]:
            return [python, "-m", f"deepcoder_tf.cli.{name}", *arguments, *common]

        return {
            "train": module("train", f"--flagfile={folder / 'cell.flags'}"),
            "test": module(
                "evaluate",
                f"--fold={cell.config.fold}",
                f"--split={split}",
                f"--output_dir={folder / 'test'}",
            ),
        }

    return commands


@contextmanager
def claimed(output_dir: Path) -> Iterator[int]:
    """Makes sure that one bench at a time, and nothing that it left running, writes to a folder.

    The lock is handed on to the processes of the cells: should the bench itself be killed, they
    still hold it, and a second bench does not train in the same folders beside them.

    Args:
      output_dir: of the bench; made if new.

    Yields:
      The file descriptor to hand on.

    Raises:
      UserError: it is in use.
    """
    import fcntl  # not on every operating system that can read a bench

    output_dir.mkdir(parents=True, exist_ok=True)
    with (output_dir / "bench.lock").open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise UserError(
                f"{output_dir} is in use by deepcoder-benchmark (process {stream.read().strip()}) "
                "or by a training that it left running; wait for it or end it"
            ) from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield stream.fileno()


def run_cells(
    cells: Sequence[Cell],
    output_dir: Path,
    commands: Commands,
    *,
    workers: int = 1,
    lock: int | None = None,
    progress: bool = True,
) -> None:
    """Runs every cell that is not finished; cells that failed before are tried again.

    Args:
      cells: in the order in which they should start; a cell that another needs comes before it.
      output_dir: of the bench.
      commands: steps of a cell.
      workers: cells at once; each gets its share of the cores.
      lock: file descriptor of `claimed` for the processes.
      progress: show a bar.

    Raises:
      KeyboardInterrupt: stopped from the keyboard or by SIGTERM; every process was ended before.
      UserError: the operating system refused to write.
    """
    known = {cell.name: outcome_of(cell.folder(output_dir)) for cell in cells}
    waiting = [cell for cell in cells if not succeeded(known[cell.name])]
    for cell in waiting:
        known[cell.name] = None
    running: list[CellRun] = []
    environment = share_of_cores(workers)
    shown = 0.0
    with (
        stop_asked() as stopped,
        tqdm(
            total=len(cells),
            initial=len(cells) - len(waiting),
            desc="bench",
            unit="cell",
            disable=not progress,
            bar_format="{desc}: {n_fmt}/{total_fmt} cells |{bar}| {elapsed}{postfix}",
        ) as bar,
    ):
        try:
            while waiting or running:
                if stopped():
                    raise KeyboardInterrupt
                while len(running) < workers and (ready := next_ready(waiting, known)):
                    waiting.remove(ready)
                    running.append(CellRun(ready, output_dir, commands, environment, lock))
                    running[-1].begin(known)
                for run in [run for run in running if run.step()]:
                    running.remove(run)
                    known[run.cell.name] = run.outcome
                    bar.update()
                    bar.write(told(run))
                bar.set_postfix_str(time_left(waiting, running, known, workers), refresh=False)
                if time.monotonic() - shown > (REFRESH if sys.stderr.isatty() else REFRESH_LOG):
                    shown = time.monotonic()
                    bar.refresh()
                if running:
                    time.sleep(POLL)
        finally:
            end_all(running)


def succeeded(outcome: Outcome | None) -> bool:
    """Whether a cell is done and good."""
    return outcome is not None and outcome.ok


def next_ready(waiting: Sequence[Cell], known: dict[str, Outcome | None]) -> Cell | None:
    """The first cell whose cnn, if it needs one, has ended one way or the other."""
    for cell in waiting:
        if cell.needs is None or known.get(cell.needs) is not None:
            return cell
    return None


def share_of_cores(workers: int) -> dict[str, str]:
    """The environment of a process: its share of the cores, and a progress bar fit for a log."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    return {
        **os.environ,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TQDM_MININTERVAL": "30",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Turns Ctrl-C and SIGTERM into a question that is asked between two steps of the bench.

    An exception could come at any moment, also where a process is there but not yet known.

    Yields:
      Whether one of them came.
    """
    came: list[int] = []
    numbers = [signal.SIGINT, signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # signals belong to the main thread, whose affair they stay
    wanted = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in wanted
    }
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class CellRun:
    """One cell on its way: a process for each step, one after the other.

    Args:
      cell: what is run.
      output_dir: of the bench.
      commands: its steps.
      environment: of its processes.
      lock: file descriptor that they inherit.

    Attributes:
      outcome: how it ended, or None.
      began: when, by the monotonic clock.
    """

    def __init__(
        self,
        cell: Cell,
        output_dir: Path,
        commands: Commands,
        environment: dict[str, str],
        lock: int | None,
    ) -> None:
        self.cell = cell
        self.output_dir = output_dir
        self.folder = cell.folder(output_dir)
        self.waiting = list(commands(cell, output_dir).items())
        self.environment = environment
        self.inherited = () if lock is None else (lock,)
        self.process: subprocess.Popen[bytes] | None = None
        self.log: IO[bytes] | None = None
        self.stage, self.at = "", 0
        self.began = self.since = time.monotonic()
        self.seconds: dict[str, float] = {}
        self.outcome: Outcome | None = None

    def begin(self, known: dict[str, Outcome | None]) -> None:
        """Writes what the cell is and starts the first step, unless its cnn has failed."""
        (self.folder / "cell.json").unlink(missing_ok=True)
        write_options(self.cell, self.output_dir)
        cnn = None if self.cell.needs is None else known[self.cell.needs]
        if cnn is not None and not cnn.ok:
            self.end(Outcome("failed", f"its features: {self.cell.needs} failed: {cnn.reason}"))
        else:
            self.start()

    def start(self) -> None:
        """Starts the next step."""
        self.stage, command = self.waiting.pop(0)
        self.log = (self.folder / "cell.log").open("ab")
        self.log.write(f"$ {shlex.join(command)}\n".encode())
        self.log.flush()
        self.at, self.since = self.log.tell(), time.monotonic()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.environment,
            pass_fds=self.inherited,
            start_new_session=True,  # Ctrl-C reaches the bench alone, which ends its processes
        )

    def step(self) -> bool:
        """Looks at the process and goes on to the next step; True when the cell has ended."""
        if self.outcome is None and self.process is not None:
            code = self.process.poll()
            if code is not None:
                self.close()
                self.seconds[self.stage] = round(time.monotonic() - self.since, 1)
                if code:
                    self.end(Outcome("failed", f"{self.stage}: {self.reason(code)}", self.seconds))
                elif self.waiting:
                    self.start()
                else:
                    self.succeed()
        return self.outcome is not None

    def succeed(self) -> None:
        """Keeps what is needed of the run and ends well, if there is something to measure."""
        if not (self.folder / "test" / "predictions.npz").is_file():
            reason = f"{self.stage}: it wrote no predictions.npz"
            self.end(Outcome("failed", reason, self.seconds))
            return
        self.end(Outcome("ok", "", self.seconds))
        # Only now: a cell without checkpoints that did not count as finished could not go on.
        for name in DISPOSABLE:
            shutil.rmtree(self.folder / "run" / name, ignore_errors=True)

    def end(self, outcome: Outcome) -> None:
        """Writes how it ended."""
        run = read_json(self.folder / "run" / "run.json") or {}
        self.outcome = dataclasses.replace(outcome, versions=run.get("versions", {}))
        write_outcome(self.cell, self.output_dir, self.outcome)

    def reason(self, code: int) -> str:
        """The last thing that a step which failed had to say."""
        if code < 0:
            name = signal.Signals(-code).name
            hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
            return f"killed by {name}{hint}"
        with (self.folder / "cell.log").open("rb") as stream:
            stream.seek(max(self.at, stream.seek(0, os.SEEK_END) - TAIL))
            text = stream.read().decode(errors="replace")
        lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
        for line in reversed(lines):
            if line.startswith("error: "):
                return line.removeprefix("error: ")[:REASON]
        named = [line for line in lines if EXCEPTION.match(line)]
        return (named or lines or [f"exit code {code} without a word"])[-1][:REASON]

    def close(self) -> None:
        """Closes the log."""
        if self.log is not None:
            self.log.close()


def end_all(running: Sequence[CellRun]) -> None:
    """Ends the processes, gently first. Trainings go on from their last save next time."""
    for run in running:
        if run.process is not None:
            run.process.terminate()
    until = time.monotonic() + PATIENCE
    for run in running:
        if run.process is not None:
            try:
                run.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()
        run.close()


def told(run: CellRun) -> str:
    """A line about a cell that has ended."""
    outcome = run.outcome
    assert outcome is not None
    text = f"{run.cell.name}: {outcome.status}, {sum(outcome.seconds.values()):.0f} s"
    if not outcome.ok:
        return f"{text}: {outcome.reason}"
    metrics = read_json(run.folder / "test" / "metrics.json") or {}
    if metrics.get("kind") == "expressions":
        return f"{text}, accuracy {metrics['accuracy']:.3f}"
    icc = metrics.get("mean", {}).get("icc")
    return text if icc is None else f"{text}, mean ICC {icc:.3f}"


def time_left(
    waiting: Sequence[Cell],
    running: Sequence[CellRun],
    known: dict[str, Outcome | None],
    workers: int,
) -> str:
    """How long the rest takes if cells of a variant take as long as those that are done."""
    taken: dict[str, list[float]] = {}
    for name, outcome in known.items():
        if outcome is not None and outcome.ok:
            variant = name.split("/")[0]
            taken.setdefault(variant, []).append(sum(outcome.seconds.values()))
    if not taken:
        return "time left unknown"
    usual = float(np.mean([np.mean(seconds) for seconds in taken.values()]))
    expected = {variant: float(np.mean(seconds)) for variant, seconds in taken.items()}
    left = sum(expected.get(cell.variant, usual) for cell in waiting)
    now = time.monotonic()
    for run in running:
        left += max(0.0, expected.get(run.cell.variant, usual) - (now - run.began))
    return f"{tqdm.format_interval(left / workers)} left"
