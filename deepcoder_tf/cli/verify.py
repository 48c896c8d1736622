"""deepcoder-verify: checks an exported model against its signature.

    deepcoder-verify --model=savedmodels/NAME/1 --key=public.pem

The model is one that deepcoder-export wrote with --signing_key. A file that was changed, added or
taken away since is named, and the exit code is 1.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string("model", None, "folder of one exported version", flag_values=FLAGS)
flags.DEFINE_string("key", None, "PEM file with the signer's public key", flag_values=FLAGS)
flags.mark_flags_as_required(["model", "key"], flag_values=FLAGS)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Verifies with the parsed flags."""
    command.no_positional(positional)
    command.load_tensorflow()
    from deepcoder_tf.export.signing import verify

    verify(Path(values.model), Path(values.key))
    print(f"{values.model}: every file is as it was signed")


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
