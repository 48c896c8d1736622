"""deepcoder-benchmark: trains every system of the paper's Table 1 and prints the table.

    deepcoder-benchmark --flagfile=flags/table1_disfa.flags --data_dir=PREPARED --output_dir=OUT
    deepcoder-benchmark --flagfile=flags/expression_bench.flags --data_dir=PREPARED --output_dir=OUT

The kind of the prepared folder decides which systems there are: those of action units, or those of
expressions, tested on validation pictures where there are no others.

Finished cells are kept: the same command goes on with a bench that was stopped, another choice of
--systems, --folds or --seeds adds to it, and --table_only makes its table again. Options of
deepcoder-train that are given here hold for every system; --variant changes them for one, or adds
a row:

    --variant="cnn: --iterations=30"   --variant="untied: --system=2dc --tie=0"

Writes table1.md, table1.csv and table1.json (of expressions expressions.md, .csv and .json), and
the run and the test of every cell.
"""

from __future__ import annotations

import logging
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.cli.options import config_of, define_config, given_options
from deepcoder_tf.datasets.prepared import prepared_kind
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.bench_cells import FEATURES, RowConfig, built_in

__all__ = ["FLAGS", "main", "plan", "run"]

log = logging.getLogger(__name__)

FLAGS = flags.FlagValues()

flags.DEFINE_string("data_dir", None, "folder that deepcoder-prepare wrote", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "folder of the bench; made if new", flag_values=FLAGS)
flags.DEFINE_list(
    "systems", None, "rows to run, by name; all of Table 1 and every --variant", flag_values=FLAGS
)
flags.DEFINE_multi_string(
    "variant",
    [],
    'options of one row, as "NAME: --flag=value ..."; a new name makes a new row, of 2dc (of '
    "expressions: disentangled) unless it says --system; may be repeated, also for a row of a flag "
    "file: where both set a flag, the later holds",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "folds",
    None,
    "subject folds, from 0; all that can be used; expressions have 0 only",
    flag_values=FLAGS,
)
flags.DEFINE_list("seeds", ["0"], "seeds of every row, from 0", flag_values=FLAGS)
flags.DEFINE_multi_string(
    "seeds_of",
    [],
    'seeds of some rows, as "NAME,NAME: 0,1,2"; may be repeated; empty: what stood before it, such '
    "as in a flag file, does not count",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "workers", 1, "cells at once; each gets its share of the cores", 1, flag_values=FLAGS
)
flags.DEFINE_bool(
    "again", False, "make cells anew that were made with other options", flag_values=FLAGS
)
flags.DEFINE_bool(
    "table_only", False, "make the table of the cells that are there; run none", flag_values=FLAGS
)
flags.DEFINE_enum(
    "point",
    "mean",
    ["mean", "mode"],
    "whose ICC, MSE and MAE of action units are shown: the expected level's, or the most probable "
    "level's",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "against",
    None,
    "row that each other one is compared with; 2dc, of expressions disentangled",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "replicates",
    10000,
    "bootstrap resamples of the test subjects (of pictures whose subjects are not known)",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_bool("show_paper", False, "print the paper's figures below ours", flag_values=FLAGS)
flags.mark_flags_as_required(["output_dir"], flag_values=FLAGS)
define_config(FLAGS)

NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")

OF_A_CELL = {
    "fold": "the bench chooses it; use --folds",
    "seed": "the bench chooses it; use --seeds",
    "features_from": "the bench trains the cnn of each fold itself",
}
"""Options that differ from cell to cell."""

OF_A_ROW = {"system": "use --systems", "features": 'say it in a --variant="NAME: ..."'}
"""Options that make a row."""


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Runs the cells and makes the table."""
    command.no_positional(positional)
    from deepcoder_tf import experiment

    if not values.table_only:
        if not values.data_dir:
            raise flags.IllegalFlagValueError("--data_dir is missing; --table_only needs none")
        variants, seeds = plan(values, prepared_kind(values.data_dir))
        folds = None if values.folds is None else numbers("folds", ",".join(values.folds))
        experiment.benchmark(
            Path(values.data_dir),
            Path(values.output_dir),
            variants,
            seeds,
            folds,
            workers=values.workers,
            again=values.again,
        )
    text = experiment.tabulate(
        Path(values.output_dir),
        point=values.point,
        reference=values.against,
        replicates=values.replicates,
        show_paper=values.show_paper,
    )
    print(text, end="")


def plan(values: flags.FlagValues, kind: str) -> tuple[dict[str, RowConfig], dict[str, list[int]]]:
    """What the flags say of the rows.

    Args:
      values: parsed.
      kind: of the prepared folder, `"action_units"` or `"expressions"`.

    Returns:
      The options of the chosen rows (and of the cnn, whose features others see), and the seeds of
      the chosen rows, by name.

    Raises:
      absl.flags.Error: an unknown row, an option that a row cannot have, or seeds that are no
        numbers.
    """
    changes = changes_of(values.variant)
    own_rows = built_in(kind)
    first = next(iter(own_rows))
    known = list(dict.fromkeys([*own_rows, *changes]))
    refuse_other_kind(kind, [*(values.systems or ()), *changes])
    seeds = {
        name: numbers("seeds", ",".join(values.seeds))
        for name in (known if values.systems is None else values.systems)
    }
    for text in since_empty(values.seeds_of):
        names, which = text.partition(":")[::2]
        for name in names.split(","):
            if name.strip() not in known:
                raise unknown("seeds_of", name.strip(), known)
            if name.strip() in seeds:
                seeds[name.strip()] = numbers("seeds_of", which)
    for name in seeds:
        if name not in known:
            raise unknown("systems", name, known)
    common = given_options(values)
    refuse(common, {**OF_A_CELL, **OF_A_ROW}, "here")
    variants = {}
    for name in dict.fromkeys([*seeds, *(row for row in own_rows if row == FEATURES)]):
        options = own_rows.get(name, {"system": first})
        own = [f"--{option}={value}" for option, value in options.items()]
        arguments = [f"--preset={values.preset}", *common.values(), *own, *changes.get(name, [])]
        variants[name] = config_from(name, arguments)
    return variants, seeds


def refuse_other_kind(kind: str, names: Sequence[str]) -> None:
    """Raises `absl.flags.Error` for a row whose name is a system of data of the other kind."""
    other = "action_units" if kind == "expressions" else "expressions"
    for name in names:
        if name in built_in(other):
            raise flags.IllegalFlagValueError(
                f"{name} learns {other.replace('_', ' ')}, and --data_dir was prepared for "
                f"{kind.replace('_', ' ')}, which {', '.join(built_in(kind))} learn"
            )


def since_empty(texts: list[str]) -> list[str]:
    """The values of a repeated flag that follow the last empty one."""
    kept: list[str] = []
    for text in texts:
        kept = [*kept, text] if text.strip() else []
    return kept


def changes_of(variants: Sequence[str]) -> dict[str, list[str]]:
    """Arguments by row; a row that comes again, as after a flag file, adds to its own."""
    changes: dict[str, list[str]] = {}
    for text in variants:
        name, arguments = named("variant", text)
        if name in changes:
            log.info("--variant: %s comes again; where both set a flag, the later holds", name)
        changes.setdefault(name, []).extend(arguments)
    return changes


def named(flag: str, text: str) -> tuple[str, list[str]]:
    """`NAME: --flag=value ...` as a name and arguments."""
    name, colon, rest = text.partition(":")
    try:
        arguments = shlex.split(rest)
    except ValueError as error:
        raise flags.IllegalFlagValueError(f"--{flag}={text}: {error}") from error
    if not colon or not NAME.fullmatch(name.strip()):
        raise flags.IllegalFlagValueError(
            f'--{flag}={text}: wanted "NAME: --flag=value ..." with a NAME of letters, digits, '
            "_, -, + and ."
        )
    return name.strip(), arguments


def numbers(flag: str, text: str) -> list[int]:
    """Comma-separated whole numbers from 0."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise flags.IllegalFlagValueError(
            f"--{flag}={text.strip()}: wanted whole numbers from 0, separated by commas"
        )
    return [int(word) for word in words]


def config_from(name: str, arguments: list[str]) -> RowConfig:
    """The configuration of one row."""
    values = flags.FlagValues()
    define_config(values)
    try:
        rest = command.parse(values, [name, *arguments])
        if rest:
            raise flags.IllegalFlagValueError(f"{rest[0]!r} is no flag; flags begin with --")
        refuse(given_options(values), OF_A_CELL, "in a --variant")
        return config_of(values)
    except (flags.Error, UserError) as error:
        raise flags.IllegalFlagValueError(f"{name}: {error}") from error


def refuse(given: dict[str, str], reasons: dict[str, str], where: str) -> None:
    """Raises `absl.flags.Error` for an option that has no place there."""
    for option, reason in reasons.items():
        if option in given:
            raise flags.IllegalFlagValueError(f"--{option} has no meaning {where}: {reason}")


def unknown(flag: str, name: str, known: list[str]) -> flags.Error:
    """The error for a row that does not exist."""
    return flags.IllegalFlagValueError(
        f"--{flag}: {name!r} is no system and no --variant; known are {', '.join(known)}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
