"""Prints the table of parity: every route to a model's answer against the model in memory.

    python -m tools.parity --model_dir=RUN --export=savedmodels/NAME/1 [--json=parity.json]

The golden set is five synthetic faces and a photograph. Numbers are the largest difference over all
faces and action units: absolute, intensity and standard deviation in levels; of codes, as a share
of their size where that is above 1. Routes that cannot run here are listed with the reason and do
not count as passed; those that need packages of their own run after `pip install ".[parity]"`. The
exit code is 1 where any limit is broken.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.errors import UserError
from deepcoder_tf.files import write_json

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string("model_dir", None, "folder that deepcoder-train wrote", flag_values=FLAGS)
flags.DEFINE_string(
    "export", None, "one version that deepcoder-export wrote of it", flag_values=FLAGS
)
flags.DEFINE_list("routes", [], "names of the routes to ask; all when empty", flag_values=FLAGS)
flags.DEFINE_list(
    "signatures", [], "signatures of the export to ask for; all when empty", flag_values=FLAGS
)
flags.DEFINE_string("json", None, "file for the same in full precision", flag_values=FLAGS)
flags.mark_flags_as_required(["model_dir", "export"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Measures, prints and judges."""
    command.no_positional(positional)
    command.load_tensorflow()
    from tools.parity import table
    from tools.parity.measure import measure
    from tools.parity.routes import REFERENCE, ROUTES

    known = {route.name: route for route in ROUTES}
    unknown = set(values.routes) - set(known)
    if unknown:
        raise UserError(
            f"--routes: no route {', '.join(sorted(unknown))}; there are {', '.join(known)}"
        )
    routes = [known[name] for name in values.routes or known]
    print(table.head())
    rows = []
    run_folder, export = Path(values.model_dir), Path(values.export)
    with quiet("deepcoder_tf", "tensorflow"):
        for row in measure(run_folder, export, REFERENCE, routes, values.signatures):
            rows.append(row)
            print(table.line(row), flush=True)
    if values.json:
        write_json(values.json, table.document(rows, fingerprint(values.export)), indent=2)
    wrong = [f"{row.route.name}/{row.signature}: {row.wrong}" for row in rows if row.wrong]
    if wrong:
        raise UserError(f"not the same number everywhere: {'; '.join(wrong)}")
    passed = sum(row.verdict == "passed" for row in rows)
    print(f"{passed} of {len(rows)} passed, {len(rows) - passed} could not run here")


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """What libraries say of themselves would stand between the rows."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def fingerprint(export: str) -> str:
    """TensorFlow's fingerprint of a SavedModel."""
    import tensorflow as tf

    return tf.saved_model.experimental.read_fingerprint(export).singleprint()


def main(argv: Sequence[str] | None = None) -> int:
    """The program."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
