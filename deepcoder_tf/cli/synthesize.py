"""Makes labelled synthetic face video in the folder layout of DISFA or FERA 2015.

    deepcoder-synthesize --output_dir=data/synthetic --subjects=27 --frames=400 --workers=2

Run again after an interruption, it goes on: finished subjects are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.errors import UserError
from deepcoder_tf.synthesis.dataset import SynthesisConfig, synthesize
from deepcoder_tf.synthesis.layouts import LAYOUTS

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()
flags.DEFINE_string("output_dir", None, "folder to write to (required)", flag_values=FLAGS)
flags.DEFINE_enum("layout", "disfa", LAYOUTS, "folder layout to write", flag_values=FLAGS)
flags.DEFINE_integer(
    "subjects",
    27,
    "number of people, 1-27 (disfa) or 1-41 (fera2015)",
    lower_bound=1,
    upper_bound=41,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "frames",
    400,
    "frames of each subject at 20 frames/s, 1-100000",
    lower_bound=1,
    upper_bound=100_000,
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "size", "320x240", "width x height in pixels, even, 64-2048 each", flag_values=FLAGS
)
flags.DEFINE_integer(
    "seed", 0, "same seed, same bytes; 0 or more", lower_bound=0, flag_values=FLAGS
)
flags.DEFINE_integer(
    "workers",
    2,
    "processes, 1-256; does not change the bytes",
    lower_bound=1,
    upper_bound=256,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "image_quality",
    95,
    "quality of the JPEG compression, 1-100",
    lower_bound=1,
    upper_bound=100,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "tasks",
    2,
    "fera2015 only: tasks over which a subject's frames are spread, 1-8",
    lower_bound=1,
    upper_bound=8,
    flag_values=FLAGS,
)


def parse_size(text: str) -> tuple[int, int]:
    """Reads `320x240`.

    Raises:
      UserError: the text is no size.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if not found:
        raise UserError(f"--size={text}: write width x height in pixels, as in --size=320x240")
    return int(found.group(1)), int(found.group(2))


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Turns the flags into one configuration and makes the data set."""
    if positional:
        raise UserError(f"unexpected argument {positional[0]!r}; every setting is a --flag=value")
    if not values.output_dir:
        raise UserError("--output_dir is missing; give the folder to write to")
    size = parse_size(values.size)
    try:
        config = SynthesisConfig(
            output_dir=Path(values.output_dir),
            layout=values.layout,
            subjects=values.subjects,
            frames=values.frames,
            size=size,
            seed=values.seed,
            workers=values.workers,
            image_quality=values.image_quality,
            tasks=values.tasks,
        )
    except ValueError as error:
        raise UserError(f"{error}; see --help for the bounds") from error
    synthesize(config)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
