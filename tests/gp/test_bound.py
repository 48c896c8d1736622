"""The VO-GPAE bound on a problem small enough for its evidence to be integrated."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepcoder_tf.gp.kernels import covariance
from deepcoder_tf.gp.leave_one_out import gp_log_likelihood, loo
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.likelihoods.ordinal import expected_log_prob, sampled_log_prob
from deepcoder_tf.numerics import gauss_hermite
from deepcoder_tf.types import Gaussian

# Two points, one latent dimension, three outputs, two action units of four levels.
N, D0, Q = 2, 3, 2
RNG = np.random.default_rng(7)
Z0 = tf.constant(RNG.standard_normal((N, D0)))
LABELS = tf.constant([[0, 3], [2, -1]])
W = tf.constant(RNG.standard_normal((Q, 1)))
CUTPOINTS = tf.constant([[-1.0, 0.2, 1.0], [-0.5, 0.0, 0.7]], tf.float64)
AMPLITUDE, LENGTHSCALES, NOISE = (tf.constant(v, tf.float64) for v in (1.0, [0.8], 0.5))


@tf.function
def log_reconstruction(Z1: tf.Tensor) -> tf.Tensor:
    """log p(Z0 | Z1) for each of many Z1, `[S, N, 1]`."""

    def one(z):
        return gp_log_likelihood(covariance(AMPLITUDE, LENGTHSCALES, NOISE, z), Z0)

    return tf.map_fn(one, Z1)


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes `[n², N, 1]` and weights of a two-dimensional standard normal variable."""
    nodes, weights = gauss_hermite(n)
    pairs = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, N, 1)
    return pairs, np.outer(weights, weights).ravel()


def log_evidence() -> float:
    """log ∫ p(Z0 | Z1) p(Y | Z1) p(Z1) dZ1 by 80 x 80 quadrature."""
    z, weights = grid(80)
    flat = tf.constant(z.reshape(-1, 1))
    labels = tf.tile(LABELS, [len(z), 1])
    log_labels = sampled_log_prob(labels, W, CUTPOINTS, flat).numpy().reshape(len(z), -1).sum(1)
    log_joint = log_reconstruction(tf.constant(z)).numpy() + log_labels
    return float(np.log(np.sum(weights * np.exp(log_joint))))


def bound(rng: np.random.Generator) -> float:
    """F of a random q, its one intractable expectation by 30 x 30 quadrature."""
    scale, noise = (tf.constant(v) for v in rng.uniform(0.1, 2.0, 2))
    C0 = covariance(scale, tf.constant(rng.uniform(0.5, 3.0, D0)), noise, Z0)
    mean, var = loo(C0, tf.constant(rng.standard_normal((N, 1))))
    q = Gaussian(mean, tf.constant(rng.uniform(0.01, 1.0, (N, 1))) + var[:, tf.newaxis])
    z, weights = grid(30)
    recon = np.dot(weights, log_reconstruction(q.mean + tf.sqrt(q.var) * z))
    label = tf.reduce_sum(expected_log_prob(LABELS, W, CUTPOINTS, q.mean, q.var))
    return float(recon - tf.reduce_sum(kl_diagonal(q)) + label)


def test_the_bound_never_exceeds_the_log_evidence():
    evidence = log_evidence()
    rng = np.random.default_rng(0)
    gaps = np.array([evidence - bound(rng) for _ in range(40)])
    assert gaps.min() > 0.0
    # It is a bound worth having: some random q already comes close.
    assert gaps.min() < 1.0
