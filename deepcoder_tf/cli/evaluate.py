"""deepcoder-evaluate: measures a trained model on subjects it has never seen.

    deepcoder-evaluate --model_dir=RUN --data_dir=PREPARED --fold=K --split=test --output_dir=OUT

Writes metrics.json, predictions.csv and pictures. A model of expressions is measured by classes, by
what its adversary and classifiers trained afresh read off its codes, and by the similarity of all
pairs of pictures; with a decoder also by faces whose expressions are exchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string("model_dir", None, "folder that deepcoder-train wrote", flag_values=FLAGS)
flags.DEFINE_string("data_dir", None, "folder that deepcoder-prepare wrote", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "folder for the results", flag_values=FLAGS)
flags.DEFINE_integer(
    "fold", 0, "subject fold, from 0; expressions have 0 alone", lower_bound=0, flag_values=FLAGS
)
flags.DEFINE_enum(
    "split", "test", ["train", "validation", "test"], "whose frames or pictures", flag_values=FLAGS
)
flags.DEFINE_bool(
    "references",
    False,
    "action units: also measure two linear references on the same frames: regression on the same "
    "Z0, and ridge on as many principal components of the same crops",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["model_dir", "data_dir", "output_dir"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Evaluates with the parsed flags."""
    command.no_positional(positional)
    command.load_tensorflow()
    from deepcoder_tf import experiment

    experiment.evaluate(
        Path(values.model_dir),
        Path(values.data_dir),
        Path(values.output_dir),
        values.fold,
        values.split,
        values.references,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
