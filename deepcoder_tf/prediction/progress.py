"""How far a run of prediction has come, beside its unfinished CSV: the next run goes on from there.

`OUT.csv.partial` holds the rows and `OUT.csv.partial.json` the place behind a finished frame. The
rows of a run in two parts are those of a run in one: the numbers of a face do not depend on its
company, its row in a call of the model is that of a run in one, and the identities of the faces are
kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepcoder_tf.files import PARTIAL, write_json
from deepcoder_tf.prediction.inputs import Input

__all__ = ["Progress", "digest_of"]


@dataclass
class Progress:
    """The place behind the last finished frame.

    Attributes:
      run: what is being done, see `digest_of`.
      size: bytes of the CSV up to here.
      entry: position of its file among the inputs; -1 before the first.
      done: frames of that file that are finished.
      counts: frames, and rows by status.
      identities: of the faces of that file, see `FaceIdentities.state`.
    """

    run: str
    size: int = 0
    entry: int = -1
    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    identities: dict[str, Any] | None = None

    @classmethod
    def read(cls, output: Path, run: str) -> Progress:
        """Where to go on with a run; at the beginning if nothing fits.

        Args:
          output: the finished CSV's name.
          run: from `digest_of`.
        """
        try:
            document = json.loads(progress_path(output).read_text(encoding="utf-8"))
            found = cls(**{**document, "counts": Counter(document["counts"])})
            size = partial_path(output).stat().st_size
        except (OSError, ValueError, TypeError, KeyError):
            return cls(run)
        whole = found.run == run and 0 < found.size <= size and found.entry >= 0
        return found if whole else cls(run)

    def write(self, output: Path) -> None:
        """Keeps the place.

        Raises:
          UserError: the operating system refused.
        """
        write_json(progress_path(output), vars(self))

    @staticmethod
    def remove(output: Path) -> None:
        """Forgets the place: the run is finished."""
        progress_path(output).unlink(missing_ok=True)


def digest_of(identity: str, options: Sequence[object], inputs: Sequence[Input]) -> str:
    """What two runs must share for one to go on where the other stopped.

    Args:
      identity: of the model.
      options: others that the rows depend on.
      inputs: the files; their sizes and times count too.
    """
    files = [(str(entry.path), entry.problem, *stamp_of(entry.path)) for entry in inputs]
    said = json.dumps([identity, *map(str, options), files])
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()


def stamp_of(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds; 0 where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def partial_path(output: Path) -> Path:
    """Of the unfinished CSV."""
    return output.with_name(output.name + PARTIAL)


def progress_path(output: Path) -> Path:
    """Of the place in it."""
    return output.with_name(f"{output.name}{PARTIAL}.json")
