"""deepcoder-benchmark on prepared expressions, with cells that cost nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.cli import benchmark, command, report, train
from deepcoder_tf.cli.options import config_of
from deepcoder_tf.evaluation.expression_metrics import measure_expressions
from deepcoder_tf.experiment import bench_runner, benchmarking
from deepcoder_tf.experiment.bench_cells import Cell, built_in, plan_cells, write_options
from deepcoder_tf.experiment.bench_runner import commands_of
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.recogniser_config import EXPRESSION_SYSTEMS, recogniser_preset

SKILL = {"disentangled": 3.0, "baseline": 1.0}

NAMES = (*EXPRESSIONS, "none")


def prepare(folder: Path, test: int = 0, **changes) -> Path:
    """A prepared folder as far as the bench itself reads it."""
    pictures = {"train": 50, "validation": 10, "test": test}
    content = {
        "format": 1,
        "kind": "expressions",
        "source": "ferplus",
        "expressions": list(EXPRESSIONS),
        "size": 48,
        "channels": 1,
        "align": "none",
        "has_landmarks": False,
        "counts": {split: dict.fromkeys(NAMES, count) for split, count in pictures.items()},
        "statuses": {},
        "reasons": {},
        "settings": {},
    }
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({**content, **changes}))
    return folder


@pytest.fixture
def prepared(tmp_path) -> Path:
    """Expressions without test pictures."""
    return prepare(tmp_path / "prepared")


@pytest.fixture(autouse=True)
def scripts(monkeypatch, tmp_path) -> dict[str, str]:
    """Cells copy a test made here; a script of a row's name runs before that."""
    made: dict[str, str] = {}

    def commands_of(data_dir, split):
        def commands(cell, output_dir):
            path = tmp_path / "made" / cell.name.replace("/", "-")
            write_test(path, cell.variant, cell.config.seed, split)
            steps, folder = made.get(cell.variant, "true"), cell.folder(output_dir)
            line = f"cd {folder}; echo x >> ran; {steps}; rm -rf test; cp -r {path} test"
            return {"train": ["sh", "-c", line], "test": ["true"]}

        return commands

    monkeypatch.setattr(benchmarking, "commands_of", commands_of)
    monkeypatch.setattr(bench_runner, "POLL", 0.01)
    return made


def write_test(folder: Path, system: str, seed: int, split: str = "validation", **changes) -> None:
    """What deepcoder-evaluate leaves of a fake system."""
    labels = np.random.default_rng(0).integers(-1, 8, 200).astype(np.int8)
    noise = np.random.default_rng([seed, len(system)])
    scores = noise.normal(size=(2, 200, 8))
    scores[0] += SKILL.get(system, 2.0) * np.eye(8)[labels]
    P = (np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)).astype(np.float32)
    arrays = {
        "probabilities": P[0], "labels": labels, "subjects": np.full(200, ""),
        "rows": np.arange(200),
    }  # fmt: skip
    told = {"kind": "expressions", "system": system, "split": split}
    told |= {"similarity": {"auc": 0.8, "comparison": "any pair"}, "probes": None}
    if system != "baseline":
        arrays["adversary_probabilities"] = P[1]
        one = {"accuracy": 0.4, "balanced_accuracy": 0.2}
        codes = {name: {"linear": one, "mlp": one} for name in ("expression", "non_expression")}
        told["probes"] = {"train_pictures": 50, "test_pictures": 20, **codes}
    told["accuracy"] = measure_expressions(labels, P[0]).accuracy
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: changes.pop(name, value) for name, value in arrays.items()}
    np.savez(folder / "predictions.npz", **parts)
    (folder / "metrics.json").write_text(json.dumps({**told, **changes}))


def bench(prepared: Path, out: Path, *arguments: str) -> int:
    """The command at the small sizes."""
    given = [f"--data_dir={prepared}", f"--output_dir={out}", "--preset=small"]
    return benchmark.main(["benchmark", *given, "--replicates=100", *arguments])


def ran(out: Path, name: str) -> int:
    """How often a cell was run."""
    path = out / "cells" / name / "ran"
    return len(path.read_text().split()) if path.exists() else 0


def table(out: Path) -> dict:
    """`expressions.json`."""
    return json.loads((out / "expressions.json").read_text())


# From flags to the tables -------------------------------------------------------------------------


def test_the_whole_way(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    rows = ["--systems=disentangled,baseline,beta1_1", "--variant=beta1_1: --beta_reconstruction=1"]
    seeds = "--seeds_of=disentangled,baseline: 0,1"
    assert bench(prepared, out, *rows, seeds, "--show_paper") == 0
    printed, told = capsys.readouterr()
    assert "disentangled/fold0/seed1: ok" in printed + told and ", accuracy 0." in printed + told
    assert (out / "expressions.md").read_text() in printed
    assert "# Table 2" in printed and "AffectNet" in printed and "beta1 = 1 " in printed
    content = table(out)
    assert list(content["systems"]) == ["disentangled", "baseline", "beta1_1"]
    assert content["systems"]["baseline"]["seeds"] == [0, 1]
    assert content["systems"]["baseline"]["difference"]["accuracy"]["holds"]
    assert content["systems"]["beta1_1"]["metrics"]["probe_mlp"]["value"] == 0.4
    assert content["tested"]["split"] == "validation" == content["data"]["split"]
    assert content["bootstrap"]["unit"] == "pictures" and content["failed"] == []
    assert set(content["seconds"]["baseline"]) == {"train", "test"}
    with (out / "expressions.csv").open(newline="") as stream:
        names = {line["system"] for line in csv.DictReader(stream)}
    assert names == {"disentangled", "baseline", "beta1_1"}
    assert not list(out.glob("table1.*")) and not list(out.rglob("*.partial"))


def test_averages_recompute_from_the_cells(prepared, tmp_path):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=disentangled", "--seeds=0,1,2") == 0
    found = [
        json.loads((out / f"cells/disentangled/fold0/seed{seed}/test/metrics.json").read_text())
        for seed in range(3)
    ]
    accuracy = table(out)["systems"]["disentangled"]["metrics"]["accuracy"]["value"]
    assert accuracy == pytest.approx(np.mean([cell["accuracy"] for cell in found]), abs=1e-9)


def test_finished_cells_are_kept_and_failed_ones_are_marked(prepared, tmp_path, capsys, scripts):
    out, chosen = tmp_path / "out", "--systems=disentangled,gacnn"
    scripts["gacnn"] = "echo error: needs landmarks; exit 1"
    assert bench(prepared, out, chosen) == 0
    printed = capsys.readouterr().out
    assert "- gacnn, seed 0: train: needs landmarks" in printed
    assert "gACNN has no finished cell" in printed
    scripts.clear()
    assert bench(prepared, out, chosen) == 0
    assert table(out)["failed"] == []
    assert ran(out, "disentangled/fold0/seed0") == 1 and ran(out, "gacnn/fold0/seed0") == 2


def test_a_killed_bench_has_its_unfinished_cell_in_the_notes(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=disentangled,baseline") == 0
    (out / "cells/baseline/fold0/seed0/cell.json").unlink()
    again = ["benchmark", f"--output_dir={out}", "--table_only", "--replicates=100"]
    assert benchmark.main(again) == 0
    assert "- baseline, seed 0: not finished" in capsys.readouterr().out
    assert bench(prepared, out, "--systems=disentangled,baseline") == 0
    assert ran(out, "disentangled/fold0/seed0") == 1 and ran(out, "baseline/fold0/seed0") == 2


def test_other_options_need_again(prepared, tmp_path, capsys):
    out, change = tmp_path / "out", "--variant=baseline: --iterations=9"
    assert bench(prepared, out, "--systems=baseline") == 0
    assert bench(prepared, out, "--systems=baseline", change) == 1
    assert "baseline/fold0/seed0 was made with --iterations=" in capsys.readouterr().err
    assert bench(prepared, out, "--systems=baseline", change, "--again") == 0
    assert ran(out, "baseline/fold0/seed0") == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"accuracy": 0.1}, "metrics.json says accuracy 0.1"),
        ({"split": "train"}, "tested on the train split, not on validation"),
        ({"rows": np.arange(1, 201)}, "other pictures than the cells before it (rows differ)"),
        ({"probabilities": np.full((200, 8), np.nan)}, "is no distribution"),
        ({"labels": np.zeros(3, np.int8)}, "are not [N] and [N, 8]"),
    ],
)
def test_a_cell_that_cannot_be_measured_is_marked(prepared, tmp_path, changes, reason):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=disentangled,ipa2lt") == 0
    write_test(out / "cells/ipa2lt/fold0/seed0/test", "ipa2lt", 0, **changes)
    assert benchmark.main(["benchmark", f"--output_dir={out}", "--table_only"]) == 0
    failed = table(out)["failed"]
    assert [f["system"] for f in failed] == ["ipa2lt"]
    assert reason in failed[0]["reason"] and "\n" not in failed[0]["reason"]


def test_damaged_files_are_marked(prepared, tmp_path):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=disentangled,ipa2lt,dlp_cnn") == 0
    (out / "cells/ipa2lt/fold0/seed0/test/predictions.npz").write_bytes(b"PK")
    (out / "cells/dlp_cnn/fold0/seed0/test/metrics.json").write_text("{")
    assert benchmark.main(["benchmark", f"--output_dir={out}", "--table_only"]) == 0
    reasons = {f["system"]: f["reason"] for f in table(out)["failed"]}
    assert all("cannot be read" in reason for reason in reasons.values()) and len(reasons) == 2


def test_pictures_for_the_test_are_used_where_there_are_some(tmp_path):
    out = tmp_path / "out"
    assert bench(prepare(tmp_path / "full", test=10), out, "--systems=baseline") == 0
    assert table(out)["tested"]["split"] == "test"
    assert "chosen too" not in (out / "expressions.md").read_text()


# Cells --------------------------------------------------------------------------------------------


def test_the_steps_are_the_commands_and_their_flags_make_the_same_run(tmp_path):
    config = recogniser_preset("small", trunk_weights="facenet.h5", beta_reconstruction=0.001)
    (cell,) = plan_cells({"x": config}, [0], {"x": [2]})
    assert cell.needs is None and cell.name == "x/fold0/seed2"
    write_options(cell, tmp_path)
    steps = commands_of(Path("PREPARED"), "validation")(cell, tmp_path)
    assert "--split=validation" in steps["test"] and "--fold=0" in steps["test"]
    assert command.parse(train.FLAGS, steps["train"][2:]) == []
    assert config_of(train.FLAGS) == cell.config


@pytest.mark.parametrize("name", EXPRESSION_SYSTEMS)
@pytest.mark.parametrize("sizes", ["paper", "small"])
def test_a_flag_file_holds_every_option(name, sizes, tmp_path):
    config = recogniser_preset(sizes, **built_in("expressions")[name])
    write_options(Cell(name, config), tmp_path)
    path = tmp_path / "cells" / name / "fold0" / "seed0" / "cell.flags"
    command.parse(train.FLAGS, ["train", f"--flagfile={path}", "--data_dir=D", "--model_dir=M"])
    assert config_of(train.FLAGS) == config


def test_all_rows_with_one_seed_unless_said():
    command.parse(benchmark.FLAGS, ["benchmark", "--output_dir=O", "--variant=wide: --dropout=0"])
    variants, seeds = benchmark.plan(benchmark.FLAGS, "expressions")
    assert seeds == {name: [0] for name in (*EXPRESSION_SYSTEMS, "wide")}
    assert list(variants) == list(seeds)
    assert variants["wide"].system == "disentangled"


# What is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--systems=2dc"], 2, "2dc learns action units, and --data_dir was prepared for exp"),
        (["--variant=cnn: --dropout=0"], 2, "cnn learns action units"),
        (["--systems=forest"], 2, "'forest' is no system and no --variant; known are disentangled"),
        (["--gp=sparse"], 2, "--gp is no option of --system=disentangled"),
        (["--preset=mobile"], 2, "--preset=mobile: recognisers of expressions have paper, small"),
        (["--systems=x", "--variant=x: --system=2dc"], 1, "x: --system=2dc does not learn from"),
        (["--folds=1"], 1, "--folds=1: "),
    ],
)
def test_what_does_not_fit_expressions_is_told_and_nothing_is_run(
    prepared, tmp_path, capsys, arguments, code, message
):
    out = tmp_path / "out"
    assert bench(prepared, out, *arguments) == code
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert not out.exists()


def test_a_bench_of_other_expressions_is_refused(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=baseline") == 0
    assert bench(prepare(tmp_path / "other", test=3), out, "--systems=baseline") == 1
    assert "holds a bench on other data than" in capsys.readouterr().err


def test_pictures_without_a_class_are_nothing_to_test_on(tmp_path, capsys):
    counts = {split: dict.fromkeys(NAMES, 5) for split in ("train", "validation")}
    counts["validation"] = {**dict.fromkeys(EXPRESSIONS, 0), "none": 5}
    prepared = prepare(tmp_path / "bare", counts=counts)
    assert bench(prepared, tmp_path / "out", "--systems=baseline") == 1
    assert "no validation picture has a class" in capsys.readouterr().err


def test_nothing_finished_and_an_unknown_row_are_1(prepared, tmp_path, capsys, scripts):
    out = tmp_path / "out"
    scripts["baseline"] = "echo error: no such weights; exit 1"
    assert bench(prepared, out, "--systems=baseline") == 1
    assert "no cell is finished; baseline: train: no such weights" in capsys.readouterr().err
    assert bench(prepared, out, "--systems=baseline", "--against=wide") == 1
    assert "--against=wide:" in capsys.readouterr().err


def test_there_is_no_report_yet(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    assert bench(prepared, out, "--systems=baseline") == 0
    capsys.readouterr()
    assert report.main(["report", f"--bench_dir={out}"]) == 1
    told = capsys.readouterr().err
    assert "no report is made yet" in told and len(told.splitlines()) == 1
