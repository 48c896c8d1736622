"""The RBF-ARD kernel of both Gaussian processes, and how to start it alive.

    k(x, x') = a exp(-½ Σ_d (x_d - x'_d)² / ℓ_d²)

`rbf_ard` is the kernel as an object of TensorFlow Probability. `kernel_matrix` computes the same
matrix with one GEMM forward and one backward, where automatic differentiation of the object takes
two backward and keeps several N x N matrices alive.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp
from check_shapes import check_shapes

from deepcoder_tf.numerics import symmetric_matmul

__all__ = [
    "DEAD_KERNEL",
    "check_alive",
    "covariance",
    "data_kernel_matrix",
    "kernel_matrix",
    "max_off_diagonal",
    "median_lengthscale",
    "rbf_ard",
]

DEAD_KERNEL = 1e-6
"""With the largest correlation of two points below this, the matrix is a multiple of the unit
matrix, the gradient to the lengthscales is zero, and training does not move."""

# Pairs of this many points estimate the median distance well enough (half a million pairs).
_MEDIAN_POINTS = 1000


def rbf_ard(
    amplitude_variance: tf.Tensor, lengthscales: tf.Tensor
) -> tfp.math.psd_kernels.PositiveSemidefiniteKernel:
    """The RBF-ARD kernel in the language of TensorFlow Probability.

    Build it inside the function that uses it: Keras does not track what it holds.

    Args:
      amplitude_variance: scalar a, k(x, x), in squared units of the output.
      lengthscales: `[D]`, in units of the inputs.

    Returns:
      `FeatureScaled(ExponentiatedQuadratic)`.
    """
    kernels = tfp.math.psd_kernels
    return kernels.FeatureScaled(
        kernels.ExponentiatedQuadratic(amplitude=tf.sqrt(amplitude_variance)),
        scale_diag=lengthscales,
    )


@check_shapes("amplitude_variance: []", "lengthscales: [D]", "X: [N, D]", "X2: [M, D]")
def kernel_matrix(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    X: tf.Tensor,
    X2: tf.Tensor | None = None,
) -> tf.Tensor:
    """k(X, X) or k(X, X2) of `rbf_ard`, by matrix products; memory grows with N², not N² D.

    The inputs are centred first, because ‖x‖² + ‖x'‖² - 2 xᵀx' loses digits far from the origin,
    and squared distances are clipped at 0. Differentiable in every argument; wrap `X` in
    `tf.stop_gradient` where it is data.

    Args:
      amplitude_variance: scalar a.
      lengthscales: ℓ, positive.
      X: inputs.
      X2: other inputs; None means X, with a diagonal of exactly a.

    Returns:
      `[N, N]` or `[N, M]`.
    """
    inverse = 1.0 / lengthscales
    centre = tf.stop_gradient(tf.reduce_mean(X if X2 is None else X2, axis=0))
    U = (X - centre) * inverse
    if X2 is None:
        return amplitude_variance * _correlation(U)
    V = (X2 - centre) * inverse
    # -½ ‖u - v‖² = uᵀv - ½ ‖u‖² - ½ ‖v‖²
    exponent = tf.matmul(U, V, transpose_b=True) - _half_norms(U)[:, tf.newaxis] - _half_norms(V)
    return amplitude_variance * tf.exp(tf.minimum(exponent, 0.0))


def _half_norms(U: tf.Tensor) -> tf.Tensor:
    """½ ‖u_i‖², `[N]`."""
    return 0.5 * tf.reduce_sum(tf.square(U), axis=1)


@tf.custom_gradient
def _correlation(U: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """R with R_ij = exp(-½ ‖u_i - u_j‖²), the diagonal exactly 1.

    ∂R_ij/∂u_i = -R_ij (u_i - u_j), so that for an upstream gradient G and H = (G + Gᵀ) ∘ R the
    gradient is H U - diag(H 1) U: one GEMM.
    """
    half = _half_norms(U)
    exponent = symmetric_matmul(U, U) - (half[:, tf.newaxis] + half)
    R = tf.exp(tf.minimum(exponent, 0.0))
    R = tf.linalg.set_diag(R, tf.ones_like(half))

    def grad(G: tf.Tensor) -> tf.Tensor:
        H = (G + tf.transpose(G)) * R
        return tf.matmul(H, U) - tf.reduce_sum(H, axis=1, keepdims=True) * U

    return R, grad


@check_shapes(
    "amplitude_variance: []",
    "lengthscales: [D]",
    "X: [N, D]",
    "X2: [M, D]",
    "return: [N, M]",
)
def data_kernel_matrix(
    amplitude_variance: tf.Tensor, lengthscales: tf.Tensor, X: tf.Tensor, X2: tf.Tensor
) -> tf.Tensor:
    """k(X, X2) of inputs that are data: no gradient reaches them, and that to ℓ is one GEMM.

    Args:
      amplitude_variance: scalar a.
      lengthscales: ℓ, positive.
      X: inputs.
      X2: other inputs.

    Returns:
      `[N, M]`, the values of `kernel_matrix`.
    """
    centre = tf.reduce_mean(X2, axis=0)
    x, y = tf.stop_gradient(X - centre), tf.stop_gradient(X2 - centre)
    return amplitude_variance * _data_correlation(x, y)(1.0 / lengthscales)


def _data_correlation(x: tf.Tensor, y: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function 1/ℓ -> R, R_ij = exp(-½ Σ_d (x_id - y_jd)² / ℓ_d²)."""

    @tf.custom_gradient
    def function(inverse: tf.Tensor) -> tuple:
        u, v = x * inverse, y * inverse
        exponent = (
            tf.matmul(u, v, transpose_b=True) - _half_norms(u)[:, tf.newaxis] - _half_norms(v)
        )
        R = tf.exp(tf.minimum(exponent, 0.0))

        def grad(G: tf.Tensor) -> tf.Tensor:
            # With H = G ∘ R:  -1/ℓ_d Σ_ij H_ij (x_id - y_jd)², multiplied out.
            H = G * R
            squares = tf.linalg.matvec(tf.square(x), tf.reduce_sum(H, axis=1), transpose_a=True)
            squares += tf.linalg.matvec(tf.square(y), tf.reduce_sum(H, axis=0), transpose_a=True)
            return inverse * (2.0 * tf.reduce_sum(x * tf.matmul(H, y), axis=0) - squares)

        return R, grad

    return function


@check_shapes(
    "amplitude_variance: []",
    "lengthscales: [D]",
    "noise_variance: []",
    "X: [N, D]",
    "return: [N, N]",
)
def covariance(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    noise_variance: tf.Tensor,
    X: tf.Tensor,
) -> tf.Tensor:
    """C = k(X, X) + σ² I, the covariance of noisy outputs (Eq. 13, 14).

    Args:
      amplitude_variance: scalar a.
      lengthscales: ℓ, positive.
      noise_variance: scalar σ²: all that stands on the diagonal beyond a. Jitter is a part of it,
        the same in training, prediction and export; `numerics.relative_jitter` tells how much.
      X: inputs.

    Returns:
      C, symmetric positive definite.
    """
    K = kernel_matrix(amplitude_variance, lengthscales, X)
    return tf.linalg.set_diag(K, tf.fill([tf.shape(X)[0]], amplitude_variance + noise_variance))


@check_shapes("X: [N, D]", "return: []")
def median_lengthscale(X: tf.Tensor) -> tf.Tensor:
    """The lengthscale, equal for all dimensions, at which the median squared distance is 1.

    Above 1000 points an evenly spaced thousand of them stands for all.

    Args:
      X: inputs, at least two different points.

    Returns:
      sqrt(median_{i<j} ‖x_i - x_j‖²), in units of the inputs.

    Raises:
      ValueError: if X has fewer than two points.
    """
    if X.shape[0] is not None and X.shape[0] < 2:
        raise ValueError(f"the median distance needs at least two points, got {X.shape[0]}")
    N = tf.shape(X)[0]
    n = tf.minimum(N, _MEDIAN_POINTS)
    X = tf.gather(X, tf.range(n) * (N - 1) // tf.maximum(n - 1, 1))
    X = X - tf.reduce_mean(X, axis=0)
    half = _half_norms(X)
    squares = 2.0 * (half[:, tf.newaxis] + half - symmetric_matmul(X, X))
    above_diagonal = tf.range(n)[:, tf.newaxis] < tf.range(n)
    return tf.sqrt(
        tfp.stats.percentile(
            tf.boolean_mask(tf.maximum(squares, 0.0), above_diagonal),
            50.0,
            interpolation="midpoint",
        )
    )


@check_shapes("K: [N, N]", "return: []")
def max_off_diagonal(K: tf.Tensor) -> tf.Tensor:
    """Largest entry of a kernel matrix beside its diagonal.

    Args:
      K: kernel or covariance matrix.

    Returns:
      Scalar, in the unit of K.
    """
    return tf.reduce_max(tf.linalg.set_diag(K, tf.zeros_like(tf.linalg.diag_part(K))))


def check_alive(K: tf.Tensor, amplitude_variance: float, name: str) -> bool:
    """Warns when every point is too far from every other for the kernel to learn anything.

    Call it once, eagerly, on the matrix at the start of training.

    Args:
      K: `[N, N]` kernel or covariance matrix.
      amplitude_variance: a, for the scale of K.
      name: what to call the kernel in the warning, for example "encoder".

    Returns:
      Whether the kernel is alive.
    """
    largest = float(max_off_diagonal(K)) / float(amplitude_variance)
    if largest >= DEAD_KERNEL:
        return True
    warnings.warn(
        f"the {name} kernel starts dead: the largest correlation of two points is {largest:.1e}, "
        f"below {DEAD_KERNEL:.0e}, so that lengthscales get no gradient; start them at "
        "median_lengthscale of the inputs",
        RuntimeWarning,
        stacklevel=2,
    )
    return False
