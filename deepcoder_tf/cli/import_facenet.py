"""deepcoder-import-facenet: turns a published FaceNet model into weights of our trunk.

    deepcoder-import-facenet --input=20180402-114759 --output=facenet.h5

Reads a frozen graph (.pb) or a checkpoint (.index, .data, .meta) of Inception-ResNet-V1, such as
20180402-114759 (VGGFace2) or 20180408-102900 (CASIA-WebFace). Embeddings of real faces are compared
with those of the source's own graph; where they differ, nothing is written.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string(
    "input", None, "frozen graph (.pb), or the folder of an unpacked model", flag_values=FLAGS
)
flags.DEFINE_string("output", None, "file of weights to write, .h5", flag_values=FLAGS)
flags.mark_flags_as_required(["input", "output"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Imports with the parsed flags."""
    command.no_positional(positional)
    command.load_tensorflow()
    from deepcoder_tf import experiment

    experiment.import_facenet(Path(values.input), Path(values.output))


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
