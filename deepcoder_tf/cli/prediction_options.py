"""The flags that predicting has in common, wherever the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from absl import flags

from deepcoder_tf.faces.detection import CHOICES

if TYPE_CHECKING:
    from deepcoder_tf.prediction.run import PredictionSummary

__all__ = ["define_run", "report", "run_options"]

OPTIONS = ("output", "annotate", "faces", "batch_size", "threads", "landmarks", "resume")


def define_run(values: flags.FlagValues) -> None:
    """Defines what the command writes, and how it looks for faces."""
    flags.DEFINE_string("output", None, "CSV to write", flag_values=values)
    flags.DEFINE_string(
        "annotate",
        None,
        "folder for pictures and videos with face boxes and bars drawn; without it none are drawn",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "faces",
        "largest_central",
        CHOICES,
        "which face is taken where there are several, or all of them",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "batch_size",
        8,
        "faces in one call of the model, 1-1024",
        lower_bound=1,
        upper_bound=1024,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "threads",
        None,
        "threads that look for faces, 1-256; as many as there are cores by default",
        lower_bound=1,
        upper_bound=256,
        flag_values=values,
    )
    flags.DEFINE_string(
        "landmarks",
        None,
        "dlib model of 68 landmarks to use in place of the installed one",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "resume",
        True,
        "go on behind the frames that the same command finished before it was stopped (not with "
        "--annotate); --noresume begins anew",
        flag_values=values,
    )


def run_options(values: flags.FlagValues) -> dict[str, Any]:
    """The parsed flags as fields of `PredictionRun`."""
    return {name: getattr(values, name) for name in OPTIONS}


def report(summary: PredictionSummary, values: flags.FlagValues) -> None:
    """Prints what came of it and where it is."""
    print(f"{summary}; written to {values.output}")
    for path in summary.annotated:
        print(path)
