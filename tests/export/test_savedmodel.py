"""The exported model: equal to the one in memory, whole or not there, never overwritten."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import absl.logging
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.export import CARD, check_parity, export_model, next_version, savedmodel
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.types import Gaussian

POINTS, OUTPUTS = 9, 2
CONFIG = Config(
    coders="conv:4,gp:2",
    image_height=24,
    image_width=16,
    filters=(3, 2),
    pools=(1, 1),
    kernel_size=3,
)
FACE = np.random.default_rng(4).uniform([20, 60], [140, 200], (49, 2)).tolist()
CARD_CONTENT = {"format": 1, "action_units": ["AU01", "AU12"], "mean_shape": FACE}


def make_model(config: Config = CONFIG) -> DeepCoder:
    """A stack whose GP coder owns points and whose weights are not those of the start."""
    model = DeepCoder(config, OUTPUTS, POINTS)
    model.build()
    rng = np.random.default_rng(0)
    if config.stack[-1].kind == "gp":
        z = rng.standard_normal((POINTS, 4))
        labels = rng.integers(0, 6, (POINTS, OUTPUTS))
        model.coders[1].observe(Gaussian(z, 0.1 * np.ones_like(z)), labels, first=True)
    for v in model.trainable_variables:
        v.assign_add(0.2 * rng.standard_normal(v.shape))
    for coder in model.coders:
        coder.refresh()
    return model


@pytest.fixture(scope="module")
def model() -> DeepCoder:
    """Shared by the tests that only read."""
    return make_model()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    """Version 1."""
    return export_model(model, CARD_CONTENT, tmp_path_factory.mktemp("models") / "name")


def crops(count: int, seed: int = 1) -> tf.Tensor:
    """Noise of many sizes, uint8."""
    rng = np.random.default_rng(seed)
    return tf.constant(rng.integers(0, 256, (count, 240, 160, 1)), tf.uint8)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_it_predicts_what_the_model_in_memory_predicts(model, exported, batch):
    serve = tf.saved_model.load(str(exported))
    there = serve.signatures["serving_default"](crops=crops(batch))
    here = model(crops(batch))
    assert set(there) == set(here)
    for name, value in here.items():
        assert there[name].dtype == (tf.int32 if name == "presence" else tf.float32)
        np.testing.assert_allclose(there[name], value, atol=1e-5)
    assert there["intensity"].shape == (batch, OUTPUTS)
    np.testing.assert_allclose(np.sum(there["level_probabilities"], axis=-1), 1.0, atol=1e-6)
    assert np.std(there["intensity"]) > 0 or batch == 1


@pytest.mark.parametrize("coders", ["conv:4", "conv:4,dense:4,gp:2"])
def test_stacks_of_any_depth_export(coders, tmp_path):
    """Those of two coders are in test_systems.py."""
    config = dataclasses.replace(CONFIG, coders=coders)
    model = DeepCoder(config, OUTPUTS, POINTS)
    model.build()
    if coders.endswith("gp:2"):
        z = np.random.default_rng(0).standard_normal((POINTS, 4))
        model.coders[-1].observe(Gaussian(z, np.ones_like(z)), np.zeros((POINTS, 2), int), True)
        model.coders[-1].refresh()
    path = export_model(model, CARD_CONTENT, tmp_path)  # compares every signature
    there = tf.saved_model.load(str(path)).signatures["serving_default"](crops=crops(2))
    np.testing.assert_allclose(there["intensity"], model(crops(2))["intensity"], atol=1e-5)


def test_the_card_lies_beside_the_graph(exported):
    assert exported.name == "1"
    card = json.loads((exported / CARD).read_text())
    signatures, fingerprint = card.pop("signatures"), card.pop("fingerprint")
    assert card == CARD_CONTENT
    found = tf.saved_model.experimental.read_fingerprint(str(exported))
    assert fingerprint["saved_model_checksum"] == str(found.saved_model_checksum)
    described = signatures["serving_default"]
    crops = described["inputs"]["crops"]
    assert (crops["dtype"], crops["shape"]) == ("uint8", [None, 240, 160, 1])
    shapes = {name: entry["shape"] for name, entry in described["outputs"].items()}
    assert shapes == {
        "intensity": [None, OUTPUTS],
        "presence": [None, OUTPUTS],
        "standard_deviation": [None, OUTPUTS],
        "level_probabilities": [None, OUTPUTS, 6],
    }
    assert described["outputs"]["presence"]["dtype"] == "int32"
    assert [p.name for p in exported.parent.iterdir()] == ["1"]


@pytest.fixture
def heard(caplog, monkeypatch):
    """What TensorFlow's two loggers say, whatever became of them in other tests."""
    for logger in (tf.get_logger(), absl.logging.get_absl_logger()):
        monkeypatch.setattr(logger, "handlers", [caplog.handler])
        monkeypatch.setattr(logger, "propagate", False)
        caplog.set_level("INFO", logger.name)
    return caplog


def test_tensorflow_says_nothing_of_what_it_does(tmp_path, heard):
    factor = tf.Variable(2.0)
    function = graph_of(lambda x: {"y": factor * x}, [tf.TensorSpec([None], name="x")])
    graph = function.get_concrete_function()
    module = tf.Module()
    module.factor = factor
    tf.saved_model.save(module, str(tmp_path / "loud"), signatures={"answer": graph})
    assert "renamed" in heard.text and "Assets written" in heard.text
    heard.clear()
    savedmodel.save_functions({"answer": graph}, tmp_path / "quiet")
    assert not heard.text
    tf.get_logger().info("Levels are as before.")
    assert "as before" in heard.text
    assert tf.saved_model.load(str(tmp_path / "quiet")).signatures["answer"](x=[3.0])["y"] == [6.0]


def test_a_signature_is_traced_once(tmp_path):
    calls = []

    def answer(x: tf.Tensor) -> dict[str, tf.Tensor]:
        calls.append(x)
        return {"y": x + 1.0}

    graph = graph_of(answer, [tf.TensorSpec([None], name="x")]).get_concrete_function()
    savedmodel.save_functions({"answer": graph}, tmp_path / "saved")
    assert len(calls) == 1


def quickly(monkeypatch):
    """Exports write one file and compare nothing."""

    def write(model, card, name, path):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"new")

    monkeypatch.setattr(savedmodel, "write_version", write)
    monkeypatch.setattr(savedmodel, "check_parity", lambda *given: 0.0)


def test_versions_count_on(model, tmp_path, monkeypatch):
    quickly(monkeypatch)
    assert next_version(tmp_path / "none") == 1
    for name in ("2", "10", "latest", ".11.partial"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file")
    assert next_version(tmp_path) == 11
    assert export_model(model, CARD_CONTENT, tmp_path) == tmp_path / "11"
    assert export_model(model, CARD_CONTENT, tmp_path, version=20) == tmp_path / "20"


def test_a_version_is_never_overwritten(model, exported):
    before = {p: p.stat().st_mtime_ns for p in exported.rglob("*")}
    with pytest.raises(UserError, match=r"1 exists; choose another --version"):
        export_model(model, CARD_CONTENT, exported.parent, version=1)
    assert {p: p.stat().st_mtime_ns for p in exported.rglob("*")} == before


def test_a_half_written_version_is_never_visible(model, tmp_path, monkeypatch):
    quickly(monkeypatch)
    seen = []

    def watch(model, path, card):
        seen.append(sorted(p.name for p in tmp_path.iterdir()))

    monkeypatch.setattr(savedmodel, "check_parity", watch)
    export_model(model, CARD_CONTENT, tmp_path)
    assert seen == [[".1.partial"]]
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


def test_what_a_killed_export_left_is_no_obstacle(model, tmp_path, monkeypatch):
    quickly(monkeypatch)
    (tmp_path / ".1.partial" / "variables").mkdir(parents=True)
    assert export_model(model, CARD_CONTENT, tmp_path).name == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert [p.name for p in (tmp_path / "1").iterdir()] == ["saved_model.pb"]


def test_a_version_is_replaced_when_told(model, tmp_path, monkeypatch):
    quickly(monkeypatch)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "old").write_bytes(b"old")
    (tmp_path / ".1.old").mkdir()  # of an export that was killed
    assert export_model(model, CARD_CONTENT, tmp_path, 1, overwrite=True) == tmp_path / "1"
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert [p.name for p in (tmp_path / "1").iterdir()] == ["saved_model.pb"]


def test_the_old_version_stays_when_replacing_it_fails(model, tmp_path, monkeypatch):
    quickly(monkeypatch)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "old").write_bytes(b"old")

    def fail(path):
        assert (tmp_path / "1" / "old").exists()
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="the disk is full"):
        export_model(model, CARD_CONTENT, tmp_path, 1, overwrite=True, additions=[fail])
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert [p.name for p in (tmp_path / "1").iterdir()] == ["old"]


def test_additions_are_part_of_the_version_at_once(model, tmp_path, monkeypatch):
    quickly(monkeypatch)
    seen = []

    def add(path):
        seen.append((path.name, sorted(p.name for p in path.iterdir())))
        (path / "more").write_bytes(b"more")

    path = export_model(model, CARD_CONTENT, tmp_path, additions=[add, add])
    assert seen == [
        (".1.partial", ["saved_model.pb"]),
        (".1.partial", ["more", "saved_model.pb"]),
    ]
    assert sorted(p.name for p in path.iterdir()) == ["more", "saved_model.pb"]


def test_a_target_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UserError, match=r"writing .*file/1 failed: File exists"):
        export_model(model, CARD_CONTENT, tmp_path / "file")
    with pytest.raises(UserError, match=r"writing .*file/name/1 failed: Not a directory"):
        export_model(model, CARD_CONTENT, tmp_path / "file" / "name")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "no permission while writing .*/1: "),
        (OSError(28, "No space left on device"), "the disk is full while writing"),
        (tf.errors.ResourceExhaustedError(None, None, "No space"), "writing .* failed"),
        (UserError("the export differs"), "the export differs"),
    ],
)
def test_a_failure_publishes_nothing(model, tmp_path, monkeypatch, error, message):
    def fail(signatures, path, meanings):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"half")
        raise error

    monkeypatch.setattr(savedmodel, "write_archive", fail)
    with pytest.raises(UserError, match=message):
        export_model(model, CARD_CONTENT, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_that_differs_from_its_export_is_refused(model, exported):
    other = make_model()
    other.coders[1].W.assign_add(np.full(other.coders[1].W.shape, 0.01))
    with pytest.raises(
        UserError, match=r"serving_default: \w+ of the export differs .* by .*, more"
    ):
        check_parity(other, exported, CARD_CONTENT)
    assert check_parity(model, exported, CARD_CONTENT) <= 1e-5


def test_a_model_that_is_not_finite_is_refused(tmp_path):
    broken = make_model()
    broken.coders[1].W.assign(np.full(broken.coders[1].W.shape, np.nan))
    with pytest.raises(UserError, match="nothing was published"):
        export_model(broken, CARD_CONTENT, tmp_path)
    assert not list(tmp_path.iterdir())
