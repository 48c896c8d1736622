"""Loading an exported model, and telling it from everything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from deepcoder_tf.errors import UserError
from deepcoder_tf.prediction.model import ServingModel, read_description


@pytest.fixture
def copy(model_folder, tmp_path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "copy" / "1"))


def test_the_description_is_read(model_folder, description):
    found = read_description(model_folder)
    assert found.action_units == ("AU01", "AU12", "AU25")
    assert found.crop_shape == (240, 160)
    np.testing.assert_array_equal(found.mean_shape, description["mean_shape"])


def test_probabilities_do_not_depend_on_the_company(model_folder):
    """One by one or all at once: the same numbers; in the same row, to the last bit."""
    model = ServingModel(model_folder)
    crops = np.random.default_rng(0).integers(0, 256, (7, 240, 160, 1), np.uint8)
    together = model.probabilities(crops, 4)
    assert together.shape == (7, 3, 6)
    np.testing.assert_allclose(together.sum(-1), 1, atol=1e-6)
    for i in range(7):
        alone = model.probabilities(crops[i : i + 1], 4, place=i)
        np.testing.assert_array_equal(together[i : i + 1], alone)
        first = model.probabilities(crops[i : i + 1], 4)
        np.testing.assert_allclose(together[i : i + 1], first, atol=1e-6)
    direct = tf.saved_model.load(str(model_folder))
    answer = direct.signatures["serving_default"](crops=tf.constant(crops))
    np.testing.assert_allclose(together, answer["level_probabilities"], atol=1e-6)
    assert model.probabilities(crops[:0], 4).shape == (0, 3, 6)


def test_the_first_crop_lies_in_the_row_that_is_asked_for(model_folder, monkeypatch):
    model, calls = ServingModel(model_folder), []
    answer = model.answer
    monkeypatch.setattr(
        model, "answer", lambda faces: calls.append(faces["crops"]) or answer(faces)
    )
    crops = np.random.default_rng(0).integers(1, 256, (7, 240, 160, 1), np.uint8)
    P = model.probabilities(crops, 4, place=6)
    np.testing.assert_allclose(P, model.probabilities(crops, 4), atol=1e-6)
    assert [len(call) for call in calls[:3]] == [4, 4, 4]
    given = np.concatenate(calls[:3])
    np.testing.assert_array_equal(given[2:9], crops)
    assert not given[:2].any() and not given[9:].any()


@pytest.mark.parametrize(
    "crops", [np.zeros((1, 240, 160), np.uint8), np.zeros((1, 240, 160, 1), np.float32)]
)
def test_other_crops_are_refused(model_folder, crops):
    with pytest.raises(ValueError, match=r"uint8 \[N, 240, 160, 1\]"):
        ServingModel(model_folder).probabilities(crops, 4)


def test_landmarks_go_with_their_crops(points_folder, model_folder):
    model = ServingModel(points_folder)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (7, 240, 160, 1), np.uint8)
    points = rng.uniform(20, 140, (7, 49, 2))
    together = model.probabilities(crops, 4, points)
    alone = [model.probabilities(crops[i : i + 1], 4, points[i : i + 1], i) for i in range(7)]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    direct = tf.saved_model.load(str(points_folder)).signatures["serving_default"]
    answer = direct(crops=tf.constant(crops), landmarks=tf.constant(points, tf.float32))
    np.testing.assert_allclose(together, answer["level_probabilities"], atol=1e-6)
    assert np.ptp(together, axis=0).max() > 0.1
    for wrong in (None, points[:6], points[:, :48]):
        with pytest.raises(ValueError, match=r"wants landmarks \[7, 49, 2\] beside the crops, got"):
            model.probabilities(crops, 4, wrong)
    picture = ServingModel(model_folder)
    np.testing.assert_array_equal(
        picture.probabilities(crops, 4, points), picture.probabilities(crops, 4)
    )


def test_a_folder_that_is_no_model(tmp_path, copy):
    with pytest.raises(UserError, match="does not exist; give the folder that deepcoder-export"):
        ServingModel(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        ServingModel(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no saved_model\.pb"):
        ServingModel(tmp_path / "empty")
    with pytest.raises(UserError, match=r"holds versions 1; give one of them: --model=.*copy/1$"):
        ServingModel(copy.parent)


def damage(copy: Path, **changes) -> None:
    path = copy / "assets.extra" / "deepcoder.json"
    document = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, this program reads 1; export the model again"),
        ({"mean_shape": None}, "KeyError 'mean_shape'"),
        ({"mean_shape": [[0, 0]]}, r"the mean shape is \[1, 2\] for 3 action units"),
        ({"action_units": ["AU01", "AU99"]}, "'AU99' is no action unit"),
        ({"crop_shape": [240]}, "ValueError"),
        ({"action_units": ["AU01"]}, r"level_probabilities \[None, 1, 6\]"),
    ],
)
def test_a_description_that_does_not_fit(copy, changes, message):
    damage(copy, **changes)
    with pytest.raises(UserError, match=message) as raised:
        ServingModel(copy)
    assert "\n" not in str(raised.value)


def test_a_description_that_is_missing_or_no_json(copy):
    path = copy / "assets.extra" / "deepcoder.json"
    path.write_text("{")
    with pytest.raises(UserError, match=r"deepcoder\.json cannot be read"):
        ServingModel(copy)
    path.unlink()
    with pytest.raises(UserError, match=r"is a SavedModel but has no assets\.extra"):
        ServingModel(copy)


def test_a_damaged_graph_is_one_line(copy):
    (copy / "saved_model.pb").write_bytes(b"garbage")
    with pytest.raises(UserError, match="cannot be loaded") as raised:
        ServingModel(copy)
    assert "\n" not in str(raised.value)


def test_a_newer_tensorflow_is_named(copy):
    """An operation that this one does not know, as a graph of a later release may have."""
    path = copy / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = content.meta_graphs[0]
    graph.meta_info_def.tensorflow_version = "9.1.0"
    nodes = [node for function in graph.graph_def.library.function for node in function.node_def]
    next(node for node in nodes if node.op == "Softmax").op = "SoftmaxOfTheFuture"
    path.write_bytes(content.SerializeToString())
    with pytest.raises(UserError) as raised:
        ServingModel(copy)
    told = str(raised.value)
    assert "SoftmaxOfTheFuture" in told and "\n" not in told
    assert f"made by TensorFlow 9.1.0, this is {tf.__version__}" in told


@pytest.mark.parametrize(
    "inputs",
    [
        {"landmarks": ([None, 49, 2], tf.float32)},
        {"crops": ([None, 120, 80, 1], tf.uint8)},
        {"crops": ([None, 240, 160, 1], tf.uint8), "landmarks": ([None, 68, 2], tf.float32)},
        {"crops": ([None, 240, 160, 1], tf.uint8), "landmarks": ([None, 49, 2], tf.float64)},
        {"crops": ([None, 240, 160, 1], tf.uint8), "audio": ([None, 9], tf.float32)},
    ],
)
def test_inputs_that_nobody_could_give(tmp_path, copy, inputs):
    specs = {name: tf.TensorSpec(*spec, name=name) for name, spec in inputs.items()}

    def serve(**given):
        count = tf.shape(next(iter(given.values())))[0]
        return {"level_probabilities": tf.zeros([count, 3, 6])}

    module = tf.Module()
    module.serve = tf.function(serve)
    other = tmp_path / "other"
    signature = module.serve.get_concrete_function(**specs)
    tf.saved_model.save(module, str(other), signatures={"serving_default": signature})
    shutil.copytree(copy / "assets.extra", other / "assets.extra")
    with pytest.raises(UserError, match=r"must take uint8 crops, or these and .* it takes T") as e:
        ServingModel(other)
    assert "\n" not in str(e.value)


def test_a_savedmodel_with_another_signature(tmp_path, copy):
    class Other(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def serve(self, x):
            """Something else."""
            return {"y": x}

    other = tmp_path / "other"
    module = Other()
    tf.saved_model.save(module, str(other), signatures={"serving_default": module.serve})
    shutil.copytree(copy / "assets.extra", other / "assets.extra")
    with pytest.raises(UserError, match="must take uint8 crops"):
        ServingModel(other)
    unsigned = tmp_path / "unsigned"
    tf.saved_model.save(tf.Module(), str(unsigned))
    shutil.copytree(copy / "assets.extra", unsigned / "assets.extra")
    with pytest.raises(UserError, match="no signature serving_default"):
        ServingModel(unsigned)
