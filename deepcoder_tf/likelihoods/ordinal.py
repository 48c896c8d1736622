"""The ordinal head p(Y | Z1): one weight vector and one set of cut-points for each action unit.

    f_ic = w_cᵀ z1_i,   p(y_ic = s | z1_i) = Φ(γ_{c,s+1} - f_ic) - Φ(γ_{c,s} - f_ic)     (Eq. 17-20)

The scale σ_o is the constant 1: (w, γ, σ_o) and κ (w, γ, σ_o) are the same model, so learning it
would only add a direction without gradient. There is no bias in f; the cut-points absorb it.

Differs from the paper: Eq. 19 shares one weight vector among all action units, which would force
all of them onto one line in the latent space; here each has its own.

Three quantities look alike and must not be mixed: `sampled_log_prob` and `expected_log_prob` are
terms of the lower bound, `marginal` is the predictive distribution, and by Jensen's inequality its
logarithm is larger than a term of the bound may be.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.likelihoods.ordered_probit import OrderedProbit
from deepcoder_tf.numerics import gauss_hermite, softplus_inverse

__all__ = [
    "MIN_GAP",
    "cutpoints",
    "expected_log_prob",
    "initial_cutpoints",
    "marginal",
    "raw_cutpoints",
    "sampled_log_prob",
    "weight_prior",
]

MIN_GAP = 1e-2
"""Smallest distance of two cut-points, in units of the latent scale σ_o = 1. A level that never
occurs keeps this interval, hence a finite log-probability."""


@check_shapes("raw_first: [Q]", "raw_gaps: [Q, K_less_1]", "return: [Q, K]")
def cutpoints(raw_first: tf.Tensor, raw_gaps: tf.Tensor, min_gap: float = MIN_GAP) -> tf.Tensor:
    """Increasing cut-points from unconstrained parameters: γ_{s+1} = γ_s + softplus(raw) + min_gap.

    Args:
      raw_first: the first cut-point of each action unit.
      raw_gaps: the unconstrained gaps.
      min_gap: smallest gap, in units of σ_o = 1.

    Returns:
      γ, strictly increasing along the last axis, without the two ends of the real line.
    """
    gaps = tf.nn.softplus(raw_gaps) + min_gap
    return tf.cumsum(tf.concat([raw_first[:, tf.newaxis], gaps], axis=1), axis=1)


@check_shapes("gamma: [Q, K]", "return[0]: [Q]", "return[1]: [Q, K_less_1]")
def raw_cutpoints(gamma: tf.Tensor, min_gap: float = MIN_GAP) -> tuple[tf.Tensor, tf.Tensor]:
    """Inverse of `cutpoints`.

    Args:
      gamma: cut-points whose gaps are greater than `min_gap`.
      min_gap: smallest gap, in units of σ_o = 1.

    Returns:
      `raw_first` and `raw_gaps`, in the type of `gamma`.
    """
    gamma = tf.convert_to_tensor(gamma)
    return gamma[:, 0], softplus_inverse(gamma[:, 1:] - gamma[:, :-1], floor=min_gap)


@check_shapes("labels: [N, Q]", "return: [Q, K]")
def initial_cutpoints(labels: np.ndarray, levels: int, min_gap: float = MIN_GAP) -> np.ndarray:
    """Cut-points that give each level its frequency in the labels when f = 0.

    γ_{c,s+1} = Φ⁻¹((#{y_ic ≤ s} + ½) / (N_c + 1)); the half counts keep them finite where a level
    never occurs. Gaps are at least `2 min_gap`, so that `raw_cutpoints` can represent them.

    Args:
      labels: integer levels 0..levels-1; -1 where nobody annotated.
      levels: number of levels, at least 2.
      min_gap: smallest gap of the head, in units of σ_o = 1.

    Returns:
      γ, float64, K = levels - 1.

    Raises:
      ValueError: if `levels` is less than 2, or a label is not a level.
    """
    labels = np.asarray(labels)
    if levels < 2:
        raise ValueError(f"an ordinal head needs at least 2 levels, got levels={levels}")
    if labels.size and (labels.min() < -1 or labels.max() >= levels):
        wrong = labels[(labels < -1) | (labels >= levels)].flat[0]
        raise ValueError(
            f"label {wrong} is not a level: levels are 0..{levels - 1}, and -1 marks a missing one"
        )
    observed = labels >= 0
    thresholds = np.arange(levels - 1)
    at_most = (observed[..., None] & (labels[..., None] <= thresholds)).sum(axis=0)
    share = (at_most + 0.5) / (observed.sum(axis=0)[:, None] + 1.0)
    gamma = tf.math.ndtri(tf.constant(share, tf.float64)).numpy()
    # The smallest sequence above γ with these gaps: a running maximum of γ_s - s gap, plus s gap.
    steps = 2.0 * min_gap * thresholds
    return np.maximum.accumulate(gamma - steps, axis=1) + steps


@check_shapes("W: [Q, D]", "return: []")
def weight_prior(W: tf.Tensor, tau: float = 10.0) -> tf.Tensor:
    """Log-density, up to a constant, of the weak prior w ~ N(0, τ² I) that bounds separable data.

    It counts once for each data set, not once for each point.

    Args:
      W: ordinal weights.
      tau: standard deviation of a weight.

    Returns:
      -½ Σ_c ‖w_c‖² / τ².
    """
    return -0.5 * tf.reduce_sum(tf.square(W)) / tau**2


@check_shapes("y: [N, Q]", "W: [Q, D]", "gamma: [Q, K]", "z: [N, D]", "return: [N, Q]")
def sampled_log_prob(y: tf.Tensor, W: tf.Tensor, gamma: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """log p(y | z) at one sample of the latent variable (Eq. 20).

    Args:
      y: integer levels; -1 where nobody annotated.
      W: ordinal weights.
      gamma: cut-points.
      z: a sample of Z1.

    Returns:
      Log-probabilities, 0 at missing labels.
    """
    f = tf.matmul(z, W, transpose_b=True)
    return _masked(y, OrderedProbit(gamma, f).log_prob(tf.maximum(y, 0)))


@check_shapes(
    "y: [N, Q]",
    "W: [Q, D]",
    "gamma: [Q, K]",
    "mean: [N, D]",
    "var: [N, D]",
    "return: [N, Q]",
)
def expected_log_prob(
    y: tf.Tensor,
    W: tf.Tensor,
    gamma: tf.Tensor,
    mean: tf.Tensor,
    var: tf.Tensor,
    n: int = 20,
) -> tf.Tensor:
    """E log p(y | z) for z ~ N(mean, diag var): the label term of the bound (Eq. 9, last line).

    f = wᵀ z is a scalar Gaussian, so Gauss-Hermite quadrature in one dimension is deterministic
    and, for var_f up to 10, within 5e-4 of the integral.

    Args:
      y: integer levels; -1 where nobody annotated.
      W: ordinal weights.
      gamma: cut-points.
      mean: mean of q(Z1).
      var: variance of q(Z1), positive.
      n: number of quadrature nodes.

    Returns:
      Expected log-probabilities, 0 at missing labels.
    """
    mean_f, var_f = _project(W, mean, var)
    nodes, weights = (tf.constant(v, mean_f.dtype) for v in gauss_hermite(n))
    # The root has no slope at 0, where a weight vector of 0 would put it.
    f = mean_f + tf.sqrt(tf.maximum(var_f, 1e-30)) * nodes[:, tf.newaxis, tf.newaxis]  # [n, N, Q]
    log_prob = OrderedProbit(gamma, f).log_prob(tf.maximum(y, 0))
    return _masked(y, tf.tensordot(weights, log_prob, axes=1))


@check_shapes("W: [Q, D]", "gamma: [Q, K]", "mean: [N, D]", "var: [N, D]")
def marginal(W: tf.Tensor, gamma: tf.Tensor, mean: tf.Tensor, var: tf.Tensor) -> OrderedProbit:
    """The predictive distribution p(y) = E p(y | z) for z ~ N(mean, diag var), in closed form.

    A Gaussian plus the unit Gaussian of the probit is a Gaussian of variance 1 + var_f. For
    prediction only: log E p is not a term of the lower bound.

    Args:
      W: ordinal weights.
      gamma: cut-points.
      mean: mean of q(Z1).
      var: variance of q(Z1), non-negative.

    Returns:
      The distribution, batch shape `[N, Q]`.
    """
    mean_f, var_f = _project(W, mean, var)
    return OrderedProbit(gamma, mean_f, tf.sqrt(1.0 + var_f))


def _project(W: tf.Tensor, mean: tf.Tensor, var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of f = W z, `[N, Q]` each."""
    return (
        tf.matmul(mean, W, transpose_b=True),
        tf.matmul(var, tf.square(W), transpose_b=True),
    )


def _masked(y: tf.Tensor, log_prob: tf.Tensor) -> tf.Tensor:
    """Zero at missing labels."""
    return tf.where(y >= 0, log_prob, tf.zeros([], log_prob.dtype))
