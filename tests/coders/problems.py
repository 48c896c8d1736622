"""Small problems and coders that several tests share."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepcoder_tf.coders.gp_coder import GPCoder
from deepcoder_tf.coders.vogpae import VOGPAE
from deepcoder_tf.training.step import Step, make_optimizer
from deepcoder_tf.types import Gaussian

__all__ = ["codes", "gp_coder", "train"]


def codes(count: int, dims: int, outputs: int, seed: int = 0) -> tuple[Gaussian, np.ndarray]:
    """q(Z0) `[count, dims]` float64 and labels `[count, outputs]` with holes, at random."""
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((count, dims)) * rng.uniform(0.5, 2.0, dims) + rng.normal(size=dims)
    var = rng.uniform(0.05, 0.3, (count, dims))
    labels = rng.integers(-1, 6, (count, outputs)).astype(np.int32)
    return Gaussian(mean, var), labels


def gp_coder(
    z: Gaussian, labels: np.ndarray, latent_dim: int = 3, seed: int = 0, **options
) -> VOGPAE:
    """A VO-GPAE that owns these points, its parameters moved away from where they start."""
    coder = VOGPAE(len(labels), z.mean.shape[1], latent_dim, labels.shape[1], **options)
    coder.build()
    coder.observe(z, labels, first=True)
    rng = np.random.default_rng(seed)
    for v in coder.trainable_variables:
        v.assign_add(0.3 * rng.standard_normal(v.shape))
    coder.refresh()
    return coder


def train(coder: GPCoder, z: Gaussian, labels: np.ndarray, steps: int, rate: float = 0.02) -> None:
    """Full-batch steps with all weights 1, then the caches."""
    step = Step(coder, make_optimizer("adam", rate), lambda z_in, seed: z_in, None, 100.0)
    one, index = tf.constant(1.0), tf.range(len(labels))
    z = Gaussian(tf.constant(z.mean), tf.constant(z.var))
    for number in range(steps):
        seed = tf.constant([0, number])
        step.run(z, tf.constant(labels), index, None, one, one, tf.constant(len(labels)), seed)
    coder.refresh()
