"""What every benchmark here shares: the record of where it ran, clock and memory, and its JSON."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

__all__ = ["Record", "best_seconds", "memory_by_length", "peak_mb", "seconds"]

ROOT = Path(__file__).resolve().parent.parent

SIMD = ("avx512f", "avx2", "avx", "asimd")
"""Vector instructions that decide a core's arithmetic rate, widest first."""


def cpu() -> dict[str, str]:
    """The processor's name and its widest vector instructions, as Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {"cpu": platform.processor(), "simd": "unknown"}
    fields = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "cpu": fields.get("model name", platform.processor()),
        "simd": next((name for name in SIMD if name in flags), "unknown"),
    }


def commit() -> str:
    """The commit that is checked out, with `-dirty` where other files than results differ."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    changed = ("status", "--porcelain", "--untracked-files=no", "--", ".")
    try:
        dirty = git(*changed, ":!benchmarks/results")
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def busy_seconds() -> float:
    """Processor time that all cores have worked since the start, seconds (Linux); else 0."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor time of this process and of its finished children, seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Record:
    """The machine before a run, and what others took of it during the run.

    Make one before any work, call `report` after it.

    Args:
      packages: distributions whose versions decide the figures.
    """

    def __init__(self, *packages: str) -> None:
        self.environment: dict[str, Any] = {
            **cpu(),
            "cores": os.cpu_count(),
            "load_before": [round(load, 2) for load in os.getloadavg()],
            "system": f"{platform.system()} {platform.machine()}",
            "commit": commit(),
            "python": platform.python_version(),
            "packages": {name: version(name) for name in sorted({"numpy", *packages})},
        }
        self.start = time.perf_counter(), busy_seconds(), own_seconds()

    def report(self, settings: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """Prints one JSON object.

        Args:
          settings: the options of the run.
          results: what was measured.
        """
        clock, busy, own = self.start
        clock = time.perf_counter() - clock
        others = busy_seconds() - busy - (own_seconds() - own)
        self.environment["seconds"] = round(clock, 1)
        # Other programs, and what the hypervisor gave to other machines: it should be near 0.
        self.environment["others_share"] = round(max(0.0, others) / clock / os.cpu_count(), 3)
        arguments = shlex.join(sys.argv[1:])
        script = Path(sys.argv[0]).stem
        document = {
            "benchmark": script,
            "command": f"python benchmarks/{script}.py {arguments}".strip(),
            "environment": self.environment,
            "settings": {name: plain(value) for name, value in settings.items()},
            "results": significant(results),
        }
        print(json.dumps(document, indent=1))


def plain(value: Any) -> Any:
    """A value that JSON knows; a path becomes its text."""
    return str(value) if isinstance(value, Path) else value


def significant(value: Any, digits: int = 4) -> Any:
    """The same nested values with floats rounded to so many significant digits."""
    if isinstance(value, Mapping):
        return {name: significant(inner, digits) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [significant(inner, digits) for inner in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def best_seconds(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The best time of each call, over repeats in turns.

    In turns, so that a slow moment of the machine does not fall on one of them alone; the first
    turn, which traces and warms up, does not count.
    """
    best = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            best[name] = min(best[name], seconds(call))
    return best


def peak_mb() -> float:
    """The most memory that this process ever had in use, MB (Linux).

    Not `ru_maxrss`, which a new process takes over from the one that started it.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def peak_of(work: Callable[[int], object], frames: int) -> float:
    """Runs `work(frames)` here and tells this process's peak, MB."""
    work(frames)
    return peak_mb()


def memory_by_length(work: Callable[[int], object], frames: int) -> dict[str, float]:
    """Whether memory is flat: the peaks of fresh processes on a video, and on one 4 times as long.

    Args:
      work: what to run, from the number of frames; a function that can be pickled.
      frames: of the shorter video.

    Returns:
      `frames`, both peaks in MB, and `growth_mb` between them.
    """
    peaks = []
    for length in (frames, 4 * frames):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            peaks.append(process.submit(peak_of, work, length).result())
    return {
        "frames": frames,
        "peak_mb": peaks[0],
        "peak_4x_mb": peaks[1],
        "growth_mb": peaks[1] - peaks[0],
    }
