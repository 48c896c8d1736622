"""From action units to the head's face units.

FACS describes what a muscle does to the face; the head model's face units were sculpted after the
same muscles. An action unit at level 5 drives its face units with the gains below, chosen so that
level 5 is a strong expression of a living face and neighbouring levels can be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from deepcoder_tf.action_units import LEVELS

__all__ = ["ACTION_UNITS", "GAINS", "MAXIMUM", "check_intensities", "unit_weights"]

MAXIMUM = float(LEVELS - 1)
"""The intensity of level E."""

GAINS: dict[str, dict[str, float]] = {
    "AU01": {"browInnerUp": 2.2},
    "AU02": {"browOuterUp": 1.9},
    "AU04": {"browDown": 1.7},
    "AU05": {"eyeWide": 1.7},
    "AU06": {"cheekSquint": 1.6, "eyeSquint": 0.6},
    "AU09": {"noseSneer": 2.2, "browDown": 0.2},
    "AU10": {"mouthUpperUp": 1.5},
    "AU12": {"mouthSmile": 1.05},
    "AU14": {"mouthDimple": 1.8},
    "AU15": {"mouthFrown": 1.8},
    "AU17": {"mouthShrugLower": 1.9, "mouthShrugUpper": 0.4},
    "AU20": {"mouthStretch": 1.9},
    "AU25": {"mouthLowerDown": 1.5, "mouthUpperUp": 0.35},
    "AU26": {"jawOpen": 0.7},
}
"""Action unit -> face unit without its side -> weight at intensity 5."""

ACTION_UNITS: tuple[str, ...] = tuple(GAINS)
"""The action units of the data sets; subjects have a lasting asymmetry in these."""

GAINS |= {
    "AU07": {"eyeSquint": 1.5},
    "AU16": {"mouthLowerDown": 1.3},
    "AU24": {"mouthPress": 1.6},
}
# What posed expressions need beyond them.

RESPONSE = 0.85
"""Movement grows with intensity to this power: level A is a trace, but one that can be seen."""

UNPAIRED = frozenset({"browInnerUp", "mouthShrugLower", "mouthShrugUpper", "jawOpen"})
"""Face units that the asset does not split into halves."""


def parse_side(name: str) -> tuple[str, str]:
    """Splits FACS' notation of one side of the face from the action unit.

    >>> parse_side("R14"), parse_side("AU14")
    (('AU14', 'Right'), ('AU14', ''))
    """
    side = {"L": "Left", "R": "Right"}.get(name[:1], "")
    return (f"AU{name[1:]}", side) if side else (name, "")


def check_intensities(intensities: Mapping[str, float]) -> None:
    """Checks names and range.

    Raises:
      ValueError: an action unit that the head cannot show, or not on one side alone, or an
        intensity outside 0-5.
    """
    for name, intensity in intensities.items():
        unit, side = parse_side(name)
        if unit not in GAINS:
            raise ValueError(f"the head cannot show {name!r}; it can show {', '.join(GAINS)}")
        if side and UNPAIRED & GAINS[unit].keys():
            raise ValueError(f"the head cannot show {name!r}: {unit} has no sides")
        if not 0 <= intensity <= MAXIMUM:
            raise ValueError(f"{name} at intensity {intensity} is outside 0 to {MAXIMUM:g}")


def unit_weights(
    intensities: Mapping[str, float], asymmetry: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Weights of the face units.

    Args:
      intensities: action unit -> 0 to 5; an absent one is 0. `R14` is AU14 on the right side alone.
      asymmetry: action unit -> share by which the left half moves more (the right half less).

    Returns:
      face unit -> weight.

    Raises:
      ValueError: see `check_intensities`.

    >>> unit_weights({"AU12": 5.0})
    {'mouthSmileLeft': 1.05, 'mouthSmileRight': 1.05}
    """
    check_intensities(intensities)
    weights: dict[str, float] = {}
    for name, intensity in intensities.items():
        if intensity == 0:
            continue
        drive = (intensity / MAXIMUM) ** RESPONSE
        name, only = parse_side(name)
        lean = (asymmetry or {}).get(name, 0.0)
        for unit, gain in GAINS[name].items():
            sides = {"": 1.0} if unit in UNPAIRED else {"Left": 1 + lean, "Right": 1 - lean}
            sides = {only: 1.0} if only else sides
            for side, share in sides.items():
                key = unit + side
                weights[key] = weights.get(key, 0.0) + gain * share * drive
    return weights
