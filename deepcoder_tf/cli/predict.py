"""deepcoder-predict: action unit intensities for photos, videos and folders of them.

    deepcoder-predict --model=savedmodels/NAME/1 --output=OUT.csv [--annotate=DIR] FILES...

Writes one line for each face of each frame: file, frame (from 0), face_id (the same number follows
a face through a video), timestamp (seconds), confidence (the face detector's score), success and
status (ok, no_face, or unreadable with its reason); then for each action unit AU01_r (expected
intensity, 0-5), AU01_c (1 where present is more probable than absent), AU01_sd (standard deviation
in levels) and AU01_p0..AU01_p5 (probabilities of the levels), all from one distribution. What
cannot be read becomes a line too. The CSV grows as OUT.csv.partial and is renamed at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.faces.detection import CHOICES

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string(
    "model",
    None,
    "exported model: the folder of one version, savedmodels/NAME/1",
    flag_values=FLAGS,
)
flags.DEFINE_string("output", None, "CSV to write", flag_values=FLAGS)
flags.DEFINE_string(
    "annotate",
    None,
    "folder for pictures and videos with face boxes and bars drawn; without it none are drawn",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "faces",
    "largest_central",
    CHOICES,
    "which face is taken where there are several, or all of them",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "batch_size",
    8,
    "faces in one call of the model, 1-1024",
    lower_bound=1,
    upper_bound=1024,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "threads",
    None,
    "threads that look for faces, 1-256; as many as there are cores by default",
    lower_bound=1,
    upper_bound=256,
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "landmarks",
    None,
    "dlib model of 68 landmarks to use in place of the installed one",
    flag_values=FLAGS,
)
flags.mark_flags_as_required(["model", "output"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Predicts the photos, videos and folders named in `positional`."""
    # TensorFlow takes seconds to load: --help and wrong flags need not wait for it.
    command.load_tensorflow()
    from deepcoder_tf.prediction import PredictionRun, predict_to_csv

    summary = predict_to_csv(
        PredictionRun(
            model=values.model,
            files=positional,
            output=values.output,
            annotate=values.annotate,
            faces=values.faces,
            batch_size=values.batch_size,
            threads=values.threads,
            landmarks=values.landmarks,
        )
    )
    print(f"{summary}; written to {values.output}")
    for path in summary.annotated:
        print(path)


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
