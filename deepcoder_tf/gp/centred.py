"""Kernel rows for single precision: what changes beside the row of the inputs' centre.

With long lengthscales all entries of a row k(x, U) are nearly equal, and what a process makes of
them, k C⁻¹ M, is a small difference of large sums: in float32 four digits are gone. With

    u = (x - c) / ℓ,   v_i = (U_i - c) / ℓ,   g_i = a exp(-½ ‖v_i‖²),   s_i = uᵀ v_i - ½ ‖u‖²,

    k_i = g_i exp(s_i) = g_i + g_i s_i + r_i,   r_i = g_i (exp(s_i) - 1 - s_i),

the sum over the first part is a constant, that over the second one is a product with D constants,
and only the small r_i meet the large weights. What is constant here is computed in double precision
when a graph for single precision is made. Far from the centre, where g_i s_i says nothing of k_i,
r_i is k_i - g_i.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from check_shapes import check_shapes

__all__ = ["CentredRows", "centred_rows"]

SMALL = 1.0
"""Exponents up to here take the polynomial; beyond, `exp(s) - 1 - s` loses no digits."""

DEGREE = 12
"""Of the polynomial: double precision throughout."""

FAR = 4.0
"""Value of ½ ‖u‖² beyond which an input is far: its row varies by a factor of e⁴ anyway."""

FARTHEST = 1e15
"""Of an entry of u; its row is 0, and its squares stay finite in single precision."""


class CentredRows(NamedTuple):
    """Rows k(x, U) of an RBF kernel, in parts.

    Attributes:
      u: `[B, D]`; 0 where far.
      half_norm: `[B, 1]`, ½ ‖u‖²; 0 where far.
      v: `[M, D]`, constant.
      at_centre: `[M]`, g, constant.
      change: `[B, M]`, k - g.
      remainder: `[B, M]`, r.
    """

    u: tf.Tensor
    half_norm: tf.Tensor
    v: tf.Tensor
    at_centre: tf.Tensor
    change: tf.Tensor
    remainder: tf.Tensor

    def change_times(self, B: tf.Tensor) -> tf.Tensor:
        """(k - g) B `[B, K]` for constants B `[M, K]`."""
        weighted = self.at_centre[:, tf.newaxis] * B
        linear = tf.matmul(self.u, tf.matmul(self.v, weighted, transpose_a=True))
        total = tf.reduce_sum(weighted, axis=0)
        return linear - self.half_norm * total + tf.matmul(self.remainder, B)

    def at_centre_times(self, B: tf.Tensor) -> tf.Tensor:
        """g B `[K]` for constants B `[M, K]`, a constant."""
        return tf.linalg.matvec(B, self.at_centre, transpose_a=True)


@functools.cache
def remainder_coefficients() -> np.ndarray:
    """Of (exp(s) - 1 - s) / s² as a polynomial in s, lowest power first."""
    term, terms = 0.5, []
    for n in range(3, DEGREE + 4):
        terms.append(term)
        term /= n
    return np.array(terms)


@check_shapes("amplitude_variance: []", "lengthscales: [D]", "x: [B, D]", "inputs: [M, D]")
def centred_rows(
    amplitude_variance: tf.Tensor, lengthscales: tf.Tensor, x: tf.Tensor, inputs: tf.Tensor
) -> CentredRows:
    """The parts of k(x, U), equal to `kernels.kernel_matrix`.

    Args:
      amplitude_variance: scalar a.
      lengthscales: ℓ, positive.
      x: new inputs.
      inputs: U, constants.

    Returns:
      The rows.
    """
    centre = tf.reduce_mean(inputs, axis=0)
    inverse = 1.0 / lengthscales
    u, v = (x - centre) * inverse, (inputs - centre) * inverse
    u = tf.clip_by_value(u, -FARTHEST, FARTHEST)
    half_norm = 0.5 * tf.reduce_sum(tf.square(u), axis=1, keepdims=True)
    log_g = -0.5 * tf.reduce_sum(tf.square(v), axis=1)
    g = amplitude_variance * tf.exp(log_g)
    s = tf.matmul(u, v, transpose_b=True) - half_norm
    k = amplitude_variance * tf.exp(tf.minimum(log_g + s, 0.0))
    near = half_norm < FAR
    u, half_norm, s = (tf.where(near, part, tf.zeros_like(part)) for part in (u, half_norm, s))
    *lower, highest = (tf.constant(c, s.dtype) for c in remainder_coefficients())
    P = highest * s + lower.pop()
    for c in reversed(lower):
        P = P * s + c
    polynomial = tf.logical_and(near, tf.abs(s) < SMALL)
    remainder = tf.where(polynomial, g * (P * s * s), k - g * (1.0 + s))
    return CentredRows(u, half_norm, v, g, g * s + remainder, remainder)
