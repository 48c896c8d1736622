"""Flags made from the fields of `Config`, so that help, range and default are said once."""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import flags

from deepcoder_tf.config import Config, preset
from deepcoder_tf.errors import UserError

__all__ = ["config_of", "define_config", "given_options"]


def define_config(values: flags.FlagValues) -> None:
    """Defines `--preset` and a flag for every option of `Config`.

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
    for field in dataclasses.fields(Config):
        define(field, values)


def define(field: dataclasses.Field[Any], values: flags.FlagValues) -> None:
    """One flag for one option."""
    meta, name = field.metadata, field.name
    bounds = "" if meta["low"] is None else f"; at least {meta['low']:g}"
    bounds += "" if meta["high"] is None else f", at most {meta['high']:g}"
    text = f"{meta['help']}{bounds} (default {shown(field.default)})"
    if meta["choices"]:
        flags.DEFINE_enum(name, None, list(meta["choices"]), text, flag_values=values)
    elif isinstance(field.default, tuple):
        flags.DEFINE_list(name, None, text, flag_values=values)
    elif isinstance(field.default, int):
        low, high = meta["low"], meta["high"]
        flags.DEFINE_integer(
            name, None, text, lower_bound=low, upper_bound=high, flag_values=values
        )
    elif isinstance(field.default, float):
        flags.DEFINE_float(
            name, None, text, lower_bound=meta["low"], upper_bound=meta["high"], flag_values=values
        )
    else:
        flags.DEFINE_string(name, None, text, flag_values=values)


def shown(default: Any) -> str:
    """A default as it would be typed."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def config_of(values: flags.FlagValues) -> Config:
    """The configuration that the parsed flags describe.

    Args:
      values: parsed.

    Returns:
      The preset with the given flags on top.

    Raises:
      absl.flags.Error: a value that no run can have, or values that do not fit together.
    """
    given = {}
    for field in dataclasses.fields(Config):
        value = values[field.name].value
        if value is not None:
            given[field.name] = (
                whole_numbers(field.name, value) if isinstance(value, list) else value
            )
    try:
        return preset(values.preset, **given)
    except UserError as error:
        raise flags.IllegalFlagValueError(str(error)) from error


def given_options(values: flags.FlagValues) -> dict[str, str]:
    """The options of `Config` that were given.

    Args:
      values: parsed.

    Returns:
      Each as it would be typed, `--name=value`, by name.
    """
    return {
        field.name: values[field.name].serialize()
        for field in dataclasses.fields(Config)
        if values[field.name].value is not None
    }


def whole_numbers(name: str, words: list[str]) -> tuple[int, ...]:
    """A comma-separated list of numbers."""
    try:
        return tuple(int(word) for word in words)
    except ValueError as error:
        raise flags.IllegalFlagValueError(
            f"--{name}={','.join(words)}: wanted whole numbers separated by commas"
        ) from error
