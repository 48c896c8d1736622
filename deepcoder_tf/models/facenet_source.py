"""Published FaceNet models: the arrays of a frozen graph or a checkpoint, and the graph to run.

A checkpoint is frozen here (its variables become constants), so that both kinds are one: arrays by
name, and a graph from `input` to `embeddings`. A graph is run only if no operation on that way can
reach files, code or the network.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.compat.v1 import GraphDef

from deepcoder_tf.errors import UserError

__all__ = ["SCOPE", "FaceNetSource", "NoEmbeddingError", "read_source", "run_graph"]

Arrays = dict[str, np.ndarray]

SCOPE = "InceptionResnetV1/"
"""What the names of the network's weights begin with in the source."""

INPUT, PHASE, OUTPUT = "input", "phase_train", "embeddings"
FOLDED = "/Conv2D_bn_offset"
REPEATS = ("Repeat", "Repeat_1", "Repeat_2")
VARIABLES = {"Variable", "VariableV2", "VarHandleOp"}
OF_CONSTANTS = {
    "RefSwitch": "Switch",
    "RefIdentity": "Identity",
    "RefMerge": "Merge",
    "AssignSub": "Sub",
    "AssignAdd": "Add",
    "ReadVariableOp": "Identity",
}
"""What stands for an operation on variables once they are constants. The moving averages that it
would have updated are on a branch that only training takes."""

HARMLESS = {"RandomUniform", "Placeholder", "PlaceholderWithDefault"}
"""Operations with a state, or without an input, that a graph may hold: dropout's draw."""

UNTRUSTED = {"ReadFile", "MatchingFiles", "PyFuncStateless"}

WEIGHT = re.compile(
    rf"{SCOPE}(.+)/(weights|biases|Conv2D_bn_offset|BatchNorm/(?:beta|gamma|moving_mean|"
    r"moving_variance))"
)
SLOT = re.compile(r"/(?:Adam(?:_\d)?|RMSProp(?:_\d)?|Adagrad|Momentum|ExponentialMovingAverage)$")


class NoEmbeddingError(Exception):
    """A graph that cannot be run from `input` to `embeddings`."""


class FaceNetSource(NamedTuple):
    """A published model.

    Attributes:
      path: of the frozen graph, or of the checkpoint without its ending.
      sha256: of the file that holds the weights.
      arrays: by the names of our layers; folded units have a `bias` in the place of `BatchNorm`.
      graph: from `input` to `embeddings`, without variables; None where none came along.
    """

    path: Path
    sha256: str
    arrays: Arrays
    graph: GraphDef | None

    @property
    def folded(self) -> bool:
        """Whether the convolutions came without batch normalisation."""
        return "Conv2d_1a_3x3/bias" in self.arrays

    @property
    def embedding(self) -> int:
        """Number of dimensions of the embedding."""
        return int(self.arrays["Bottleneck/kernel"].shape[-1])


def read_source(path: Path) -> FaceNetSource:
    """Reads a frozen graph, a checkpoint, or a folder with either.

    Args:
      path: a `.pb` file, the `.index` or `.meta` file of a checkpoint, or a folder. Where a folder
        holds both, the checkpoint is read.

    Returns:
      The source.

    Raises:
      UserError: nothing there, a cut file, or another network.
    """
    if not path.exists():
        raise UserError(f"--input={path}: no such file or folder; give a published FaceNet model")
    if path.is_dir():
        path = chosen(path)
    source = read_frozen(path) if path.suffix == ".pb" else read_checkpoint(path.with_suffix(""))
    if "Bottleneck/kernel" not in source.arrays:
        raise UserError(
            f"--input={path}: no FaceNet model: {len(source.arrays)} weights under {SCOPE} and no "
            "Bottleneck; give an Inception-ResNet-V1 such as 20180402-114759 or 20180408-102900"
        )
    return source


def chosen(folder: Path) -> Path:
    """The one model of a folder."""
    for pattern in ("*.ckpt*.index", "*.index", "*.pb"):
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise UserError(
                f"--input={folder}: {len(found)} models ({found[0].name}, {found[1].name}, ...); "
                "give the path of one file"
            )
        if found:
            return found[0]
    raise UserError(
        f"--input={folder}: neither a checkpoint (.index and .data-00000-of-00001) nor a frozen "
        "graph (.pb); give the folder of an unpacked FaceNet model"
    )


def first_line(error: Exception) -> str:
    """What an exception says, short."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def sha256(paths: Iterable[Path]) -> str:
    """Of files, one behind the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def own_names(arrays: Arrays) -> Arrays:
    """The network's weights, by the names of our layers."""
    found: Arrays = {}
    for name, value in arrays.items():
        if match := WEIGHT.fullmatch(name):
            unit, kind = match[1], match[2]
            first, _, rest = unit.partition("/")
            unit = rest if first in REPEATS else unit
            ours = {"weights": "kernel", "biases": "bias", "Conv2D_bn_offset": "bias"}
            found[f"{unit}/{ours.get(kind, kind)}"] = value
    return found


def read_frozen(path: Path) -> FaceNetSource:
    """A graph whose variables have become constants."""
    graph = parsed(path, GraphDef())
    arrays = {
        node.name: tf.make_ndarray(node.attr["value"].tensor)
        for node in graph.node
        if node.op == "Const" and WEIGHT.fullmatch(node.name)
    }
    return FaceNetSource(path, sha256([path]), own_names(arrays), graph)


def parsed(path: Path, message):
    """A protocol buffer from its file."""
    try:
        message.ParseFromString(path.read_bytes())
    except (DecodeError, RuntimeError) as error:
        raise UserError(
            f"--input={path}: no TensorFlow graph, or cut off ({first_line(error)}); fetch the "
            "file again"
        ) from error
    return message


def read_checkpoint(prefix: Path) -> FaceNetSource:
    """Variables, and the graph of the `.meta` or `.pb` file beside them."""
    shards = sorted(prefix.parent.glob(f"{prefix.name}.data-*"))
    if not shards:
        raise UserError(
            f"--input={prefix}: {prefix.name}.data-00000-of-00001 is missing; give a FaceNet "
            "frozen graph (.pb), or a folder with all files of the checkpoint"
        )
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = [n for n in reader.get_variable_to_shape_map() if not SLOT.search(n)]
        arrays = {n: reader.get_tensor(n) for n in names if n.startswith(SCOPE)}
    except (ValueError, IndexError, tf.errors.OpError) as error:
        raise UserError(
            f"--input={prefix}: the checkpoint cannot be read ({first_line(error)}); fetch its "
            "files again"
        ) from error
    return FaceNetSource(prefix, sha256(shards), own_names(arrays), graph_beside(prefix, arrays))


def graph_beside(prefix: Path, arrays: Arrays) -> GraphDef | None:
    """The graph that came with a checkpoint, with its variables as constants.

    FaceNet writes `model-NAME.meta` beside `model-NAME.ckpt-STEP.index`.
    """
    base = prefix.name.partition(".ckpt")[0]
    for path in (prefix.with_name(f"{prefix.name}.meta"), prefix.with_name(f"{base}.meta")):
        if path.is_file():
            meta = parsed(path, tf.compat.v1.MetaGraphDef())
            return frozen(meta.graph_def, arrays)
    graphs = sorted(prefix.parent.glob("*.pb"))
    return parsed(graphs[0], GraphDef()) if len(graphs) == 1 else None


def frozen(graph: GraphDef, arrays: Arrays) -> GraphDef:
    """The graph with constants in the place of the variables that the arrays hold."""
    result = GraphDef(versions=graph.versions)
    for node in graph.node:
        new = result.node.add()
        if node.op in VARIABLES and node.name in arrays:
            new.name, new.op = node.name, "Const"
            value = arrays[node.name]
            new.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
            new.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
            continue
        new.CopyFrom(node)
        new.attr.pop("_class", None)
        if node.op in OF_CONSTANTS:
            new.op = OF_CONSTANTS[node.op]
            if node.op == "ReadVariableOp":
                new.attr["T"].CopyFrom(new.attr.pop("dtype"))
            new.attr.pop("use_locking", None)
    return result


def way(graph: GraphDef) -> GraphDef:
    """The part of a graph between what is fed and the embeddings.

    Raises:
      NoEmbeddingError: an end is missing.
    """
    nodes = {node.name: node for node in graph.node}
    if OUTPUT not in nodes or INPUT not in nodes:
        raise NoEmbeddingError(f"no nodes {INPUT!r} and {OUTPUT!r}")
    kept, open_names = set(), [OUTPUT]
    while open_names:
        name = open_names.pop()
        if name in kept:
            continue
        if name not in nodes:
            raise NoEmbeddingError(f"{name!r} is missing")
        kept.add(name)
        if name not in (INPUT, PHASE):
            open_names += [i.lstrip("^").partition(":")[0] for i in nodes[name].input]
    if INPUT not in kept:
        raise NoEmbeddingError(f"{OUTPUT!r} does not depend on {INPUT!r}")
    result = GraphDef(versions=graph.versions)
    for node in graph.node:
        if node.name in kept:
            result.node.add().CopyFrom(fed(node) if node.name in (INPUT, PHASE) else node)
    return result


def fed(node):
    """A placeholder for the picture or for the phase, whatever the graph had there."""
    new = type(node)(name=node.name, op="Placeholder")
    new.attr["dtype"].type = (tf.float32 if node.name == INPUT else tf.bool).as_datatype_enum
    if "shape" in node.attr and node.name == INPUT:
        new.attr["shape"].CopyFrom(node.attr["shape"])
    return new


def check_harmless(graph: tf.Graph) -> None:
    """Refuses operations that could do more than compute.

    Raises:
      NoEmbeddingError: there is one.
    """
    for operation in graph.get_operations():
        acts = operation.op_def.is_stateful and operation.type not in HARMLESS
        if acts or operation.type in UNTRUSTED or operation.type.endswith("PartitionedCall"):
            raise NoEmbeddingError(
                f"{operation.name!r} is a {operation.type}, which no FaceNet needs"
            )


def run_graph(graph: GraphDef, pictures: np.ndarray) -> np.ndarray:
    """The embeddings that the source itself computes.

    Args:
      graph: of a `FaceNetSource`.
      pictures: `[N, H, W, 3]` float32, as the source was trained on them.

    Returns:
      `[N, embedding]`.

    Raises:
      NoEmbeddingError: the graph cannot be run, for example because it wants another size.
    """
    try:
        with tf.Graph().as_default() as native:
            tf.import_graph_def(way(graph), name="")
            check_harmless(native)
            feeds = {f"{INPUT}:0": pictures[:1]}
            if any(op.name == PHASE for op in native.get_operations()):
                feeds[f"{PHASE}:0"] = np.array(False)
            with tf.compat.v1.Session(graph=native) as session:
                # One by one: some graphs were frozen for a batch of one.
                return np.concatenate(
                    [
                        session.run(f"{OUTPUT}:0", {**feeds, f"{INPUT}:0": picture[None]})
                        for picture in pictures
                    ]
                )
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise NoEmbeddingError(first_line(error)) from error
