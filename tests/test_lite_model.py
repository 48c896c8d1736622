"""A .tflite file as a model: dispatch, the same numbers as the SavedModel, and what is no model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf import lite_model
from deepcoder_tf.errors import UserError
from deepcoder_tf.lite_model import LiteModel, join, split
from deepcoder_tf.prediction.model import load_model

AUS = ("AU01", "AU12")
SHAPE = np.random.default_rng(0).uniform(20, 140, (49, 2)).tolist()
CARD = {"format": 1, "action_units": list(AUS), "mean_shape": SHAPE, "crop_shape": [240, 160]}


class Tiny(tf.Module):
    """Level probabilities from the light of a picture, and of landmarks where they are given."""

    def serve(self, crops, landmarks=None):
        """The agreed outputs."""
        light = tf.reduce_mean(tf.cast(crops, tf.float32) / 255, axis=[1, 2])
        if landmarks is not None:
            light += tf.reduce_mean(landmarks, axis=[1, 2])[:, tf.newaxis] / 100
        logits = light * tf.reshape(tf.range(12.0), (1, 12))
        return {"level_probabilities": tf.nn.softmax(tf.reshape(logits, (-1, 2, 6)))}


def graph(folder: Path, **specs: tf.TensorSpec) -> bytes:
    """A TFLite graph that takes these inputs; the SavedModel stays in the folder."""
    module = Tiny()
    module.function = tf.function(module.serve).get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.function})
    return tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()


def spec(name: str, shape: tuple, kind: tf.DType) -> dict[str, tf.TensorSpec]:
    """One input."""
    return {name: tf.TensorSpec(shape, kind, name=name)}


CROP = spec("crops", (1, 240, 160, 1), tf.uint8)
POINTS = spec("landmarks", (1, 49, 2), tf.float32)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> bytes:
    """The graph of crops alone."""
    return graph(tmp_path_factory.mktemp("plain") / "1", **CROP)


def write(folder: Path, content: bytes) -> Path:
    """A file of its own."""
    path = folder / "x.tflite"
    path.write_bytes(content)
    return path


def crops(count: int) -> np.ndarray:
    """Noise, one lighter than the other."""
    rng = np.random.default_rng(1)
    light = np.linspace(40, 255, count)[:, None, None, None]
    return rng.uniform(0, light, (count, 240, 160, 1)).astype(np.uint8)


def test_one_file_is_graph_and_description(plain, tmp_path):
    content = join(plain, CARD)
    assert content == join(plain, CARD)  # nothing of time or chance in it
    found, text = split(content, "x")
    assert found == plain
    assert json.loads(text) == CARD
    interpreter = tf.lite.Interpreter(model_content=content)  # what other readers see
    assert "serving_default" in interpreter.get_signature_list()
    model = load_model(write(tmp_path, content))
    assert isinstance(model, LiteModel)
    assert model.description.action_units == AUS
    assert not model.needs_landmarks


@pytest.mark.parametrize("landmarks", [False, True])
def test_the_numbers_are_those_of_the_savedmodel(tmp_path, landmarks):
    folder = tmp_path / "1"
    inputs = {**CROP, **POINTS} if landmarks else CROP
    lite = LiteModel(write(tmp_path, join(graph(folder, **inputs), CARD)), threads=1)
    assert lite.needs_landmarks == landmarks
    points = np.random.default_rng(2).uniform(0, 160, (5, 49, 2))
    here = lite.probabilities(crops(5), 4, points)
    assert here.shape == (5, 2, 6)
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    for i in range(5):
        given = {"crops": tf.constant(crops(5)[i : i + 1])}
        if landmarks:
            given["landmarks"] = tf.constant(points[i : i + 1], tf.float32)
        np.testing.assert_allclose(here[i], serve(**given)["level_probabilities"][0], atol=1e-5)
    assert np.ptp(here, axis=0).max() > 0.1
    if landmarks:
        with pytest.raises(ValueError, match="wants landmarks"):
            lite.probabilities(crops(5), 4)


def test_tensorflow_runs_it_where_litert_is_not_installed(plain, tmp_path, monkeypatch):
    path = write(tmp_path, join(plain, CARD))
    before = LiteModel(path)
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert.interpreter", None)
    after = LiteModel(path)
    assert after.runtime == "tensorflow"
    np.testing.assert_allclose(
        after.probabilities(crops(2), 1), before.probabilities(crops(2), 1), atol=1e-6
    )


def test_a_savedmodel_is_still_one(tmp_path):
    with pytest.raises(UserError, match="give the folder that deepcoder-export wrote"):
        load_model(tmp_path / "gone")
    with pytest.raises(UserError, match=r"gone\.tflite does not exist; give a file"):
        load_model(tmp_path / "gone.tflite")
    folder = tmp_path / "odd.tflite"
    folder.mkdir()
    with pytest.raises(UserError, match=r"no saved_model\.pb"):
        load_model(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: b"", "is no TFLite model"),
        (lambda c: b"\x89PNG and so on", "is no TFLite model"),
        (lambda c: split(c, "")[0], "has no description behind its graph"),
        (lambda c: c[:-100], "has no description behind its graph, or was cut"),
        (lambda c: c[: len(c) // 2], "has no description behind its graph, or was cut"),
        (lambda c: c[:200] + b"\xff" * 64 + c[264:], "is damaged"),
        (lambda c: join(split(c, "")[0], {**CARD, "format": 7}), "has format 7, this program"),
        (lambda c: join(split(c, "")[0], {**CARD, "action_units": ["AU01"]}), "must take crops"),
        (lambda c: join(split(c, "")[0], {**CARD, "crop_shape": [120, 80]}), "must take crops"),
        (lambda c: join(b"\x1c\0\0\0TFL3" + b"\xee" * 400, CARD), "cannot be loaded"),
    ],
)
def test_what_is_no_model_is_one_line(plain, tmp_path, damage, message):
    path = write(tmp_path, damage(join(plain, CARD)))
    with pytest.raises(UserError, match=message) as raised:
        load_model(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "inputs",
    [
        spec("crops", (2, 240, 160, 1), tf.uint8),
        spec("crops", (1, 240, 160, 1), tf.float32),
        {**CROP, **spec("landmarks", (1, 68, 2), tf.float32)},
    ],
)
def test_other_inputs_are_told(tmp_path, inputs):
    path = write(tmp_path, join(graph(tmp_path / "1", **inputs), CARD))
    with pytest.raises(UserError, match=r"must take crops uint8 \[1, 240, 160, 1\].*; it takes"):
        load_model(path)


def test_a_graph_without_the_signature(tmp_path):
    module = Tiny()
    function = tf.function(lambda x: x + 1.0, input_signature=[tf.TensorSpec([3], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], module
    )
    path = write(tmp_path, join(converter.convert(), CARD))
    with pytest.raises(UserError, match=r"cannot be loaded|must take crops"):
        load_model(path)


def test_the_command_offers_the_variants(capsys):
    from deepcoder_tf.cli import export

    arguments = ["deepcoder-export", "--model_dir=a", "--output_dir=b"]
    assert export.main([*arguments, "--tflite=float32,int4"]) == 2
    assert "choose some of float32,float16,int8" in capsys.readouterr().err
    assert export.main([*arguments, f"--tflite={','.join(lite_model.VARIANTS)}"]) == 1  # no run
