"""The VC-AE's training step at the paper's size against the GEMM peak of the same run.

    python benchmarks/vcae_step.py [--batch 10] [--optimizer adam] > vcae_step.json

240x160 crops, five 5x5 convolutions (128, 64, 32, 16, 8), D0 = 2000, 12 action units, float32, one
whole `Step`: draw, bound, gradient of every weight, clipping, update.

- `share_of_peak` is the operations that the step executes (`executed_gflop`, the decoder's
  upsampling folded into its convolutions), per second, over the best float32 matrix product
  that NumPy or TensorFlow achieved between the steps of the same run.
- `plain_share_of_peak` counts the operations of the model as it is written (`plain_gflop`,
  upsampling, then a 5x5 convolution) over the same time: it says what the folding is worth, and
  may be more than 1.
- `unfolded` is the same step with the decoder as it is written; `largest_difference` is that of
  one pixel of the two decoders' images, which lie in [-1, 1], with the same weights and codes.
- `peak_memory_mb` is of the process after folded steps alone, library code included.

Operations: 2 for each multiplication and addition of convolutions and dense layers; a gradient
costs the forward pass twice more, except that nobody needs that of the images. Everything else
(activations, pooling, the optimizer, the folding of kernels, once per step) counts as nothing: it
is what the share pays for.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from environment import Record, best_seconds, peak_mb

from deepcoder_tf.action_units import DISFA, LEVELS
from deepcoder_tf.coders.conv_vae import ConvVAE
from deepcoder_tf.config import preset
from deepcoder_tf.layers import UpsampleConv2D
from deepcoder_tf.training.step import Step, make_optimizer
from deepcoder_tf.types import Gaussian

GEMM_SIZE = 4096
INFERENCE_BATCHES = (1, 8, 32)
LEARNING_RATE = 1e-6
"""So small that repeated steps on one batch of noise stay finite."""


class UnfoldedVAE(ConvVAE):
    """The same coder with its decoder as it is written: upsampling, then a convolution."""

    def deconvolution(self, i: int) -> keras.layers.Layer:
        layer = super().deconvolution(i)
        if not isinstance(layer, UpsampleConv2D):
            return layer
        convolution = keras.layers.Conv2D(
            layer.filters, layer.kernel_size, padding="same", activation=layer.activation
        )
        return keras.Sequential([keras.layers.UpSampling2D(2), convolution])


def paper_coder(kind: type[ConvVAE]) -> ConvVAE:
    """A coder of the paper's size, built."""
    config = preset("paper")
    coder = kind(
        (config.image_height, config.image_width),
        config.filters,
        config.pools,
        config.kernel_size,
        config.stack[0].latent_dim,
        len(DISFA),
        config.label_head,
    )
    coder.build()
    return coder


def forward_flop(coder: ConvVAE, folded: bool) -> dict[str, float]:
    """Operations for one image, forward, by layer; see the text above."""
    area = [height * width for height, width in coder.sizes]
    channels = (1, *coder.filters)
    taps = coder.kernel_size**2
    flop = {}
    for i in range(len(coder.filters)):
        pairs = channels[i] * channels[i + 1]
        flop[f"encoder_{i}"] = 2.0 * taps * pairs * area[i]
        # Folded: 3x3 taps to 4 times the channels, at the size before the upsampling.
        flop[f"decoder_{i}"] = 2.0 * pairs * area[i] * taps
        if folded and coder.pools[i]:
            flop[f"decoder_{i}"] = 2.0 * pairs * area[i + 1] * 9 * 4
    flop["code"] = 2.0 * coder.code_size * 2 * coder.latent_dim
    flop["expand"] = 2.0 * coder.latent_dim * coder.code_size
    flop["labels"] = 2.0 * coder.latent_dim * coder.outputs * LEVELS
    return flop


def step_flop(coder: ConvVAE, folded: bool) -> float:
    """Operations for one image in a training step."""
    flop = forward_flop(coder, folded)
    return 3.0 * sum(flop.values()) - flop["encoder_0"]


def encoding_flop(coder: ConvVAE) -> float:
    """Operations for the labels of one image."""
    flop = forward_flop(coder, folded=True)
    return sum(n for name, n in flop.items() if not name.startswith(("decoder", "expand")))


class Trainer:
    """Steps of one coder on one batch of noise."""

    def __init__(self, kind: type[ConvVAE], batch: int, optimizer: str) -> None:
        rng = np.random.default_rng(0)
        self.coder = paper_coder(kind)
        self.batch = batch
        self.images = tf.constant(rng.uniform(-1, 1, (batch, 240, 160, 1)), tf.float32)
        self.labels = tf.constant(rng.integers(0, LEVELS, (batch, len(DISFA))), tf.int32)
        self.step = Step(
            self.coder,
            make_optimizer(optimizer, LEARNING_RATE),
            prepare=lambda z_in, seed: z_in,
            below=None,
            clip_norm=100.0,
        )

    def __call__(self) -> None:
        """One step."""
        terms = self.step.run(
            Gaussian(self.images, None),
            self.labels,
            tf.range(self.batch),
            None,
            kl_weight=tf.constant(1.0),
            label_weight=tf.constant(1.0),
            points=tf.constant(100.0),
            seed=tf.constant([1, 2]),
        )
        terms["bound"].numpy()  # waits for the end


def gemms() -> dict:
    """Square matrix products in both libraries; the better one is the peak."""
    a = np.random.default_rng(0).standard_normal((GEMM_SIZE, GEMM_SIZE)).astype(np.float32)
    A = tf.constant(a)
    product = tf.function(lambda: tf.matmul(A, A)[0, 0], autograph=False)
    return {"gemm_numpy": lambda: a @ a, "gemm_tensorflow": lambda: product().numpy()}


def inference(coder: ConvVAE, batch: int):
    """A compiled call from images to probabilities of levels."""
    images = tf.random.stateless_uniform((batch, 240, 160, 1), (1, 2), -1.0, 1.0)
    encode = tf.function(
        lambda x: coder.level_probabilities(coder.encode(x)),
        input_signature=[tf.TensorSpec((None, 240, 160, 1))],
        autograph=False,
    )
    return lambda: encode(images).numpy()


def measure(batch: int, optimizer: str, repeats: int) -> dict[str, object]:
    """All figures of one batch size."""
    folded = Trainer(ConvVAE, batch, optimizer)
    for _ in range(3):
        folded()
    memory = peak_mb()
    unfolded = Trainer(UnfoldedVAE, batch, optimizer)
    unfolded.coder.set_weights(folded.coder.get_weights())
    codes = tf.random.stateless_normal((batch, folded.coder.latent_dim), (3, 4))
    images = [trainer.coder.decode(codes).mean for trainer in (folded, unfolded)]
    difference = float(tf.reduce_max(tf.abs(images[0] - images[1])))
    best = best_seconds(
        {
            **gemms(),
            "step": folded,
            "unfolded": unfolded,
            **{f"infer_{n}": inference(folded.coder, n) for n in INFERENCE_BATCHES},
        },
        repeats,
    )
    product = 2.0 * GEMM_SIZE**3
    peak = product / min(best["gemm_numpy"], best["gemm_tensorflow"])
    executed = batch * step_flop(folded.coder, folded=True)
    plain = batch * step_flop(folded.coder, folded=False)
    return {
        "gemm_gflops": {
            name: product / best[f"gemm_{name}"] / 1e9 for name in ("numpy", "tensorflow")
        },
        "step_seconds": best["step"],
        "images_per_second": batch / best["step"],
        "executed_gflop": executed / 1e9,
        "plain_gflop": plain / 1e9,
        "share_of_peak": executed / best["step"] / peak,
        "plain_share_of_peak": plain / best["step"] / peak,
        "peak_memory_mb": memory,
        "unfolded": {
            "step_seconds": best["unfolded"],
            "images_per_second": batch / best["unfolded"],
            "share_of_peak": plain / best["unfolded"] / peak,
            "times_slower": best["unfolded"] / best["step"],
            "largest_difference": difference,
        },
        "inference": {
            f"batch_{n}": {
                "images_per_second": n / best[f"infer_{n}"],
                "share_of_peak": n * encoding_flop(folded.coder) / best[f"infer_{n}"] / peak,
            }
            for n in INFERENCE_BATCHES
        },
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=10, help="images in a training step")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    parser.add_argument("--repeats", type=int, default=7, help="timed repeats, the best counts")
    options = parser.parse_args()
    record = Record("tensorflow", "keras")
    record.report(vars(options), measure(options.batch, options.optimizer, options.repeats))


if __name__ == "__main__":
    main()
