"""Numerical functions that every room shares, each of them once.

Three families: positive parameters, factors of symmetric positive definite matrices, and the normal
distribution function with tails that neither overflow nor lose their gradient.

Nothing here adds an epsilon to a probability; where a quantity can vanish, its logarithm is
computed instead. End points of the real line are written as `BIG`, never as infinity: in float64
`tf.math.erf(inf)` is NaN on CPU, and `inf * 0` in a chain rule is NaN everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from check_shapes import check_shapes

__all__ = [
    "BIG",
    "cholesky_ok",
    "gauss_hermite",
    "histogram_of",
    "jittered_cholesky",
    "log_diff_ndtr",
    "log_ndtr",
    "ndtr",
    "positive",
    "raw_start",
    "relative_jitter",
    "softplus_inverse",
    "spd_inverse",
    "symmetric_matmul",
    "triangular_inverse",
]

BIG = 1e4
"""The end of the real line for a standard normal variable: Φ(-BIG) is 0 in every format, and the
square of BIG still fits float32 by 30 orders of magnitude."""

# Below this size one LAPACK or GEMM call beats four calls on halves (measured on two cores).
_LEAF = 256

_SQRT_HALF = math.sqrt(0.5)
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


# --------------------------------------------------------------------------- positive parameters


def positive(raw: tf.Tensor, floor: float = 0.0) -> tf.Tensor:
    """Maps an unconstrained parameter to a positive one: `softplus(raw) + floor`.

    Args:
      raw: any shape.
      floor: the smallest value, in the unit of the parameter.

    Returns:
      The positive parameter, of the same shape.
    """
    return tf.nn.softplus(raw) + floor


def softplus_inverse(x: tf.Tensor, floor: float = 0.0) -> tf.Tensor:
    """Inverse of `positive`: the raw value whose `positive(raw, floor)` is `x`.

    Args:
      x: any shape, greater than `floor` (a smaller value gives NaN).
      floor: the floor that `positive` adds.

    Returns:
      The raw parameter, of the same shape.
    """
    y = tf.convert_to_tensor(x) - floor
    # log(e^y - 1) = y + log(1 - e^-y), which does not overflow.
    return y + tf.math.log(-tf.math.expm1(-y))


def raw_start(value: float) -> float:
    """Where a raw parameter starts so that its softplus is `value`, in double precision."""
    return float(softplus_inverse(tf.constant(value, tf.float64)))


# --------------------------------------------------------------------------- factors of matrices


def relative_jitter(dtype: tf.DType) -> float:
    """Jitter as a fraction of the kernel's variance that keeps its Cholesky factor finite.

    It belongs to the model, as noise does: training, prediction and export use the same one.

    Args:
      dtype: the floating type of the matrix.

    Returns:
      1e-6 for float64, 1e-4 for lower precision.
    """
    return 1e-6 if dtype == tf.float64 else 1e-4


@check_shapes("C: [n, n]", "jitter: []", "return: [n, n]")
def jittered_cholesky(C: tf.Tensor, jitter: tf.Tensor | float = 0.0) -> tf.Tensor:
    """Lower factor L with L Lᵀ = C + jitter I: the one Cholesky decomposition of the project.

    Never raises inside a graph: TensorFlow fills the factor of a matrix that is not positive
    definite with NaN, which `cholesky_ok` detects.

    Args:
      C: symmetric matrix; its lower triangle is read.
      jitter: scalar added to the diagonal, in the unit of C.

    Returns:
      L, lower triangular.
    """
    return tf.linalg.cholesky(tf.linalg.set_diag(C, tf.linalg.diag_part(C) + jitter))


@check_shapes("L: [n, n]", "return: []")
def cholesky_ok(L: tf.Tensor) -> tf.Tensor:
    """Tells whether `jittered_cholesky` found a factor.

    Args:
      L: what `jittered_cholesky` returned.

    Returns:
      Boolean scalar: the diagonal is finite throughout.
    """
    return tf.reduce_all(tf.math.is_finite(tf.linalg.diag_part(L)))


@check_shapes("A: [n, k]", "B: [n, k]", "return: [n, n]")
def symmetric_matmul(A: tf.Tensor, B: tf.Tensor) -> tf.Tensor:
    """A Bᵀ when the product is known to be symmetric, at little more than half its cost.

    TensorFlow has no `syrk`; halving recursively computes only blocks on and below the diagonal.

    Args:
      A: first factor.
      B: second factor, such that A Bᵀ = B Aᵀ (for example `B = A`, or `A = B D` with D diagonal).

    Returns:
      The symmetric product.
    """
    n = A.shape[0]
    if n is None or n <= _LEAF:
        return tf.matmul(A, B, transpose_b=True)
    h = n // 2
    return _symmetric_blocks(
        symmetric_matmul(A[:h], B[:h]),
        tf.matmul(A[h:], B[:h], transpose_b=True),
        symmetric_matmul(A[h:], B[h:]),
    )


@check_shapes("L: [n, n]", "return: [n, n]")
def triangular_inverse(L: tf.Tensor) -> tf.Tensor:
    """L⁻¹ of a lower triangular matrix.

    [[A, 0], [B, D]]⁻¹ = [[A⁻¹, 0], [-D⁻¹ B A⁻¹, D⁻¹]]: halving moves the work to the GEMM
    from the triangular solver, which runs at half its speed and does not skip the zeros of the unit
    matrix (at n = 1000 twice as fast, and as accurate).

    Args:
      L: lower triangular; the diagonal must not contain zeros.

    Returns:
      L⁻¹, lower triangular.
    """
    n = L.shape[0]
    if n is None or n <= _LEAF:
        return tf.linalg.triangular_solve(L, tf.eye(tf.shape(L)[0], dtype=L.dtype))
    h = n // 2
    A_inv, D_inv = triangular_inverse(L[:h, :h]), triangular_inverse(L[h:, h:])
    corner = -tf.matmul(D_inv, tf.matmul(L[h:, :h], A_inv))
    zeros = tf.zeros([h, n - h], L.dtype)
    return tf.concat(
        [tf.concat([A_inv, zeros], axis=1), tf.concat([corner, D_inv], axis=1)], axis=0
    )


@check_shapes("L_inv: [n, n]", "return: [n, n]")
def spd_inverse(L_inv: tf.Tensor) -> tf.Tensor:
    """C⁻¹ = L⁻ᵀ L⁻¹ from the inverse of the Cholesky factor of C.

    The zeros above the diagonal of L⁻¹ are not multiplied.

    Args:
      L_inv: L⁻¹, for example from `triangular_inverse`.

    Returns:
      C⁻¹.
    """
    n = L_inv.shape[0]
    if n is None or n <= _LEAF:
        return tf.matmul(L_inv, L_inv, transpose_a=True)
    h = n // 2
    A, B, D = L_inv[:h, :h], L_inv[h:, :h], L_inv[h:, h:]
    B_t = tf.transpose(B)
    return _symmetric_blocks(
        spd_inverse(A) + symmetric_matmul(B_t, B_t),
        tf.matmul(D, B, transpose_a=True),
        spd_inverse(D),
    )


def _symmetric_blocks(A: tf.Tensor, B: tf.Tensor, D: tf.Tensor) -> tf.Tensor:
    """[[A, Bᵀ], [B, D]]."""
    return tf.concat([tf.concat([A, tf.transpose(B)], axis=1), tf.concat([B, D], axis=1)], axis=0)


# --------------------------------------------------------------------------- normal distribution


def ndtr(x: tf.Tensor) -> tf.Tensor:
    """Φ(x), the standard normal distribution function.

    Args:
      x: any shape; infinities are read as ±BIG.

    Returns:
      Φ(x), accurate relative to itself in the lower tail.
    """
    x = tf.clip_by_value(tf.convert_to_tensor(x), -BIG, BIG)
    return 0.5 * tf.math.erfc(-_SQRT_HALF * x)


def log_ndtr(x: tf.Tensor) -> tf.Tensor:
    """log Φ(x), finite with a finite gradient for every |x| ≤ BIG.

    Args:
      x: any shape; infinities are read as ±BIG.

    Returns:
      log Φ(x), accurate relative to itself in both tails.
    """
    return _log_ndtr(tf.clip_by_value(tf.convert_to_tensor(x), -BIG, BIG))


@tf.custom_gradient
def _log_ndtr(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    lower = x < 0.0
    one = tf.ones([], x.dtype)
    low, high = tf.where(lower, x, -one), tf.where(lower, one, x)
    # x < 0: Φ(x) = ½ erfcx(-x/√2) exp(-x²/2).  The factor exp(-x²/2) cancels in φ/Φ.
    r = tf.math.log(0.5 * tfp.math.erfcx(-_SQRT_HALF * low))
    upper_tail = 0.5 * tf.math.erfc(_SQRT_HALF * high)
    value = tf.where(lower, r - 0.5 * low**2, tf.math.log1p(-upper_tail))

    def grad(upstream: tf.Tensor) -> tf.Tensor:
        low_slope = tf.exp(-_LOG_SQRT_2PI - r)
        high_slope = tf.exp(-_LOG_SQRT_2PI - 0.5 * high**2) / (1.0 - upper_tail)
        return upstream * tf.where(lower, low_slope, high_slope)

    return value, grad


def log_diff_ndtr(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """log(Φ(b) - Φ(a)) for a < b, with a gradient that is right in both tails.

    Both end points are moved to the lower half line by symmetry. There the common factor exp(-b²/2)
    is taken out, so that the value neither underflows nor cancels, and in the gradient φ(b)/P it
    cancels analytically. An interval across zero has no cancellation to begin with.

    Args:
      a: lower end points, any shape that broadcasts with b; -BIG stands for -∞.
      b: upper end points, greater than a; BIG stands for ∞.

    Returns:
      The logarithm of the probability of (a, b], of the broadcast shape; -∞ where a = b.
    """
    # Broadcast outside, where TensorFlow sums the gradient back to the shape of each argument.
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    shape = tf.broadcast_dynamic_shape(tf.shape(a), tf.shape(b))
    return _log_diff_ndtr(tf.broadcast_to(a, shape), tf.broadcast_to(b, shape))


@tf.custom_gradient
def _log_diff_ndtr(
    a: tf.Tensor, b: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    flip = a + b > 0.0
    a, b = tf.where(flip, -b, a), tf.where(flip, -a, b)  # now |a| ≥ |b| and a ≤ 0
    tail = b <= 0.0
    # The branch that is not taken gets harmless arguments, so that it cannot bring in a NaN.
    one = tf.ones([], a.dtype)
    at, bt = tf.where(tail, a, -2.0 * one), tf.where(tail, b, -one)
    ac, bc = tf.where(tail, -one, a), tf.where(tail, one, b)

    # b ≤ 0: Φ(b) - Φ(a) = exp(-b²/2) ½ [erfcx(-b/√2) - e erfcx(-a/√2)], e = exp((b² - a²)/2) ≤ 1.
    e = tf.exp(0.5 * (bt - at) * (bt + at))
    # Both ends at once: erfcx is a graph of two hundred operations.
    upper, lower = tf.unstack(tfp.math.erfcx(-_SQRT_HALF * tf.stack([bt, at])))
    r = tf.math.log(0.5 * (upper - e * lower))
    # a < 0 < b: both terms are positive.
    centre = 0.5 * (tf.math.erf(_SQRT_HALF * bc) + tf.math.erf(-_SQRT_HALF * ac))
    value = tf.where(tail, r - 0.5 * bt**2, tf.math.log(centre))

    def grad(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slope_tail = tf.exp(-_LOG_SQRT_2PI - r)
        slope_b = tf.where(tail, slope_tail, tf.exp(-_LOG_SQRT_2PI - 0.5 * bc**2) / centre)
        slope_a = -tf.where(tail, e * slope_tail, tf.exp(-_LOG_SQRT_2PI - 0.5 * ac**2) / centre)
        slope_a, slope_b = (
            tf.where(flip, -slope_b, slope_a),
            tf.where(flip, -slope_a, slope_b),
        )
        return upstream * slope_a, upstream * slope_b

    return value, grad


# ------------------------------------------------------------------------------------- counting


@check_shapes("values: [B, N]", "return: [B, bins]")
def histogram_of(values: tf.Tensor, bins: int) -> tf.Tensor:
    """How often each of the numbers 0..bins-1 occurs in each row.

    `tf.math.bincount` without its search for the largest value, which no export needs: the number
    of bins is known here, and static.

    Args:
      values: int32, all of them below `bins`.
      bins: number of counts.

    Returns:
      int32.
    """
    none = tf.zeros([0], tf.int32)  # of weights
    counts = tf.raw_ops.DenseBincount(input=values, size=bins, weights=none)
    return tf.ensure_shape(counts, (values.shape[0], bins))


def gauss_hermite(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights with E[f(x)] ≈ Σ_k weights[k] f(nodes[k]) for a standard normal x.

    Exact for polynomials up to degree 2n - 1.

    Args:
      n: number of nodes, at least 1.

    Returns:
      Nodes and weights, float64 arrays of shape `[n]`; the weights sum to 1.

    Raises:
      ValueError: if n is less than 1.
    """
    if n < 1:
        raise ValueError(f"gauss_hermite needs at least one node, got n={n}")
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return nodes, weights / np.sqrt(2.0 * np.pi)
