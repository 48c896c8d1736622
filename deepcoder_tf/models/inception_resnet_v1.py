"""Inception-ResNet-V1 as FaceNet trained it for face recognition."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.layers.inception_resnet import (
    EPSILON,
    ConvBatchNorm,
    DenseBatchNorm,
    InceptionBlock,
    ResidualBlock,
    Unit,
)
from deepcoder_tf.preprocessing.scale import HALF_RANGE

__all__ = [
    "ENDPOINTS",
    "SMALLEST_SIDE",
    "InceptionResNetV1",
    "facenet_input",
    "fold",
    "unfold",
]

ENDPOINTS = (
    "Conv2d_4b_3x3",
    "Block35",
    "Mixed_6a",
    "Block17",
    "Mixed_7a",
    "Block8",
    "pooled",
    "Bottleneck",
    "embedding",
)
"""Where features are usually read, from the picture on. A name of blocks is the last of them."""

SMALLEST_SIDE = 75
"""Pixels of the smallest picture that leaves a pixel after Mixed_7a."""

Arrays = dict[str, np.ndarray]


def facenet_input(images: tf.Tensor) -> tf.Tensor:
    """Pictures as FaceNet's models of 2018 want them: (level - 127.5) / 128.

    Args:
      images: `[B, H, W, 3]` float32 red, green, blue in -1..1.

    Returns:
      The same shape.
    """
    return images * (HALF_RANGE / 128.0)


def fold(arrays: Arrays) -> Arrays:
    """The same network with batch normalisation folded into kernels and biases.

    With z = x W, (z - mean) / s + beta = x (W / s) + (beta - mean / s), s = sqrt(var + EPSILON).

    Args:
      arrays: by name, as `InceptionResNetV1.arrays` gives them; folded ones stay as they are.

    Returns:
      By name, of a network with `folded=True`.
    """
    folded = {name: value for name, value in arrays.items() if "/BatchNorm/" not in name}
    for name in arrays:
        if name.endswith("/BatchNorm/beta"):
            unit = name.removesuffix("/BatchNorm/beta")
            beta, mean, var = (
                arrays[f"{unit}/BatchNorm/{which}"].astype(np.float64)
                for which in ("beta", "moving_mean", "moving_variance")
            )
            s = np.sqrt(var + EPSILON)
            folded[f"{unit}/kernel"] = (arrays[f"{unit}/kernel"] / s).astype(np.float32)
            folded[f"{unit}/bias"] = (beta - mean / s).astype(np.float32)
    return folded


def unfold(arrays: Arrays, units: Sequence[str]) -> Arrays:
    """The same network with batch normalisation that changes nothing but adds the bias.

    Its statistics (mean 0, variance 1 - EPSILON) are not those of any data: such a network
    computes the right thing in inference mode only.

    Args:
      arrays: by name; those of a folded network.
      units: names of the layers that have batch normalisation.

    Returns:
      By name, of a network with `folded=False`.
    """
    present = dict(arrays)
    for unit in units:
        if f"{unit}/BatchNorm/beta" not in present and f"{unit}/bias" in present:
            beta = present.pop(f"{unit}/bias")
            present[f"{unit}/BatchNorm/beta"] = beta
            present[f"{unit}/BatchNorm/moving_mean"] = np.zeros_like(beta)
            present[f"{unit}/BatchNorm/moving_variance"] = np.full_like(beta, 1.0 - EPSILON)
    return present


def block35(wide: Callable[[int], int]) -> list[list[Unit]]:
    """Branches of Figure 10."""
    n = wide(32)
    return [
        [Unit("Conv2d_1x1", n, (1, 1))],
        [Unit("Conv2d_0a_1x1", n, (1, 1)), Unit("Conv2d_0b_3x3", n, (3, 3))],
        [
            Unit("Conv2d_0a_1x1", n, (1, 1)),
            Unit("Conv2d_0b_3x3", n, (3, 3)),
            Unit("Conv2d_0c_3x3", n, (3, 3)),
        ],
    ]


def block17(wide: Callable[[int], int]) -> list[list[Unit]]:
    """Branches of Figure 11."""
    n = wide(128)
    return [
        [Unit("Conv2d_1x1", n, (1, 1))],
        [
            Unit("Conv2d_0a_1x1", n, (1, 1)),
            Unit("Conv2d_0b_1x7", n, (1, 7)),
            Unit("Conv2d_0c_7x1", n, (7, 1)),
        ],
    ]


def block8(wide: Callable[[int], int]) -> list[list[Unit]]:
    """Branches of Figure 13."""
    n = wide(192)
    return [
        [Unit("Conv2d_1x1", n, (1, 1))],
        [
            Unit("Conv2d_0a_1x1", n, (1, 1)),
            Unit("Conv2d_0b_1x3", n, (1, 3)),
            Unit("Conv2d_0c_3x1", n, (3, 1)),
        ],
    ]


def mixed_6a(wide: Callable[[int], int]) -> list[list[Unit]]:
    """Branches of Figure 7, reduction A, with k, l, m, n = 192, 192, 256, 384."""
    return [
        [Unit("Conv2d_1a_3x3", wide(384), (3, 3), 2)],
        [
            Unit("Conv2d_0a_1x1", wide(192), (1, 1)),
            Unit("Conv2d_0b_3x3", wide(192), (3, 3)),
            Unit("Conv2d_1a_3x3", wide(256), (3, 3), 2),
        ],
    ]


def mixed_7a(wide: Callable[[int], int]) -> list[list[Unit]]:
    """Branches of Figure 12, reduction B."""
    first = Unit("Conv2d_0a_1x1", wide(256), (1, 1))
    return [
        [first, Unit("Conv2d_1a_3x3", wide(384), (3, 3), 2)],
        [first, Unit("Conv2d_1a_3x3", wide(256), (3, 3), 2)],
        [
            first,
            Unit("Conv2d_0b_3x3", wide(256), (3, 3)),
            Unit("Conv2d_1a_3x3", wide(256), (3, 3), 2),
        ],
    ]


def stem(wide: Callable[[int], int], folded: bool) -> list[keras.layers.Layer]:
    """Figure 14: from the picture to 256 channels of an eighth of its side."""

    def unit(name: str, filters: int, side: int, strides: int, padding: str) -> ConvBatchNorm:
        size = (side, side)
        return ConvBatchNorm(wide(filters), size, strides, padding, folded=folded, name=name)

    return [
        unit("Conv2d_1a_3x3", 32, 3, 2, "valid"),
        unit("Conv2d_2a_3x3", 32, 3, 1, "valid"),
        unit("Conv2d_2b_3x3", 64, 3, 1, "same"),
        keras.layers.MaxPooling2D(3, 2, "valid", name="MaxPool_3a_3x3"),
        unit("Conv2d_3b_1x1", 80, 1, 1, "valid"),
        unit("Conv2d_4a_3x3", 192, 3, 1, "valid"),
        unit("Conv2d_4b_3x3", 256, 3, 2, "valid"),
    ]


def stages(
    width: float, repeats: Sequence[int], embedding: int, folded: bool
) -> list[keras.layers.Layer]:
    """The whole network as a chain of layers, without weights."""

    def wide(filters: int) -> int:
        return max(1, round(width * filters))

    residual = functools.partial(ResidualBlock, folded=folded)
    reduction = functools.partial(InceptionBlock, pool=True, folded=folded)

    def repeated(name: str, branches: list[list[Unit]], scale: float, times: int) -> list:
        return [residual(branches, scale, name=f"{name}_{n}") for n in range(1, times + 1)]

    return [
        *stem(wide, folded),
        *repeated("block35", block35(wide), 0.17, repeats[0]),
        reduction(mixed_6a(wide), name="Mixed_6a"),
        *repeated("block17", block17(wide), 0.10, repeats[1]),
        reduction(mixed_7a(wide), name="Mixed_7a"),
        *repeated("block8", block8(wide), 0.20, repeats[2]),
        residual(block8(wide), 1.0, relu=False, name="Block8"),
        keras.layers.GlobalAveragePooling2D(name="pooled"),
        DenseBatchNorm(embedding, relu=False, folded=folded, name="Bottleneck"),
        keras.layers.UnitNormalization(name="embedding"),
    ]


def end_of(names: Sequence[str], endpoint: str) -> int:
    """Number of stages of these names up to an endpoint, with it.

    Raises:
      ValueError: there is no such endpoint.
    """
    found = endpoint
    if endpoint in ("Block35", "Block17"):
        found = max(
            (name for name in names if name.startswith(f"{endpoint.lower()}_")),
            key=names.index,
            default=endpoint,
        )
    if found not in names:
        raise ValueError(
            f"{endpoint!r} is no endpoint of this network; choose of {', '.join(ENDPOINTS)} "
            f"or a layer: {', '.join(names)}"
        )
    return names.index(found) + 1


@keras.saving.register_keras_serializable("deepcoder_tf")
class InceptionResNetV1(keras.layers.Layer):
    """From pictures of any size to an embedding of the face, or to any point before.

    Args:
      until: the endpoint at which the network ends (`ENDPOINTS`, or the name of any layer).
      folded: biases in the place of batch normalisation (see `ConvBatchNorm`).
      embedding: number of dimensions of the embedding.
      width: share of the published number of filters; for tests.
      repeats: numbers of Block35, Block17 and Block8, of which one more follows at the end; for
        tests.

    Attributes:
      stages: its layers in order; the output of each enters the next.

    Raises:
      ValueError: no such endpoint.

    Source: Szegedy et al., AAAI 2017; Schroff, Kalenichenko and Philbin, FaceNet, CVPR 2015;
    Sandberg's `facenet`, whose layer names and sizes these are: dropout, which it applies before
    the bottleneck when it trains, is left to who trains.
    """

    def __init__(
        self,
        until: str = "embedding",
        folded: bool = False,
        embedding: int = 512,
        width: float = 1.0,
        repeats: Sequence[int] = (5, 10, 5),
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.until = until
        self.folded = folded
        self.embedding = embedding
        self.width = width
        self.repeats = tuple(repeats)
        self.frozen: str | None = None
        chain = stages(width, self.repeats, embedding, folded)
        self.stages = chain[: end_of([stage.name for stage in chain], until)]

    def end(self, endpoint: str) -> int:
        """Number of stages up to an endpoint, with it.

        Raises:
          ValueError: the network has no such endpoint.
        """
        return end_of([stage.name for stage in self.stages], endpoint)

    def build(self, input_shape=None) -> None:
        """Creates every weight.

        Args:
          input_shape: `(B, H, W, 3)`, or nothing.

        Raises:
          ValueError: other than three channels, or a picture too small for the network.
        """
        shape = tuple(input_shape or (None, None, None, 3))
        if shape[-1] != 3:
            raise ValueError(f"pictures have 3 channels (red, green, blue), not {shape[-1]}")
        self.check_size(shape[1:3])
        shape = (None, None, None, 3)
        for stage in self.stages:
            stage.build(shape)
            shape = stage.compute_output_shape(shape)
        self.set_trainable()

    def check_size(self, size: Sequence[int | None]) -> None:
        """Refuses pictures of which the last convolutions would have nothing left."""
        if min((side for side in size if side is not None), default=SMALLEST_SIDE) < SMALLEST_SIDE:
            raise ValueError(
                f"pictures of {size[0]}x{size[1]} pixels are too small; Inception-ResNet-V1 needs "
                f"{SMALLEST_SIDE}x{SMALLEST_SIDE} or more"
            )

    def channels(self) -> int:
        """Size of the last axis of the output."""
        shape: tuple[int | None, ...] = (None, None, None, 3)
        for stage in self.stages:
            shape = stage.compute_output_shape(shape)
        return int(shape[-1] or 0)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The output of the last stage.

        Args:
          inputs: `[B, H, W, 3]` float32, (level - 127.5) / 128, H and W at least `SMALLEST_SIDE`.
          training: whether batch normalisation uses the batch's statistics and learns from them.

        Returns:
          `[B, embedding]` of length 1, or `[B, H', W', C]` at an endpoint before `pooled`.
        """
        self.check_size(inputs.shape[1:3])
        return self.between(inputs, training=training)

    def between(
        self,
        z: tf.Tensor,
        after: str | None = None,
        until: str | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """A part of the network.

        Args:
          z: the output of `after`; the picture when None.
          after: an endpoint.
          until: an endpoint; the last one when None.
          training: as in `call`.

        Returns:
          The output of `until`.

        Raises:
          ValueError: the network has no such endpoint.
        """
        start = self.end(after) if after else 0
        stop = self.end(until) if until else len(self.stages)
        for stage in self.stages[start:stop]:
            z = stage(z, training=training) if takes_training(stage) else stage(z)
        return z

    def endpoints(
        self, inputs: tf.Tensor, names: Sequence[str], training: bool = False
    ) -> dict[str, tf.Tensor]:
        """The outputs at several endpoints in one pass.

        Args:
          inputs: as in `call`.
          names: endpoints, in the order of the network.
          training: as in `call`.

        Returns:
          By name.
        """
        found: dict[str, tf.Tensor] = {}
        before: str | None = None
        for name in names:
            inputs = found[name] = self.between(inputs, before, name, training)
            before = name
        return found

    def freeze(self, until: str | None) -> None:
        """Makes everything up to an endpoint constant, and everything after it trainable.

        Args:
          until: an endpoint, itself frozen too; None makes all trainable.

        Raises:
          ValueError: the network has no such endpoint.
        """
        if until:
            self.end(until)
        self.frozen = until
        if self.built:
            self.set_trainable()

    def set_trainable(self) -> None:
        """Carries out `freeze`, which Keras forgets for layers that are made later, in `build`."""
        frozen = self.end(self.frozen) if self.frozen else 0
        for number, stage in enumerate(self.stages):
            stage.trainable = number >= frozen

    def weights_by_name(self) -> dict[str, keras.Variable]:
        """Every weight by the name of its place, such as `Mixed_6a/Branch_0/.../kernel`."""
        return {w.path.split(f"{self.name}/", 1)[-1]: w for w in self.weights}

    def arrays(self) -> Arrays:
        """The values of `weights_by_name`."""
        return {name: np.asarray(w) for name, w in self.weights_by_name().items()}

    def take_over(self, arrays: Arrays) -> None:
        """Sets every weight.

        Args:
          arrays: by name, with batch normalisation or folded, whatever this network is; what
            belongs after `until` is left out.

        Raises:
          ValueError: a weight is missing or has another shape; nothing was set.
        """
        own = self.weights_by_name()
        if self.folded:
            arrays = fold(arrays)
        else:
            arrays = unfold(arrays, [n.rsplit("/", 2)[0] for n in own if n.endswith("/beta")])
        missing = [name for name in own if name not in arrays]
        if missing:
            raise ValueError(
                f"{missing[0]} and {len(missing) - 1} more of the {len(own)} weights are missing"
            )
        for name, weight in own.items():
            if arrays[name].shape != tuple(weight.shape):
                raise ValueError(
                    f"{name} has shape {arrays[name].shape}, not {tuple(weight.shape)}"
                )
        for name, weight in own.items():
            weight.assign(arrays[name])

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "until": self.until,
            "folded": self.folded,
            "embedding": self.embedding,
            "width": self.width,
            "repeats": list(self.repeats),
        }


def takes_training(stage: keras.layers.Layer) -> bool:
    """Whether a stage behaves otherwise in training."""
    return isinstance(stage, ConvBatchNorm | DenseBatchNorm | InceptionBlock)
