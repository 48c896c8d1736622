"""A run's folder: everything comes back, and what cannot come back is told in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.files import write_json
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.run import RunInfo, load_model, open_run, read_run

CONFIG = Config(
    coders="conv:4,dense:3", image_height=12, image_width=8, filters=(2,), pools=(1,), dense_units=5
)
INFO = RunInfo(
    config=CONFIG,
    action_units=("AU01", "AU12"),
    mean_shape=[[float(k), 2.0 * k] for k in range(49)],
    points=0,
    source="disfa",
    subjects={"train": ["SN001"], "validation": ["SN002"], "test": ["SN003"]},
    versions={"numpy": "2"},
)


def stack(config: Config = CONFIG) -> tuple[DeepCoder, keras.optimizers.Optimizer]:
    """A model and the optimizer of all its weights."""
    model = DeepCoder(config, 2, 0)
    model.build()
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def move(model: DeepCoder, optimizer: keras.optimizers.Optimizer) -> None:
    """A step in some direction."""
    optimizer.apply([tf.ones_like(v) for v in model.trainable_variables])


def values(item) -> list[np.ndarray]:
    """All weights or all slots."""
    return [np.array(v) for v in item.variables]


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """One by one, exactly."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def saved(tmp_path: Path):
    """A folder with two saves, and what was in the second."""
    model, optimizer = stack()
    checkpoints = Checkpoints(tmp_path, model=model, optimizer=optimizer)
    for iteration in range(2):
        move(model, optimizer)
        checkpoints.save({"iteration": iteration, "note": f"after {iteration}"})
    return tmp_path, values(model), values(optimizer)


def test_weights_slots_and_state_come_back(saved):
    folder, weights, slots = saved
    model, optimizer = stack()
    state = Checkpoints(folder, model=model, optimizer=optimizer).restore()
    assert state["iteration"] == 1 and state["note"] == "after 1"
    assert_equal(values(model), weights)
    assert_equal(values(optimizer), slots)
    # Momentum and step count as well: the next step is that of an uninterrupted run.
    assert int(optimizer.iterations) == 2


def test_a_new_folder_has_no_state(tmp_path):
    model, optimizer = stack()
    assert Checkpoints(tmp_path / "new", model=model, optimizer=optimizer).restore() is None


def test_a_kill_between_tensors_and_state_leaves_the_older_save(saved):
    folder, weights, _ = saved
    model, optimizer = stack()
    checkpoints = Checkpoints(folder, model=model, optimizer=optimizer)
    checkpoints.restore()
    move(model, optimizer)
    checkpoints.manager.save(checkpoint_number=3)
    again, optimizer = stack()
    assert Checkpoints(folder, model=again, optimizer=optimizer).restore()["iteration"] == 1
    assert_equal(values(again), weights)


def damage_state(folder: Path) -> None:
    (folder / "state.json").write_text('{"iteration": 1, "check')


def wrong_state(folder: Path) -> None:
    (folder / "state.json").write_text("[1, 2]")


def lose_tensors(folder: Path) -> None:
    for path in (folder / "checkpoints").glob("ckpt-*"):
        path.unlink()


def cut_tensors(folder: Path) -> None:
    for path in (folder / "checkpoints").glob("*.data-*"):
        path.write_bytes(path.read_bytes()[:40])


def change_tensors(folder: Path) -> None:
    for path in (folder / "checkpoints").glob("*.data-*"):
        path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))


@pytest.mark.parametrize(
    "harm", [damage_state, wrong_state, lose_tensors, cut_tensors, change_tensors]
)
def test_a_damaged_save_is_told_with_its_cure(saved, harm):
    folder, _, _ = saved
    harm(folder)
    model, optimizer = stack()
    with pytest.raises(UserError, match=r"state\.json: the saved state cannot be read") as caught:
        Checkpoints(folder, model=model, optimizer=optimizer).restore()
    assert "\n" not in str(caught.value) and "--model_dir" in str(caught.value)


@pytest.mark.parametrize("other", [{"coders": "conv:5,dense:3"}, {"coders": "conv:4"}])
def test_a_save_of_another_model_is_refused(saved, other):
    folder, _, _ = saved
    model, optimizer = stack(dataclasses.replace(CONFIG, **other))
    with pytest.raises(UserError, match="the saved state cannot be read"):
        Checkpoints(folder, model=model, optimizer=optimizer).restore()


@pytest.mark.parametrize(
    "error",
    [tf.errors.ResourceExhaustedError(None, None, "No space left on device"), OSError(28, "full")],
)
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, error):
    model, optimizer = stack()
    checkpoints = Checkpoints(tmp_path, model=model, optimizer=optimizer)

    def fail(checkpoint_number):
        raise error

    monkeypatch.setattr(checkpoints.manager, "save", fail)
    with pytest.raises(UserError, match="free some space and run the same command again"):
        checkpoints.save({"iteration": 0})
    assert not (tmp_path / "state.json").exists()


def test_json_is_whole_and_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


# The chosen model ---------------------------------------------------------------------------------


def test_the_chosen_model_comes_back_without_its_maker(tmp_path):
    open_run(tmp_path, INFO)
    model, optimizer = stack()
    Checkpoints.save_model(tmp_path, model)
    move(model, optimizer)
    Checkpoints.save_model(tmp_path, model)  # a better one replaces it
    again, info = load_model(tmp_path)
    assert_equal(values(again), values(model))
    assert info == INFO


def test_a_run_without_a_chosen_model_is_told(tmp_path):
    open_run(tmp_path, INFO)
    with pytest.raises(UserError, match="no complete trained model is here"):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 40])
def test_a_cut_chosen_model_is_told(tmp_path, keep):
    open_run(tmp_path, INFO)
    Checkpoints.save_model(tmp_path, stack()[0])
    for path in (tmp_path / "best").glob("weights-*"):
        path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="no complete trained model is here"):
        load_model(tmp_path)


def test_a_chosen_model_of_other_sizes_is_refused(tmp_path):
    open_run(tmp_path, INFO)
    Checkpoints.save_model(tmp_path, stack(dataclasses.replace(CONFIG, coders="conv:4"))[0])
    with pytest.raises(UserError, match="no complete trained model is here"):
        load_model(tmp_path)


# The run's description ----------------------------------------------------------------------------


def test_the_same_run_goes_on(tmp_path):
    open_run(tmp_path / "run", INFO)
    open_run(tmp_path / "run", dataclasses.replace(INFO, versions={"numpy": "3"}))
    assert read_run(tmp_path / "run") == INFO


def test_another_option_is_named_with_both_values(tmp_path):
    open_run(tmp_path, INFO)
    other = dataclasses.replace(INFO, config=dataclasses.replace(CONFIG, learning_rate=0.5))
    with pytest.raises(UserError, match=r"--learning_rate=0\.01, not 0\.5; choose another"):
        open_run(tmp_path, other)


@pytest.mark.parametrize(
    "change",
    [
        {"action_units": ("AU01", "AU02")},
        {"points": 3},
        {"source": "fera2015"},
        {"subjects": {"train": [], "validation": [], "test": []}},
        {"mean_shape": [[0.0, 0.0]] * 49},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_data_are_named(tmp_path, change):
    open_run(tmp_path, INFO)
    with pytest.raises(UserError, match=rf"other data \({next(iter(change))} differs\)"):
        open_run(tmp_path, dataclasses.replace(INFO, **change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("{}", "damaged"),
        ("[]", "damaged"),
        ('{"format": 99}', "written by another version"),
        ('{"format": 1, "config": {"colour": 1}}', "unknown option 'colour'"),
    ],
)
def test_a_damaged_description_is_one_line(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(UserError, match=r"no model folder \(no run\.json\); run deepcoder-train"):
        load_model(tmp_path)
