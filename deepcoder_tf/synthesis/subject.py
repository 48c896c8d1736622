"""The people: everything that stays the same about one synthetic subject."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from deepcoder_tf.synthesis.expression import ACTION_UNITS
from deepcoder_tf.synthesis.head import load_head

__all__ = ["Colour", "Scene", "Subject", "draw_subject"]

Colour = tuple[float, float, float]
"""Red, green, blue reflectance in [0, 1], linear light."""

SKIN_TONES: tuple[tuple[str, Colour, Colour], ...] = (
    ("caucasian", (0.80, 0.55, 0.44), (0.58, 0.36, 0.26)),
    ("asian", (0.76, 0.53, 0.39), (0.50, 0.31, 0.20)),
    ("african", (0.40, 0.23, 0.15), (0.17, 0.09, 0.06)),
)
"""Ancestry, its lightest and its darkest skin."""
ANCESTRY = (0.35, 0.25, 0.25)
"""Concentration of each ancestry's share: well below 1, most people have one main ancestry."""
RED_LIPS: Colour = (0.40, 0.07, 0.08)
IRISES: tuple[Colour, ...] = (
    (0.10, 0.04, 0.02),
    (0.20, 0.09, 0.04),
    (0.18, 0.16, 0.06),
    (0.12, 0.22, 0.32),
    (0.20, 0.27, 0.27),
)
HAIRS: tuple[Colour, ...] = (
    (0.010, 0.008, 0.008),
    (0.035, 0.020, 0.012),
    (0.10, 0.05, 0.025),
    (0.36, 0.24, 0.11),
    (0.20, 0.065, 0.02),
)
SPREADS: tuple[tuple[tuple[str, ...], float], ...] = (
    # Resting shapes that resemble an action unit vary less, or labels would contradict pictures.
    (("eyebrows", "eye", "mouth", "chin-jaw-drop"), 0.15),
    (("head", "forehead"), 0.2),
    (("",), 0.3),
)
"""First letters of identity measures -> standard deviation of their weights; the first fits."""
GREY: Colour = (0.42, 0.41, 0.40)


@dataclasses.dataclass(frozen=True)
class Scene:
    """The room in which all frames of one subject are taken.

    Attributes:
      light: direction to the key light, a unit vector.
      key: irradiance of the key light.
      fill: irradiance of the light from the camera's side.
      ambient: irradiance from all around.
      warmth: colour of the key light, 0 is white, positive redder.
      background: reflectance at the top and at the bottom of the wall behind.
      span: height in decimetres that the picture shows at the face's depth.
      offset: where the face sits in the picture, decimetres right and up of its centre.
    """

    light: tuple[float, float, float]
    key: float
    fill: float
    ambient: float
    warmth: float
    background: tuple[Colour, Colour]
    span: float
    offset: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Subject:
    """One person and where they were filmed.

    Attributes:
      macro: weights of the head's ancestry, gender, age and weight morphs.
      identity: weights of the head's local shape morphs.
      skin: reflectance of the cheeks.
      lips: reflectance of the lips.
      hair: reflectance of scalp hair, brows and beard.
      iris: reflectance of the irises.
      clothes: reflectance of the shirt.
      hair_height: where the hair begins above the forehead, decimetres from its usual place.
      hair_length: 0 (ears free) to 1 (down to the shoulders).
      hair_volume: thickness of the hair, decimetres.
      brow_density: 0 (hardly any) to 1 (bushy).
      brow_thickness: half the height of the brow, decimetres.
      lash_density: 0 (fair lashes) to 1 (dark).
      beard: 0 (none) to 1 (dark stubble).
      wrinkles: depth of expression lines, 1 is usual.
      asymmetry: action unit -> share by which the left half of the face moves more.
      scene: the room.
      texture_seed: fixes the skin's blotches and the hair's strands.
    """

    macro: dict[str, float]
    identity: dict[str, float]
    skin: Colour
    lips: Colour
    hair: Colour
    iris: Colour
    clothes: Colour
    hair_height: float
    hair_length: float
    hair_volume: float
    brow_density: float
    brow_thickness: float
    lash_density: float
    beard: float
    wrinkles: float
    asymmetry: dict[str, float]
    scene: Scene
    texture_seed: int


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` of the way from `first` to `second`."""
    r, g, b = (float(x + share * (y - x)) for x, y in zip(first, second, strict=True))
    return r, g, b


def draw_macro(
    rng: np.random.Generator, ancestry: NDArray[np.float64], male: float, old: float
) -> dict[str, float]:
    """Weights of the macro morphs: products of ancestry, gender, age and weight shares."""
    heavy = rng.normal(0.0, 0.45)
    weights = {}
    for gender, gender_share in (("female", 1 - male), ("male", male)):
        for age, age_share in (("young", 1 - old), ("old", old)):
            share = gender_share * age_share
            for (name, _, _), part in zip(SKIN_TONES, ancestry, strict=True):
                weights[f"{name}-{gender}-{age}"] = float(share * part)
            weight = "max" if heavy > 0 else "min"
            weights[f"universal-{gender}-{age}-averagemuscle-{weight}weight"] = float(
                share * min(abs(heavy), 1.0)
            )
    return weights


def draw_identity(rng: np.random.Generator) -> dict[str, float]:
    """Weights of the local shape morphs: a normal draw for every measure, signed by its name."""
    names = load_head().identity.names
    weights = {}
    for measure in sorted({name[:-1] for name in names}):
        spread = next(s for stems, s in SPREADS if measure.startswith(stems))
        draw = float(np.clip(rng.normal(0.0, spread), -0.8, 0.8))
        name = measure + ("+" if draw > 0 else "-")
        if name in names:
            weights[name] = abs(draw)
    return weights


def draw_colour(rng: np.random.Generator, low: float, high: float) -> Colour:
    """A colour with each channel between the bounds."""
    r, g, b = (float(x) for x in rng.uniform(low, high, 3))
    return r, g, b


def draw_skin(rng: np.random.Generator, ancestry: NDArray[np.float64]) -> Colour:
    """The skin of somebody with these shares of ancestry."""
    darkness = rng.uniform()
    tones = np.array([mix(light, dark, darkness) for _, light, dark in SKIN_TONES])
    # Tones mix as pigments do: in the logarithm of their reflectance.
    r, g, b = (float(x) for x in np.exp(ancestry @ np.log(tones)))
    return r, g, b


def draw_background(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """A wall of one tint that is lighter at one end."""
    shade = float(rng.uniform(0.03, 0.5))
    tint = draw_colour(rng, 0.8, 1.2)
    top, bottom = (mix((0.0, 0.0, 0.0), tint, shade * float(s)) for s in rng.uniform(0.6, 1.3, 2))
    return top, bottom


def draw_light(rng: np.random.Generator) -> tuple[float, float, float]:
    """A direction in front of, above and up to 50 degrees beside the face."""
    azimuth = np.radians(rng.uniform(-50, 50))
    elevation = np.radians(rng.uniform(5, 45))
    across = np.cos(elevation)
    return (
        float(np.sin(azimuth) * across),
        float(np.sin(elevation)),
        float(np.cos(azimuth) * across),
    )


def draw_scene(rng: np.random.Generator, background: tuple[Colour, Colour]) -> Scene:
    """Light, framing and the given wall."""
    return Scene(
        light=draw_light(rng),
        key=float(rng.uniform(0.55, 0.9)),
        fill=float(rng.uniform(0.2, 0.4)),
        ambient=float(rng.uniform(0.15, 0.3)),
        warmth=float(rng.uniform(-0.08, 0.12)),
        background=background,
        span=float(rng.uniform(2.45, 2.8)),
        offset=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.05))),
    )


def draw_subject(seed: np.random.SeedSequence, gender: str | None = None) -> Subject:
    """Draws one person.

    Args:
      seed: the same seed gives the same person.
      gender: `"female"` or `"male"`; drawn too when None.

    Returns:
      The subject.

    Raises:
      ValueError: another gender.
    """
    if gender not in (None, "female", "male"):
        raise ValueError(f"gender {gender!r} is neither 'female', 'male' nor None")
    rng = np.random.default_rng(seed)
    ancestry = rng.dirichlet(ANCESTRY)
    masculine = bool(rng.uniform() < 0.5) if gender is None else gender == "male"
    male = float(rng.uniform(0.65, 0.95) if masculine else rng.uniform(0.05, 0.35))
    old = float(rng.beta(1.0, 2.2)) * 0.8
    skin = draw_skin(rng, ancestry)
    fair = ancestry[0] > 0.6  # only then hair and eyes other than dark
    hair = mix(HAIRS[int(rng.integers(len(HAIRS) if fair else 2))], GREY, max(0, old - 0.35) * 1.6)
    pale_lips = (skin[0] * 0.85, skin[1] * 0.55, skin[2] * 0.6)
    background = draw_background(rng)
    return Subject(
        clothes=draw_colour(rng, 0.02, 0.5),
        macro=draw_macro(rng, ancestry, male, old),
        identity=draw_identity(rng),
        skin=skin,
        lips=mix(pale_lips, RED_LIPS, rng.uniform(0, 0.25 if masculine else 0.7)),
        hair=hair,
        iris=IRISES[int(rng.integers(len(IRISES) if fair else 2))],
        hair_height=float(rng.normal(0.0, 0.06) + (0.1 * old if masculine else 0.0)),
        hair_length=0.0 if masculine else float(rng.choice([0.0, 0.5, 1.0])),
        hair_volume=float(rng.uniform(0.02, 0.10) if masculine else rng.uniform(0.06, 0.18)),
        brow_density=float(rng.uniform(0.55, 1.0)),
        brow_thickness=float(rng.uniform(0.024, 0.040) + (0.010 if masculine else 0.0)),
        lash_density=float(rng.uniform(0.25, 0.6) if masculine else rng.uniform(0.5, 1.0)),
        beard=float(max(0.0, rng.normal(0.25, 0.3))) if masculine else 0.0,
        wrinkles=float(rng.uniform(0.7, 1.1) + 0.5 * old),
        asymmetry={name: float(np.clip(rng.normal(0, 0.07), -0.2, 0.2)) for name in ACTION_UNITS},
        scene=draw_scene(rng, background),
        texture_seed=int(rng.integers(2**31)),
    )
