"""Flags made from the fields of `Config` and `RecogniserConfig`: help, range and default said once.

A flag that both have means the same in both; `--system` decides whose the run is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import flags

from deepcoder_tf.config import Config, preset
from deepcoder_tf.errors import UserError
from deepcoder_tf.options import Options
from deepcoder_tf.recogniser_config import (
    EXPRESSION_SYSTEMS,
    RecogniserConfig,
    recogniser_preset,
)

__all__ = ["config_of", "define_config", "given_options"]


def define_config(values: flags.FlagValues) -> None:
    """Defines `--preset` and a flag for every option of `Config` and `RecogniserConfig`.

    A flag that is not given takes its value from the preset.

    Args:
      values: the command's flags.
    """
    flags.DEFINE_enum(
        "preset",
        "paper",
        ["paper", "small", "mobile"],
        "sizes to start from: the paper's, those that train in minutes on two cores, or a phone's",
        flag_values=values,
    )
    shared: dict[str, list[dataclasses.Field[Any]]] = {}
    for options in (Config, RecogniserConfig):
        for field in dataclasses.fields(options):
            shared.setdefault(field.name, []).append(field)
    for fields in shared.values():
        define(fields, values)


def define(fields: list[dataclasses.Field[Any]], values: flags.FlagValues) -> None:
    """One flag for one option, or for two of the same name.

    What only one of them allows, its dataclass refuses.
    """
    name, default = fields[0].name, fields[0].default
    text = "; or ".join(map(described, fields))
    choices = [word for field in fields for word in field.metadata["choices"] or ()]
    if choices:
        flags.DEFINE_enum(name, None, list(dict.fromkeys(choices)), text, flag_values=values)
    elif isinstance(default, tuple):
        flags.DEFINE_list(name, None, text, flag_values=values)
    elif isinstance(default, int | float):
        kind: Any = flags.DEFINE_integer if isinstance(default, int) else flags.DEFINE_float
        low, high = widest(fields, "low", min), widest(fields, "high", max)
        kind(name, None, text, lower_bound=low, upper_bound=high, flag_values=values)
    else:
        flags.DEFINE_string(name, None, text, flag_values=values)


def described(field: dataclasses.Field[Any]) -> str:
    """Help, bounds and default."""
    meta = field.metadata
    bounds = "" if meta["low"] is None else f"; at least {meta['low']:g}"
    bounds += "" if meta["high"] is None else f", at most {meta['high']:g}"
    return f"{meta['help']}{bounds} (default {shown(field.default)})"


def widest(
    fields: list[dataclasses.Field[Any]], bound: str, pick: Callable[..., Any]
) -> float | None:
    """The bound that all values of some option of that name keep."""
    bounds = [field.metadata[bound] for field in fields]
    return None if None in bounds else pick(bounds)


def shown(default: Any) -> str:
    """A default as it would be typed."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def config_of(values: flags.FlagValues) -> Config | RecogniserConfig:
    """The configuration that the parsed flags describe.

    Args:
      values: parsed.

    Returns:
      The preset with the given flags on top; of which kind, `--system` decides.

    Raises:
      absl.flags.Error: a value that no run can have, values that do not fit together, or an option
        that the system does not have.
    """
    kind = kind_of(values)
    given = {}
    for name in option_names():
        value = values[name].value
        if value is not None:
            given[name] = whole_numbers(name, value) if isinstance(value, list) else value
    own = {field.name for field in dataclasses.fields(kind)}
    for name in given:
        if name not in own:
            raise flags.IllegalFlagValueError(
                f"--{name} is no option of --system={values['system'].value or Config.system}"
            )
    try:
        if kind is RecogniserConfig:
            return recogniser_preset(values.preset, **given)
        return preset(values.preset, **given)
    except UserError as error:
        raise flags.IllegalFlagValueError(str(error)) from error


def kind_of(values: flags.FlagValues) -> type[Options]:
    """Whose options the parsed flags are."""
    return RecogniserConfig if values["system"].value in EXPRESSION_SYSTEMS else Config


def option_names() -> list[str]:
    """Of all flags that `define_config` defines, but for the preset."""
    kinds = (Config, RecogniserConfig)
    return list(dict.fromkeys(field.name for kind in kinds for field in dataclasses.fields(kind)))


def given_options(values: flags.FlagValues) -> dict[str, str]:
    """The options that were given.

    Args:
      values: parsed.

    Returns:
      Each as it would be typed, `--name=value`, by name.
    """
    return {
        name: values[name].serialize() for name in option_names() if values[name].value is not None
    }


def whole_numbers(name: str, words: list[str]) -> tuple[int, ...]:
    """A comma-separated list of numbers."""
    try:
        return tuple(int(word) for word in words)
    except ValueError as error:
        raise flags.IllegalFlagValueError(
            f"--{name}={','.join(words)}: wanted whole numbers separated by commas"
        ) from error
