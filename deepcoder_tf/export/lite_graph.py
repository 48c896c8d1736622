"""A system as a graph for TFLite: constants only, single precision, operations that TFLite has.

The models are not written twice. What one face takes through the model in memory is traced, and
the trace is rewritten:

1. variables become constants;
2. what does not depend on the face is computed once, in the precision of the model (the GPs have
   double precision), and its result is kept;
3. the rest becomes single precision, since TFLite's arithmetic has no other;
4. a bias goes in front of the max pooling that it follows, where a convolution takes it in;
5. operations that TFLite lacks are replaced by functions of those that it has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.special import erfcx
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from deepcoder_tf.errors import UserError
from deepcoder_tf.export.answers import Served
from deepcoder_tf.gp.posterior import for_single_precision
from deepcoder_tf.graphs import graph_of

__all__ = ["NETWORK", "LiteGraph", "lite_graph", "plain_erfc"]

NETWORK = "network/"
"""What the names of the network's matrix products begin with, as opposed to those of a Gaussian
process."""

ERFC_DEGREE = 12
"""Degree of the polynomial in `plain_erfc`: an error of 3e-9, below that of single precision."""

LACKING = {"CropAndResize": "which cuts patches around landmarks"}
"""Operations that TFLite has not and that nothing here replaces, and what they are for."""

DOUBLE, SINGLE = tf.float64.as_datatype_enum, tf.float32.as_datatype_enum


class LiteGraph(NamedTuple):
    """A system's answer to one face.

    Attributes:
      answer: the rewritten function, from the inputs by name to the outputs by name.
      weights: how many floating-point numbers it holds.
    """

    answer: Callable[..., dict[str, tf.Tensor]]
    weights: int


def lite_graph(model: Served, inputs: Sequence[tf.TensorSpec]) -> LiteGraph:
    """Traces and rewrites what a system makes of one face.

    Args:
      model: built, with its trained weights.
      inputs: of `serving_default`.

    Returns:
      A function of the same inputs in a batch of one, with the outputs of `serving_default`.

    Raises:
      UserError: an operation of `LACKING`.
    """
    one = [tf.TensorSpec((1, *spec.shape[1:]), spec.dtype, spec.name) for spec in inputs]
    with for_single_precision():
        traced = graph_of(model.call).get_concrete_function(*one)
    names = sorted(traced.structured_outputs)  # the order in which TensorFlow flattens them
    frozen = convert_variables_to_constants_v2(traced)
    fetches = [tensor.name for tensor in frozen.outputs]
    check_operations(frozen.graph.as_graph_def())
    folded = fold_constants(frozen.graph.as_graph_def(), [s.name for s in one], fetches)
    graph = single_precision(with_named_network(folded))
    graph = with_products_for_repeats(with_plain_operations(bias_before_pooling(graph)))
    weights = sum(
        int(np.prod([d.size for d in node.attr["value"].tensor.tensor_shape.dim]))
        for node in graph.node
        if node.op == "Const" and node.attr["dtype"].type == SINGLE
    )
    return LiteGraph(function_of(graph, one, dict(zip(names, fetches, strict=True))), weights)


def check_operations(graph: tf.compat.v1.GraphDef) -> None:
    """Raises `UserError` for what the converter would refuse in many lines."""
    for node in graph.node:
        if node.op in LACKING:
            raise UserError(
                f"TFLite has no {node.op}, {LACKING[node.op]}: this system cannot be a .tflite; "
                "leave --tflite out"
            )


def function_of(
    graph: tf.compat.v1.GraphDef, inputs: Sequence[tf.TensorSpec], outputs: dict[str, str]
) -> Callable[..., dict[str, tf.Tensor]]:
    """A graph as a `tf.function` with named inputs and outputs.

    Args:
      graph: whose placeholders are called as the inputs.
      inputs: with static shapes.
      outputs: the tensor of each output.
    """

    def answer(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        fed = {spec.name: tensor for spec, tensor in zip(inputs, given, strict=True)}
        found = tf.graph_util.import_graph_def(
            graph, input_map=fed, return_elements=list(outputs.values()), name=""
        )
        return dict(zip(outputs, found, strict=True))

    return graph_of(answer, inputs)


def operand(name: str) -> str:
    """The node that an input of a node names; `^NODE` orders, `NODE:1` is its second output."""
    return name.removeprefix("^").partition(":")[0]


def operands(node: Any) -> list[str]:
    """The nodes whose values a node takes."""
    return [operand(name) for name in node.input if not name.startswith("^")]


def in_order(nodes: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """The nodes that some nodes need, these included, each behind its operands."""
    order: dict[str, None] = {}
    waiting = list(reversed(wanted))
    while waiting:
        missing = [name for name in operands(nodes[waiting[-1]]) if name not in order]
        if missing:
            waiting.extend(reversed(missing))
        else:
            order[waiting.pop()] = None
    return list(order)


def fold_constants(
    graph: tf.compat.v1.GraphDef, inputs: Sequence[str], outputs: Sequence[str]
) -> tf.compat.v1.GraphDef:
    """Keeps what the outputs need, with everything computed that does not depend on the inputs.

    Args:
      graph: frozen.
      inputs: names of its placeholders.
      outputs: names of tensors.

    Returns:
      Placeholders, constants, and the nodes between inputs and outputs, in an order in which each
      comes after its operands.
    """
    nodes = {node.name: node for node in graph.node}
    order: dict[str, bool] = {}  # of the nodes that are needed: whether they vary with the inputs
    for name in in_order(nodes, [operand(output) for output in outputs]):
        order[name] = name in inputs or any(order[o] for o in operands(nodes[name]))
    wanted = [
        tensor
        for name, varies in order.items()
        for tensor in nodes[name].input
        if varies and not tensor.startswith("^") and not order[operand(tensor)]
    ]
    wanted = list(dict.fromkeys(wanted))
    known = dict(zip(wanted, evaluate(graph, wanted), strict=True))

    folded = tf.compat.v1.GraphDef(versions=graph.versions)
    for tensor, value in known.items():
        folded.node.append(constant(tensor.replace(":", "_output_"), value))
    for name, varies in order.items():
        if not varies:
            continue
        node = folded.node.add()
        node.CopyFrom(nodes[name])
        kept = [tensor for tensor in node.input if not tensor.startswith("^")]
        node.ClearField("input")
        node.input.extend(t.replace(":", "_output_") if t in known else t for t in kept)
    return folded


def evaluate(graph: tf.compat.v1.GraphDef, tensors: Sequence[str]) -> list[np.ndarray]:
    """The values of tensors that depend on no input."""
    with tf.Graph().as_default() as whole:
        tf.graph_util.import_graph_def(graph, name="")
        names = [name if ":" in name else f"{name}:0" for name in tensors]
        with tf.compat.v1.Session(graph=whole) as session:
            return session.run(names)


def constant(name: str, value: np.ndarray) -> tf.compat.v1.NodeDef:
    """A node with a value."""
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    return node


def with_named_network(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph whose products of single precision, which are the network's, are called so."""
    changed = copy_of(graph)
    dense = {
        node.name for node in graph.node if node.op == "MatMul" and node.attr["T"].type == SINGLE
    }
    biased = {node.name for node in graph.node if node.op == "BiasAdd" and node.input[0] in dense}
    named = {name: NETWORK + name for name in dense | biased}
    for node in changed.node:
        node.name = named.get(node.name, node.name)
        node.input[:] = [named.get(tensor, tensor) for tensor in node.input]
    return changed


def single_precision(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph with float32 wherever it had float64, and without the casts between the two."""
    changed = tf.compat.v1.GraphDef(versions=graph.versions)
    bypassed: dict[str, str] = {}
    for original in graph.node:
        node = copy_of(original)
        if node.op == "Const" and node.attr["dtype"].type == DOUBLE:
            value = tf.make_ndarray(node.attr["value"].tensor).astype(np.float32)
            node = constant(node.name, value)
        for attribute in node.attr.values():
            if attribute.type == DOUBLE:
                attribute.type = SINGLE
            if attribute.HasField("list"):  # to look at an absent list would make one
                kinds = [SINGLE if kind == DOUBLE else kind for kind in attribute.list.type]
                attribute.list.type[:] = kinds
        node.input[:] = [bypassed.get(tensor, tensor) for tensor in node.input]
        if node.op == "Cast" and node.attr["SrcT"].type == node.attr["DstT"].type:
            bypassed[node.name] = node.input[0]
        else:
            changed.node.append(node)
    return changed


def bias_before_pooling(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Convolution, max pooling, bias become convolution, bias, max pooling: the same numbers.

    Adding one number to all pixels of a channel does not change which of them is the largest.
    """
    changed = copy_of(graph)
    nodes = {node.name: node for node in changed.node}
    swapped = {}
    for bias in changed.node:
        pool = nodes[operand(bias.input[0])] if bias.op == "BiasAdd" else bias
        if pool.op != "MaxPool" or nodes[operand(pool.input[0])].op != "Conv2D":
            continue
        readers = [n.name for n in changed.node if pool.name in map(operand, n.input)]
        if readers == [bias.name]:
            bias.input[0], pool.input[0] = pool.input[0], bias.name
            swapped[bias.name] = pool.name
    for node in changed.node:
        if node.name not in swapped.values():
            node.input[:] = [swapped.get(tensor, tensor) for tensor in node.input]
    return changed


def with_products_for_repeats(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph with x 1ᵀ wherever a number x is repeated to meet a row: x + c, or by itself.

    TFLite's converter draws (x + c) W together into one product with a bias, and forgets that x was
    shorter than c.
    """
    shapes = shapes_of(graph)
    changed = tf.compat.v1.GraphDef(versions=graph.versions)
    for original in graph.node:
        node = copy_of(original)
        if node.op in ("AddV2", "BroadcastTo") and node.attr["T"].type == SINGLE:
            whole = shapes[node.name]
            short = [i for i, x in enumerate(node.input[:2]) if is_number(shapes[x], whole)]
            for i in short:
                product = tf.compat.v1.NodeDef(name=f"{node.name}/repeated_{i}", op="MatMul")
                product.attr["T"].type = SINGLE
                product.input.extend([node.input[i], f"{product.name}/ones"])
                ones = np.ones((1, whole[-1]), np.float32)
                changed.node.extend([constant(product.input[1], ones), product])
                node.input[i] = product.name
            if node.op == "BroadcastTo" and short:
                node.op = "Identity"
                del node.input[1], node.attr["Tidx"]
        changed.node.append(node)
    return changed


def is_number(shape: tf.TensorShape, whole: tf.TensorShape) -> bool:
    """Whether a tensor is one number beside a row of several."""
    return whole.rank == 2 and whole[0] == 1 and whole[1] > 1 and shape == (1, 1)


def copy_of(message: Any) -> Any:
    """A copy of a protocol buffer."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


# Operations that TFLite lacks -------------------------------------------------------------------


@functools.cache
def erfc_coefficients() -> np.ndarray:
    """Of log(erfcx(z) / t) as a polynomial in 2 t - 1, lowest power first, t = 2 / (2 + z)."""

    def target(u: np.ndarray) -> np.ndarray:
        t = (u + 1.0) / 2.0
        return np.log(erfcx(2.0 / t - 2.0) / t)

    fit = np.polynomial.chebyshev.Chebyshev.interpolate(target, ERFC_DEGREE)
    return np.polynomial.chebyshev.cheb2poly(fit.coef)


def plain_erfc(x: tf.Tensor) -> tf.Tensor:
    """The complementary error function by arithmetic and one exponential.

    For z = |x| and t = 2 / (2 + z), which maps the half line to (0, 1],
    erfc(z) = t exp(P(2 t - 1) - z²), with P the polynomial that interpolates it at Chebyshev
    points; erfc(-z) = 2 - erfc(z).

    Args:
      x: any shape, float32.

    Returns:
      The same shape; within 5e-7.
    """
    z = tf.abs(x)
    t = 2.0 / (2.0 + z)
    *lower, highest = (tf.constant(c, x.dtype) for c in erfc_coefficients())
    u = 2.0 * t - 1.0
    P = highest * u + lower.pop()
    for c in reversed(lower):
        P = P * u + c
    upper_tail = t * tf.exp(P - z * z)
    return tf.where(x < 0.0, 2.0 - upper_tail, upper_tail)


def plain_erf(x: tf.Tensor) -> tf.Tensor:
    """The error function; see `plain_erfc`."""
    return 1.0 - plain_erfc(x)


def plain_bincount(values: tf.Tensor, bins: int) -> tf.Tensor:
    """How often each of the numbers 0..bins-1 occurs in each row.

    Args:
      values: `[1, N]` int32.
      bins: above every value.

    Returns:
      `[1, bins]` int32.
    """
    (flat,) = tf.unstack(values)
    return tf.scatter_nd(flat[:, tf.newaxis], tf.ones_like(flat), [bins])[tf.newaxis]


def separable(resize: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """A linear resampling of rows and columns as two matrix products.

    Args:
      resize: of `[1, H, W, C]`, the same for all channels.
      x: `[1, H, W, C]` float32.

    Returns:
      What `resize` gives, but for rounding.
    """
    _, H, W, C = x.shape
    # Each row of pictures that are 1 in one row (or column) is a column of the matrix.
    rows = resize(tf.reshape(tf.eye(H), (1, H, 1, H)) + tf.zeros((1, 1, W, 1)))[0, :, 0, :]
    columns = resize(tf.reshape(tf.eye(W), (1, 1, W, W)) + tf.zeros((1, H, 1, 1)))[0, 0]
    h, w = rows.shape[0], columns.shape[0]
    x = tf.reshape(tf.matmul(rows, tf.reshape(x, (H, W * C))), (h, W, C))
    x = tf.matmul(tf.reshape(tf.transpose(x, (0, 2, 1)), (h * C, W)), columns, transpose_b=True)
    return tf.transpose(tf.reshape(x, (1, h, C, w)), (0, 1, 3, 2))


def with_plain_operations(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph with what `plain_function` makes in place of operations that TFLite lacks."""
    nodes = {node.name: node for node in graph.node}
    shapes = shapes_of(graph)
    changed = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        plain = plain_function(node, nodes)
        if plain is None:
            changed.node.append(node)
            continue
        x = node.input[0]
        kind = node.attr["Tidx" if node.op == "DenseBincount" else "T"].type
        spec = tf.TensorSpec(shapes[x], tf.as_dtype(kind), "x")
        with tf.Graph().as_default() as inner:
            fed = tf.compat.v1.placeholder(spec.dtype, spec.shape, "x")
            result = plain(fed).op.name
        # What of it does not depend on x is computed here too.
        for part in fold_constants(inner.as_graph_def(), ["x"], [result]).node:
            if part.name == "x":
                continue
            copy = changed.node.add()
            copy.CopyFrom(part)
            copy.name = f"{node.name}/{part.name}"
            copy.input[:] = [x if o == "x" else f"{node.name}/{o}" for o in part.input]
        last = changed.node.add(name=node.name, op="Identity")
        last.input.append(f"{node.name}/{result}")
        last.attr["T"].type = kind
    return changed


def plain_function(node: Any, nodes: Mapping[str, Any]) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """What replaces a node, as a function of its first input; None where TFLite has it."""

    def value(i: int) -> np.ndarray:
        return tf.make_ndarray(nodes[operand(node.input[i])].attr["value"].tensor)

    if node.op in ("Erf", "Erfc"):
        return {"Erf": plain_erf, "Erfc": plain_erfc}[node.op]
    if node.op == "DenseBincount":
        return functools.partial(plain_bincount, bins=int(value(1)))
    if node.op == "ResizeArea":
        size = value(1)
        return lambda x: separable(lambda y: tf.image.resize(y, size, method="area"), x)
    if node.op == "ScaleAndTranslate":
        size, *rest = value(1), value(2), value(3)
        kernel = node.attr["kernel_type"].s.decode()
        antialias = node.attr["antialias"].b

        def resize(y: tf.Tensor) -> tf.Tensor:
            return tf.raw_ops.ScaleAndTranslate(
                images=y,
                size=size,
                scale=rest[0],
                translation=rest[1],
                kernel_type=kernel,
                antialias=antialias,
            )

        return lambda x: separable(resize, x)
    return None


def shapes_of(graph: tf.compat.v1.GraphDef) -> dict[str, tf.TensorShape]:
    """The static shape of every tensor, by the name with which nodes take it."""
    with tf.Graph().as_default() as whole:
        tf.graph_util.import_graph_def(graph, name="")
        return {
            tensor.name.removesuffix(":0"): tensor.shape
            for operation in whole.get_operations()
            for tensor in operation.outputs
        }
