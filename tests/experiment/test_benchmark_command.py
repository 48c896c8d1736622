"""deepcoder-benchmark from its flags to its table, with cells that cost nothing."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.action_units import FERA2015
from deepcoder_tf.cli import benchmark, command
from deepcoder_tf.config import preset
from deepcoder_tf.experiment import bench_runner, benchmarking
from deepcoder_tf.experiment.bench_cells import BUILT_IN
from deepcoder_tf.experiment.reporting.cells import open_bench

ERRORS = {"2dc": 0.3, "mlr": 1.2}
"""Levels by which a fake system errs."""


@pytest.fixture
def prepared(tmp_path) -> Path:
    """A prepared folder as far as the bench itself reads it."""
    return prepare(tmp_path / "prepared")


def prepare(folder: Path, **changes) -> Path:
    """Two folds that can be used and one that cannot."""
    folds = {
        str(k): {"train": ["a"], "validation": ["b"], "test": [f"f{k}s{s}" for s in range(4)]}
        for k in range(2)
    }
    content = {
        "format": 1,
        "action_units": list(FERA2015),
        "crop_shape": [240, 160],
        "folds": folds,
        "unusable": {"2": "no test subject among the recordings"},
        "recordings": [],
        "source": "fera2015",
        "seed": 0,
        "settings": {},
    }
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({**content, **changes}))
    return folder


@pytest.fixture(autouse=True)
def scripts(monkeypatch, tmp_path) -> dict[str, str]:
    """Cells copy predictions made here; a script of a row's name runs before that."""
    made: dict[str, str] = {}
    (tmp_path / "made").mkdir()

    def commands_of(data_dir, split):
        assert split == "test"

        def commands(cell, output_dir):
            path = tmp_path / "made" / f"{cell.name.replace('/', '-')}.npz"
            write_predictions(path, cell.variant, cell.config.fold, cell.config.seed)
            steps = made.get(cell.variant, "true")
            folder = cell.folder(output_dir)
            line = f"cd {folder}; echo x >> ran; {steps}; mkdir -p test run; cp {path} "
            return {"train": ["sh", "-c", f"{line} test/predictions.npz"], "test": ["true"]}

        return commands

    monkeypatch.setattr(benchmarking, "commands_of", commands_of)
    monkeypatch.setattr(bench_runner, "POLL", 0.01)
    return made


def write_predictions(path: Path, system: str, fold: int, seed: int, **changes) -> None:
    """`predictions.npz` of a fake system."""
    rng = np.random.default_rng(fold)
    Y = rng.integers(-1, 6, (80, len(FERA2015))).astype(np.int8)
    noise = np.random.default_rng([fold, seed, len(system)])
    F = np.clip(np.maximum(Y, 0) + ERRORS.get(system, 0.8) * noise.normal(size=Y.shape), 0, 5)
    P = np.exp(-((F[..., None] - np.arange(6)) ** 2))
    arrays = {
        "probabilities": (P / P.sum(-1, keepdims=True)).astype(np.float32),
        "expected": F.astype(np.float32),
        "labels": Y,
        "subjects": np.repeat([f"f{fold}s{s}" for s in range(4)], 20),
        "rows": np.arange(80, dtype=np.int64),
    }
    np.savez(path, **{**arrays, **changes})


def bench(prepared: Path, out: Path, *arguments: str) -> int:
    """The command at the small sizes."""
    given = [f"--data_dir={prepared}", f"--output_dir={out}", "--preset=small"]
    return benchmark.main(["benchmark", *given, "--replicates=200", *arguments])


def ran(out: Path, name: str) -> int:
    """How often a cell was run."""
    path = out / "cells" / name / "ran"
    return len(path.read_text().split()) if path.exists() else 0


def cell_folders(out: Path) -> list[str]:
    """Names of the cells that were begun."""
    return sorted(str(p.relative_to(out / "cells")) for p in (out / "cells").glob("*/fold*/seed*"))


# From flags to the table --------------------------------------------------------------------------


def test_the_whole_way(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=2dc,mlr", "--seeds_of=2dc: 0,1", "--show_paper") == 0
    assert cell_folders(out) == [
        "2dc/fold0/seed0",
        "2dc/fold0/seed1",
        "2dc/fold1/seed0",
        "2dc/fold1/seed1",
        "cnn/fold0/seed0",
        "cnn/fold1/seed0",
        "mlr/fold0/seed0",
        "mlr/fold1/seed0",
    ]
    printed = capsys.readouterr().out
    assert (out / "table1.md").read_text() in printed
    assert "| 2DC " in printed and "*paper*" in printed
    content = json.loads((out / "table1.json").read_text())
    assert list(content["systems"]) == ["2dc", "cnn", "mlr"]
    assert content["systems"]["2dc"]["seeds"] == {"0": [0, 1], "1": [0, 1]}
    assert content["systems"]["mlr"]["difference"]["icc"]["mean"]["average"]["holds"]
    assert content["failed"] == [] and content["data"]["source"] == "fera2015"
    assert set(content["seconds"]["2dc"]) == {"train", "test"}
    with (out / "table1.csv").open(newline="") as stream:
        assert {line["system"] for line in csv.DictReader(stream)} == {"2dc", "cnn", "mlr"}
    assert not list(out.rglob("*.partial"))


def test_parts_add_up_and_a_table_can_be_made_again(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=sor", "--folds=1") == 0
    assert bench(prepared, out, "--systems=2dc,sor", "--variant=untied: --tie=0") == 0
    assert ran(out, "sor/fold1/seed0") == 1 and ran(out, "sor/fold0/seed0") == 1
    assert bench(prepared, out, "--systems=untied", "--variant=untied: --tie=0") == 0
    written = (out / "table1.csv").read_bytes()
    capsys.readouterr()
    again = ["benchmark", f"--output_dir={out}", "--table_only", "--replicates=200"]
    assert benchmark.main(again) == 0
    assert (out / "table1.csv").read_bytes() == written
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines()[9:13]]
    assert rows == ["2DC", "CNN", "SOR*", "untied"]
    assert benchmark.main([*again, "--against=untied", "--point=mode"]) == 0
    printed = capsys.readouterr().out
    assert "## untied minus each other" in printed and "most probable level" in printed


def test_a_failed_cell_is_marked_and_the_bench_goes_on(prepared, tmp_path, capsys, scripts):
    out = tmp_path / "out"
    scripts["vgg16"] = "echo error: no ImageNet weights; exit 1"
    assert bench(prepared, out, "--systems=2dc,vgg16") == 0
    assert "- vgg16, fold 1, seed 0: train: no ImageNet weights" in capsys.readouterr().out
    scripts.clear()
    assert bench(prepared, out, "--systems=2dc,vgg16") == 0
    assert "no ImageNet weights" not in (out / "table1.md").read_text()
    assert ran(out, "2dc/fold0/seed0") == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"PK"), "cannot be read"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: np.savez(path, labels=np.zeros(3)), "cannot be read"),
        (
            lambda path: write_predictions(path, "mlr", 0, 0, expected=np.full((80, 5), np.nan)),
            "is not finite",
        ),
        (lambda path: write_predictions(path, "mlr", 1, 0), "other frames"),
        (
            lambda path: write_predictions(path, "mlr", 0, 0, labels=np.full((80, 5), -1)),
            "none of the frames is labelled",
        ),
        (lambda path: (path.parents[1] / "cell.json").unlink(), "not finished"),
    ],
)
def test_a_cell_that_cannot_be_measured_is_marked(prepared, tmp_path, damage, reason):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=2dc,mlr", "--folds=0") == 0
    damage(out / "cells" / "mlr" / "fold0" / "seed0" / "test" / "predictions.npz")
    assert benchmark.main(["benchmark", f"--output_dir={out}", "--table_only"]) == 0
    failed = json.loads((out / "table1.json").read_text())["failed"]
    assert [(f["system"], f["fold"]) for f in failed] == [("mlr", 0)]
    assert reason in failed[0]["reason"] and "\n" not in failed[0]["reason"]


def test_other_options_need_again(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    chosen = ["--systems=2dc,mlr", "--folds=0"]
    assert bench(prepared, out, *chosen) == 0
    assert bench(prepared, out, *chosen, "--variant=2dc: --iterations=30") == 1
    told = capsys.readouterr().err
    assert "2dc/fold0/seed0 was made with --iterations=8, not 30" in told and "--again" in told
    assert bench(prepared, out, *chosen, "--variant=2dc: --iterations=30", "--again") == 0
    assert ran(out, "2dc/fold0/seed0") == ran(out, "mlr/fold0/seed0") == 1
    options = json.loads((out / "cells/2dc/fold0/seed0/options.json").read_text())
    assert options["config"]["iterations"] == 30


@pytest.mark.parametrize("saved", [False, True])
def test_a_cell_that_failed_before_its_first_save_is_tried_with_other_options(
    prepared, tmp_path, scripts, saved
):
    out, chosen = tmp_path / "out", ["--systems=2dc,vgg16", "--folds=0"]
    save = "mkdir run; touch run/state.json; " if saved else ""
    scripts["vgg16"] = f"{save}echo 'error: no ImageNet weights'; exit 1"
    assert bench(prepared, out, *chosen) == 0
    scripts["vgg16"] = "true"
    given = [*chosen, "--variant=vgg16: --vgg16_weights=PATH"]
    assert bench(prepared, out, *given) == (1 if saved else 0)
    assert ran(out, "2dc/fold0/seed0") == ran(out, "vgg16/fold0/seed0") == 1
    failed = json.loads((out / "table1.json").read_text())["failed"]
    assert [f["system"] for f in failed] == (["vgg16"] if saved else [])


def test_cells_with_the_options_that_a_row_had_before_are_not_averaged_with_the_others(
    prepared, tmp_path
):
    out, chosen = tmp_path / "out", ["--systems=2dc", "--folds=0"]
    assert bench(prepared, out, *chosen, "--seeds=0,1") == 0
    longer = [*chosen, "--variant=2dc: --iterations=30", "--again"]
    assert bench(prepared, out, *longer, "--seeds=0") == 0
    content = json.loads((out / "table1.json").read_text())
    assert content["systems"]["2dc"]["seeds"] == {"0": [0]}
    assert [(f["seed"], f["reason"]) for f in content["failed"]] == [
        (1, "made with --iterations=8, not 30, as its row has now; run it --again")
    ]
    assert [cell.seed for cell in open_bench(out).of("2dc")] == [0]
    assert bench(prepared, out, *longer, "--seeds=1") == 0
    assert json.loads((out / "table1.json").read_text())["failed"] == []
    assert [cell.seed for cell in open_bench(out).of("2dc")] == [0, 1]


def test_features_of_a_cnn_made_anew_are_marked_until_their_cells_are(prepared, tmp_path):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=2dc,mlr", "--folds=0") == 0
    longer = "--variant=cnn: --iterations=30"
    assert bench(prepared, out, "--systems=cnn", "--folds=0", longer, "--again") == 0
    failed = json.loads((out / "table1.json").read_text())["failed"]
    assert [f["system"] for f in failed] == ["mlr"] and "another cnn" in failed[0]["reason"]
    assert bench(prepared, out, "--systems=mlr", "--folds=0", longer, "--again") == 0
    assert json.loads((out / "table1.json").read_text())["failed"] == []


# What is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--systems=2dc,forest"], "'forest' is no system and no --variant; known are 2dc, dcp"),
        (["--seeds=0,one"], "--seeds=0,one: wanted whole numbers from 0"),
        (["--seeds=-1"], "--seeds=-1: wanted whole numbers from 0"),
        (["--folds=0,x"], "--folds=0,x: wanted whole numbers from 0"),
        (["--seeds_of=forest: 0"], "--seeds_of: 'forest' is no system"),
        (["--seeds_of=2dc"], "--seeds_of=: wanted whole numbers"),
        (["--variant=--tie=0"], '--variant=--tie=0: wanted "NAME: --flag=value ..."'),
        (["--variant=a/b: --tie=0"], 'wanted "NAME: --flag=value ..."'),
        (["--variant=a: --colour=red"], "a: Unknown command line flag 'colour'"),
        (["--variant=a: --dropout=2"], "a: flag --dropout=2"),
        (["--variant=a: tie=0"], "a: 'tie=0' is no flag"),
        (["--variant=a: --tie='0"], "No closing quotation"),
        (["--variant=a: --seed=3"], "a: --seed has no meaning in a --variant"),
        (["--variant=dcp: --coders=conv:20,gp:5"], "dcp: --system=dcp does not fit"),
        (["--fold=1"], "--fold has no meaning here: the bench chooses it; use --folds"),
        (["--system=mlr"], "--system has no meaning here: use --systems"),
        (["--features_from=RUN"], "--features_from has no meaning here"),
        (["--workers=0"], "--workers=0"),
        (["--point=median"], "--point=median"),
    ],
)
def test_wrong_flags_are_2_and_nothing_is_run(prepared, tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    assert bench(prepared, out, *arguments) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert not out.exists()


def test_data_are_asked_for(tmp_path, capsys):
    assert benchmark.main(["benchmark", f"--output_dir={tmp_path / 'out'}"]) == 2
    assert "--data_dir is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, ["--folds=7"], "has no such fold; choose from 0, 1"),
        ({}, ["--folds=0,2"], "cannot be used: no test subject among the recordings"),
        (
            {"folds": {}, "unusable": {"0": "needs two training subjects"}},
            [],
            "no fold can be used (fold 0: needs two training subjects)",
        ),
    ],
)
def test_folds_that_cannot_be_used_are_1(tmp_path, capsys, changes, arguments, message):
    prepared, out = prepare(tmp_path / "prepared", **changes), tmp_path / "out"
    assert bench(prepared, out, "--systems=2dc", *arguments) == 1
    told = capsys.readouterr().err
    assert message in told and len(told.splitlines()) == 1
    assert not out.exists()


def test_no_prepared_folder_is_1(tmp_path, capsys):
    assert bench(tmp_path / "none", tmp_path / "out") == 1
    assert "run deepcoder-prepare" in capsys.readouterr().err


def test_a_bench_of_other_data_is_refused(prepared, tmp_path, capsys):
    out, chosen = tmp_path / "out", ["--systems=2dc", "--folds=0"]
    assert bench(prepared, out, *chosen) == 0
    other = prepare(tmp_path / "other", source="disfa")
    assert bench(other, out, *chosen) == 1
    assert "holds a bench on other data than" in capsys.readouterr().err
    folds = json.loads((prepared / "dataset.json").read_text())["folds"]
    folds["0"]["test"] = ["f0s0", "f0s1"]
    fewer = prepare(tmp_path / "fewer", folds=folds)
    assert bench(fewer, out, *chosen) == 1
    assert "(folds differs)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no bench"), ("{", "no bench"), ('{"format": 9}', "another version")],
)
def test_a_table_of_nothing_is_1(tmp_path, capsys, content, message):
    out = tmp_path / "out"
    out.mkdir()
    if content is not None:
        (out / "bench.json").write_text(content)
    assert benchmark.main(["benchmark", f"--output_dir={out}", "--table_only"]) == 1
    assert message in capsys.readouterr().err


def test_a_bench_without_a_good_cell_and_a_row_that_is_not_there_are_1(
    prepared, tmp_path, capsys, scripts
):
    out = tmp_path / "out"
    scripts["2dc"] = "echo error: no frame has a face; exit 1"
    assert bench(prepared, out, "--systems=2dc", "--folds=0") == 1
    assert "no cell is finished; 2dc: train: no frame has a face" in capsys.readouterr().err
    scripts.clear()
    assert bench(prepared, out, "--systems=2dc", "--folds=0", "--against=untied") == 1
    assert "--against=untied:" in capsys.readouterr().err


def test_the_bench_itself_loads_no_tensorflow():
    """It leaves the memory to its cells, and --table_only answers at once."""
    code = (
        "import sys; from deepcoder_tf import experiment; experiment.benchmark;"
        "experiment.tabulate; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Rows ---------------------------------------------------------------------------------------------


def plan_of(*arguments: str):
    """Rows and seeds that a command line describes."""
    command.parse(benchmark.FLAGS, ["benchmark", "--output_dir=O", *arguments])
    return benchmark.plan(benchmark.FLAGS, "action_units")


def test_all_rows_with_one_seed_unless_said():
    variants, seeds = plan_of("--preset=small", "--variant=untied: --tie=0")
    assert seeds == {name: [0] for name in (*BUILT_IN, "untied")}
    assert variants["untied"] == preset("small", tie=0)
    assert variants["vogpae_lbp"] == preset("small", system="vogpae", features="lbp")
    assert variants["dcp"] == preset("small", system="dcp")


def test_common_options_hold_for_all_and_a_variant_stands_on_top():
    arguments = ["--preset=small", "--iterations=5", "--filters=8,8", "--pools=1,0"]
    variants, seeds = plan_of(
        *arguments, "--systems=2dc,deep", "--variant=deep: --iterations=9 --coders='conv:20,gp:5'"
    )
    common = {"iterations": 5, "filters": (8, 8), "pools": (1, 0)}
    assert variants["2dc"] == preset("small", **common)
    assert variants["deep"] == preset("small", **{**common, "iterations": 9}, coders="conv:20,gp:5")
    assert variants["cnn"] == preset("small", system="cnn", **common)
    assert list(seeds) == ["2dc", "deep"]


def test_a_variant_adds_to_that_of_a_flag_file_and_the_later_flag_holds(tmp_path, caplog):
    caplog.set_level("INFO", "deepcoder_tf")
    (tmp_path / "bench.flags").write_text("--preset=small\n--variant=a: --tie=0 --iterations=9\n")
    given = f"--flagfile={tmp_path / 'bench.flags'}"
    assert plan_of(given)[0]["a"] == preset("small", tie=0, iterations=9)
    assert not caplog.messages
    assert plan_of(given, "--variant=a: --tie=1")[0]["a"] == preset("small", tie=1, iterations=9)
    assert caplog.messages == ["--variant: a comes again; where both set a flag, the later holds"]


def test_seeds_of_some_rows():
    _, seeds = plan_of("--systems=2dc,cnn,mlr", "--seeds=4", "--seeds_of=2dc, dcp,cnn: 0, 1,2")
    assert seeds == {"2dc": [0, 1, 2], "cnn": [0, 1, 2], "mlr": [4]}


def test_an_empty_seeds_of_clears_what_a_flag_file_says(tmp_path):
    (tmp_path / "bench.flags").write_text("--seeds=0\n--seeds_of=2dc,cnn: 0,1,2\n")
    given = [f"--flagfile={tmp_path / 'bench.flags'}", "--systems=2dc,cnn"]
    assert plan_of(*given)[1] == {"2dc": [0, 1, 2], "cnn": [0, 1, 2]}
    assert plan_of(*given, "--seeds_of=")[1] == {"2dc": [0], "cnn": [0]}
    assert plan_of(*given, "--seeds_of=", "--seeds_of=cnn: 5")[1] == {"2dc": [0], "cnn": [5]}
