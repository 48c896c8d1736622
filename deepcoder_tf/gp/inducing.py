"""Gaussian processes that see their data through a few points: cost per batch, whatever N.

Encoder: pseudo-points. A GP whose training inputs are m points U and whose targets M are learnt
predicts any frame as a trained GP would; `explained` is its algebra.

Decoder: D0 outputs that share one kernel and one noise, inducing inputs V, and, in whitened form,

    u_d = L a_d + L Λ ε,   L Lᵀ = k(V, V),   q(U_d) = N(L a_d, L Λ Λᵀ Lᵀ).

Λ is shared by all outputs, which loses nothing: the best covariance of q depends on the kernel, the
noise and the inputs only. With t = L⁻¹ k(V, z), each frame adds to the bound on log p(Z0 | Z1)

    ℓ_i = Σ_d log N(z_id | tᵢᵀ a_d, σ²) - ½ D0 (a - ‖tᵢ‖² + ‖Λᵀ tᵢ‖²) / σ²,

and the data set costs KL(q(U) ‖ p(U)) once, so that (N / B) Σ_batch ℓ_i - KL is an unbiased
estimate. L⁻¹, the divergence and the best q(U) are those of `uncertain_inputs`, for codes without
variance: a draw of Z1 costs B m numbers where its moments would cost B m².

Source: Hensman, Fusi and Lawrence, Gaussian Processes for Big Data, UAI 2013; Titsias, Variational
Learning of Inducing Variables in Sparse Gaussian Processes, AISTATS 2009.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.gp.leave_one_out import factorise
from deepcoder_tf.numerics import symmetric_matmul

__all__ = [
    "expected_log_likelihood",
    "explained",
    "leave_one_out_by_leverage",
]


@check_shapes("C: [m, m]", "k: [B, m]", "M: [m, D]", "return[0]: [B, D]", "return[1]: [B]")
def explained(C: tf.Tensor, k: tf.Tensor, M: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What m pseudo-points tell of B others: means k C⁻¹ M, and explained variances k C⁻¹ kᵀ.

    As in `leave_one_out`, the gradient does not pass through the Cholesky factor.

    Args:
      C: covariance of the targets of the pseudo-points, noise included.
      k: kernel between the other points and the pseudo-points.
      M: targets of the pseudo-points.

    Returns:
      Means, in the unit of M, and variances, in that of C.
    """
    factors = factorise(C)
    return _explained(factors.L_inv, factors.P)(C, k, M)


def _explained(L_inv: tf.Tensor, P: tf.Tensor) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The function (C, k, M) -> (means, variances) for known factors of C."""

    @tf.custom_gradient
    def function(C: tf.Tensor, k: tf.Tensor, M: tf.Tensor) -> tuple:
        del C
        T = tf.matmul(k, L_inv, transpose_b=True)
        alpha = tf.matmul(P, M)

        def grad(g_mean: tf.Tensor, g_var: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # With A = k P:  dM = Aᵀ g,  dk = g αᵀ + 2 diag(v) A,
            # dC = -½ (dM αᵀ + α dMᵀ) - Aᵀ diag(v) A, as one symmetric product.
            A = tf.matmul(T, L_inv)
            d_M = tf.matmul(A, g_mean, transpose_a=True)
            d_k = tf.matmul(g_mean, alpha, transpose_b=True) + 2.0 * g_var[:, tf.newaxis] * A
            left = tf.concat([d_M, alpha, tf.transpose(A)], axis=1)
            right = tf.concat([-0.5 * alpha, -0.5 * d_M, -tf.transpose(A) * g_var], axis=1)
            return symmetric_matmul(left, right), d_k, d_M

        return (tf.matmul(k, alpha), tf.reduce_sum(tf.square(T), axis=1)), grad

    return function


@check_shapes(
    "T: [B, m]",
    "A: [m, D]",
    "Lambda: [m, m]",
    "amplitude_variance: []",
    "noise_variance: []",
    "Z: [B, D]",
    "total_var: [B]",
    "return: [B]",
)
def expected_log_likelihood(
    T: tf.Tensor,
    A: tf.Tensor,
    Lambda: tf.Tensor,
    amplitude_variance: tf.Tensor,
    noise_variance: tf.Tensor,
    Z: tf.Tensor,
    total_var: tf.Tensor | None = None,
) -> tf.Tensor:
    """ℓ_i of each frame: the expectation of log p(z_i | f_i) over q(f_i), summed over outputs.

    Args:
      T: rows tᵢ, whitened kernel between the frames and the inducing points.
      A: whitened means of q(U), one column per output.
      Lambda: lower triangular factor Λ of the whitened covariance, shared by the outputs.
      amplitude_variance: scalar a.
      noise_variance: scalar σ².
      Z: outputs, or their means.
      total_var: Σ_d σ²_id of uncertain outputs; None where they are known.

    Returns:
      ℓ, in nats.
    """
    D = tf.cast(tf.shape(Z)[1], Z.dtype)
    learnt = tf.reduce_sum(tf.square(tf.matmul(T, Lambda)), axis=1)
    var_f = amplitude_variance - tf.reduce_sum(tf.square(T), axis=1) + learnt
    squares = tf.reduce_sum(tf.math.squared_difference(Z, tf.matmul(T, A)), axis=1) + D * var_f
    if total_var is not None:
        squares += total_var
    return -0.5 * (
        D * (math.log(2.0 * math.pi) + tf.math.log(noise_variance)) + squares / noise_variance
    )


@check_shapes(
    "T: [N, m]",
    "A: [m, D]",
    "Lambda: [m, m]",
    "amplitude_variance: []",
    "noise_variance: []",
    "Z: [N, D]",
    "return[0]: [N, D]",
    "return[1]: [N]",
)
def leave_one_out_by_leverage(
    T: tf.Tensor,
    A: tf.Tensor,
    Lambda: tf.Tensor,
    amplitude_variance: tf.Tensor,
    noise_variance: tf.Tensor,
    Z: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Predictions of training frames as a decoder would make them that had not seen the frame.

    At the best q(U) a frame holds the share hᵢ = ‖Λᵀ tᵢ‖² / σ² of its own prediction f_i = tᵢᵀ A.
    Without it

        m = z - (z - f) / (1 - h),   var = a - ‖t‖² + ‖Λᵀ t‖² / (1 - h) + σ²,

    which is exact. Before q(U) is the best one, h is at most the leverage of a frame that is the
    only one, ‖t‖² / (σ² + ‖t‖²).

    Args:
      T: rows tᵢ at training frames.
      A: whitened means of q(U).
      Lambda: Λ.
      amplitude_variance: scalar a.
      noise_variance: scalar σ².
      Z: outputs of these frames.

    Returns:
      Means, and variances with noise, which the outputs share.
    """
    known = tf.reduce_sum(tf.square(T), axis=1)
    learnt = tf.reduce_sum(tf.square(tf.matmul(T, Lambda)), axis=1)
    learnt = tf.minimum(learnt, noise_variance * known / (noise_variance + known))
    others = 1.0 - learnt / noise_variance
    mean = Z - (Z - tf.matmul(T, A)) / others[:, tf.newaxis]
    return mean, tf.nn.relu(amplitude_variance - known) + learnt / others + noise_variance
