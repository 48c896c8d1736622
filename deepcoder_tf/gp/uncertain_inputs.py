"""A sparse Gaussian process whose inputs are Gaussian themselves: every expectation in closed form.

With inducing inputs V, K = k(V, V) = L Lᵀ and whitened inducing outputs w_d = L⁻¹ u_d ~ q(w_d) =
N(a_d, Λ_d Λ_dᵀ), the process at x is, with t(x) = L⁻¹ k(V, x),

    f_d(x) ~ N(tᵀ a_d,  a - ‖t‖² + ‖Λ_dᵀ t‖²)

and for x ~ N(μ, diag s) two statistics of the kernel decide the first two moments of f_d:

    Ψ1_i  = E k(x, v_i),            E f_d  = Ψ1ᵀ L⁻ᵀ a_d
    Ψ2_ij = E k(x, v_i) k(x, v_j),  E f_d² = a + <Ψ2, L⁻ᵀ (a_d a_dᵀ + Λ_d Λ_dᵀ - I) L⁻¹>

Both are exponentials of one matrix product, and Ψ2, which is symmetric, is kept as its lower
triangle: a batch costs one product with a table of m (m + 1) / 2 rows.

Source: Titsias and Lawrence, Bayesian Gaussian Process Latent Variable Model, AISTATS 2010;
Hensman, Fusi and Lawrence, Gaussian Processes for Big Data, UAI 2013.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.gp.kernels import kernel_matrix
from deepcoder_tf.numerics import jittered_cholesky, relative_jitter, triangular_inverse

__all__ = [
    "from_pairs",
    "inducing_factor",
    "inducing_kl",
    "optimal_inducing",
    "pair_weights",
    "psi1",
    "psi2",
    "second_moment_matrix",
]


@check_shapes("amplitude_variance: []", "lengthscales: [D]", "V: [m, D]", "return: [m, m]")
def inducing_factor(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    V: tf.Tensor,
    jitter: float | None = None,
) -> tf.Tensor:
    """L⁻¹ of k(V, V) = L Lᵀ.

    Args:
      amplitude_variance: scalar a.
      lengthscales: ℓ.
      V: inducing inputs.
      jitter: added to the diagonal, in units of a; None is the project's `relative_jitter`.

    Returns:
      L⁻¹, lower triangular.
    """
    K = kernel_matrix(amplitude_variance, lengthscales, V)
    jitter = relative_jitter(K.dtype) if jitter is None else jitter
    return triangular_inverse(jittered_cholesky(K, jitter * amplitude_variance))


@check_shapes(
    "amplitude_variance: []",
    "lengthscales: [D]",
    "V: [m, D]",
    "mean: [N, D]",
    "var: [N, D]",
    "return: [N, m]",
)
def psi1(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    V: tf.Tensor,
    mean: tf.Tensor,
    var: tf.Tensor,
) -> tf.Tensor:
    """E k(x, v_i) for x ~ N(mean, diag var).

        a Π_d (1 + s_d/ℓ_d²)^-½ exp(-½ (μ_d - v_id)² / (s_d + ℓ_d²))

    Args:
      amplitude_variance: scalar a.
      lengthscales: ℓ.
      V: inducing inputs.
      mean: of the inputs.
      var: of the inputs, 0 or more.

    Returns:
      Ψ1, in units of a.
    """
    squares = tf.square(lengthscales)
    shrink = tf.reduce_sum(tf.math.log1p(var / squares), axis=1, keepdims=True)
    distance = _weighted_distances(mean, V, 1.0 / (var + squares))
    return amplitude_variance * tf.exp(-0.5 * (shrink + distance))


@check_shapes(
    "amplitude_variance: []",
    "lengthscales: [D]",
    "V: [m, D]",
    "mean: [N, D]",
    "var: [N, D]",
    "return: [N, pairs]",
)
def psi2(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    V: tf.Tensor,
    mean: tf.Tensor,
    var: tf.Tensor,
) -> tf.Tensor:
    """E k(x, v_i) k(x, v_j) for x ~ N(mean, diag var) and i ≥ j.

        a² Π_d (1 + 2 s_d/ℓ_d²)^-½ exp(-(v_id - v_jd)²/(4 ℓ_d²) - (μ_d - v̄_d)²/(2 s_d + ℓ_d²))

    with v̄ = (v_i + v_j) / 2.

    Args:
      amplitude_variance: scalar a.
      lengthscales: ℓ.
      V: inducing inputs, of known number.
      mean: of the inputs.
      var: of the inputs, 0 or more.

    Returns:
      The lower triangle of Ψ2, row by row; `from_pairs` makes it a matrix.
    """
    rows, columns = np.tril_indices(V.shape[0])
    left, right = tf.gather(V, rows), tf.gather(V, columns)
    squares = tf.square(lengthscales)
    apart = 0.25 * tf.reduce_sum(tf.square(left - right) / squares, axis=1)
    shrink = 0.5 * tf.reduce_sum(tf.math.log1p(2.0 * var / squares), axis=1, keepdims=True)
    distance = _weighted_distances(mean, 0.5 * (left + right), 1.0 / (2.0 * var + squares))
    return tf.square(amplitude_variance) * tf.exp(-(apart + shrink + distance))


def _weighted_distances(X: tf.Tensor, C: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Σ_d w_nd (x_nd - c_pd)², `[N, P]`, by one product, centred against cancellation."""
    centre = tf.stop_gradient(tf.reduce_mean(C, axis=0))
    X, C = X - centre, C - centre
    left = tf.concat([weights, -2.0 * weights * X], axis=1)
    right = tf.concat([tf.square(C), C], axis=1)
    own = tf.reduce_sum(weights * tf.square(X), axis=1, keepdims=True)
    return tf.nn.relu(own + tf.matmul(left, right, transpose_b=True))


@check_shapes("pairs: [batch..., pairs]", "return: [batch..., m, m]")
def from_pairs(pairs: tf.Tensor, m: int) -> tf.Tensor:
    """Symmetric matrices from their lower triangles, row by row.

    Args:
      pairs: m (m + 1) / 2 entries on the last axis.
      m: size of the matrices.

    Returns:
      The matrices.
    """
    where = np.empty((m, m), np.int64)
    rows, columns = np.tril_indices(m)
    where[rows, columns] = where[columns, rows] = np.arange(len(rows))
    return tf.gather(pairs, where, axis=-1)


@check_shapes("C: [batch..., m, m]", "return: [batch..., pairs]")
def pair_weights(C: tf.Tensor) -> tf.Tensor:
    """The vector c with <Ψ, C> = cᵀ (lower triangle of Ψ) for every symmetric Ψ.

    Args:
      C: symmetric matrices, of known size.

    Returns:
      Their lower triangles, row by row, entries off the diagonal doubled.
    """
    m = C.shape[-1]
    rows, columns = np.tril_indices(m)
    flat = tf.reshape(C, tf.concat([tf.shape(C)[:-2], [m * m]], axis=0))
    return tf.gather(flat, rows * m + columns, axis=-1) * tf.constant(
        np.where(rows == columns, 1.0, 2.0), C.dtype
    )


@check_shapes("L_inv: [m, m]", "A: [m, K]", "Lambda: [groups, m, m]", "return: [groups, m, m]")
def second_moment_matrix(L_inv: tf.Tensor, A: tf.Tensor, Lambda: tf.Tensor) -> tf.Tensor:
    """L⁻ᵀ Σ_d (a_d a_dᵀ + Λ_d Λ_dᵀ - I) L⁻¹, summed over the outputs of each group.

    Args:
      L_inv: from `inducing_factor`.
      A: means of q(w), one column for each output.
      Lambda: factors of its covariances: one that all K outputs share, which are then one group, or
        one for each of them.

    Returns:
      Matrices whose product with Ψ2 is Σ_d (E f_d² - a) of their group.
    """
    m, groups = A.shape[0], Lambda.shape[0]
    members = tf.reshape(tf.transpose(A), (groups, -1, m))  # [groups, K / groups, m]
    spread = tf.matmul(Lambda, Lambda, transpose_b=True) - tf.eye(m, dtype=A.dtype)
    size = tf.cast(tf.shape(members)[1], A.dtype)
    inner = tf.matmul(members, members, transpose_a=True) + size * spread
    return tf.matmul(L_inv, tf.matmul(inner, L_inv), transpose_a=True)


@check_shapes("A: [m, K]", "Lambda: [groups, m, m]", "return: []")
def inducing_kl(A: tf.Tensor, Lambda: tf.Tensor) -> tf.Tensor:
    """KL(q(w) ‖ N(0, I)) over all outputs, in nats.

    Args:
      A: means.
      Lambda: lower triangular factors, one shared by all outputs or one for each.

    Returns:
      ½ ‖A‖² + Σ_d (½ ‖Λ_d‖² - ½ m - log |Λ_d|).
    """
    size = tf.cast(tf.shape(A)[1] // tf.shape(Lambda)[0], A.dtype)
    log_det = tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(Lambda))))
    excess = tf.reduce_sum(tf.square(Lambda)) - tf.cast(tf.size(Lambda[..., 0]), A.dtype)
    return 0.5 * tf.reduce_sum(tf.square(A)) + size * (0.5 * excess - log_det)


@check_shapes(
    "L_inv: [m, m]",
    "noise_variance: [groups]",
    "Psi1_Y: [m, K]",
    "Psi2: [groups, m, m]",
    "return[0]: [m, K]",
    "return[1]: [groups, m, m]",
)
def optimal_inducing(
    L_inv: tf.Tensor, noise_variance: tf.Tensor, Psi1_Y: tf.Tensor, Psi2: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The q(w) that maximises the bound, everything else given.

        Λ Λᵀ = (I + L⁻¹ Ψ2 L⁻ᵀ / σ²)⁻¹,   A = Λ Λᵀ L⁻¹ Ψ1ᵀ Y / σ²

    Args:
      L_inv: from `inducing_factor`.
      noise_variance: σ² of each group of outputs.
      Psi1_Y: Σ_n Ψ1_n y_nᵀ over the observed outputs.
      Psi2: Σ_n Ψ2_n over the observed points of each group.

    Returns:
      A and Λ.
    """
    groups = Psi2.shape[0]
    eye = tf.eye(L_inv.shape[0], dtype=L_inv.dtype)
    precision = eye + tf.matmul(L_inv, tf.matmul(Psi2, L_inv, transpose_b=True)) / tf.reshape(
        noise_variance, (-1, 1, 1)
    )
    # Λ = chol(P⁻¹); P = U Uᵀ by the factor of the reversed matrix makes Λ = U⁻ᵀ lower triangular.
    reversed_factor = tf.linalg.cholesky(tf.reverse(precision, [-2, -1]))
    U = tf.reverse(reversed_factor, [-2, -1])
    Lambda = tf.linalg.triangular_solve(
        tf.linalg.matrix_transpose(U), tf.broadcast_to(eye, tf.shape(U)), lower=True
    )
    pulled = tf.matmul(L_inv, Psi1_Y)
    pulled = tf.transpose(tf.reshape(pulled, (pulled.shape[0], groups, -1)), (1, 0, 2))
    pulled /= tf.reshape(noise_variance, (-1, 1, 1))
    A = tf.matmul(Lambda, tf.matmul(Lambda, pulled, transpose_a=True))
    return tf.reshape(tf.transpose(A, (1, 0, 2)), tf.shape(Psi1_Y)), Lambda
