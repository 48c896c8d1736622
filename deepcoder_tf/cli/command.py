"""The frame of every console script: parse flags, run, and end with the right exit code.

Exit codes: 0 done, 1 something the user can mend (one line, no traceback), 2 wrong flags,
130 stopped from the keyboard.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

from absl import flags

from deepcoder_tf.errors import UserError, explain_os_error

__all__ = ["load_tensorflow", "no_positional", "parse", "run"]

HELP = frozenset({"--help", "-h", "-help", "--helpfull", "--helpshort"})


def parse(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parses `argv` (with `--flagfile=` expanded) and returns the positional arguments.

    Raises:
      absl.flags.Error: an unknown flag, or a value outside its range.
      UserError: a flag file that cannot be read.
    """
    for name in values:  # a command may run twice in one process
        values[name].unparse()
    try:
        expanded = values.read_flags_from_files(list(argv[1:]), force_gnu=True)
    except flags.Error as error:
        raise UserError(f"flag file: {error}; check the path after --flagfile=") from error
    return list(values([argv[0], *expanded], known_only=False))[1:]


def no_positional(positional: Sequence[str]) -> None:
    """For commands that take flags only.

    Raises:
      UserError: there is something else on the command line.
    """
    if positional:
        raise UserError(f"{positional[0]!r} is no flag; flags begin with --, see --help")


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes, which would bury our one-line errors.

    They are written by native code before any log level applies. Whoever wants them sets
    TF_CPP_MIN_LOG_LEVEL=0.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        return
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def run(
    doc: str | None,
    values: flags.FlagValues,
    body: Callable[[flags.FlagValues, list[str]], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Runs one command.

    Args:
      doc: the module's docstring; `--help` prints it above the flags.
      values: the command's own flags (no global registry: commands can live in one process).
      body: does the work with the parsed flags and the positional arguments.
      argv: arguments with the program's name first; `sys.argv` when None.

    Returns:
      The exit code.
    """
    argv = list(sys.argv if argv is None else argv)
    # Before the flags are parsed: absl would otherwise install a format of its own.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if any(argument in HELP for argument in argv[1:]):
        print((doc or "").strip(), "\n", values.get_help(), sep="\n")
        return 0
    try:
        positional = parse(values, argv)
    except (flags.Error, UserError) as error:
        print(f"error: {error}\nrun with --help for the flags", file=sys.stderr)
        return 2
    try:
        body(values, positional)
    except flags.Error as error:
        print(f"error: {error}\nrun with --help for the flags", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno is None:
            raise
        what = f"using {error.filename}" if error.filename else "reading or writing"
        print(f"error: {explain_os_error(error, what)}", file=sys.stderr)
        return 1
    return 0
