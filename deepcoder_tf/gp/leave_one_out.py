"""Algebra of a Gaussian process on its own training points, with gradients in closed form.

With C the covariance of the noisy outputs and P = C⁻¹ there are two functions: `loo`, the
prediction at each point from all others (the GP encoder, Eq. 16), and `gp_log_likelihood` (the GP
decoder, first term of Eq. 9). Neither back-propagates through the Cholesky factor: their gradients
need only P, cost matrix products, and equal automatic differentiation to rounding.

Differs from the paper: Eq. 16 prints K_{Z1→Z0} without noise. The covariance here is that of the
recognition map, K_{Z0→Z1} + σ_r² I: the other one is a function of the very variable that Eq. 16
defines, and leave-one-out prediction needs the covariance of the noisy targets.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, Eq. 2.30, 5.9, 5.12.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.numerics import (
    cholesky_ok,
    jittered_cholesky,
    spd_inverse,
    symmetric_matmul,
    triangular_inverse,
)

__all__ = ["Factors", "factorise", "gp_log_likelihood", "loo", "loo_predictions"]


class Factors(NamedTuple):
    """What one Cholesky decomposition of C gives; constants for differentiation.

    Attributes:
      L_inv: `[N, N]`, inverse of the lower factor of C.
      P: `[N, N]`, C⁻¹.
      log_det: scalar, log |C|.
      ok: boolean scalar, whether C was positive definite; all else is NaN if not.
    """

    L_inv: tf.Tensor
    P: tf.Tensor
    log_det: tf.Tensor
    ok: tf.Tensor


@check_shapes("C: [N, N]", "jitter: []")
def factorise(C: tf.Tensor, jitter: tf.Tensor | float = 0.0) -> Factors:
    """Cholesky factor, inverse and determinant of C, each computed once.

    Args:
      C: covariance of the noisy outputs.
      jitter: scalar added to the diagonal of C, beyond what the model has.

    Returns:
      The factors, through which no gradient flows.
    """
    L = jittered_cholesky(tf.stop_gradient(C), jitter)
    L_inv = triangular_inverse(L)
    log_det = 2.0 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(L)))
    return Factors(L_inv, spd_inverse(L_inv), log_det, cholesky_ok(L))


@check_shapes("C: [N, N]", "M: [N, D]", "return[0]: [N, D]", "return[1]: [N]")
def loo(C: tf.Tensor, M: tf.Tensor, factors: Factors | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Predictions of the targets M at each point from all other points (Eq. 16).

        m̂_i = m_i - [P M]_i / P_ii,   σ̂_i² = 1 / P_ii

    The variance contains the noise. m̂_i does not depend on m_i.

    Args:
      C: covariance of the noisy targets, from `kernels.covariance`.
      M: targets.
      factors: `factorise(C)`, where the caller has it; must belong to this C.

    Returns:
      Means, in the unit of M, and variances, one for all D columns, in the unit of C.
    """
    factors = factorise(C) if factors is None else factors
    return _loo(factors.P)(C, M)


def _loo(P: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """The function (C, M) -> (means, variances) for a known inverse P of C."""

    @tf.custom_gradient
    def function(C: tf.Tensor, M: tf.Tensor) -> tuple:
        del C
        B = tf.matmul(P, M)
        p = tf.linalg.diag_part(P)[:, tf.newaxis]

        def grad(g_mean: tf.Tensor, g_var: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            g_B = -g_mean / p
            # Gradient with respect to the diagonal of P.
            g_p = tf.reduce_sum(g_mean * B, axis=1, keepdims=True) - g_var[:, tf.newaxis]
            g_p = g_p / tf.square(p)
            P_g_B = tf.matmul(P, g_B)
            # dC = -½ [(P gB) Bᵀ + B (P gB)ᵀ] - P diag(gp) P, as one symmetric product.
            left = tf.concat([P_g_B, B, P], axis=1)
            right = tf.concat([-0.5 * B, -0.5 * P_g_B, -P * g_p[:, 0]], axis=1)
            return symmetric_matmul(left, right), g_mean + P_g_B

        return (M - B / p, 1.0 / p[:, 0]), grad

    return function


@check_shapes("C: [N, N]", "Z: [N, D]", "total_var: [N]", "return: []")
def gp_log_likelihood(
    C: tf.Tensor,
    Z: tf.Tensor,
    total_var: tf.Tensor | None = None,
    factors: Factors | None = None,
) -> tf.Tensor:
    """Σ_d log N(z_d | 0, C): D independent outputs that share one covariance (Eq. 9, 13).

        R = -½ tr(Zᵀ P Z) - ½ D log|C| - ½ N D log 2π  [ - ½ Σ_i P_ii Σ_d σ²_id ]

    The term in brackets makes it the expectation for uncertain outputs z_id ~ N(Z_id, σ²_id).
    Without it let no gradient flow into Z: shrinking Z would raise R without limit.

    Args:
      C: covariance of the noisy outputs, from `kernels.covariance`.
      Z: outputs, or their means.
      total_var: Σ_d σ²_id of the uncertain outputs of each point; None where they are known.
      factors: `factorise(C)`, where the caller has it; must belong to this C.

    Returns:
      R, in nats.
    """
    factors = factorise(C) if factors is None else factors
    R = _log_likelihood(factors)(C, Z)
    return R if total_var is None else R + _uncertainty(factors.P)(C, total_var)


def _log_likelihood(factors: Factors) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The function (C, Z) -> R for known factors of C."""
    P = factors.P

    @tf.custom_gradient
    def function(C: tf.Tensor, Z: tf.Tensor) -> tuple:
        del C
        alpha = tf.matmul(P, Z)
        N, D = (tf.cast(n, Z.dtype) for n in tf.unstack(tf.shape(Z)))
        R = -0.5 * (
            tf.reduce_sum(Z * alpha) + D * factors.log_det + N * D * math.log(2.0 * math.pi)
        )

        def grad(g: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # dC = ½ α αᵀ - ½ D P,  dZ = -α
            return 0.5 * g * (symmetric_matmul(alpha, alpha) - D * P), -g * alpha

        return R, grad

    return function


def _uncertainty(P: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The function (C, s) -> -½ Σ_i P_ii s_i for a known inverse P of C."""

    @tf.custom_gradient
    def function(C: tf.Tensor, s: tf.Tensor) -> tuple:
        del C
        p = tf.linalg.diag_part(P)

        def grad(g: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # dC = ½ P diag(s) P,  ds = -½ diag P
            return 0.5 * g * symmetric_matmul(P * s, P), -0.5 * g * p

        return -0.5 * tf.reduce_sum(p * s), grad

    return function


@check_shapes("targets: [N, K]", "return[0]: [N, K]", "return[1]: [N]")
def loo_predictions(factors: Factors, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The values of `loo` from factors alone, without a gradient.

    Those of the decoder calibrate its variance for each dimension and give its training curve.

    Args:
      factors: `factorise(C)`.
      targets: outputs of the process.

    Returns:
      Means, in the unit of the targets, and variances, which the K outputs share.
    """
    p = tf.linalg.diag_part(factors.P)
    return targets - tf.matmul(factors.P, targets) / p[:, tf.newaxis], 1.0 / p
