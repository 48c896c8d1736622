"""What every layer, coder and model must keep: its weights, its gradients, its word after saving.

A class without a case here fails the suite.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepcoder_tf.coders
import deepcoder_tf.layers
import deepcoder_tf.models
from deepcoder_tf.coders import VOGPAE, Coder, ConvVAE, DenseVAE, SparseVOGPAE
from deepcoder_tf.coders.gp_coder import GPCoder
from deepcoder_tf.coders.label_head import LabelHead
from deepcoder_tf.coders.latent_gp import LatentGP
from deepcoder_tf.config import Config
from deepcoder_tf.export.savedmodel import save_functions
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.layers import GaussianHead, PooledConv2D, UpsampleConv2D
from deepcoder_tf.layers.branch import Branch, PictureDecoder
from deepcoder_tf.layers.gated_patches import Gate, GatedPatches
from deepcoder_tf.layers.inception_resnet import (
    ConvBatchNorm,
    DenseBatchNorm,
    InceptionBlock,
    ResidualBlock,
    Unit,
)
from deepcoder_tf.layers.transition import Transition
from deepcoder_tf.models.coder_head import CoderHead
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.models.expressions import ExpressionSystem, build_recogniser
from deepcoder_tf.models.expressions.system import ExpressionBatch
from deepcoder_tf.models.facs_network import FACSNetwork, facs_trunk
from deepcoder_tf.models.feature_system import FeatureSystem
from deepcoder_tf.models.gp_regression import GPHead
from deepcoder_tf.models.inception_resnet_v1 import InceptionResNetV1
from deepcoder_tf.models.lbp_landmarks import LBPLandmarks
from deepcoder_tf.models.linear import MLRHead, SORHead
from deepcoder_tf.models.network import Network
from deepcoder_tf.models.rank_head import RankHead
from deepcoder_tf.models.registry import build_system
from deepcoder_tf.models.regression import standardisation
from deepcoder_tf.models.trunks import ApplicationTrunk, FaceNetTrunk
from deepcoder_tf.models.vae_dgp import VAEDGP
from deepcoder_tf.models.vgg16 import VGG16Network
from deepcoder_tf.objectives_expressions import expression_weights, total
from deepcoder_tf.recogniser_config import RecogniserConfig
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.types import Gaussian

Arrays = dict[str, np.ndarray]
Outputs = dict[str, tf.Tensor]

BATCH = 5
SMALL = Config(
    coders="conv:4,gp:2",
    image_height=12,
    image_width=8,
    filters=(3, 2),
    pools=(1, 1),
    kernel_size=3,
)


class Case(NamedTuple):
    """One class of layers in one configuration.

    Attributes:
      make: builds it.
      inputs: what prediction sees, the batch in the first axis.
      predict: from a layer and its inputs to everything it predicts.
      loss: a scalar that depends on every trainable weight.
      trainable: shapes of the trainable weights, by name.
      constant: shapes of the others.
    """

    make: Callable[[], keras.layers.Layer]
    inputs: Arrays
    predict: Callable[..., Outputs]
    loss: Callable[[Any], tf.Tensor]
    trainable: dict[str, tuple[int, ...]]
    constant: dict[str, tuple[int, ...]]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def levels(*shape: int) -> np.ndarray:
    """Every level and a missing one, in turn, int32."""
    return (np.arange(np.prod(shape)).reshape(shape) % 7 - 1).astype(np.int32)


def built(layer: keras.layers.Layer, *shape: int) -> keras.layers.Layer:
    """The layer with its weights."""
    layer.build((None, *shape))
    return layer


def gaussian(q: Gaussian) -> Outputs:
    """By name."""
    return {"mean": q.mean, "var": q.var}


# Coders -------------------------------------------------------------------------------------------


def coder_outputs(coder: Coder, z: tf.Tensor) -> Outputs:
    """Everything that a coder predicts from its input."""
    q = coder.encode(z)
    p = coder.decode(q.mean)
    return {**gaussian(q), "down": p.mean, "down_var": p.var, "p": coder.level_probabilities(q)}


def coder_loss(z: np.ndarray, outputs: int) -> Callable[[Coder], tf.Tensor]:
    """The negative bound of a coder at a batch, with another prior than N(0, I)."""

    def loss(coder: Coder) -> tf.Tensor:
        mean = tf.constant(z)
        terms = coder.terms(
            Gaussian(mean, 0.1 * tf.ones_like(mean)),
            tf.constant(levels(len(z), outputs)),
            prior=None,
            index=tf.range(len(z)),
            seed=tf.constant([1, 2]),
        )
        bound = terms["recon"] - terms["kl"] + terms["label"]
        return coder.penalty() - tf.reduce_sum(bound)

    return loss


def own_points(coder: GPCoder, z: np.ndarray) -> GPCoder:
    """Gives a GP coder its training points."""
    z_in = Gaussian(z, np.full_like(z, 0.1))
    coder.observe(z_in, levels(len(z), coder.outputs), first=True)
    coder.refresh()
    return coder


POINTS, Z = 14, normal(14, 4, seed=3)


def deep_coder(config: Config = SMALL) -> DeepCoder:
    """A whole stack whose GP coder owns points."""
    model = DeepCoder(config, 2, POINTS)
    model.build()
    for n, coder in enumerate(model.coders):
        if n and coder.max_points:
            own_points(coder, Z)
    return model


def deep_coder_loss(model: DeepCoder) -> tf.Tensor:
    """The sum of the coders' losses."""
    images = normal(BATCH, 12, 8, 1)
    first = coder_loss(images, 2)(model.coders[0])
    return first + tf.cast(coder_loss(Z, 2)(model.coders[1]), tf.float32)


NETWORK = dataclasses.replace(
    SMALL,
    image_height=24,
    image_width=16,
    cnn_filters=(3, 2, 4),
    cnn_kernels=(3, 3, 2),
    cnn_pools=(1, 0, 1),
    cnn_features=8,
    vgg16_side=32,
    vgg16_units=24,
)


def network(kind: type[Network], system: str) -> Network:
    """A whole network."""
    model = kind(dataclasses.replace(NETWORK, system=system), 2)
    model.build()
    return model


def network_loss(model: Network) -> tf.Tensor:
    """The penalised cross-entropy of a batch."""
    images = tf.constant(normal(16, 24, 16, 1, seed=2))
    log_prob = model.log_prob(images, tf.constant(levels(16, 2)), tf.constant([1, 2]))
    return model.penalty() - tf.reduce_sum(log_prob)


def random_crops(count: int) -> np.ndarray:
    """Blurred noise, uint8 `[count, 240, 160, 1]`."""
    coarse = np.random.default_rng(5).integers(0, 256, (count, 12, 8, 1))
    return coarse.repeat(20, axis=1).repeat(20, axis=2).astype(np.uint8)


# Systems of features ------------------------------------------------------------------------------

FEATURES, TARGETS = normal(8, 3, seed=4), normal(8, 2, seed=6).astype(np.float64)


def set_constants(head: keras.layers.Layer) -> keras.layers.Layer:
    """Gives a linear head the weights that a fit would."""
    for number, weight in enumerate(head.weights):
        drawn = np.abs(normal(*weight.shape, seed=20 + number))
        weight.assign(np.cumsum(drawn, axis=-1) if weight.name == "gamma" else drawn)
    return head


def gp_head(kernel: str) -> GPHead:
    """A GP with room for more frames than it owns."""
    head = built(GPHead(2, 9, kernel), 3)
    head.start(FEATURES, standardisation(FEATURES), np.ones(2), np.full(2, 0.7), 1.0)
    head.freeze(head.standardised(FEATURES), tf.constant(TARGETS))
    return head


def gp_loss(head: GPHead) -> tf.Tensor:
    """The negative marginal likelihood."""
    return -head.log_likelihood(head.standardised(FEATURES), tf.constant(TARGETS))


def head_outputs(head: keras.layers.Layer, x: tf.Tensor) -> Outputs:
    """Everything that a head predicts."""
    levels = head.predict(x)
    return {"p": levels.probabilities, **(gaussian(levels.regression) if levels.regression else {})}


def coder_head(coder: Coder) -> CoderHead:
    """A coder on features that owns its points."""
    head = built(CoderHead(coder), 4)
    own_points(head.coder, Z)
    return head


def lbp_system() -> FeatureSystem:
    """Linear regression on LBP and landmarks: a system with two inputs."""
    options = {"system": "mlr", "features": "lbp", "lbp_rows": 2, "lbp_columns": 1}
    model = build_system(dataclasses.replace(SMALL, **options), 2)
    set_constants(model.head)
    return model


def latent_gp(separate: bool) -> LatentGP:
    """A layer of a deep GP at its best for some points."""
    gp = built(LatentGP(2, 3, 4, separate))
    gp.initialise(LATENT, normal(14, 3, seed=6).astype(np.float64), None, np.random.default_rng(0))
    return gp


def latent_gp_outputs(gp: LatentGP, x: tf.Tensor) -> Outputs:
    """Of points, and of uncertain ones."""
    x = tf.cast(x, tf.float64)
    mean, square = gp.moments(Gaussian(x, 0.3 * tf.ones_like(x)))
    return {**gaussian(gp.at(x)), "moment": mean, "square": square}


def latent_gp_loss(gp: LatentGP) -> tf.Tensor:
    """The negative bound."""
    target = Gaussian(tf.constant(normal(14, 3, seed=7), tf.float64), None)
    return gp.kl() - tf.reduce_sum(gp.expected_log_prob(LATENT, target))


def no_loss(layer: keras.layers.Layer) -> tf.Tensor:
    """Of what has no trainable weight."""
    return tf.zeros(())


# Inception-ResNet-V1 ------------------------------------------------------------------------------

PICTURES = normal(BATCH, 6, 5, 4, seed=8)
COLOUR = np.tanh(normal(BATCH, 75, 75, 3, seed=9))
TINY_NET = {"width": 1 / 16, "repeats": (1, 1, 1), "embedding": 4}
UNITS = [
    [Unit("Conv2d_0a_1x1", 3, (1, 1)), Unit("Conv2d_0b_1x3", 4, (1, 3))],
    [Unit("Conv2d_1a_3x3", 5, (3, 3), 2)],
]


def batch_norm(unit: str, *kernel: int) -> tuple[dict, dict]:
    """Trainable and constant weights of a unit."""
    n = kernel[-1:]
    names = [f"{unit}/BatchNorm/{which}" for which in ("moving_mean", "moving_variance")]
    return {f"{unit}/kernel": kernel, f"{unit}/BatchNorm/beta": n}, dict.fromkeys(names, n)


def features(layer: keras.layers.Layer, x: tf.Tensor) -> Outputs:
    """Of a layer with one input and one output."""
    return {"z": layer(x)}


def features_loss(x: np.ndarray) -> Callable[[Any], tf.Tensor]:
    """Depends on all features alike, and on no one's being positive."""
    return lambda layer: tf.reduce_sum((layer(tf.constant(x)) - 0.5) ** 2)


def net_weights(net: InceptionResNetV1) -> dict[str, tuple[int, ...]]:
    """By name; tests/models holds their number against the published one."""
    return {name: tuple(w.shape) for name, w in net.weights_by_name().items()}


def tiny_net(folded: bool) -> InceptionResNetV1:
    """One block of each kind, lifted above the ReLU's zero."""
    net = InceptionResNetV1(folded=folded, **TINY_NET)
    net.build(None)
    return lifted(net)


def lifted(layer: keras.layers.Layer) -> keras.layers.Layer:
    """With positive offsets, so that no ReLU of so few is dead."""
    for w in layer.weights:
        if w.name in ("beta", "bias"):
            w.assign(np.ones(w.shape))
    return layer


def facenet_trunk() -> FaceNetTrunk:
    """Constant up to Mixed_6a."""
    options = {"width": 1 / 16, "repeats": [1, 1, 1]}
    trunk = FaceNetTrunk(frozen="Mixed_6a", options=options)
    trunk.build(None)
    return lifted(trunk)


def application_trunk() -> ApplicationTrunk:
    """VGG16 up to its fourth convolution, of which two are constant."""
    return ApplicationTrunk("vgg16", "block2_conv2", "block1_pool")


NET = {folded: net_weights(tiny_net(folded)) for folded in (False, True)}
TRUNK_NET = {f"net/{k}": v for k, v in NET[True].items() if not k.startswith("Bottleneck")}
LOWER = ("net/Conv2d", "net/block35", "net/Mixed_6a")

GP_HEAD = {
    "centre": (3,),
    "gain": (3,),
    "label_mean": (2,),
    "label_scale": (2,),
    "inputs": (9, 3),
    "alpha": (9, 2),
    "L_inv": (9, 9),
    "frozen_noise": (),
}

# Cases --------------------------------------------------------------------------------------------

CONV = {
    "encoder_0/kernel": (3, 3, 1, 3),
    "encoder_0/bias": (3,),
    "encoder_1/kernel": (3, 3, 3, 2),
    "encoder_1/bias": (2,),
    "code/mean/kernel": (12, 4),
    "code/mean/bias": (4,),
    "code/log_var/kernel": (12, 4),
    "code/log_var/bias": (4,),
    "expand/kernel": (4, 12),
    "expand/bias": (12,),
    "decoder_1/kernel": (3, 3, 2, 3),
    "decoder_1/bias": (3,),
    "decoder_0/kernel": (3, 3, 3, 1),
    "decoder_0/bias": (1,),
    "labels/W": (4, 12),
    "labels/bias": (12,),
    "raw_noise": (),
}
GP = {
    "M": (POINTS, 2),
    "raw_S": (POINTS, 2),
    "raw_lengthscales0": (4,),
    "raw_lengthscales1": (2,),
    "raw_amplitude0": (),
    "raw_amplitude1": (),
    "raw_noise0": (),
    "raw_noise1": (),
    "W": (2, 2),
    "raw_first": (2,),
    "raw_gaps": (2, 4),
}
TRUNK = {
    "convolution_0/kernel": (3, 3, 1, 3),
    "convolution_0/bias": (3,),
    "convolution_1/kernel": (3, 3, 3, 2),
    "convolution_1/bias": (2,),
    "convolution_2/kernel": (2, 2, 2, 4),
    "convolution_2/bias": (4,),
    "dense/kernel": (6 * 4 * 4, 8),
    "dense/bias": (8,),
}
VGG16_FILTERS = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)


def vgg16_convolutions() -> dict[str, tuple[int, ...]]:
    """The thirteen convolutions of configuration D."""
    shapes: dict[str, tuple[int, ...]] = {}
    channels = 3
    for block, filters in enumerate(VGG16_FILTERS, start=1):
        for number, count in enumerate(filters, start=1):
            name = f"block{block}_conv{number}"
            shapes |= {f"{name}/kernel": (3, 3, channels, count), f"{name}/bias": (count,)}
            channels = count
    return shapes


GP_CONSTANT = {
    "lengthscale0": (),
    "lengthscale1": (),
    "offset": (4,),
    "scale": (4,),
    "Z0": (POINTS, 4),
    "Z0_var": (POINTS, 4),
    "Z1": (POINTS, 2),
    "Z1_var": (POINTS, 2),
    "alpha0": (POINTS, 2),
    "alpha1": (POINTS, 4),
    "L0_inv": (POINTS, POINTS),
    "L1_inv": (POINTS, POINTS),
    "frozen_noise0": (),
    "frozen_noise1": (),
    "calibration": (4,),
    "W_centre": (2, 2),
}
SHARED_BY_GPS = {name: GP[name] for name in GP if name != "raw_S"}
SPARSE_GP = {
    **SHARED_BY_GPS,
    "raw_s": (2,),
    "V": (5, 2),
    "A": (5, 4),
    "raw_Lambda": (15,),
}
SPARSE_GP_CONSTANT = {
    **{name: GP_CONSTANT[name] for name in GP_CONSTANT if not name.startswith("Z1")},
    "alpha1": (5, 4),
    "L1_inv": (5, 5),
    "spread1": (5, 5),
}

LATENT = Gaussian(
    tf.constant(normal(14, 2, seed=4), tf.float64), tf.fill((14, 2), tf.constant(0.2, tf.float64))
)


def latent_gp_weights(D: int, K: int, m: int, groups: int) -> dict[str, tuple[int, ...]]:
    """Of one layer of a deep GP."""
    return {
        "raw_amplitude": (),
        "raw_lengthscales": (D,),
        "raw_noise": (groups,),
        "V": (m, D),
        "A": (m, K),
        "Lambda_triangle": (groups, m * (m + 1) // 2),
    }


VAE_DGP = {
    "hidden_0/kernel": (4, 5),
    "hidden_0/bias": (5,),
    "code_0/kernel": (5, 3),
    "code_0/bias": (3,),
    "raw_var_0": (3,),
    "hidden_1/kernel": (3, 5),
    "hidden_1/bias": (5,),
    "code_1/kernel": (5, 2),
    "code_1/bias": (2,),
    "raw_var_1": (2,),
    **{f"gp_0/{name}": shape for name, shape in latent_gp_weights(3, 4, 6, 1).items()},
    **{f"gp_1/{name}": shape for name, shape in latent_gp_weights(2, 3, 6, 1).items()},
    **{f"labels/{name}": shape for name, shape in latent_gp_weights(2, 2, 6, 2).items()},
}
VAE_DGP_CONSTANT = {
    "offset": (4,),
    "gain": (4,),
    "label_offset": (2,),
    "label_scale": (2,),
    "first_moment": (6, 2),
    "second_moment": (21, 2),
}

OTHER_OPTIONS = {
    "init": "random",
    "expectation": "sample",
    "z0_uncertainty": "expected",
    "tie_variance": "shared",
    "seed": 3,
}
SPARSE_OPTIONS = {"inducing": 5, "lengthscale_factor": 2.0}

# Recognisers of expressions -----------------------------------------------------------------------

FACES = np.random.default_rng(8).integers(0, 256, (BATCH, 48, 48, 1)).astype(np.uint8)
RECOGNISER = RecogniserConfig(
    trunk="vgg16",
    trunk_weights="random",
    trunk_endpoint="block1_pool",
    trunk_frozen="block1_conv1",
    picture_side=32,
    branch_filters=(4, 3),
    branch_kernels=(3, 3),
    decoder_filters=(5, 4, 3, 2, 2),
)


def recogniser(system: str, identities: int = 0, **changes: Any) -> ExpressionSystem:
    """A whole recogniser on the first block of VGG16, itself half constant."""
    config = dataclasses.replace(RECOGNISER, system=system, **changes)
    return build_recogniser(config, 48, 1, identities)


def expression_batch(model: ExpressionSystem) -> ExpressionBatch:
    """Pictures of every class, of two people and unknown ones."""
    faces = np.random.default_rng(9).integers(0, 256, (8, 48, 48, 1)).astype(np.uint8)
    return ExpressionBatch(
        model.pictures(tf.constant(faces)),
        tf.eye(8),
        tf.constant([0, 1, -1, 0, 1, -1, 0, 1]),
        tf.constant(np.random.default_rng(10).uniform(5, 43, (8, 49, 2)).astype(np.float32)),
        tf.ones((8, 10)),
        tf.range(8),
    )


def expression_loss(model: ExpressionSystem) -> tf.Tensor:
    """All that its players minimise, together."""
    losses = model.losses(expression_batch(model), tf.constant([1, 2]))
    weights = expression_weights(model.config)
    return tf.add_n([total(terms, weights) for terms in losses.values()])


def expression_outputs(
    model: ExpressionSystem, faces: tf.Tensor, landmarks: tf.Tensor | None = None
) -> Outputs:
    """What it says of faces, and its codes."""
    pictures = model.pictures(faces)
    codes = model.codes(pictures, landmarks)
    found = {**model(faces, landmarks), **{f"code/{name}": code for name, code in codes.items()}}
    found.pop("expression")  # of random weights: a tie may fall either way
    if getattr(model, "decoder", None) is not None:
        found["picture"] = model.reconstruct(pictures)
    return found


def branch_weights(name: str, channels: int = 64) -> dict[str, tuple[int, ...]]:
    """Of a branch of `RECOGNISER`."""
    return {
        f"{name}/convolution_0/kernel": (3, 3, channels, 4),
        f"{name}/convolution_0/bias": (4,),
        f"{name}/convolution_1/kernel": (3, 3, 4, 3),
        f"{name}/convolution_1/bias": (3,),
    }


def dense_weights(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Of a linear layer."""
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


DECODER = {
    f"deconvolution_{n}/{part}": shape
    for n, (side, inputs, outputs) in enumerate(
        [(1, 6, 5), (4, 5, 4), (4, 4, 3), (4, 3, 2), (4, 2, 2), (4, 2, 3)]
    )
    for part, shape in (("kernel", (side, side, outputs, inputs)), ("bias", (outputs,)))
}
SHARED = {
    "block1_conv2/kernel": (3, 3, 64, 64),
    "block1_conv2/bias": (64,),
}
SHARED_CONSTANT = {"block1_conv1/kernel": (3, 3, 3, 64), "block1_conv1/bias": (64,)}
BASELINE = {**SHARED, **branch_weights("branch"), **dense_weights("head", 3, 8)}

MARKED = np.random.default_rng(11).uniform(5, 43, (BATCH, 49, 2)).astype(np.float32)
MARKED[1] = np.nan  # no face was found


def gate_weights(count: int, channels: int) -> dict[str, tuple[int, ...]]:
    """Of the gates of some regions."""
    return {
        "W1": (count, channels, 64),
        "bias1": (count, 64),
        "W2": (count, 64, 1),
        "bias2": (count,),
    }


def gated_weights(count: int, channels: int, filters: int) -> dict[str, tuple[int, ...]]:
    """Of patches of 6 x 6 places."""
    return {
        "kernel": (count, 3, 3, channels, filters),
        "bias": (count, filters),
        "W": (count, 36 * filters, filters),
        "code_bias": (count, filters),
        **{f"gate/{name}": shape for name, shape in gate_weights(count, filters).items()},
    }


def gated_loss(layer: GatedPatches) -> tf.Tensor:
    """Of the codes, which the gates scale."""
    return tf.reduce_sum((layer(normal(BATCH, 2, 6, 6, 4))[0] - 0.5) ** 2)


CASES = {
    "Branch": Case(
        make=lambda: built(Branch((4, 3), (3, 3)), None, None, 2),
        inputs={"x": normal(BATCH, 5, 6, 2)},
        predict=lambda layer, x: {"code": layer(x)},
        loss=lambda layer: tf.reduce_sum(tf.square(layer(normal(BATCH, 5, 6, 2)))),
        trainable={
            name.removeprefix("b/"): shape for name, shape in branch_weights("b", 2).items()
        },
        constant={},
    ),
    "PictureDecoder": Case(
        make=lambda: built(PictureDecoder((5, 4, 3, 2, 2), 32), 6),
        inputs={"z": normal(BATCH, 6)},
        predict=lambda layer, z: {"picture": layer(z)},
        loss=lambda layer: tf.reduce_sum(tf.square(layer(normal(BATCH, 6)))),
        trainable=DECODER,
        constant={},
    ),
    "Baseline": Case(
        make=lambda: recogniser("baseline"),
        inputs={"faces": FACES},
        predict=expression_outputs,
        loss=expression_loss,
        trainable=BASELINE,
        constant=SHARED_CONSTANT,
    ),
    "VGG16Classifier": Case(
        make=lambda: recogniser("expression_vgg16", vgg16_units=24),
        inputs={"faces": FACES},
        predict=expression_outputs,
        loss=expression_loss,
        trainable={
            **SHARED,
            **dense_weights("fc1", 16 * 16 * 64, 24),
            **dense_weights("fc2", 24, 24),
            **dense_weights("head", 24, 8),
        },
        constant=SHARED_CONSTANT,
    ),
    "DLPCNN": Case(
        make=lambda: recogniser("dlp_cnn"),
        inputs={"faces": FACES},
        predict=expression_outputs,
        loss=expression_loss,
        trainable=BASELINE,
        constant=SHARED_CONSTANT,
    ),
    "LatentTruth": Case(
        make=lambda: recogniser("ipa2lt"),
        inputs={"faces": FACES},
        predict=expression_outputs,
        loss=expression_loss,
        trainable={**BASELINE, "label/raw_rows": (8, 8), "crowd/raw_rows": (8, 10)},
        constant=SHARED_CONSTANT,
    ),
    "GatedAttention": Case(
        make=lambda: recogniser("gacnn", patch_filters=2),
        inputs={"faces": FACES, "landmarks": MARKED},
        predict=expression_outputs,
        loss=expression_loss,
        trainable={
            **SHARED,
            **branch_weights("branch"),
            **dense_weights("head", 24 * 2 + 3, 8),
            **{f"patches/{k}": shape for k, shape in gated_weights(24, 64, 2).items()},
            **{f"gate/{k}": shape for k, shape in gate_weights(1, 64).items()},
        },
        constant={**SHARED_CONSTANT, "mean_landmarks": (49, 2)},
    ),
    "Gate": Case(
        make=lambda: built(Gate(3), 3, 5),
        inputs={"x": normal(BATCH, 3, 5)},
        predict=features,
        loss=features_loss(normal(BATCH, 3, 5)),
        trainable=gate_weights(3, 5),
        constant={},
    ),
    "GatedPatches": Case(
        make=lambda: built(GatedPatches(2, 3), 2, 6, 6, 4),
        inputs={"x": normal(BATCH, 2, 6, 6, 4)},
        predict=lambda layer, x: dict(zip(("codes", "gates"), layer(x), strict=True)),
        loss=gated_loss,
        trainable=gated_weights(2, 4, 3),
        constant={},
    ),
    "Transition": Case(
        make=lambda: built(Transition(3, 4)),
        inputs={"log_latent": normal(BATCH, 3)},
        predict=lambda layer, log_latent: {"log_observed": layer(log_latent)},
        loss=lambda layer: -tf.reduce_sum(layer(tf.constant(normal(BATCH, 3)))),
        trainable={"raw_rows": (3, 4)},
        constant={},
    ),
    "Disentangler": Case(
        make=lambda: recogniser("disentangled"),
        inputs={"faces": FACES},
        predict=expression_outputs,
        loss=expression_loss,
        trainable={
            **BASELINE,
            **branch_weights("other_branch"),
            **dense_weights("adversary", 3, 8),
        },
        constant=SHARED_CONSTANT,
    ),
    "Disentangler-identities": Case(
        make=lambda: recogniser(
            "disentangled",
            2,
            beta_reconstruction=0.5,
            beta_identity=1.0,
            beta_identity_adversary=1.0,
        ),
        inputs={"faces": FACES},
        predict=expression_outputs,
        loss=expression_loss,
        trainable={
            **BASELINE,
            **branch_weights("other_branch"),
            **dense_weights("adversary", 3, 8),
            **{f"decoder/{name}": shape for name, shape in DECODER.items()},
            **dense_weights("identity_head", 3, 2),
            **dense_weights("identity_adversary", 3, 2),
        },
        constant=SHARED_CONSTANT,
    ),
    "GaussianHead": Case(
        make=lambda: built(GaussianHead(2), 3),
        inputs={"x": normal(BATCH, 3)},
        predict=lambda layer, x: gaussian(layer(x)),
        loss=lambda layer: sum(map(tf.reduce_sum, map(tf.square, layer(normal(BATCH, 3))))),
        constant={},
        trainable={
            "mean/kernel": (3, 2),
            "mean/bias": (2,),
            "log_var/kernel": (3, 2),
            "log_var/bias": (2,),
        },
    ),
    "UpsampleConv2D": Case(
        make=lambda: built(UpsampleConv2D(3, 5, activation="relu"), 4, 6, 2),
        inputs={"x": normal(BATCH, 4, 6, 2)},
        predict=lambda layer, x: {"y": layer(x)},
        loss=lambda layer: tf.reduce_sum(tf.square(layer(normal(BATCH, 4, 6, 2)))),
        trainable={"kernel": (5, 5, 2, 3), "bias": (3,)},
        constant={},
    ),
    "PooledConv2D": Case(
        make=lambda: built(PooledConv2D(3, 5), 5, 6, 2),
        inputs={"x": normal(BATCH, 5, 6, 2)},
        predict=lambda layer, x: {"y": layer(x)},
        loss=lambda layer: tf.reduce_sum(tf.square(layer(normal(BATCH, 5, 6, 2)))),
        trainable={"kernel": (5, 5, 2, 3), "bias": (3,)},
        constant={},
    ),
    "LabelHead": Case(
        make=lambda: built(LabelHead(2, 6, "softmax"), 3),
        inputs={"z": normal(BATCH, 3)},
        predict=lambda layer, z: {"p": layer.probabilities(z)},
        loss=lambda layer: -tf.reduce_sum(layer.log_prob(normal(7, 3), levels(7, 2))),
        trainable={"W": (3, 12), "bias": (12,)},
        constant={},
    ),
    "LabelHead-ordinal": Case(
        make=lambda: built(LabelHead(2, 6, "ordinal"), 3),
        inputs={"z": normal(BATCH, 3)},
        predict=lambda layer, z: {"p": layer.probabilities(z)},
        loss=lambda layer: -tf.reduce_sum(layer.log_prob(normal(7, 3), levels(7, 2))),
        trainable={"W": (3, 2), "raw_first": (2,), "raw_gaps": (2, 4)},
        constant={},
    ),
    "ConvVAE": Case(
        make=lambda: built(ConvVAE((12, 8), (3, 2), (1, 1), 3, 4, 2)),
        inputs={"z": normal(BATCH, 12, 8, 1)},
        predict=coder_outputs,
        loss=coder_loss(normal(7, 12, 8, 1), 2),
        trainable=CONV,
        constant={},
    ),
    "DenseVAE": Case(
        make=lambda: built(DenseVAE(4, 6, 2, 2, "ordinal")),
        inputs={"z": normal(BATCH, 4)},
        predict=coder_outputs,
        loss=coder_loss(normal(7, 4), 2),
        constant={},
        trainable={
            "encoder/kernel": (4, 6),
            "encoder/bias": (6,),
            "code/mean/kernel": (6, 2),
            "code/mean/bias": (2,),
            "code/log_var/kernel": (6, 2),
            "code/log_var/bias": (2,),
            "expand/kernel": (2, 6),
            "expand/bias": (6,),
            "decoder/kernel": (6, 4),
            "decoder/bias": (4,),
            "labels/W": (2, 2),
            "labels/raw_first": (2,),
            "labels/raw_gaps": (2, 4),
            "raw_noise": (4,),
        },
    ),
    "VOGPAE": Case(
        make=lambda: own_points(built(VOGPAE(POINTS, 4, 2, 2)), Z),
        inputs={"z": normal(BATCH, 4)},
        predict=coder_outputs,
        loss=coder_loss(Z, 2),
        trainable=GP,
        constant=GP_CONSTANT,
    ),
    "SparseVOGPAE": Case(
        make=lambda: own_points(built(SparseVOGPAE(POINTS, 4, 2, 2, inducing=5)), Z),
        inputs={"z": normal(BATCH, 4)},
        predict=coder_outputs,
        loss=coder_loss(normal(9, 4), 2),
        trainable=SPARSE_GP,
        constant=SPARSE_GP_CONSTANT,
    ),
    "SparseVOGPAE-options": Case(
        make=lambda: own_points(
            built(SparseVOGPAE(POINTS, 4, 2, 2, **{**OTHER_OPTIONS, **SPARSE_OPTIONS})), Z
        ),
        inputs={"z": normal(BATCH, 4)},
        predict=coder_outputs,
        loss=coder_loss(normal(9, 4), 2),
        trainable=SPARSE_GP,
        constant=SPARSE_GP_CONSTANT,
    ),
    "VOGPAE-options": Case(
        make=lambda: own_points(
            built(VOGPAE(POINTS, 4, 2, 2, test_variance="gp+propagated", **OTHER_OPTIONS)), Z
        ),
        inputs={"z": normal(BATCH, 4)},
        predict=coder_outputs,
        loss=coder_loss(Z, 2),
        trainable=GP,
        constant=GP_CONSTANT,
    ),
    "RankHead": Case(
        make=lambda: built(RankHead(2), 3),
        inputs={"z": normal(BATCH, 3)},
        predict=lambda layer, z: {"p": layer.probabilities(z)},
        loss=lambda layer: -tf.reduce_sum(layer.log_prob(normal(7, 3), levels(7, 2))),
        trainable={"W": (3, 10), "bias": (10,)},
        constant={"importance": (2, 5)},
    ),
    "FACSTrunk": Case(
        make=lambda: built(facs_trunk(NETWORK)),
        inputs={"images": normal(BATCH, 24, 16, 1)},
        predict=lambda layer, images: {"features": layer.features(images)},
        loss=lambda layer: tf.reduce_sum(layer.features(normal(BATCH, 24, 16, 1))),
        trainable=TRUNK,
        constant={},
    ),
    "FACSNetwork": Case(
        make=lambda: network(FACSNetwork, "cnn"),
        inputs={"crops": random_crops(BATCH)},
        predict=lambda model, crops: model(crops),
        loss=network_loss,
        trainable={
            **{f"trunk/{name}": shape for name, shape in TRUNK.items()},
            "head/W": (8, 12),
            "head/bias": (12,),
        },
        constant={},
    ),
    "FACSNetwork-or_cnn": Case(
        make=lambda: network(FACSNetwork, "or_cnn"),
        inputs={"crops": random_crops(BATCH)},
        predict=lambda model, crops: model(crops),
        loss=network_loss,
        trainable={
            **{f"trunk/{name}": shape for name, shape in TRUNK.items()},
            "head/W": (8, 10),
            "head/bias": (10,),
        },
        constant={"head/importance": (2, 5)},
    ),
    "VGG16Network": Case(
        make=lambda: network(VGG16Network, "vgg16"),
        inputs={"crops": random_crops(BATCH)},
        predict=lambda model, crops: model(crops),
        loss=network_loss,
        trainable={
            "fc1/kernel": (512, 24),
            "fc1/bias": (24,),
            "fc2/kernel": (24, 24),
            "fc2/bias": (24,),
            "head/W": (24, 12),
            "head/bias": (12,),
        },
        constant=vgg16_convolutions(),
    ),
    "LBPLandmarks": Case(
        make=lambda: built(LBPLandmarks(3, 2)),
        inputs={"images": normal(BATCH, 12, 8, 1), "landmarks": normal(BATCH, 49, 2)},
        predict=lambda layer, images, landmarks: {"x": layer.features(images, landmarks)},
        loss=no_loss,
        trainable={},
        constant={},
    ),
    "MLRHead": Case(
        make=lambda: set_constants(built(MLRHead(2), 3)),
        inputs={"x": normal(BATCH, 3)},
        predict=head_outputs,
        loss=no_loss,
        trainable={},
        constant={"centre": (3,), "W": (3, 2), "level": (2,), "variance": (2,)},
    ),
    "SORHead": Case(
        make=lambda: set_constants(built(SORHead(2), 3)),
        inputs={"x": normal(BATCH, 3)},
        predict=head_outputs,
        loss=no_loss,
        trainable={},
        constant={"centre": (3,), "W": (3, 2), "gamma": (2, 5)},
    ),
    "SORHead-logit": Case(
        make=lambda: set_constants(built(SORHead(2, "logit"), 3)),
        inputs={"x": normal(BATCH, 3)},
        predict=head_outputs,
        loss=no_loss,
        trainable={},
        constant={"centre": (3,), "W": (3, 2), "gamma": (2, 5)},
    ),
    "GPHead": Case(
        make=lambda: gp_head("rbf"),
        inputs={"x": normal(BATCH, 3)},
        predict=head_outputs,
        loss=gp_loss,
        trainable={"log_amplitude": (), "log_noise": (), "log_lengthscales": (1,)},
        constant=GP_HEAD,
    ),
    "GPHead-ard": Case(
        make=lambda: gp_head("rbf_ard"),
        inputs={"x": normal(BATCH, 3)},
        predict=head_outputs,
        loss=gp_loss,
        trainable={"log_amplitude": (), "log_noise": (), "log_lengthscales": (3,)},
        constant=GP_HEAD,
    ),
    "LatentGP": Case(
        make=lambda: latent_gp(False),
        inputs={"x": normal(BATCH, 2)},
        predict=latent_gp_outputs,
        loss=latent_gp_loss,
        trainable=latent_gp_weights(2, 3, 4, 1),
        constant={},
    ),
    "LatentGP-separate": Case(
        make=lambda: latent_gp(True),
        inputs={"x": normal(BATCH, 2)},
        predict=latent_gp_outputs,
        loss=latent_gp_loss,
        trainable=latent_gp_weights(2, 3, 4, 3),
        constant={},
    ),
    "VAEDGP": Case(
        make=lambda: own_points(built(VAEDGP(4, (3, 2), 5, 2, 6)), Z),
        inputs={"z": normal(BATCH, 4)},
        predict=coder_outputs,
        loss=coder_loss(Z, 2),
        trainable=VAE_DGP,
        constant=VAE_DGP_CONSTANT,
    ),
    "CoderHead": Case(
        make=lambda: coder_head(VAEDGP(4, (3, 2), 5, 2, 6, name="coder")),
        inputs={"x": normal(BATCH, 4)},
        predict=head_outputs,
        loss=lambda head: coder_loss(Z, 2)(head.coder),
        trainable={f"coder/{name}": shape for name, shape in VAE_DGP.items()},
        constant={f"coder/{name}": shape for name, shape in VAE_DGP_CONSTANT.items()},
    ),
    "CoderHead-vogpae": Case(
        make=lambda: coder_head(VOGPAE(POINTS, 4, 2, 2, name="coder")),
        inputs={"x": normal(BATCH, 4)},
        predict=head_outputs,
        loss=lambda head: coder_loss(Z, 2)(head.coder),
        trainable={f"coder/{name}": shape for name, shape in GP.items()},
        constant={f"coder/{name}": shape for name, shape in GP_CONSTANT.items()},
    ),
    "FeatureSystem": Case(
        make=lbp_system,
        inputs={"crops": random_crops(BATCH), "landmarks": 80 + 30 * normal(BATCH, 49, 2)},
        predict=lambda model, crops, landmarks: model(crops, landmarks),
        loss=no_loss,
        trainable={},
        constant={
            "head/centre": (216,),
            "head/W": (216, 2),
            "head/level": (2,),
            "head/variance": (2,),
        },
    ),
    "ConvBatchNorm": Case(
        make=lambda: lifted(built(ConvBatchNorm(3, (3, 2)), 6, 5, 4)),
        inputs={"x": PICTURES},
        predict=features,
        loss=features_loss(PICTURES),
        trainable={"kernel": (3, 2, 4, 3), "BatchNorm/beta": (3,)},
        constant={"BatchNorm/moving_mean": (3,), "BatchNorm/moving_variance": (3,)},
    ),
    "ConvBatchNorm-folded": Case(
        make=lambda: lifted(built(ConvBatchNorm(3, (3, 2), 2, "valid", folded=True), 6, 5, 4)),
        inputs={"x": PICTURES},
        predict=features,
        loss=features_loss(PICTURES),
        trainable={"kernel": (3, 2, 4, 3), "bias": (3,)},
        constant={},
    ),
    "DenseBatchNorm": Case(
        make=lambda: built(DenseBatchNorm(4, relu=False), 3),
        inputs={"x": FEATURES[:BATCH]},
        predict=features,
        loss=features_loss(FEATURES[:BATCH]),
        trainable={"kernel": (3, 4), "BatchNorm/beta": (4,)},
        constant={"BatchNorm/moving_mean": (4,), "BatchNorm/moving_variance": (4,)},
    ),
    "InceptionBlock": Case(
        make=lambda: lifted(built(InceptionBlock(UNITS[1:], pool=True), None, None, 4)),
        inputs={"x": PICTURES},
        predict=features,
        loss=features_loss(PICTURES),
        trainable=batch_norm("Branch_0/Conv2d_1a_3x3", 3, 3, 4, 5)[0],
        constant=batch_norm("Branch_0/Conv2d_1a_3x3", 3, 3, 4, 5)[1],
    ),
    "ResidualBlock": Case(
        make=lambda: lifted(built(ResidualBlock(UNITS[:1], 0.17, folded=True), None, None, 4)),
        inputs={"x": PICTURES},
        predict=features,
        loss=features_loss(PICTURES),
        trainable={
            "Branch_0/Conv2d_0a_1x1/kernel": (1, 1, 4, 3),
            "Branch_0/Conv2d_0a_1x1/bias": (3,),
            "Branch_0/Conv2d_0b_1x3/kernel": (1, 3, 3, 4),
            "Branch_0/Conv2d_0b_1x3/bias": (4,),
            "Conv2d_1x1/kernel": (1, 1, 4, 4),
            "Conv2d_1x1/bias": (4,),
        },
        constant={},
    ),
    "InceptionResNetV1": Case(
        make=lambda: tiny_net(folded=False),
        inputs={"x": COLOUR},
        predict=features,
        loss=features_loss(COLOUR),
        trainable={k: v for k, v in NET[False].items() if "moving" not in k},
        constant={k: v for k, v in NET[False].items() if "moving" in k},
    ),
    "FaceNetTrunk": Case(
        make=facenet_trunk,
        inputs={"x": COLOUR},
        predict=features,
        loss=features_loss(COLOUR),
        trainable={k: v for k, v in TRUNK_NET.items() if not k.startswith(LOWER)},
        constant={k: v for k, v in TRUNK_NET.items() if k.startswith(LOWER)},
    ),
    "ApplicationTrunk": Case(
        make=application_trunk,
        inputs={"x": COLOUR[:, :32, :32]},
        predict=features,
        loss=lambda trunk: 1e-6 * features_loss(COLOUR[:, :32, :32])(trunk),
        trainable={k: v for k, v in vgg16_convolutions().items() if k.startswith("block2")},
        constant={k: v for k, v in vgg16_convolutions().items() if k.startswith("block1")},
    ),
    "DeepCoder": Case(
        make=deep_coder,
        inputs={"crops": random_crops(BATCH)},
        predict=lambda model, crops: model(crops),
        loss=deep_coder_loss,
        trainable={
            **{f"coder_0/{name}": shape for name, shape in CONV.items()},
            **{f"coder_1/{name}": shape for name, shape in GP.items()},
        },
        constant={f"coder_1/{name}": shape for name, shape in GP_CONSTANT.items()},
    ),
}

each_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def layer_classes() -> set[str]:
    """Names of the concrete layers that the package defines."""
    found = set()
    for room in (deepcoder_tf.layers, deepcoder_tf.coders, deepcoder_tf.models):
        for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
            for name, cls in vars(importlib.import_module(module.name)).items():
                own = inspect.isclass(cls) and cls.__module__ == module.name
                if own and issubclass(cls, keras.layers.Layer) and not inspect.isabstract(cls):
                    found.add(name)
    return found


def test_every_layer_has_a_case():
    assert layer_classes() == {name.partition("-")[0] for name in CASES}


def named(weights, layer) -> dict[str, keras.Variable]:
    """Weights by path below the layer."""
    found = {w.path.removeprefix(f"{layer.name}/"): w for w in weights}
    assert len(found) == len(weights), "two weights have one path"
    return found


def predictions(layer, case: Case, inputs: Arrays | None = None) -> Arrays:
    """Eagerly, as arrays."""
    given = {name: tf.constant(v) for name, v in (inputs or case.inputs).items()}
    return {name: np.asarray(v) for name, v in case.predict(layer, **given).items()}


MADE: dict[int, keras.layers.Layer] = {}
TRAINED: dict[int, keras.layers.Layer] = {}


def made(case: Case) -> keras.layers.Layer:
    """As its constructor leaves it; made once for each case, and no test may change it."""
    if id(case) not in MADE:
        keras.utils.set_random_seed(1)
        MADE[id(case)] = case.make()
    return MADE[id(case)]


def trained(case: Case) -> keras.layers.Layer:
    """From the same draw, after one step of Adam, which moves every trainable weight.

    Caches are as of then. Made once for each case: tests save it and ask it, none may change it.
    """
    if id(case) not in TRAINED:
        keras.utils.set_random_seed(1)
        TRAINED[id(case)] = stepped(case)
    return TRAINED[id(case)]


def stepped(case: Case) -> keras.layers.Layer:
    """See `trained`."""
    layer = case.make()
    optimizer = keras.optimizers.Adam(0.05)
    with tf.GradientTape() as tape:
        loss = case.loss(layer)
    optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
    for coder in getattr(layer, "coders", [getattr(layer, "coder", layer)]):
        if isinstance(coder, Coder):
            coder.refresh()
    return layer


def twin(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A new layer of the same configuration."""
    return built(type(layer).from_config(layer.get_config()), *input_shape_of(layer))


def input_shape_of(layer: keras.layers.Layer) -> tuple[int, ...]:
    """What the plain layers of `CASES` were built with; coders know by themselves."""
    shapes = {
        Branch: (None, None, 2),
        PictureDecoder: (6,),
        GaussianHead: (3,),
        Gate: (3, 5),
        GatedPatches: (2, 6, 6, 4),
        LabelHead: (3,),
        PooledConv2D: (5, 6, 2),
        RankHead: (3,),
        MLRHead: (3,),
        SORHead: (3,),
        GPHead: (3,),
        CoderHead: (4,),
        UpsampleConv2D: (4, 6, 2),
        ConvBatchNorm: (6, 5, 4),
        DenseBatchNorm: (3,),
        InceptionBlock: (None, None, 4),
        ResidualBlock: (None, None, 4),
        InceptionResNetV1: (None, None, 3),
        FaceNetTrunk: (None, None, 3),
    }
    return shapes.get(type(layer), ())


class Holder(keras.Model):
    """A model around a layer, because only models write weight files."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        super().__init__()
        self.layer = layer
        self.built = True


def assert_same(layer, other, case: Case, atol: float = 0.0) -> None:
    """Equal weights and equal predictions."""
    for ours, theirs in zip(layer.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)
    expected = predictions(layer, case)
    for name, value in predictions(other, case).items():
        np.testing.assert_allclose(value, expected[name], atol=atol, rtol=0, err_msg=name)


@each_case
def test_the_weights_are_the_documented_ones(case):
    layer = made(case)
    for weights, expected in (
        (layer.trainable_weights, case.trainable),
        (layer.non_trainable_weights, case.constant),
    ):
        assert {name: tuple(w.shape) for name, w in named(weights, layer).items()} == expected


@each_case
def test_every_trainable_weight_gets_a_gradient(case):
    layer = made(case)
    with tf.GradientTape() as tape:
        loss = case.loss(layer)
    for v, g in zip(
        layer.trainable_variables, tape.gradient(loss, layer.trainable_variables), strict=True
    ):
        assert g is not None, v.path
        g = tf.convert_to_tensor(g).numpy()
        assert np.all(np.isfinite(g)) and np.any(g), v.path


@each_case
def test_the_configuration_makes_the_same_layer(case):
    layer = made(case)
    again = twin(layer)
    assert again.get_config() == layer.get_config()
    assert [tuple(w.shape) for w in again.weights] == [tuple(w.shape) for w in layer.weights]
    again.set_weights(layer.get_weights())
    assert_same(layer, again, case)


@each_case
def test_a_weight_file_brings_everything_back_after_training(case, tmp_path):
    layer = trained(case)
    changed = [
        np.any(a.numpy() != b.numpy())
        for a, b in zip(made(case).trainable_weights, layer.trainable_weights, strict=True)
    ]
    assert all(changed)
    Holder(layer).save_weights(tmp_path / "a.weights.h5")
    again = twin(layer)
    Holder(again).load_weights(tmp_path / "a.weights.h5")
    assert_same(layer, again, case)


@each_case
def test_a_checkpoint_brings_everything_back_after_training(case, tmp_path):
    layer = trained(case)
    Checkpoints.save_model(tmp_path, layer)
    again = twin(layer)
    Checkpoints.load_model(tmp_path, again)
    assert_same(layer, again, case)


def unknown_batch(case: Case) -> list[tf.TensorSpec]:
    """Signatures of the inputs."""
    return [
        tf.TensorSpec((None, *v.shape[1:]), v.dtype, name=name) for name, v in case.inputs.items()
    ]


@each_case
def test_graph_and_saved_model_predict_the_same(case, tmp_path):
    layer = trained(case)
    expected = predictions(layer, case)
    function = graph_of(lambda *inputs: case.predict(layer, *inputs), unknown_batch(case))
    graph = function.get_concrete_function()
    save_functions({"serve": graph}, tmp_path / "saved")
    saved = tf.saved_model.load(str(tmp_path / "saved")).signatures["serve"]
    inputs = {name: tf.constant(v) for name, v in case.inputs.items()}
    in_graph, restored = graph(**inputs), saved(**inputs)
    for name, value in expected.items():
        close = {"atol": 2e-5 * max(1.0, np.abs(value).max()), "rtol": 0, "err_msg": name}
        np.testing.assert_allclose(in_graph[name], value, **close)
        np.testing.assert_allclose(restored[name], value, **close)


@each_case
def test_the_size_of_the_batch_changes_nothing(case):
    layer = trained(case)
    whole = predictions(layer, case)
    for start, stop in ((0, 1), (1, 3), (3, BATCH)):
        part = {name: v[start:stop] for name, v in case.inputs.items()}
        for name, value in predictions(layer, case, part).items():
            atol = 2e-5 * max(1.0, np.abs(whole[name]).max())
            np.testing.assert_allclose(value, whole[name][start:stop], atol=atol, rtol=0)
