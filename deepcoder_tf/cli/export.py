"""deepcoder-export: writes a trained model as a versioned SavedModel.

    deepcoder-export --model_dir=RUN --output_dir=savedmodels/NAME
    deepcoder-export ... --tflite=float32,float16,int8 --data_dir=PREPARED

The result is checked against the model in memory before it appears under its name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.lite_model import VARIANTS

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string("model_dir", None, "folder that deepcoder-train wrote", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "folder of the served model", flag_values=FLAGS)
flags.DEFINE_integer(
    "version",
    None,
    "version number; the next free one when left out",
    lower_bound=1,
    flag_values=FLAGS,
)
flags.DEFINE_bool("overwrite", False, "replace the version where it exists", flag_values=FLAGS)
flags.DEFINE_string(
    "metrics",
    None,
    "metrics.json that deepcoder-evaluate wrote for this model; goes into its card",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "data", None, "what the training data are, in words; goes into the card", flag_values=FLAGS
)
flags.DEFINE_string(
    "licence", None, "of the weights, in words; goes into the card", flag_values=FLAGS
)
flags.DEFINE_string(
    "signing_key",
    None,
    "PEM file with a private key on an elliptic curve; signs every file of the version, to be "
    "checked with deepcoder-verify",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "tflite",
    [],
    f"also write tflite/VARIANT.tflite for each of these: {', '.join(VARIANTS)}",
    flag_values=FLAGS,
)
flags.register_validator(
    "tflite",
    lambda chosen: set(chosen) <= set(VARIANTS),
    f"choose some of {','.join(VARIANTS)}",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "data_dir",
    None,
    "folder that deepcoder-prepare wrote, for --tflite: int8 takes its ranges from training faces "
    "and is checked on those of the validation split; the others are then measured there too",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["model_dir", "output_dir"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Exports with the parsed flags."""
    command.no_positional(positional)
    command.load_tensorflow()
    from deepcoder_tf import experiment

    experiment.export(
        Path(values.model_dir),
        Path(values.output_dir),
        values.version,
        overwrite=values.overwrite,
        metrics=values.metrics and Path(values.metrics),
        data=values.data,
        licence=values.licence,
        signing_key=values.signing_key and Path(values.signing_key),
        tflite=list(dict.fromkeys(values.tflite)),
        data_dir=values.data_dir and Path(values.data_dir),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
