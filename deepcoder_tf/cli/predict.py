"""deepcoder-predict: action units or expressions for photos, videos and folders of them.

    deepcoder-predict --model=savedmodels/NAME/1 --output=OUT.csv [--annotate=DIR] FILES...

Writes one line for each face of each frame: file, frame (from 0), face_id (the same number follows
a face through a video), timestamp (seconds), confidence (the face detector's score), success and
status (ok, no_face, or unreadable with its reason); then for each action unit AU01_r (expected
intensity, 0-5), AU01_c (1 where present is more probable than absent), AU01_sd (standard deviation
in levels) and AU01_p0..AU01_p5 (probabilities of the levels), all from one distribution. A model of
expressions has expression (the most probable one), entropy (nats) and p_neutral to p_contempt
(probabilities) in their place. What cannot be read becomes a line too. The CSV grows as
OUT.csv.partial and is renamed at the end; a run that was stopped goes on when the same command is
given again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.cli.prediction_options import define_run, report, run_options

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string(
    "model",
    None,
    "exported model: the folder of one version, savedmodels/NAME/1, or a .tflite file",
    flag_values=FLAGS,
)
define_run(FLAGS)
flags.mark_flags_as_required(["model", "output"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Predicts the photos, videos and folders named in `positional`."""
    # TensorFlow takes seconds to load: --help and wrong flags need not wait for it.
    command.load_tensorflow()
    from deepcoder_tf.prediction import PredictionRun, predict_to_csv

    report(predict_to_csv(PredictionRun(values.model, positional, **run_options(values))), values)


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
