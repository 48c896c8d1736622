"""deepcoder-synthesize: labelled synthetic faces, video of action units or pictures of expressions.

  deepcoder-synthesize --output_dir=DATA --subjects=27 --frames=400
  deepcoder-synthesize --output_dir=DATA --layout=fera2015 --subjects=41 --tasks=8
  deepcoder-synthesize --output_dir=DATA --layout=expressions --subjects=100 --size=160x160

The last writes DATA/manifest.csv with expression and subject of every picture, for
deepcoder-prepare --dataset=expression_manifest.

The same seed gives the same bytes. Run the same command again after an interruption: finished
subjects are kept.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.errors import UserError
from deepcoder_tf.synthesis.dataset import SynthesisConfig, synthesize
from deepcoder_tf.synthesis.layouts import LAYOUTS

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

FRAMES = {"disfa": 400, "fera2015": 400, "expressions": 32}
"""Frames of each subject where the user does not say."""

flags.DEFINE_string("output_dir", None, "The folder to write to.", flag_values=FLAGS)
flags.DEFINE_enum("layout", "disfa", LAYOUTS, "Folder layout to write.", flag_values=FLAGS)
flags.DEFINE_integer(
    "subjects",
    27,
    "Number of people, 1-99 (disfa, whose own number is 27), 1-41 (fera2015) or 1-999 "
    "(expressions).",
    lower_bound=1,
    upper_bound=999,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "frames",
    None,
    "Frames of each subject at 20 frames/s, 1-20000; of expressions, pictures, the eight in turn. "
    "Default: 400, or 32 of expressions.",
    lower_bound=1,
    upper_bound=20_000,
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "size", "320x240", "Width x height in pixels, even, 64-2048 each.", flag_values=FLAGS
)
flags.DEFINE_integer(
    "seed",
    0,
    "Seed of everything, 0 or more; the same seed gives the same bytes.",
    lower_bound=0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "workers",
    os.cpu_count() or 1,
    "Subjects worked on at once, 1-256; default: the cores. Does not change the bytes.",
    lower_bound=1,
    upper_bound=256,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "image_quality",
    95,
    "Quality of the JPEG compression, 1-100.",
    lower_bound=1,
    upper_bound=100,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "tasks",
    2,
    "Tasks over which a subject's frames are spread, 1-8 (fera2015 only).",
    lower_bound=1,
    upper_bound=8,
    flag_values=FLAGS,
)
flags.DEFINE_bool("progress", True, "Show a progress bar on stderr.", flag_values=FLAGS)


def parse_size(text: str) -> tuple[int, int]:
    """Reads `320x240`.

    Raises:
      absl.flags.Error: the text is no size.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if not found:
        raise flags.IllegalFlagValueError(f"--size={text}: wanted WIDTHxHEIGHT, as in 320x240")
    return int(found.group(1)), int(found.group(2))


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Makes the data set that the flags describe.

    Args:
      values: the parsed flags.
      positional: must be empty.

    Raises:
      UserError: no output folder, or anything `synthesize` refuses.
      absl.flags.Error: flags that do not fit together.
    """
    command.no_positional(positional)
    if not values.output_dir:
        raise UserError("--output_dir=... is missing; name the folder to write to")
    size = parse_size(values.size)
    try:
        config = SynthesisConfig(
            output_dir=Path(values.output_dir),
            layout=values.layout,
            subjects=values.subjects,
            frames=values.frames or FRAMES[values.layout],
            size=size,
            seed=values.seed,
            workers=values.workers,
            image_quality=values.image_quality,
            tasks=values.tasks,
            progress=values.progress,
        )
    except ValueError as error:
        raise flags.IllegalFlagValueError(str(error)) from error
    synthesize(config)
    print(f"{config.output_dir}: {config.subjects} subjects, {config.frames} frames each")


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `deepcoder-synthesize`; returns the exit code."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
