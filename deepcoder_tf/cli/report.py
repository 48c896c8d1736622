"""deepcoder-report: draws what a bench found.

    deepcoder-report --bench_dir=OUT

Writes report.html, one page that needs nothing beside it, and its figures as PNG and SVG. The bench
need not be finished: the page says what is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string("bench_dir", None, "folder that deepcoder-benchmark wrote", flag_values=FLAGS)
flags.DEFINE_string(
    "output_dir", None, "folder for the page and the figures; BENCH_DIR/report", flag_values=FLAGS
)
flags.DEFINE_string(
    "data_dir",
    None,
    "folder that deepcoder-prepare wrote, to count the labels of all its frames; without it, "
    "those of the frames that were tested",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["bench_dir"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Draws with the parsed flags."""
    command.no_positional(positional)
    from deepcoder_tf import experiment

    experiment.report(
        Path(values.bench_dir),
        Path(values.output_dir) if values.output_dir else None,
        Path(values.data_dir) if values.data_dir else None,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
