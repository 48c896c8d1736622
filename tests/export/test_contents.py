"""What lies in a version's folder: signatures that answer, and what servers and people read."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.export import CARD, export_model
from deepcoder_tf.export.savedmodel import README
from deepcoder_tf.export.warmup import WARMUP, read_warmup
from deepcoder_tf.faces.aligner import align
from deepcoder_tf.faces.images import to_grey
from tests.export.test_savedmodel import CARD_CONTENT, FACE, OUTPUTS, crops, make_model

SIGNATURES = ("serving_default", "from_jpeg", "from_landmarks", "encode", "reconstruct", "describe")
LEVELS = {"intensity", "presence", "standard_deviation", "level_probabilities"}


@pytest.fixture(scope="module")
def model():
    """A stack with a GP, always the same: some draws of its weights hardly look at the picture."""
    tf.keras.utils.set_random_seed(2)
    return make_model()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    """Its version 1."""
    return export_model(model, CARD_CONTENT, tmp_path_factory.mktemp("models") / "name")


@pytest.fixture(scope="module")
def loaded(exported):
    """The SavedModel in this process."""
    return tf.saved_model.load(str(exported))


def files(pictures: np.ndarray, suffix: str = ".png") -> list[bytes]:
    """Pictures as files."""
    return [cv2.imencode(suffix, picture)[1].tobytes() for picture in pictures]


def test_it_has_these_signatures(loaded):
    assert set(loaded.signatures) == set(SIGNATURES)


def test_files_of_crops_are_predicted_as_crops(loaded):
    given = crops(3)
    expected = loaded.signatures["serving_default"](crops=given)
    found = loaded.signatures["from_jpeg"](pictures=tf.constant(files(given.numpy())))
    assert set(found) == LEVELS
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_pictures_with_landmarks_are_predicted_as_opencv_cuts_them(loaded, model, suffix):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 20, 25, 3)).astype(np.uint8)
    wild = files([cv2.resize(p, (611, 503), interpolation=cv2.INTER_CUBIC) for p in coarse], suffix)
    sizes = np.array([0.9, 2.3])[:, np.newaxis, np.newaxis]
    landmarks = (np.asarray(FACE) * sizes + rng.normal(0, 3, (2, 49, 2))).astype(np.float32)
    cut = [
        align(to_grey(cv2.imdecode(np.frombuffer(file, np.uint8), 1)), points, np.asarray(FACE))
        for file, points in zip(wild, landmarks, strict=True)
    ]
    expected = model(tf.constant(np.stack(cut)[..., np.newaxis]))
    found = loaded.signatures["from_landmarks"](
        pictures=tf.constant(wild), landmarks=tf.constant(landmarks)
    )
    assert set(found) == LEVELS
    assert np.ptp(found["intensity"], axis=0).max() > 1e-3
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_codes_and_reconstructions_are_those_of_the_model(loaded, model):
    given = crops(4)
    codes = model.encode(model.images(given))
    found = loaded.signatures["encode"](crops=given)
    assert set(found) == {"z0_mean", "z0_variance", "z1_mean", "z1_variance"}
    for n, code in enumerate(codes):
        np.testing.assert_allclose(found[f"z{n}_mean"], code.mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found[f"z{n}_variance"], code.var, rtol=1e-5, atol=1e-5)
    found = loaded.signatures["reconstruct"](crops=given)
    assert set(found) == {"reconstruction", "equalised", "mean_squared_error"}
    assert found["reconstruction"].dtype == tf.uint8
    assert found["reconstruction"].shape == found["equalised"].shape == (4, 24, 16, 1)
    error = model.decode(codes[-1].mean) - model.images(given)
    np.testing.assert_allclose(
        found["mean_squared_error"], np.mean(np.square(error), axis=(1, 2, 3)), rtol=1e-5
    )


def test_a_client_learns_what_it_talks_to(loaded):
    found = loaded.signatures["describe"](faces=tf.constant([5, -1]))
    assert found["action_units"].numpy().tolist() == [[b"AU01", b"AU12"]] * 2
    np.testing.assert_allclose(found["mean_shape"], [FACE] * 2, rtol=1e-6)
    assert found["crop_shape"].numpy().tolist() == [[240, 160]] * 2
    assert [json.loads(card) for card in found["card"].numpy()] == [CARD_CONTENT] * 2


BAD = {
    "no picture": ([b"no picture"], r"\[picture\] \[0\] \[is neither JPEG nor PNG\]"),
    "the second": (
        [*files(np.zeros((1, 240, 160, 1), np.uint8)), b""],
        r"\[picture\] \[1\] \[is neither",
    ),
    "of another size": (files(np.zeros((1, 30, 20), np.uint8)), r"\[30 20\] \[pixels"),
    "none": ([], r"1 to 1024 pictures in one request, got\] \[0\]"),
    "too many": ([b""] * 10_000, r"1 to 1024 pictures in one request, got\] \[10000\]"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_ends_with_an_error_and_the_next_is_answered(loaded, what):
    given, message = BAD[what]
    ask = loaded.signatures["from_jpeg"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(pictures=tf.constant(given, tf.string, shape=[len(given)]))
    good = tf.constant(files(crops(1).numpy()))
    assert ask(pictures=good)["intensity"].shape == (1, OUTPUTS)


def test_as_many_landmarks_as_pictures(loaded):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be as many, got\] \[1\] \[2\]"):
        loaded.signatures["from_landmarks"](
            pictures=tf.constant(files(crops(1).numpy())), landmarks=tf.zeros([2, 49, 2])
        )


ALLOWED_IN_SERVING = (
    "AddV2 All ArgMax Assert BatchMatMulV2 BiasAdd BroadcastTo Cast ConcatV2 Const Conv2D Cumsum "
    "DenseBincount EnsureShape Equal Erfc Exp ExpandDims GatherV2 Greater GreaterEqual Identity If "
    "Less LessEqual LogicalAnd MatMul Max MaxPool Maximum Mean Minimum Mul Neg NoOp Pack "
    "PartitionedCall Placeholder Range ReadVariableOp RealDiv Relu Reshape Round SelectV2 Shape "
    "Size Softplus Sqrt Square Squeeze StatefulPartitionedCall StatelessIf StopGradient "
    "StridedSlice Sub Sum"
)
"""Of a convolutional encoder, a frozen GP and an ordinal head: products and exponentials."""

NEVER = ("Cholesky", "Triangular", "Solve", "Inverse", "Svd", "Qr", "Eig", "PyFunc", "Random")


def operations(function) -> set[str]:
    """Types of all operations of a signature, those of the functions that it calls among them."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {node.op for node in nodes}


def test_serving_is_products_and_exponentials(loaded):
    used = operations(loaded.signatures["serving_default"])
    assert used - set(ALLOWED_IN_SERVING.split()) == set()


@pytest.mark.parametrize("name", SIGNATURES)
def test_no_signature_factorises_draws_or_calls_python(loaded, name):
    used = operations(loaded.signatures[name])
    assert not [op for op in used if any(word in op for word in NEVER)]


def test_only_what_a_signature_reads_is_saved_and_once(exported, model):
    reader = tf.train.load_checkpoint(str(exported / "variables" / "variables"))
    saved = reader.get_variable_to_shape_map()
    saved.pop("_CHECKPOINTABLE_OBJECT_GRAPH")
    assert 10 < len(saved) < len(model.variables)
    sizes = [int(np.prod(shape)) for shape in saved.values()]
    gp = model.coders[1]
    training_only = [gp.M, gp.Z0_var]
    everything = sum(int(np.prod(v.shape)) for v in model.variables)
    assert sum(sizes) <= everything - sum(int(np.prod(v.shape)) for v in training_only)


def test_a_server_can_warm_up_every_signature(exported, loaded):
    requests = read_warmup(exported)
    assert [name for name, _ in requests] == list(SIGNATURES)
    assert (exported / WARMUP).stat().st_size < 1_000_000
    for name, inputs in requests:
        for value in loaded.signatures[name](**inputs).values():
            assert value.shape[0] == 1


def test_every_name_of_every_signature_is_explained(exported, loaded):
    told = json.loads((exported / CARD).read_text())["signatures"]
    assert set(told) == set(SIGNATURES)
    for name, signature in loaded.signatures.items():
        assert set(told[name]["inputs"]) == set(signature.structured_input_signature[1])
        assert set(told[name]["outputs"]) == set(signature.structured_outputs)
        for entry in [*told[name]["inputs"].values(), *told[name]["outputs"].values()]:
            assert entry["meaning"]
    assert told["from_landmarks"]["inputs"]["landmarks"]["shape"] == [None, None, 2]
    assert "as its rows and columns are stored" in json.dumps(told["from_landmarks"])


def test_the_card_for_people_tells_the_same(exported):
    text = (exported / README).read_text()
    told = json.loads((exported / CARD).read_text())
    assert told["fingerprint"]["checkpoint_hash"] in text
    assert all(f"### `{name}`" in text for name in SIGNATURES)
    assert "| AU12 | lip corner puller |" in text
