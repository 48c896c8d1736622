"""The bench's cells: their order, their processes, what is kept, and what a failure leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deepcoder_tf.cli import train
from deepcoder_tf.cli.command import parse
from deepcoder_tf.cli.options import config_of
from deepcoder_tf.config import SYSTEMS, Config, preset
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment import bench_runner
from deepcoder_tf.experiment.bench_cells import (
    BUILT_IN,
    Cell,
    Outcome,
    changed_option,
    fits_features,
    outcome_of,
    plan_cells,
    write_options,
    write_outcome,
)
from deepcoder_tf.experiment.bench_runner import claimed, commands_of, run_cells

GOOD = "mkdir -p test run/cache run/best run/checkpoints && touch test/predictions.npz"


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(bench_runner, "POLL", 0.01)


def variants() -> dict[str, Config]:
    """A few rows."""
    return {
        "2dc": preset("small"),
        "mlr": preset("small", system="mlr"),
        "cnn": preset("small", system="cnn"),
        "vogpae_lbp": preset("small", system="vogpae", features="lbp"),
    }


def stub(script: Callable[[Cell], str]) -> Callable:
    """Steps that are lines of a shell, run in the cell's folder; each notes its name in `order`."""

    def commands(cell: Cell, output_dir: Path) -> dict[str, list[str]]:
        note = f"cd {cell.folder(output_dir)}; echo {cell.name} >> {output_dir}/order; "
        return {"train": ["sh", "-c", note + script(cell)], "test": ["true"]}

    return commands


def order(output_dir: Path) -> list[str]:
    """Cells in the order in which they began."""
    path = output_dir / "order"
    return path.read_text().split() if path.exists() else []


def run(cells: list[Cell], output_dir: Path, script=lambda cell: GOOD, **options) -> None:
    """Runs cells with a stub."""
    output_dir.mkdir(exist_ok=True)
    run_cells(cells, output_dir, stub(script), progress=False, **options)


def outcomes(cells: list[Cell], output_dir: Path) -> dict[str, Outcome | None]:
    """How each ended."""
    return {cell.name: outcome_of(cell.folder(output_dir)) for cell in cells}


# Which cells there are ----------------------------------------------------------------------------


def test_every_system_is_a_row_in_the_order_of_the_paper():
    assert {options["system"] for options in BUILT_IN.values()} == set(SYSTEMS)
    paper = "2dc dcp cnn or_cnn vgg16 vogpae vogpae_lbp vae_dgp gp sor mlr"
    assert list(BUILT_IN) == paper.split()


def test_the_cnn_that_others_see_comes_first_and_is_added():
    cells = plan_cells(variants(), [0, 2], {"2dc": [0], "mlr": [0, 1], "vogpae_lbp": [0]})
    assert [cell.name for cell in cells] == [
        "cnn/fold0/seed0",
        "2dc/fold0/seed0",
        "mlr/fold0/seed0",
        "vogpae_lbp/fold0/seed0",
        "cnn/fold2/seed0",
        "2dc/fold2/seed0",
        "mlr/fold2/seed0",
        "vogpae_lbp/fold2/seed0",
        "cnn/fold0/seed1",
        "mlr/fold0/seed1",
        "cnn/fold2/seed1",
        "mlr/fold2/seed1",
    ]
    needs = {cell.name: cell.needs for cell in cells}
    assert needs["mlr/fold2/seed1"] == "cnn/fold2/seed1"
    assert needs["2dc/fold0/seed0"] is None and needs["vogpae_lbp/fold0/seed0"] is None
    assert (cells[-1].config.fold, cells[-1].config.seed) == (2, 1)
    with pytest.raises(UserError, match="'forest' is no row"):
        plan_cells(variants(), [0], {"forest": [0]})


def test_the_steps_are_the_commands_and_their_flags_make_the_same_run(tmp_path):
    cells = plan_cells(variants(), [1], {"mlr": [3]})
    write_options(cells[1], tmp_path)
    steps = commands_of(Path("PREPARED"))(cells[1], tmp_path)
    assert steps["train"][:3] == [sys.executable, "-m", "deepcoder_tf.cli.train"]
    assert steps["test"][:3] == [sys.executable, "-m", "deepcoder_tf.cli.evaluate"]
    assert parse(train.FLAGS, steps["train"][2:]) == []
    cnn = tmp_path.resolve() / "cells" / "cnn" / "fold1" / "seed3" / "run"
    expected = preset("small", system="mlr", fold=1, seed=3, features_from=str(cnn))
    assert config_of(train.FLAGS) == expected
    assert train.FLAGS.data_dir == "PREPARED"
    assert train.FLAGS.model_dir == str(tmp_path / "cells/mlr/fold1/seed3/run")


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("sizes", ["paper", "small"])
def test_a_flag_file_holds_every_option(name, sizes, tmp_path):
    config = preset(sizes, **BUILT_IN[name])
    write_options(Cell(name, config), tmp_path)
    path = tmp_path / "cells" / name / "fold0" / "seed0" / "cell.flags"
    parse(train.FLAGS, ["train", f"--flagfile={path}", "--data_dir=D", "--model_dir=M"])
    assert config_of(train.FLAGS) == config
    assert len(path.read_text().splitlines()) == len(dataclasses.fields(Config))


# Running ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_finished_cells_are_kept_and_the_rest_is_run(tmp_path, workers):
    cells = plan_cells(variants(), [0, 1], {"2dc": [0], "mlr": [0]})
    run(cells[:2], tmp_path, workers=workers)
    assert len(order(tmp_path)) == 2
    run(cells, tmp_path, workers=workers)
    assert sorted(order(tmp_path)) == sorted(cell.name for cell in cells)
    assert all(outcome.ok for outcome in outcomes(cells, tmp_path).values())
    run(cells, tmp_path, workers=workers)
    assert len(order(tmp_path)) == len(cells)


def test_a_finished_cell_keeps_its_model_and_loses_what_is_large(tmp_path):
    cell = Cell("2dc", preset("small"))
    run([cell], tmp_path)
    folder = cell.folder(tmp_path)
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["best"]
    content = json.loads((folder / "cell.json").read_text())
    assert content["status"] == "ok" and content["reason"] == ""
    assert set(content["seconds"]) == {"train", "test"}
    assert content["config"] == json.loads(cell.config.to_json())
    assert (folder / "cell.log").read_text().startswith("$ sh -c ")


def test_a_bench_killed_while_it_cleans_up_leaves_a_finished_cell(tmp_path, monkeypatch):
    cell = Cell("2dc", preset("small"))

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_runner.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        run([cell], tmp_path)
    assert outcome_of(cell.folder(tmp_path)).ok


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo noise; echo error: coder_0/bound is nan; echo later; exit 1",
            "coder_0/bound is nan",
        ),
        ("printf 'step 1\\rstep 2\\rValueError: three\\n'; exit 1", "ValueError: three"),
        ("echo the last word; exit 3", "the last word"),
        ("exit 3", "exit code 3 without a word"),
        ("kill -9 $$", "killed by SIGKILL, perhaps for want of memory"),
        ("kill -11 $$", "killed by SIGSEGV"),
    ],
)
def test_a_failure_costs_one_cell_and_leaves_its_reason(tmp_path, script, reason):
    cells = plan_cells(variants(), [0], {"2dc": [0], "vogpae_lbp": [0]})
    run(cells, tmp_path, lambda cell: script if cell.variant == "2dc" else GOOD)
    found = outcomes(cells, tmp_path)
    assert found["2dc/fold0/seed0"].reason == f"train: {reason}"
    assert not found["2dc/fold0/seed0"].ok and found["vogpae_lbp/fold0/seed0"].ok
    run(cells, tmp_path)
    assert outcomes(cells, tmp_path)["2dc/fold0/seed0"].ok
    assert order(tmp_path).count("vogpae_lbp/fold0/seed0") == 1


def test_an_old_failure_in_the_log_is_not_the_reason_of_a_new_one(tmp_path):
    cell = Cell("2dc", preset("small"))
    run([cell], tmp_path, lambda cell: "echo error: old; exit 1")
    run([cell], tmp_path, lambda cell: "exit 1")
    assert outcome_of(cell.folder(tmp_path)).reason == "train: exit code 1 without a word"


def test_a_test_without_predictions_is_a_failure(tmp_path):
    cell = Cell("2dc", preset("small"))
    run([cell], tmp_path, lambda cell: "true")
    assert "predictions.npz" in outcome_of(cell.folder(tmp_path)).reason


@pytest.mark.parametrize("workers", [1, 2])
def test_what_sees_the_features_of_a_failed_cnn_fails_with_its_reason(tmp_path, workers):
    cells = plan_cells(variants(), [0], {"2dc": [0], "mlr": [0]})
    script = {"cnn": "sleep 0.3; echo error: no face; exit 1"}
    run(cells, tmp_path, lambda cell: script.get(cell.variant, GOOD), workers=workers)
    found = outcomes(cells, tmp_path)
    assert found["2dc/fold0/seed0"].ok
    expected = "its features: cnn/fold0/seed0 failed: train: no face"
    assert found["mlr/fold0/seed0"].reason == expected
    assert "mlr/fold0/seed0" not in order(tmp_path)
    run(cells, tmp_path, workers=workers)
    assert all(outcome.ok for outcome in outcomes(cells, tmp_path).values())


def test_workers_run_at_once_and_share_the_cores(tmp_path):
    cells = plan_cells(variants(), [0, 1], {"2dc": [0]})
    # Each waits for the other: one worker would never end.
    meet = "touch ../../../../met.$$; until [ $(ls ../../../../met.* | wc -l) = 2 ]; do sleep 0.01;"
    threads = "echo $TF_NUM_INTRAOP_THREADS > threads;"
    run(cells, tmp_path, lambda cell: f"{threads} {meet} done; {GOOD}", workers=2)
    assert all(outcome.ok for outcome in outcomes(cells, tmp_path).values())
    found = {int((cell.folder(tmp_path) / "threads").read_text()) for cell in cells}
    assert found == {max(1, os.cpu_count() // 2)}


# Stopping -----------------------------------------------------------------------------------------

BENCH = """
import sys
from pathlib import Path
from deepcoder_tf.config import Config
from deepcoder_tf.experiment.bench_cells import Cell
from deepcoder_tf.experiment.bench_runner import claimed, run_cells
out = Path(sys.argv[1])
steps = {"train": ["sh", "-c", f"echo $$ > {out}/child; exec sleep 300"], "test": ["true"]}
try:
    with claimed(out) as lock:
        run_cells([Cell("2dc", Config())], out, lambda cell, out: steps, lock=lock)
except KeyboardInterrupt:
    sys.exit(130)
"""


def start_bench(output_dir: Path) -> tuple[subprocess.Popen, int]:
    """A bench in its own process, and the process of its cell."""
    bench = subprocess.Popen(
        [sys.executable, "-c", BENCH, str(output_dir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # As from a terminal: a shell in the background lets its children ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: (output_dir / "child").exists() and (output_dir / "child").read_text().strip())
    return bench, int((output_dir / "child").read_text())


def until(condition: Callable[[], object]) -> None:
    """Waits for something that comes soon."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def alive(number: int) -> bool:
    """Whether a process is still there."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def free(output_dir: Path) -> bool:
    """Whether a bench may begin."""
    try:
        with claimed(output_dir):
            return True
    except UserError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_bench_ends_its_processes(tmp_path, number):
    bench, child = start_bench(tmp_path)
    bench.send_signal(number)
    assert bench.wait(60) == 130
    until(lambda: not alive(child))
    cell = Cell("2dc", Config())
    assert outcome_of(cell.folder(tmp_path)) is None
    assert changed_option(cell, tmp_path) is None


def test_what_a_killed_bench_left_running_keeps_the_folder(tmp_path):
    bench, child = start_bench(tmp_path)
    bench.kill()
    bench.wait(60)
    assert alive(child)
    with pytest.raises(UserError, match=rf"in use .*process {bench.pid}\)"), claimed(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    until(lambda: free(tmp_path))


# What a cell is -----------------------------------------------------------------------------------


def test_a_cell_made_with_other_options_is_told_from_the_same(tmp_path):
    cell = Cell("2dc", preset("small"))
    assert changed_option(cell, tmp_path) is None
    write_options(cell, tmp_path)
    assert changed_option(cell, tmp_path) is None
    other = cell._replace(config=preset("small", iterations=30))
    assert changed_option(other, tmp_path) == "--iterations=8, not 30"


def test_options_added_since_have_their_defaults(tmp_path):
    cell = Cell("2dc", preset("small"))
    write_options(cell, tmp_path)
    path = cell.folder(tmp_path) / "options.json"
    content = json.loads(path.read_text())
    del content["config"]["unlabelled"]
    path.write_text(json.dumps(content))
    assert changed_option(cell, tmp_path) is None
    content["config"]["colour"] = "red"
    path.write_text(json.dumps(content))
    assert "another version" in changed_option(cell, tmp_path)


def test_features_of_another_cnn_are_other_options(tmp_path):
    cnn, mlr = plan_cells(variants(), [0], {"mlr": [0]})
    for cell in (cnn, mlr):
        write_options(cell, tmp_path)
    folders = mlr.folder(tmp_path), cnn.folder(tmp_path)
    assert fits_features(*folders) and changed_option(mlr, tmp_path) is None
    longer = {**variants(), "cnn": preset("small", system="cnn", iterations=30)}
    cnn, other = plan_cells(longer, [0], {"mlr": [0]})
    assert changed_option(other, tmp_path) == "features of a cnn with --iterations=8, not 30"
    write_options(cnn, tmp_path)
    assert not fits_features(*folders)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "maybe"}'])
def test_a_damaged_outcome_is_none(tmp_path, text):
    (tmp_path / "cell.json").write_text(text)
    assert outcome_of(tmp_path) is None


def test_an_outcome_is_read_as_it_was_written(tmp_path):
    cell = Cell("2dc", preset("small"))
    outcome = Outcome("failed", "why", {"train": 1.5}, {"numpy": "2"})
    write_outcome(cell, tmp_path, outcome)
    assert outcome_of(cell.folder(tmp_path)) == outcome
