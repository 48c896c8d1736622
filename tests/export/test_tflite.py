"""A system as .tflite files: the same numbers from operations that every TFLite runtime has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.export import lite_parity, tflite
from deepcoder_tf.export.lite_graph import lite_graph
from deepcoder_tf.export.lite_parity import Faces, HeldOut, check_outputs
from deepcoder_tf.export.tflite import Examples, convert, operations, write_variants
from deepcoder_tf.lite_model import LiteModel, split
from tests.export.test_systems import FACE, FRAMES, ROWS

CARD = {
    "format": 1,
    "action_units": ["AU01", "AU12"],
    "mean_shape": FACE,
    "crop_shape": [240, 160],
}


def faces(count: int, landmarks: bool = False, start: int = 0) -> Faces:
    """The pictures that the systems were trained on, at the size of crops, lighter and darker."""
    rows = np.arange(start, start + count)
    crops = FRAMES.images[rows].repeat(20, axis=1).repeat(20, axis=2)
    crops = crops - (crops // 4) * (rows % 3)[:, None, None, None]
    assert FRAMES.landmarks is not None
    return Faces(crops.astype(np.uint8), FRAMES.landmarks[rows] if landmarks else None)


def examples(landmarks: bool = False) -> Examples:
    """Of a score that is the same for all."""
    return Examples(faces(8, landmarks, 4), HeldOut(faces(6, landmarks, 20), lambda f: 0.5))


@pytest.fixture(scope="module")
def stack(systems):
    """A small 2DC."""
    return systems("2dc-sparse")


@pytest.fixture(scope="module")
def folder(stack, tmp_path_factory) -> Path:
    """Its float32 and float16 files."""
    folder = tmp_path_factory.mktemp("lite") / "tflite"
    write_variants(stack, CARD, folder, ("float32", "float16"))
    return folder


@pytest.mark.parametrize("row", ROWS)
def test_every_system_gives_its_own_numbers(row, systems, tmp_path):
    model = systems(row)
    (written,) = write_variants(model, CARD, tmp_path / "tflite", ("float32",))
    assert written.difference is not None and written.difference <= 1e-5
    lite = LiteModel(written.path)
    given = faces(5, model.needs_landmarks)
    assert check_outputs(model, lite, given, "float32") <= 1e-5
    found = [lite.outputs(**given.inputs(row)) for row in range(5)]
    assert set(found[0]) == {
        "intensity",
        "presence",
        "standard_deviation",
        "level_probabilities",
    }
    assert np.ptp([f["intensity"] for f in found], axis=0).max() > 1e-4
    graph, _ = split(written.path.read_bytes(), "")
    names = operations(graph)
    assert names and all(name.isupper() or name[-1].isdigit() for name in names)
    assert not [name for name in names if name.startswith("Flex") or name == "CUSTOM"]


def test_a_foreign_operation_is_told_and_refused():
    @tf.function(input_signature=[tf.TensorSpec([4, 4], tf.float32)])
    def answer(x):
        return {"y": tf.linalg.inv(x)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [answer.get_concrete_function()], answer
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    content = converter.convert()
    assert "FlexMatrixInverse" in operations(content)
    with pytest.raises(UserError, match=r"needs operations .*FlexMatrixInverse\)"):
        tflite.check_content(content, 0, "float32")


def test_a_file_without_weights_is_refused(stack, monkeypatch):
    graph = lite_graph(stack, tflite.serving_default(stack, CARD).inputs)
    weights = sum(int(np.prod(v.shape)) for v in stack.coders[1].variables if "L0_inv" in v.path)
    assert graph.weights > weights > 0
    content = convert(graph, "float32")
    assert len(content) >= 4 * graph.weights * 0.9
    monkeypatch.setattr(tflite, "converted", lambda graph, halves: content[: 2 * graph.weights])
    with pytest.raises(UserError, match=r"float32\.tflite has \d+ bytes, too few for weights of"):
        convert(graph, "float32")


def test_half_precision_is_half_and_close(stack, folder):
    for name in ("float32", "float16"):
        graph, _ = split((folder / f"{name}.tflite").read_bytes(), "")
        assert weight_types(graph)["CONV_2D"] == {name}
    lite = LiteModel(folder / "float16.tflite")
    assert 0 < check_outputs(stack, lite, faces(4), "float16") <= 1e-2


def test_the_equalisation_is_exact(stack, folder):
    """A face and the same face equalised by OpenCV are one to the model; a shifted one is not."""
    cv2 = pytest.importorskip("cv2")
    lite = LiteModel(folder / "float32.tflite")
    dim = (60 + faces(1).crops // 4).astype(np.uint8)
    bright = cv2.equalizeHist(dim[0, :, :, 0])[np.newaxis, :, :, np.newaxis]
    assert not np.array_equal(dim, bright)
    here = np.asarray(stack.images(tf.constant(dim)))
    np.testing.assert_array_equal(here, stack.images(tf.constant(bright)))
    one, two = (lite.outputs(crops=c)["intensity"] for c in (dim, bright))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("row", ["2dc-sparse", "cnn"])
def test_int8_quantises_the_network_alone(row, systems, tmp_path):
    pytest.importorskip("ai_edge_quantizer", reason="the extra `lite` is not installed")
    model = systems(row)
    written = write_variants(model, CARD, tmp_path / "t", ("float32", "int8"), examples())
    exact, eight = (variant.cost for variant in written)
    assert exact is not None and eight is not None
    assert exact.change < 1e-5 < eight.change < 0.05
    graph, _ = split(written[1].path.read_bytes(), "")
    kinds = weight_types(graph)
    assert kinds["CONV_2D"] == {"int8"}
    assert "int8" in kinds["FULLY_CONNECTED"]
    if row != "cnn":
        assert kinds["FULLY_CONNECTED"] > {"int8"}
    assert kinds["EXP"] == set()


def weight_types(graph: bytes) -> dict[str, set[str]]:
    """The types of the constants that each operation takes as weights."""
    from tensorflow.lite.python import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
    model = schema.Model.GetRootAsModel(graph, 0)
    codes = operations(graph)
    sub = model.Subgraphs(0)
    halves = {}  # what a DEQUANTIZE makes float32 again
    found: dict[str, set[str]] = {name: set() for name in codes}
    for i in range(sub.OperatorsLength()):
        operator = sub.Operators(i)
        name = codes[operator.OpcodeIndex()]
        given = sub.Tensors(operator.Inputs(0))
        if name == "DEQUANTIZE":
            halves[operator.Outputs(0)] = given
        if name in ("CONV_2D", "FULLY_CONNECTED"):
            index = operator.Inputs(1)
            tensor = halves.get(index, sub.Tensors(index))
            found[name].add(names[tensor.Type()].lower())
    return found


def test_int8_needs_prepared_frames_and_something_to_quantise(stack, systems, tmp_path):
    with pytest.raises(UserError, match=r"--tflite=int8 .* give --data_dir, or leave int8 out"):
        write_variants(stack, CARD, tmp_path / "t", ("float32", "int8"))
    assert not (tmp_path / "t").exists()
    with pytest.raises(UserError, match="no convolutions for int8; leave int8 out"):
        write_variants(systems("mlr-lbp"), CARD, tmp_path / "t", ("int8",), examples(True))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("output", r"float32\.tflite: \w+ differs from the model in memory by .*more than 0;"),
        ("change", r"float32\.tflite: intensity differs .* levels in the mean"),
        ("score", r"float32\.tflite: intensity loses 0\.1 of mean ICC on held-out subjects"),
    ],
)
def test_what_costs_too_much_is_told(stack, tmp_path, monkeypatch, limit, message):
    given = examples()
    if limit == "output":
        monkeypatch.setitem(lite_parity.TOLERANCES, "float32", 0)
    elif limit == "change":
        strict = lite_parity.MEASURES["action_units"]._replace(most=-1.0)
        monkeypatch.setitem(lite_parity.MEASURES, "action_units", strict)
    else:
        scores = iter([0.5, 0.4])
        given = given._replace(held_out=given.held_out._replace(score=lambda f: next(scores)))
    with pytest.raises(UserError, match=message + r".*nothing was published"):
        write_variants(stack, CARD, tmp_path / "t", ("float32",), given)


def test_the_file_tells_what_it_is(folder):
    _, text = split((folder / "float16.tflite").read_bytes(), "")
    assert json.loads(text) == {**CARD, "signatures": {}, "variant": "float16"}
