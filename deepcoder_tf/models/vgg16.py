"""VGG16 with ImageNet weights, of which the last three layers are fine-tuned."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.coders.label_head import LabelHead
from deepcoder_tf.config import Config
from deepcoder_tf.errors import UserError
from deepcoder_tf.models.network import Network
from deepcoder_tf.preprocessing.scale import HALF_RANGE

__all__ = ["VGG16Network", "imagenet_input", "read_layers", "weights_source"]

log = logging.getLogger(__name__)

BGR_MEAN = (103.939, 116.779, 123.68)
"""Mean of the ImageNet pictures in blue, green, red, levels 0..255, as VGG16 was trained."""

CONVOLUTIONS = 13

Layer = list[np.ndarray]
"""Kernel and bias."""


def imagenet_input(images: tf.Tensor, side: int) -> tf.Tensor:
    """Grey pictures as VGG16 wants them: square, three channels, the ImageNet mean taken off.

    Args:
      images: `[B, H, W, 1]` float32 in -1..1, equalised.
      side: of the square, pixels; the picture is stretched to it.

    Returns:
      `[B, side, side, 3]` float32 blue, green, red, levels 0..255 without their mean.

    Source: Simonyan and Zisserman, ICLR 2015; the `caffe` mode of keras.applications.
    """
    images = tf.image.resize((images + 1.0) * HALF_RANGE, (side, side), antialias=True)
    return images - tf.constant(BGR_MEAN)


def weights_source(config: Config) -> str:
    """What `--vgg16_weights` names: `imagenet`, or a path.

    Raises:
      UserError: nothing.
    """
    if not config.vgg16_weights:
        raise UserError(
            "--system=vgg16 needs ImageNet weights: give the path of VGG16 weights of Keras "
            "with --vgg16_weights=PATH, or --vgg16_weights=imagenet to let Keras fetch them"
        )
    return config.vgg16_weights


def read_layers(path: Path) -> list[Layer]:
    """The layers with weights in a file of Keras weights, in the order of the network.

    Args:
      path: `.weights.h5` (Keras 3), or `.h5` (older weights, or a whole saved model).

    Returns:
      For each layer its arrays.

    Raises:
      UserError: no such file, or no file of Keras weights.
    """
    if not path.is_file():
        raise UserError(f"--vgg16_weights={path}: no such file; give a path of Keras weights")
    try:
        with h5py.File(path) as file:
            layers = current_layers(file) if "layers" in file else older_layers(file)
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--vgg16_weights={path}: no file of Keras weights ({error}); give the .h5 or "
            ".weights.h5 file of VGG16"
        ) from error
    return [layer for layer in layers if layer]


def current_layers(file: h5py.File) -> list[Layer]:
    """Of a `.weights.h5` file, whose layers are named by class and number: conv2d_1, dense."""

    def place(name: str) -> tuple[bool, int]:
        number = re.search(r"_(\d+)$", name)
        return name.startswith("dense"), int(number[1]) if number else 0

    groups = file["layers"]
    kept = [name for name in groups if name.startswith(("conv2d", "dense"))]
    names = sorted(kept, key=place)
    return [[np.asarray(v) for _, v in sorted(groups[n]["vars"].items())] for n in names]


def older_layers(file: h5py.File) -> list[Layer]:
    """Of an `.h5` file of weights or of a whole model, which lists its layers by name."""
    groups = file.get("model_weights", file)
    names = [text(name) for name in groups.attrs["layer_names"]]
    return [
        [np.asarray(groups[name][text(weight)]) for weight in groups[name].attrs["weight_names"]]
        for name in names
    ]


def text(name: bytes | str) -> str:
    """HDF5 attributes hold names as either."""
    return name.decode() if isinstance(name, bytes) else name


def fits(layer: keras.layers.Layer, weights: Layer) -> bool:
    """Whether the weights have the layer's shapes."""
    return [tuple(w.shape) for w in layer.weights] == [w.shape for w in weights]


@keras.saving.register_keras_serializable("deepcoder_tf")
class VGG16Network(Network):
    """VGG16 whose last three layers (fc1, fc2 and a new head) are trained.

    The thirteen convolutions are those of ImageNet and never change. fc1 and fc2 start from the
    ImageNet weights where these fit: a square of 224 pixels, 4096 units, and a file with the top;
    elsewhere they start anew, and the log says so. The head, a softmax over the levels of each
    action unit instead of one over 1000 classes, always starts anew.

    Args:
      config: a `Config`, or its fields as a mapping.
      outputs: Q.
      points: 0.

    Attributes:
      base: the convolutions, frozen.

    Source: Simonyan and Zisserman, Very deep convolutional networks for large-scale image
    recognition, ICLR 2015; "fine-tuned the last 3 layers": DeepCoder, Section 5.
    """

    def __init__(self, config: Config | dict, outputs: int, points: int = 0, **kwargs) -> None:
        super().__init__(config, outputs, points, **kwargs)
        side, units = self.config.vgg16_side, self.config.vgg16_units
        self.base = keras.applications.VGG16(
            weights=None, include_top=False, input_shape=(side, side, 3), name="base"
        )
        self.base.trainable = False
        self.fc1 = keras.layers.Dense(
            units, activation="relu", kernel_initializer="he_normal", name="fc1"
        )
        self.fc2 = keras.layers.Dense(
            units, activation="relu", kernel_initializer="he_normal", name="fc2"
        )
        self.head = LabelHead(outputs, LEVELS, "softmax", name="head")

    @property
    def code_size(self) -> int:
        """Number of values that enter fc1."""
        return int(np.prod(self.base.output_shape[1:]))

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        units = self.config.vgg16_units
        self.fc1.build((None, self.code_size))
        self.fc2.build((None, units))
        self.head.build((None, units))

    def features(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """The activations `[B, F]` of fc2."""
        z = self.base(imagenet_input(images, self.config.vgg16_side), training=False)
        z = tf.reshape(z, (-1, self.code_size))
        for place, layer in enumerate((self.fc1, self.fc2), start=1):
            z = layer(z)
            if seed is not None and self.config.dropout:
                z = tf.nn.experimental.stateless_dropout(z, self.config.dropout, seed + place)
        return z

    def start(self, labels: np.ndarray) -> None:
        """Takes over the ImageNet weights that `--vgg16_weights` names.

        Args:
          labels: not looked at.

        Raises:
          UserError: none were named, they cannot be read, or they are another network's.
        """
        del labels
        source = weights_source(self.config)
        layers = self.fetched_layers() if source == "imagenet" else read_layers(Path(source))
        self.take_over(layers, source)

    def fetched_layers(self) -> list[Layer]:
        """The weights that Keras fetches, with the top only where it fits."""
        top = self.config.vgg16_side == 224 and self.config.vgg16_units == 4096
        try:
            model = keras.applications.VGG16(weights="imagenet", include_top=top)
        except Exception as error:  # Keras raises a bare Exception where the network fails
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"--vgg16_weights=imagenet: Keras could not fetch them ({reason}); download the "
                "VGG16 weights of Keras elsewhere and give their path"
            ) from error
        return [[w.numpy() for w in layer.weights] for layer in model.layers if layer.weights]

    def take_over(self, layers: list[Layer], source: str) -> None:
        """Copies weights into the convolutions, and into fc1 and fc2 where they fit."""
        convolutions = [layer for layer in self.base.layers if layer.weights]
        if len(layers) < CONVOLUTIONS:
            raise UserError(
                f"--vgg16_weights={source}: {len(layers)} layers with weights where VGG16 has "
                f"{CONVOLUTIONS} convolutions; give the weights of VGG16"
            )
        for layer, weights in zip(convolutions, layers, strict=False):
            if not fits(layer, weights):
                raise UserError(
                    f"--vgg16_weights={source}: {layer.name} has shapes "
                    f"{[w.shape for w in weights]}, in VGG16 "
                    f"{[tuple(w.shape) for w in layer.weights]}; give the weights of VGG16"
                )
            layer.set_weights(weights)
        top = layers[CONVOLUTIONS : CONVOLUTIONS + 2]
        dense = [self.fc1, self.fc2]
        if len(top) == 2 and all(map(fits, dense, top)):
            for layer, weights in zip(dense, top, strict=True):
                layer.set_weights(weights)
        else:
            log.info("%s: no fully connected layers that fit; fc1 and fc2 start anew", source)
