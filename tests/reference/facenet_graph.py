"""FaceNet's network written out in graph mode, with the names and habits of its own code.

Written from the literature's figures and the names in published graphs, with plain operations and
without any of the package's layers: what an import is compared with. Leaves out nothing that a
reader stumbles over: a phase placeholder, the control flow of old graphs, updates of the moving
averages on the way to the embeddings, slots of an optimizer, and a picture that comes from a queue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


class FaceNetGraph:
    """Builds the network with a share of its filters and fewer blocks.

    Args:
      width: share of the filters.
      repeats: numbers of blocks.
      embedding: dimensions.
    """

    def __init__(self, width: float, repeats: tuple[int, int, int], embedding: int) -> None:
        self.width, self.repeats, self.embedding = width, repeats, embedding
        self.random = np.random.default_rng(11)
        self.values: dict[str, np.ndarray] = {}

    def wide(self, filters: int) -> int:
        return max(1, round(self.width * filters))

    def variable(self, name: str, value: np.ndarray) -> tf.Tensor:
        value = value.astype(np.float32)
        self.values[f"{v1.get_variable_scope().name}/{name}"] = value
        return v1.get_variable(name, value.shape, use_resource=False)

    def norm(self, z: tf.Tensor) -> tf.Tensor:
        """Batch normalisation without scale whose averages move where the phase says so."""
        n = z.shape[-1]
        with v1.variable_scope("BatchNorm"):
            beta = self.variable("beta", 0.2 * self.random.standard_normal(n))
            mean = self.variable("moving_mean", 0.2 * self.random.standard_normal(n))
            var = self.variable("moving_variance", self.random.uniform(0.3, 2.0, n))
            axes = list(range(len(z.shape) - 1))

            def train():
                now, spread = tf.nn.moments(z, axes)
                return tf.nn.batch_normalization(z, now, spread, beta, None, 1e-3), now, spread

            def infer():
                out = tf.nn.batch_normalization(z, mean, var, beta, None, 1e-3)
                return out, tf.identity(mean), tf.identity(var)

            out, now, spread = v1.cond(self.phase, train, infer)

            def moved():
                moves = [
                    v1.assign_sub(mean, 0.005 * (mean - now)),
                    v1.assign_sub(var, 0.005 * (var - spread)),
                ]
                with tf.control_dependencies(moves):
                    return tf.identity(out)

            return v1.cond(self.phase, moved, lambda: tf.identity(out))

    def conv(self, z, name, filters, size, strides=1, padding="SAME"):
        kernel = (*size, z.shape[-1], filters)
        scale = np.sqrt(2.0 / np.prod(kernel[:3]))
        with v1.variable_scope(name):
            w = self.variable("weights", scale * self.random.standard_normal(kernel))
            return tf.nn.relu(self.norm(tf.nn.conv2d(z, w, strides, padding)))

    def chain(self, z, branch, *units):
        with v1.variable_scope(branch):
            for name, filters, strides in units:
                height, width = map(int, name.rsplit("_", 1)[1].split("x"))
                padding = "SAME" if strides == 1 else "VALID"
                z = self.conv(z, name, self.wide(filters), (height, width), strides, padding)
        return z

    def residual(self, z, name, scale, branches, relu=True):
        with v1.variable_scope(name):
            mixed = tf.concat(
                [self.chain(z, f"Branch_{n}", *units) for n, units in enumerate(branches)], 3
            )
            kernel = (1, 1, mixed.shape[-1], z.shape[-1])
            with v1.variable_scope("Conv2d_1x1"):
                w = self.variable("weights", 0.3 * self.random.standard_normal(kernel))
                b = self.variable("biases", 0.1 * self.random.standard_normal(kernel[-1]))
                up = tf.nn.bias_add(tf.nn.conv2d(mixed, w, 1, "SAME"), b)
            z = z + scale * up
            return tf.nn.relu(z) if relu else z

    def embed(self, z: tf.Tensor) -> tf.Tensor:
        """From pictures to embeddings."""
        wide = self.wide
        pool = {"ksize": 3, "strides": 2, "padding": "VALID"}
        with v1.variable_scope("InceptionResnetV1"):
            z = self.conv(z, "Conv2d_1a_3x3", wide(32), (3, 3), 2, "VALID")
            z = self.conv(z, "Conv2d_2a_3x3", wide(32), (3, 3), 1, "VALID")
            z = self.conv(z, "Conv2d_2b_3x3", wide(64), (3, 3))
            z = tf.nn.max_pool2d(z, **pool)
            z = self.conv(z, "Conv2d_3b_1x1", wide(80), (1, 1), 1, "VALID")
            z = self.conv(z, "Conv2d_4a_3x3", wide(192), (3, 3), 1, "VALID")
            z = self.conv(z, "Conv2d_4b_3x3", wide(256), (3, 3), 2, "VALID")
            first = ("Conv2d_0a_1x1", 32, 1)
            block35 = (
                [("Conv2d_1x1", 32, 1)],
                [first, ("Conv2d_0b_3x3", 32, 1)],
                [first, ("Conv2d_0b_3x3", 32, 1), ("Conv2d_0c_3x3", 32, 1)],
            )
            block17 = (
                [("Conv2d_1x1", 128, 1)],
                [("Conv2d_0a_1x1", 128, 1), ("Conv2d_0b_1x7", 128, 1), ("Conv2d_0c_7x1", 128, 1)],
            )
            block8 = (
                [("Conv2d_1x1", 192, 1)],
                [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_1x3", 192, 1), ("Conv2d_0c_3x1", 192, 1)],
            )
            with v1.variable_scope("Repeat"):
                for n in range(self.repeats[0]):
                    z = self.residual(z, f"block35_{n + 1}", 0.17, block35)
            with v1.variable_scope("Mixed_6a"):
                a = self.chain(z, "Branch_0", ("Conv2d_1a_3x3", 384, 2))
                units = [("Conv2d_0a_1x1", 192, 1), ("Conv2d_0b_3x3", 192, 1)]
                b = self.chain(z, "Branch_1", *units, ("Conv2d_1a_3x3", 256, 2))
                z = tf.concat([a, b, tf.nn.max_pool2d(z, **pool)], 3)
            with v1.variable_scope("Repeat_1"):
                for n in range(self.repeats[1]):
                    z = self.residual(z, f"block17_{n + 1}", 0.1, block17)
            with v1.variable_scope("Mixed_7a"):
                first = ("Conv2d_0a_1x1", 256, 1)
                a = self.chain(z, "Branch_0", first, ("Conv2d_1a_3x3", 384, 2))
                b = self.chain(z, "Branch_1", first, ("Conv2d_1a_3x3", 256, 2))
                units = [first, ("Conv2d_0b_3x3", 256, 1), ("Conv2d_1a_3x3", 256, 2)]
                c = self.chain(z, "Branch_2", *units)
                z = tf.concat([a, b, c, tf.nn.max_pool2d(z, **pool)], 3)
            with v1.variable_scope("Repeat_2"):
                for n in range(self.repeats[2]):
                    z = self.residual(z, f"block8_{n + 1}", 0.2, block8)
            z = self.residual(z, "Block8", 1.0, block8, relu=False)
            z = tf.reduce_mean(z, axis=[1, 2])
            kernel = (z.shape[-1], self.embedding)
            with v1.variable_scope("Bottleneck"):
                w = self.variable("weights", self.random.standard_normal(kernel))
                z = self.norm(tf.matmul(z, w))
        return tf.math.l2_normalize(z, 1, 1e-10, name="embeddings")

    def publish(self, folder: Path) -> None:
        """Writes checkpoint, `.meta` and frozen graph into a folder, as published."""
        folder.mkdir(parents=True, exist_ok=True)
        v1.disable_control_flow_v2()
        try:
            with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
                # Another test of the process may have asked for deterministic operations.
                v1.set_random_seed(0)
                self.write(folder, graph, session)
        finally:
            v1.enable_control_flow_v2()

    def write(self, folder: Path, graph: tf.Graph, session) -> None:
        self.phase = v1.placeholder(tf.bool, name="phase_train")
        queue = v1.FIFOQueue(2, tf.float32)
        pictures = queue.dequeue()
        pictures.set_shape((None, None, None, 3))
        self.embed(tf.identity(pictures, name="input"))
        v1.get_variable("InceptionResnetV1/Bottleneck/weights/Adam", (2, 3), use_resource=False)
        variables = v1.global_variables()
        values = [self.values.get(v.op.name, np.zeros(v.shape)) for v in variables]
        feeds = {v.initializer.inputs[1]: value for v, value in zip(variables, values, strict=True)}
        session.run([v.initializer for v in variables], feeds)
        saver = v1.train.Saver()
        saver.save(session, str(folder / "model-tiny.ckpt-3"), write_meta_graph=False)
        saver.export_meta_graph(str(folder / "model-tiny.meta"))
        definition = graph.as_graph_def()
        for node in definition.node:
            node.op = {"RefSwitch": "Switch", "AssignSub": "Sub"}.get(node.op, node.op)
            node.attr.pop("use_locking", None)
        constant = v1.graph_util.convert_variables_to_constants(session, definition, ["embeddings"])
        (folder / "tiny.pb").write_bytes(constant.SerializeToString())


def folded(graph: v1.GraphDef, arrays: dict[str, np.ndarray], units: list[str]) -> v1.GraphDef:
    """A graph of the same computation whose convolutions have an offset instead of batch norm.

    Args:
      graph: frozen.
      arrays: kernels and biases by unit.
      units: scopes below `InceptionResnetV1` to be folded.
    """
    result = v1.GraphDef(versions=graph.versions)
    merged = {f"InceptionResnetV1/{unit}/BatchNorm/cond_1/Merge": unit for unit in units}
    for node in graph.node:
        new = result.node.add()
        new.CopyFrom(node)
        scope = node.name.removeprefix("InceptionResnetV1/")
        if scope.removesuffix("/weights") in units and node.op == "Const":
            kernel = arrays[f"{scope.removesuffix('/weights')}/kernel"]
            new.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(kernel))
        if node.name in merged:
            unit = merged[node.name]
            del result.node[-1]
            offset = result.node.add(name=f"InceptionResnetV1/{unit}/Conv2D_bn_offset", op="Const")
            value = arrays[f"{unit}/bias"]
            offset.attr["dtype"].type = tf.float32.as_datatype_enum
            offset.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
            add = result.node.add(name=node.name, op="BiasAdd")
            add.attr["T"].type = tf.float32.as_datatype_enum
            add.input.extend([f"InceptionResnetV1/{unit}/Conv2D", offset.name])
    return v1.graph_util.extract_sub_graph(result, ["embeddings"])
