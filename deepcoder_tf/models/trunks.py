"""Pretrained trunks: FaceNet's network or any of keras.applications, cut where one wants them."""

from __future__ import annotations

import abc
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.inception_resnet_v1 import InceptionResNetV1, facenet_input
from deepcoder_tf.models.named_weights import read_weights
from deepcoder_tf.preprocessing.scale import HALF_RANGE

__all__ = ["FACENET", "ApplicationTrunk", "FaceNetTrunk", "Trunk", "application", "build_trunk"]

log = logging.getLogger(__name__)

FACENET = "inception_resnet_v1"
"""Name of the one trunk that is ours; all others are those of keras.applications."""

IMAGENET = "imagenet"


def build_trunk(
    network: str,
    weights: str = "",
    endpoint: str = "",
    frozen: str = "",
    options: Mapping[str, Any] | None = None,
) -> Trunk:
    """A trunk with its weights.

    Args:
      network: `inception_resnet_v1`, or the name of a network of keras.applications, such as
        `vgg16`, `resnet50` or `mobilenet_v2`.
      weights: path of a file; `imagenet` lets Keras fetch them; empty draws them at random.
      endpoint: where the trunk ends; empty is its last features.
      frozen: up to where its weights are constant; empty is nowhere.
      options: of the network itself.

    Returns:
      The trunk, built.

    Raises:
      UserError: no such network, endpoint or file, or weights of another network.
    """
    kind: type[Trunk] = FaceNetTrunk if simple(network) == simple(FACENET) else ApplicationTrunk
    try:
        trunk = kind(network, endpoint, frozen, options)
        trunk.build(None)
    except ValueError as error:
        raise UserError(f"trunk {network}: {first_line(error)}") from error
    if weights:
        trunk.load(weights)
    return trunk


class Trunk(keras.layers.Layer, abc.ABC):
    """Features of colour pictures, in two parts: constant below `frozen`, trainable above.

    `call` is `upper(lower(images))`. The lower part, when there is one, always runs in inference
    mode: its output may be computed once for each picture and kept.

    Args:
      network: its name.
      endpoint: where it ends; empty is the default of the network.
      frozen: the endpoint up to which (itself included) it is constant; empty is none.
      options: of the network itself, plain values by name.
    """

    def __init__(
        self,
        network: str,
        endpoint: str = "",
        frozen: str = "",
        options: Mapping[str, Any] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.endpoint = endpoint
        self.frozen = frozen
        self.options = dict(options or {})

    @abc.abstractmethod
    def lower(self, images: tf.Tensor) -> tf.Tensor:
        """What never changes.

        Args:
          images: `[B, H, W, 3]` float32 red, green, blue in -1..1.

        Returns:
          The features at `frozen`; where nothing is frozen, the picture as the network wants it.
        """

    @abc.abstractmethod
    def upper(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The rest.

        Args:
          z: what `lower` returns.
          training: whether batch normalisation uses the batch's statistics and learns from them.

        Returns:
          The features at the endpoint.
        """

    @abc.abstractmethod
    def channels(self) -> int:
        """Size of the last axis of the features."""

    @abc.abstractmethod
    def load(self, weights: str) -> None:
        """Takes over weights.

        Args:
          weights: path of a file, or `imagenet`.

        Raises:
          UserError: no such file, a cut one, or weights of another network.
        """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Features `[B, H', W', C]` (or `[B, C]`) of pictures `[B, H, W, 3]` in -1..1."""
        return self.upper(self.lower(inputs), training=training)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "network": self.network,
            "endpoint": self.endpoint,
            "frozen": self.frozen,
            "options": self.options,
        }


@keras.saving.register_keras_serializable("deepcoder_tf")
class FaceNetTrunk(Trunk):
    """Inception-ResNet-V1, by default up to Block8 and with batch normalisation folded.

    Args:
      network: `inception_resnet_v1`.
      endpoint: see `inception_resnet_v1.ENDPOINTS`.
      frozen: likewise.
      options: of `InceptionResNetV1`. `folded=False` keeps batch normalisation, for weights that
        came with its statistics.

    Raises:
      ValueError: no such endpoint.
    """

    def __init__(self, network: str = FACENET, *args, **kwargs) -> None:
        super().__init__(network, *args, **kwargs)
        self.net = InceptionResNetV1(
            **{"until": self.endpoint or "Block8", "folded": True, **self.options}, name="net"
        )
        if self.frozen:
            self.net.freeze(self.frozen)

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        self.net.build(input_shape)

    def lower(self, images: tf.Tensor) -> tf.Tensor:
        """See `Trunk.lower`."""
        images = facenet_input(images)
        return self.net.between(images, until=self.frozen) if self.frozen else images

    def upper(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """See `Trunk.upper`."""
        return self.net.between(z, after=self.frozen or None, training=training)

    def passing(
        self, images: tf.Tensor, endpoint: str, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The features at an endpoint on the way, and those at the end.

        Args:
          images: as of `lower`.
          endpoint: before the trunk's own, or that itself.
          training: as of `upper`.

        Raises:
          ValueError: the trunk has no such endpoint.
        """
        if self.frozen and self.net.end(endpoint) <= self.net.end(self.frozen):
            passed = self.net.between(facenet_input(images), until=endpoint)
            lower = self.net.between(passed, after=endpoint, until=self.frozen)
            return passed, self.upper(lower, training=training)
        passed = self.net.between(
            self.lower(images), self.frozen or None, endpoint, training=training
        )
        return passed, self.net.between(passed, after=endpoint, training=training)

    def channels(self) -> int:
        """Size of the last axis of the features."""
        return self.net.channels()

    def load(self, weights: str) -> None:
        """Takes over what `deepcoder-import-facenet` wrote."""
        if weights == IMAGENET:
            raise UserError(
                f"there are no ImageNet weights of {FACENET}; give the file that "
                "deepcoder-import-facenet wrote"
            )
        arrays, notes = read_weights(Path(weights), FACENET)
        try:
            self.net.take_over(arrays)
        except ValueError as error:
            raise UserError(
                f"{weights}: {error}; make the file again with deepcoder-import-facenet"
            ) from error
        if notes.get("batch_norm") == "folded" and not self.net.folded:
            log.warning("%s: no statistics of batch norm: do not train with it", weights)


@keras.saving.register_keras_serializable("deepcoder_tf")
class ApplicationTrunk(Trunk):
    """A network of keras.applications without its classifier.

    Args:
      network: its name; case and underscores do not matter.
      endpoint: name of a layer; the last when empty.
      frozen: name of a layer that all paths from the picture to the endpoint pass through.
      options: of the function in keras.applications, such as `alpha` of MobileNetV2.

    Raises:
      ValueError: no such network or layer, or a layer that some path goes around.
    """

    def __init__(self, network: str, *args, **kwargs) -> None:
        super().__init__(network, *args, **kwargs)
        self.make = application(network)
        whole = self.whole(None)
        self.places = {layer.name: place for place, layer in enumerate(whole.layers)}
        end = self.layer_of(whole, self.endpoint) if self.endpoint else whole
        start = self.layer_of(whole, self.frozen) if self.frozen else None
        self.below = keras.Model(whole.inputs, start.output, name="below") if start else None
        self.above = self.cut(whole, start, end) if start is not end else None
        if self.below is not None:
            self.below.trainable = False

    def whole(self, weights: str | None) -> keras.Model:
        """The network as Keras makes it."""
        return self.make(
            weights=weights, include_top=False, input_shape=(None, None, 3), **self.options
        )

    def layer_of(self, whole: keras.Model, name: str) -> keras.layers.Layer:
        """By name."""
        if name not in self.places:
            raise ValueError(
                f"{name!r} is no layer of {self.network}; choose of {', '.join(self.places)}"
            )
        return whole.get_layer(name)

    def cut(self, whole: keras.Model, start, end) -> keras.Model:
        """What lies between two layers."""
        try:
            return keras.Model(start.output if start else whole.inputs, end.output, name="above")
        except ValueError as error:
            raise ValueError(
                f"cannot be cut at {self.frozen!r}, since a path to the end goes around it; "
                "freeze up to the end of a block"
            ) from error

    def build(self, input_shape=None) -> None:
        """Nothing: Keras has created every weight."""

    def lower(self, images: tf.Tensor) -> tf.Tensor:
        """See `Trunk.lower`."""
        preprocess = sys.modules[self.make.__module__].preprocess_input
        images = preprocess((images + 1.0) * HALF_RANGE, data_format="channels_last")
        return images if self.below is None else self.below(images, training=False)

    def upper(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """See `Trunk.upper`."""
        return z if self.above is None else self.above(z, training=training)

    def channels(self) -> int:
        """Size of the last axis of the features."""
        parts = [part for part in (self.below, self.above) if part is not None]
        return int(parts[-1].output_shape[-1])

    def load(self, weights: str) -> None:
        """Takes over Keras weights of the network without its top, or lets Keras fetch them."""
        whole = self.fetched() if weights == IMAGENET else self.read(Path(weights))
        for part in (self.below, self.above):
            for layer in part.layers if part is not None else ():
                if layer.name in self.places:  # all but the input of the upper part
                    layer.set_weights(whole.layers[self.places[layer.name]].get_weights())

    def fetched(self) -> keras.Model:
        """With the weights that Keras fetches."""
        try:
            return self.whole(IMAGENET)
        except Exception as error:  # Keras raises a bare Exception where the network fails
            raise UserError(
                f"trunk {self.network}: Keras could not fetch ImageNet weights "
                f"({first_line(error)}); download them elsewhere and give their path"
            ) from error

    def read(self, path: Path) -> keras.Model:
        """With the weights of a file."""
        if not path.is_file():
            raise UserError(f"{path}: no such file; give Keras weights of {self.network}")
        whole = self.whole(None)
        try:
            held = count_weights(path)
            if held not in (None, len(whole.weights)):
                raise ValueError(f"{held} weights, the network has {len(whole.weights)}")
            whole.load_weights(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: no Keras weights of {self.network} without its top "
                f"({first_line(error)}); save them with include_top=False"
            ) from error
        return whole


def simple(name: str) -> str:
    """A network's name without case and underscores."""
    return name.lower().replace("_", "")


def application(name: str) -> Callable[..., keras.Model]:
    """The function of keras.applications that makes a network.

    Args:
      name: case and underscores do not matter.

    Raises:
      ValueError: Keras has no such network.
    """
    found = {
        simple(own): function
        for own, function in inspect.getmembers(keras.applications, inspect.isfunction)
    }
    if simple(name) not in found:
        raise ValueError(
            f"no such network; choose {FACENET} or one of keras.applications: {', '.join(found)}"
        )
    return found[simple(name)]


def count_weights(path: Path) -> int | None:
    """Number of arrays in a `.weights.h5` file, of which Keras itself ignores what is too much.

    Returns:
      None for an older file, which Keras compares by itself.

    Raises:
      ValueError: an HDF5 file that Keras did not write.
    """
    count = 0

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal count
        count += isinstance(item, h5py.Dataset) and "/vars/" in f"/{name}"

    with h5py.File(path) as file:
        if "layers" not in file:
            if "layer_names" in file.attrs or "model_weights" in file:
                return None
            raise ValueError("it lists no layers")
        file.visititems(collect)
    return count


def first_line(error: Exception) -> str:
    """What an exception says, short."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
