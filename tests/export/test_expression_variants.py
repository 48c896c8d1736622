"""Recognisers of expressions as .tflite files, by the machinery of the action units."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.export import lite_parity
from deepcoder_tf.export.lite_parity import Faces, HeldOut, check_outputs, preferred
from deepcoder_tf.export.tflite import Examples, operations, write_variants
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.squares import ANCHORS
from deepcoder_tf.lite_model import LiteModel, split
from deepcoder_tf.models.expressions.system import ExpressionSystem
from tests.export.test_tflite import weight_types
from tests.models.expressions.rows import SIZE, faces, tiny

CARD = {
    "format": 1,
    "kind": "expressions",
    "expressions": list(EXPRESSIONS),
    "anchors": ANCHORS.tolist(),
    "crop_shape": [SIZE, SIZE],
    "channels": 1,
}

OUTPUTS = {"expression_probabilities", "expression", "confidence", "entropy"}


def decided(model: ExpressionSystem) -> ExpressionSystem:
    """The same with a head that tells the pictures apart: random weights hardly do."""
    z = model.codes(model.pictures(tf.constant(faces())))["expression"].numpy()
    W = np.random.default_rng(0).normal(size=(z.shape[1], len(EXPRESSIONS)))
    W /= 3 * z.std(axis=0).max()
    model.head.set_weights([W, -z.mean(axis=0) @ W])
    return model


@pytest.fixture(scope="module")
def model() -> ExpressionSystem:
    """A tiny network of the paper's."""
    keras.utils.set_random_seed(0)  # a module's fixture comes before the seed of its first test
    return decided(tiny("disentangled"))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    """Its float32 and float16 files."""
    folder = tmp_path_factory.mktemp("lite") / "tflite"
    write_variants(model, CARD, folder, ("float32", "float16"))
    return folder


def squares(seed: int = 0) -> Faces:
    """Noise."""
    return Faces(faces(seed), name="faces")


def examples(score: Callable[[np.ndarray], float], step: float = 0.0) -> Examples:
    """Of some score."""
    return Examples(squares(1), HeldOut(squares(2), score, step))


def test_the_numbers_are_those_of_the_model(model, folder):
    lite = LiteModel(folder / "float32.tflite")
    assert check_outputs(model, lite, squares(), "float32") <= 1e-5
    P = lite.probabilities(faces(), 4)
    here = model(tf.constant(faces()))
    assert set(here) == OUTPUTS
    np.testing.assert_allclose(P, here["expression_probabilities"], atol=1e-5)
    assert np.ptp(P, axis=0).max() > 0.1 and len(set(P.argmax(axis=1))) > 1
    said = [lite.outputs(faces=faces()[i : i + 1]) for i in range(len(P))]
    assert all(set(one) == OUTPUTS for one in said)
    np.testing.assert_array_equal([one["expression"][0] for one in said], P.argmax(axis=1))
    graph, _ = split((folder / "float32.tflite").read_bytes(), "")
    assert all(name.isupper() or name[-1].isdigit() for name in operations(graph))


def test_half_precision_is_half_and_close(model, folder):
    assert check_outputs(model, LiteModel(folder / "float16.tflite"), squares(), "float16") > 0
    graphs = [split((folder / f"float{n}.tflite").read_bytes(), "")[0] for n in (32, 16)]
    assert [weight_types(graph)["CONV_2D"] for graph in graphs] == [{"float32"}, {"float16"}]


@pytest.mark.parametrize(
    ("system", "changes"),
    [
        ("baseline", {"trunk": "mobilenet_v2", "trunk_endpoint": "block_3_expand_relu"}),
        ("baseline", {"picture_side": 96, "trunk_endpoint": ""}),
        ("dlp_cnn", {}),
        ("ipa2lt", {}),
    ],
)
def test_other_rows_and_trunks(system, changes, tmp_path):
    model = decided(tiny(system, **changes))
    (written,) = write_variants(model, CARD, tmp_path / "t", ("float32",))
    assert check_outputs(model, LiteModel(written.path), squares(3), "float32") <= 1e-5


def test_the_file_tells_what_it_is(folder):
    model = LiteModel(folder / "float16.tflite")
    assert model.description.kind == "expressions"
    assert model.description.names == EXPRESSIONS
    assert model.description.face_shape == (SIZE, SIZE, 1)
    np.testing.assert_array_equal(model.description.places, ANCHORS)
    _, text = split((folder / "float16.tflite").read_bytes(), "")
    assert json.loads(text) == {**CARD, "signatures": {}, "variant": "float16"}


def test_int8_quantises_the_network(model, tmp_path):
    pytest.importorskip("ai_edge_quantizer", reason="the extra `lite` is not installed")
    given = examples(lambda P: float(P.shape == (6, 8)))
    written = write_variants(model, CARD, tmp_path / "t", ("float32", "int8"), given)
    exact, eight = (variant.cost for variant in written)
    assert exact is not None and eight is not None
    assert exact.change < 1e-5 < eight.change < 0.05
    graph, _ = split(written[1].path.read_bytes(), "")
    assert weight_types(graph)["CONV_2D"] == {"int8"}


def test_int8_needs_prepared_pictures(model, tmp_path):
    with pytest.raises(UserError, match=r"--tflite=int8 .* give --data_dir, or leave int8 out"):
        write_variants(model, CARD, tmp_path / "t", ("int8",))


def test_a_system_that_cuts_patches_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no CropAndResize, .* leave --tflite out") as raised:
        write_variants(tiny("gacnn"), CARD, tmp_path / "t", ("float32",))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "t").exists()


def falling(*scores: float) -> Callable[[np.ndarray], float]:
    """A score that is these, one after the other."""
    left = iter(scores)
    return lambda P: next(left)


def test_the_cost_is_told(model, tmp_path):
    given = examples(falling(0.5, 0.495))
    (written,) = write_variants(model, CARD, tmp_path / "t", ("float16",), given)
    assert written.cost is not None and 0 < written.cost.change < 0.01
    assert "held-out pictures: mean change of expression_probabilities 0.00" in str(written)
    assert "in total variation, accuracy 0.495 (-0.0050)" in str(written)


@pytest.mark.parametrize(("step", "allowed"), [(0.0, False), (0.2, True)])
def test_one_picture_may_be_lost_however_few_there_are(model, tmp_path, step, allowed):
    write = functools.partial(write_variants, model, CARD, tmp_path / "t", ("float32",))
    given = examples(falling(0.5, 0.3), step)
    if allowed:
        (written,) = write(given)
        assert written.cost is not None and written.cost.lost == pytest.approx(0.2)
        return
    with pytest.raises(UserError, match=r"loses 0\.2 of accuracy on held-out pictures, more than"):
        write(given)


def test_a_change_that_is_too_large_is_told(model, tmp_path, monkeypatch):
    strict = lite_parity.MEASURES["expressions"]._replace(most=1e-9)
    monkeypatch.setitem(lite_parity.MEASURES, "expressions", strict)
    message = r"expression_probabilities differs .* in total variation in the mean, .*published"
    with pytest.raises(UserError, match=message):
        write_variants(model, CARD, tmp_path / "t", ("float32",), examples(lambda P: 0.5))


def test_another_model_is_found_out(folder):
    keras.utils.set_random_seed(1)  # as drawn, its first weights would be those of the model
    other = decided(tiny("baseline"))
    with pytest.raises(UserError, match=r"float16\.tflite: \w+ differs from the model in memory"):
        check_outputs(other, LiteModel(folder / "float16.tflite"), squares(), "float16")


def test_either_of_two_equals_may_be_chosen():
    P = np.array([[0.4, 0.1, 0.4, 0.1], [0.5, 0.3, 0.1, 0.1]])
    assert preferred(P, np.array([0, 0])) == preferred(P, np.array([2, 0])) == 0.0
    # 0.4 and 0.4 where 0.5 and 0.3 were: both moved by a tenth.
    assert preferred(P, np.array([0, 1])) == pytest.approx(0.1)


@pytest.mark.parametrize(("chosen", "allowed"), [(0, True), (1, True), (2, False)])
def test_a_class_is_compared_by_its_probability(chosen, allowed):
    said = {
        "expression_probabilities": np.array([[0.4, 0.4, 0.2]]),
        "expression": np.array([0]),
    }

    class Chooses:
        description = SimpleNamespace(kind="expressions")

        def outputs(self, faces: np.ndarray) -> dict[str, np.ndarray]:
            return {**said, "expression": np.array([chosen])}

    def model(faces: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.constant(value) for name, value in said.items()}

    one = Faces(faces()[:1], name="faces")
    if allowed:
        assert check_outputs(model, Chooses(), one, "float32") == 0.0
    else:
        with pytest.raises(UserError, match=r"float32\.tflite: expression differs .* by 0\.1,"):
            check_outputs(model, Chooses(), one, "float32")


def test_how_much_of_the_probability_moved():
    change = lite_parity.MEASURES["expressions"].change
    one, two = np.eye(8)[[0, 1]], np.eye(8)[[0, 2]]
    assert change(one, two) == pytest.approx(0.5)  # nothing of the first row, all of the second
    assert change(one, one) == 0.0
