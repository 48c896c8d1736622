"""Programs that routes start."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

__all__ = ["run_program"]

SECONDS = 600
"""After which a program that hangs is ended."""


def run_program(command: Sequence[str]) -> None:
    """Runs a program to its end, quietly.

    Args:
      command: program and arguments.

    Raises:
      RuntimeError: it failed or hung; with the last line that it wrote.
    """
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{command[0]} was ended after {SECONDS} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise RuntimeError(f"{command[0]} ended with exit code {done.returncode}: {said}")
