"""Options that document and bound themselves: frozen, validated, JSON in and out.

Every option is a field made by `option`, which carries its help, range and choices; the command
line, the validation and the saved JSON are all derived from these fields, so that they agree.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from deepcoder_tf.errors import UserError

__all__ = ["Options", "option"]

T = TypeVar("T", bound="Options")


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field that documents and bounds itself.

    Args:
      default: the value when nothing is said.
      help: one sentence with the unit.
      low: smallest allowed value (each entry, for tuples).
      high: largest allowed value.
      choices: the allowed words.

    Returns:
      The field.
    """
    return dataclasses.field(
        default=default, metadata={"help": help, "low": low, "high": high, "choices": choices}
    )


@dataclass(frozen=True)
class Options:
    """A frozen dataclass whose fields are all made by `option`.

    Raises:
      UserError: a value outside its range; the message names the option, the value and the range.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_option(field, getattr(self, field.name))

    def to_json(self) -> str:
        """The options as JSON text, one per line."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_mapping(cls: type[T], values: Mapping[str, Any]) -> T:
        """The inverse of `to_json` after `json.loads`.

        Args:
          values: option names and values; a missing option keeps its default.

        Returns:
          The options.

        Raises:
          UserError: an option that does not exist, or a value outside its range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(f"unknown option {unknown[0]!r}; known are {', '.join(sorted(known))}")
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**plain)


def check_option(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises `UserError` where a value is of another kind than the default, or out of its range."""
    check_kind(field, value)
    meta = field.metadata
    if meta["choices"] and value not in meta["choices"]:
        raise UserError(f"--{field.name}={value}: choose one of {', '.join(meta['choices'])}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, str):
            continue
        low, high = meta["low"], meta["high"]
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            between = f"{'' if low is None else low}..{'' if high is None else high}"
            raise UserError(f"--{field.name}={value} is outside {between} ({meta['help']})")


def check_kind(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises `UserError` for a value that a JSON file may hold but the option cannot."""
    default: Any = field.default
    listed = isinstance(default, tuple)
    kind = type(default[0] if listed else default)
    allowed = {int: (int,), float: (int, float), str: (str,)}[kind]
    entries = value if listed and isinstance(value, tuple) else (value,)
    if not entries or not all(isinstance(entry, allowed) for entry in entries):
        wanted = {int: "a whole number", float: "a number", str: "a word"}[kind]
        wanted = f"a list of {wanted.split(' ', 1)[1]}s, at least one" if listed else wanted
        raise UserError(f"--{field.name}={value}: wanted {wanted} ({field.metadata['help']})")
