"""deepcoder-train: trains a stack of coders on one fold of a prepared folder.

    deepcoder-train --flagfile=flags/NAME.flags --data_dir=PREPARED --model_dir=RUN --fold=K

A run that was killed goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.cli.options import config_of, define_config

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string("data_dir", None, "folder that deepcoder-prepare wrote", flag_values=FLAGS)
flags.DEFINE_string("model_dir", None, "folder of the run; made if new", flag_values=FLAGS)
flags.mark_flags_as_required(["data_dir", "model_dir"], flag_values=FLAGS)
define_config(FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Trains with the parsed flags."""
    command.no_positional(positional)
    config = config_of(values)
    command.load_tensorflow()
    from deepcoder_tf import experiment

    experiment.train(Path(values.data_dir), Path(values.model_dir), config)


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
