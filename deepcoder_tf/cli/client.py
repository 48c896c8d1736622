"""deepcoder-client: what deepcoder-predict does, with the model behind a server.

    deepcoder-client --server=HOST:8500 --model_name=NAME --output=OUT.csv FILES...
    deepcoder-client --server=http://HOST:8501 --model_name=NAME --output=OUT.csv FILES...

Faces are found and registered here; their crops go to TF Serving in batches, by gRPC or by REST.
The CSV is that of deepcoder-predict. What the model is, the server tells itself; for a model
without the signature `describe` give its deepcoder.json by --model_card. A request is tried again
while the server is unavailable. If it stays away, the rows so far are in OUT.csv.partial, and the
same command goes on behind them.
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
    "server",
    None,
    "HOST:8500 for gRPC, grpcs://HOST:443 for gRPC over TLS, http://HOST:8501 or https://HOST for "
    "REST",
    flag_values=FLAGS,
)
flags.DEFINE_string("model_name", None, "as the server knows it", flag_values=FLAGS)
flags.DEFINE_integer(
    "version",
    None,
    "version number, at least 1; the newest by default",
    lower_bound=1,
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "label",
    None,
    "version label, such as stable or canary, in place of a version",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "model_card",
    None,
    "the model's assets.extra/deepcoder.json, for a server that cannot be asked for it",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "timeout",
    30.0,
    "seconds for one request, 0.1-3600",
    lower_bound=0.1,
    upper_bound=3600.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "retries",
    6,
    "tries after the first while the server is unavailable, 0-100; waits grow from half a second "
    "to eight",
    lower_bound=0,
    upper_bound=100,
    flag_values=FLAGS,
)
define_run(FLAGS)
flags.mark_flags_as_required(["server", "model_name", "output"], flag_values=FLAGS)
flags.mark_flags_as_mutual_exclusive(["version", "label"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Predicts the photos, videos and folders named in `positional`."""
    command.load_tensorflow()
    from deepcoder_tf.export.client import RemoteModel
    from deepcoder_tf.prediction import PredictionRun, predict_to_csv

    model = RemoteModel(
        values.server,
        values.model_name,
        version=values.version,
        label=values.label,
        model_card=values.model_card,
        timeout=values.timeout,
        retries=values.retries,
    )
    try:
        report(predict_to_csv(PredictionRun(model, positional, **run_options(values))), values)
    finally:
        model.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
