"""Flags: one for each option, and every shipped file parses, builds and takes its first steps."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from absl import flags

from deepcoder_tf.cli import benchmark, command, train
from deepcoder_tf.cli.options import config_of, define_config
from deepcoder_tf.config import Config, preset
from deepcoder_tf.experiment.bench_cells import BUILT_IN, RowConfig, built_in
from deepcoder_tf.recogniser_config import EXPRESSION_SYSTEMS, RecogniserConfig

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "flags").glob("*.flags"))


def command_of(path: Path) -> str:
    """The command that a file's first lines give it to."""
    head = path.read_text(encoding="utf-8")
    found = re.search(rf"deepcoder-(\w+) --flagfile=flags/{re.escape(path.name)}", head)
    return found[1] if found else ""


def of_expressions(path: Path) -> bool:
    """Whether a file is for prepared expressions."""
    return path.stem.startswith("expression")


TRAINED = [path for path in FILES if command_of(path) == "train"]
BENCHED = [path for path in FILES if command_of(path) == "benchmark"]


def config_from(*arguments: str) -> RowConfig:
    """The configuration that a command line describes."""
    values = flags.FlagValues()
    define_config(values)
    assert command.parse(values, ["train", *arguments]) == []
    return config_of(values)


def config_of_file(path: Path) -> RowConfig:
    """As `deepcoder-train --flagfile=...` reads it."""
    fold = 0 if of_expressions(path) else 1
    arguments = [f"--flagfile={path}", "--data_dir=D", "--model_dir=M", f"--fold={fold}"]
    command.parse(train.FLAGS, ["train", *arguments])
    return config_of(train.FLAGS)


# Shipped files ------------------------------------------------------------------------------------


def test_there_is_a_file_for_the_paper():
    assert ROOT / "flags" / "disfa_paper.flags" in FILES


def test_every_file_says_which_command_it_is_for():
    assert sorted([*TRAINED, *BENCHED]) == FILES and BENCHED


@pytest.mark.parametrize(
    "path", [path for path in TRAINED if not of_expressions(path)], ids=lambda path: path.stem
)
def test_a_shipped_file_parses_and_builds(path):
    from deepcoder_tf.models.deepcoder import build_coders

    config = config_of_file(path)
    assert config.fold == 1
    coders = build_coders(config, outputs=12, points=min(config.gp_points, 32))
    assert [coder.latent_dim for coder in coders] == [spec.latent_dim for spec in config.stack]
    assert Config.from_mapping(dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    "path", [path for path in TRAINED if of_expressions(path)], ids=lambda path: path.stem
)
def test_a_shipped_file_of_expressions_parses_and_builds(path):
    from deepcoder_tf.models.expressions.registry import build_recogniser

    config = config_of_file(path)
    assert isinstance(config, RecogniserConfig)
    assert config.trunk_weights, f"{path.name} trains a trunk from random weights"
    assert RecogniserConfig.from_mapping(dataclasses.asdict(config)) == config
    narrow = dataclasses.replace(config, trunk_width=0.05, trunk_weights="random")
    assert build_recogniser(narrow, size=48, channels=1, identities=3).trainable_weights


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_begins_with_its_command_source_and_expectations(path):
    head = path.read_text(encoding="utf-8").split("\n--")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert f"--flagfile=flags/{path.name}" in head
    for word in ("Source:", "Expected"):
        assert word in head, f"{path.name} does not say {word}"


def plan_of_file(path: Path) -> tuple[dict[str, RowConfig], dict[str, list[int]]]:
    """As `deepcoder-benchmark --flagfile=...` reads it."""
    command.parse(benchmark.FLAGS, ["benchmark", f"--flagfile={path}", "--output_dir=O"])
    return benchmark.plan(
        benchmark.FLAGS, "expressions" if of_expressions(path) else "action_units"
    )


@pytest.mark.parametrize("path", BENCHED, ids=lambda path: path.stem)
def test_the_rows_of_a_shipped_bench_are_distinct(path):
    variants, seeds = plan_of_file(path)
    assert set(seeds) <= set(variants)
    rows = [dataclasses.astuple(variants[name]) for name in seeds]
    assert len(set(rows)) == len(rows), "two rows with the same options"


@pytest.mark.parametrize("name", ["disfa", "fera2015", "disfa_small", "fera2015_small"])
def test_the_shipped_tables_have_every_row_of_the_paper(name):
    variants, seeds = plan_of_file(ROOT / "flags" / f"table1_{name}.flags")
    assert list(seeds) == list(BUILT_IN)
    for row in ("2dc", "dcp", "cnn", "vogpae"):
        assert len(set(seeds[row])) >= 3
    for row, options in BUILT_IN.items():
        own = dataclasses.asdict(variants[row])
        assert {option: own[option] for option in options} == options
    small = name.endswith("small")
    assert variants["2dc"].stack == preset("small" if small else "paper").stack


def test_the_shipped_bench_of_expressions_has_both_tables_of_the_paper():
    variants, seeds = plan_of_file(ROOT / "flags" / "expression_bench.flags")
    assert list(built_in("expressions")) == list(EXPRESSION_SYSTEMS)
    assert set(seeds) - set(EXPRESSION_SYSTEMS) == {"beta1_1", "beta1_0001"}
    assert seeds["disentangled"] == seeds["baseline"] == [0, 1, 2]
    base = variants["disentangled"]
    assert isinstance(base, RecogniserConfig) and base.beta_reconstruction == 0
    for name, change in (
        ("beta1_1", {"beta_reconstruction": 1.0}),
        ("beta1_0001", {"beta_reconstruction": 0.001}),
        ("baseline", {"system": "baseline"}),
    ):
        assert variants[name] == dataclasses.replace(base, **change), name


WITH = {
    "gp_exact": {"gp_points", "overlap"},  # all frames for both coders, as the sparse GP has them
    "gp_minibatch": {"gp_points", "overlap"},
    **{
        f"labelled_{percent}_alone": {"unlabelled", "init_epochs", "epochs_per_iteration"}
        for percent in (1, 5, 20)  # as many steps on fewer frames
    },
}
"""What an ablation changes beside its one option, so that nothing else differs in effect."""


def test_an_ablation_is_2dc_but_for_what_its_name_says():
    variants, seeds = plan_of_file(ROOT / "flags" / "ablations_small.flags")
    base = variants["2dc"]
    assert base == preset("small")
    for name in seeds:
        changed = {
            field.name
            for field in dataclasses.fields(Config)
            if getattr(variants[name], field.name) != getattr(base, field.name)
        }
        beside = WITH.get(name, set())
        assert beside <= changed, name
        assert len(changed - beside) == (name != "2dc"), name


@pytest.mark.slow
def test_the_first_steps_at_the_papers_size(tmp_path):
    import tensorflow as tf

    from deepcoder_tf.models.deepcoder import DeepCoder
    from deepcoder_tf.training.data import Frames
    from deepcoder_tf.training.loop import Algorithm1
    from deepcoder_tf.types import Gaussian

    config = config_of_file(ROOT / "flags" / "disfa_paper.flags")
    assert config.stack == ((("conv", 2000)), ("gp", 50))
    rng, points = np.random.default_rng(0), 40
    frames = Frames(
        images=rng.integers(0, 256, (points + 2, 240, 160, 1), dtype=np.uint8),
        labels=rng.integers(-1, 6, (points + 2, 12)).astype(np.int32),
        subjects=np.repeat(["a", "b"], points // 2 + 1),
        rows=np.arange(points + 2),
    )
    model = DeepCoder(config, 12, points)
    model.build()
    run = Algorithm1(model, frames, np.arange(points), tmp_path, lambda model, codes: {})
    one, seed = tf.constant(1.0), tf.constant([0, 1])

    rest = frames.take(run.rest)
    images, labels = Gaussian(tf.constant(rest.images), None), tf.constant(rest.labels)
    top = run.steps[0].run(images, labels, tf.range(2), None, one, one, one, seed)

    z0 = Gaussian(rng.normal(size=(points, 2000)), np.full((points, 2000), 0.1))
    own = frames.labels[:points]
    model.coders[1].observe(z0, own, first=True)
    z0, own = Gaussian(*map(tf.constant, z0)), tf.constant(own)
    bottom = run.steps[1].run(z0, own, tf.range(points), None, one, one, one, seed)
    model.coders[1].refresh()
    # The tied step: the GP's prediction is the prior of Z0.
    code = model.coders[1].encode(model.coders[0].encode(images.mean / 255).mean).mean
    tied = run.steps[0].run(images, labels, tf.range(2), code, one, one, one, seed)
    for terms in (top, bottom, tied):
        assert terms["skipped"] == 0
        assert all(np.isfinite(value) for value in terms.values())


# Flags and options --------------------------------------------------------------------------------


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda field: field.name)
def test_every_option_is_a_flag_with_its_help_and_bounds(field):
    values = flags.FlagValues()
    define_config(values)
    text, meta = values[field.name].help, field.metadata
    assert meta["help"] in text
    for bound in ("low", "high"):
        if meta[bound] is not None and not meta["choices"]:
            assert f"{meta[bound]:g}" in text


def test_flags_stand_on_top_of_the_preset():
    assert config_from() == Config()
    assert config_from("--preset=small") == preset("small")
    found = config_from("--preset=small", "--seed=7", "--filters=8,8", "--pools=1,0", "--tie=0")
    assert found == preset("small", seed=7, filters=(8, 8), pools=(1, 0), tie=0)
    assert config_from("--learning_rate=1e-4").learning_rate == 1e-4


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--seed=-1", "--seed=-1"),
        ("--seed=many", "--seed=many"),
        ("--dropout=2", "--dropout=2"),
        ("--gp=approximate", "gp"),
        ("--filters=8,big", "--filters=8,big: wanted whole numbers"),
        ("--filters=8,8", "--pools has 5 entries for 2 --filters"),
        ("--coders=gp:3", "--coders=gp:3"),
        ("--image_height=100", "--image_height=100"),
        ("--kernel_size=4", "--kernel_size=4"),
        ("--preset=large", "preset"),
        ("--colour=red", "colour"),
    ],
)
def test_values_that_no_run_can_have(argument, message):
    with pytest.raises(flags.Error, match=message):
        config_from(argument)


def test_a_flag_file_may_hold_comments_and_be_overridden(tmp_path):
    path = tmp_path / "a.flags"
    path.write_text("# a comment\n--preset=small\n\n--seed=3\n--batch_size=4\n")
    found = config_from(f"--flagfile={path}", "--batch_size=5")
    assert found == preset("small", seed=3, batch_size=5)
