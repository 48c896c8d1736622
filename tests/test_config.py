"""Options: each says what it is, refuses what it cannot be, and survives JSON."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from deepcoder_tf.config import SMALL, CoderSpec, Config, parse_coders, preset
from deepcoder_tf.errors import UserError

FIELDS = dataclasses.fields(Config)


def outside() -> list[tuple[str, object]]:
    """For every option values that it cannot have."""
    found: list[tuple[str, object]] = []
    for field in FIELDS:
        low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
        is_list = isinstance(field.default, tuple)
        step = 1e-3 if isinstance(field.default, float) else 1
        bad: list[object] = []
        if low is not None:
            bad += [low - step, *([-math.inf, math.nan] if isinstance(step, float) else [])]
        if high is not None:
            bad.append(high + step)
        if choices:
            bad += ["", "something", choices[0].upper()]
        found += [(field.name, (value,) if is_list else value) for value in bad]
    return found


@pytest.mark.parametrize(("name", "value"), outside())
def test_a_value_out_of_range_is_named_with_its_range(name, value):
    with pytest.raises(UserError) as caught:
        Config(**{name: value})
    text = str(caught.value)
    assert f"--{name}={value}" in text and "\n" not in text
    meta = Config.__dataclass_fields__[name].metadata
    if meta["choices"]:
        assert all(choice in text for choice in meta["choices"])
    else:
        assert ".." in text and meta["help"] in text


TEXTS = ("coders", "features_from", "vgg16_weights")
"""Options that are any text: a stack and paths."""


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_option_is_documented_and_bounded(field):
    meta = field.metadata
    assert len(meta["help"].split()) >= 2
    if field.name not in TEXTS:
        assert meta["choices"] or meta["low"] is not None


@pytest.mark.parametrize("name", ["paper", "small", "mobile"])
def test_presets_build_and_their_ends_are_allowed(name):
    config = preset(name)
    assert config.stack[0].kind == "conv" and config.stack[-1].kind == "gp"
    for field in FIELDS:
        if isinstance(field.default, int | float) and not field.name.startswith(
            ("image", "kernel")
        ):
            for end in ("low", "high"):
                if field.metadata[end] is not None:
                    dataclasses.replace(config, **{field.name: field.metadata[end]})


def test_presets_take_changes_and_unknown_ones_are_told():
    assert preset("paper") == Config()
    assert preset("small", seed=4) == Config(**{**SMALL, "seed": 4})
    with pytest.raises(UserError, match="--preset=huge: choose one of paper, small"):
        preset("huge")


def test_the_defaults_are_the_papers_sizes():
    config = Config()
    assert config.stack == (CoderSpec("conv", 2000), CoderSpec("gp", 50))
    assert (config.image_height, config.image_width) == (240, 160)
    assert (config.gp_points, config.gp_block, config.batch_size) == (5000, 500, 32)
    assert (config.init_epochs, config.warmup_iterations) == (5, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not KIND:SIZE"),
        ("conv", "is not KIND:SIZE"),
        ("conv:0", "is not KIND:SIZE"),
        ("conv:-3", "is not KIND:SIZE"),
        ("conv:2.5", "is not KIND:SIZE"),
        ("lstm:5", "is not KIND:SIZE"),
        ("conv:5,", "is not KIND:SIZE"),
        ("gp:5", "begins with it"),
        ("dense:5,conv:5", "begins with it"),
        ("conv:5,conv:5", "one conv coder"),
        ("conv:5,gp:5,dense:5", "can only stand last"),
        ("conv:5,gp:5,gp:5", "can only stand last"),
    ],
)
def test_stacks_that_cannot_be(text, message):
    with pytest.raises(UserError, match=message) as caught:
        Config(coders=text)
    assert f"--coders={text}" in str(caught.value)


def test_stacks_that_can_be():
    assert parse_coders(" conv:7 , dense:5,gp:3") == (
        CoderSpec("conv", 7),
        CoderSpec("dense", 5),
        CoderSpec("gp", 3),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": (4, 4)}, "--pools has 5 entries for 2 --filters"),
        ({"image_height": 50}, "--image_height=50 and --image_width=160 must divide"),
        ({"image_width": 48}, "must divide the crop's 240 and 160"),
        ({"kernel_size": 4}, "--kernel_size=4 must be 3 or 5"),
    ],
)
def test_options_that_do_not_fit_together(options, message):
    with pytest.raises(UserError, match=message):
        Config(**options)


@pytest.mark.parametrize("config", [Config(), preset("small", augment_flip=0.5, fold=2)])
def test_json_brings_everything_back(config):
    text = config.to_json()
    assert Config.from_mapping(json.loads(text)) == config
    assert Config.from_mapping({}) == Config()


def test_an_unknown_option_is_named():
    with pytest.raises(UserError, match="unknown option 'colour'; known are augment_blur"):
        Config.from_mapping({"colour": "red"})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("iterations", "many", "a whole number"),
        ("iterations", 2.5, "a whole number"),
        ("iterations", None, "a whole number"),
        ("iterations", [3], "a whole number"),
        ("learning_rate", "fast", "a number"),
        ("gp", 3, "a word"),
        ("coders", None, "a word"),
        ("filters", [], "a list of whole numbers"),
        ("filters", [8, "big"], "a list of whole numbers"),
        ("pools", "1,1", "a list of whole numbers"),
    ],
)
def test_another_kind_of_value_is_named(name, value, wanted):
    with pytest.raises(UserError, match=f"--{name}=.*: wanted {wanted}"):
        Config.from_mapping({name: value})


def test_a_whole_number_is_a_number():
    assert Config.from_mapping({"learning_rate": 1}).learning_rate == 1


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 3
