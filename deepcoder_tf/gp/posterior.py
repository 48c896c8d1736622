"""The predictive distribution of a trained Gaussian process, frozen to plain arrays.

Prediction is matrix products and exponentials only, so that it exports to any format. The variance
is a sum of squares with L⁻¹ rather than a product with C⁻¹: in float32 ten times more accurate.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.gp.kernels import covariance, kernel_matrix
from deepcoder_tf.gp.leave_one_out import factorise
from deepcoder_tf.numerics import relative_jitter

__all__ = ["MAX_JITTER", "FrozenPosterior", "freeze", "predict"]

# Relative to the kernel's variance: more would no longer be the model that was trained.
MAX_JITTER = 1e-2


class FrozenPosterior(NamedTuple):
    """Everything prediction needs: tensors, or weights read as tensors.

    Attributes:
      inputs: `[N, D]`, training inputs.
      alpha: `[N, K]`, C⁻¹ times the centred targets.
      L_inv: `[N, N]`, inverse of the lower factor of C.
      offset: `[K]`, mean of the targets.
      amplitude_variance: scalar a.
      lengthscales: `[D]`.
      noise_variance: scalar, all that is on the diagonal of C beyond a: noise and jitter.
    """

    inputs: tf.Tensor
    alpha: tf.Tensor
    L_inv: tf.Tensor
    offset: tf.Tensor
    amplitude_variance: tf.Tensor
    lengthscales: tf.Tensor
    noise_variance: tf.Tensor


@check_shapes(
    "amplitude_variance: []",
    "lengthscales: [D]",
    "noise_variance: []",
    "inputs: [N, D]",
    "targets: [N, K]",
    "offset: [K]",
)
def freeze(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    noise_variance: tf.Tensor,
    inputs: tf.Tensor,
    targets: tf.Tensor,
    offset: tf.Tensor | None = None,
) -> FrozenPosterior:
    """Factorises once and keeps what prediction needs. Eager only: it may have to try again.

    The first try is the model itself. Where rounding makes its covariance indefinite, jitter grows
    tenfold until it is not; the added jitter then also counts in the predicted variance.

    Args:
      amplitude_variance: scalar a, in squared units of the targets.
      lengthscales: in units of the inputs.
      noise_variance: scalar σ².
      inputs: training inputs.
      targets: training targets, with their mean.
      offset: mean of the targets, which prediction adds again; None is 0.

    Returns:
      The frozen posterior, in the type of the inputs.

    Raises:
      ValueError: if the covariance is not positive definite with a jitter of `MAX_JITTER` a.
    """
    offset = tf.zeros_like(targets[0]) if offset is None else offset
    C = covariance(amplitude_variance, lengthscales, noise_variance, inputs)
    jitter = relative_jitter(inputs.dtype)
    extra = 0.0
    while True:
        factors = factorise(C, extra * amplitude_variance)
        if bool(factors.ok):
            break
        extra = jitter * 10.0 if extra == 0.0 else extra * 10.0
        if extra > MAX_JITTER * (1.0 + 1e-9):
            raise ValueError(_indefinite(amplitude_variance, lengthscales, noise_variance))
    return FrozenPosterior(
        inputs=inputs,
        alpha=tf.matmul(factors.P, targets - offset),
        L_inv=factors.L_inv,
        offset=offset,
        amplitude_variance=amplitude_variance,
        lengthscales=lengthscales,
        noise_variance=noise_variance + (jitter + extra) * amplitude_variance,
    )


def _indefinite(
    amplitude_variance: tf.Tensor, lengthscales: tf.Tensor, noise_variance: tf.Tensor
) -> str:
    return (
        f"the kernel matrix is not positive definite even with jitter {MAX_JITTER:g}: "
        f"amplitude variance {float(amplitude_variance):g}, noise variance "
        f"{float(noise_variance):g}, lengthscales {float(tf.reduce_min(lengthscales)):g} to "
        f"{float(tf.reduce_max(lengthscales)):g}; check the inputs for NaN, lower the learning "
        "rate or raise the noise floor"
    )


@check_shapes("x: [B, D]", "return[0]: [B, K]", "return[1]: [B]")
def predict(posterior: FrozenPosterior, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of a noisy output at new inputs.

        mean = b + k α,   var = a + σ² - ‖L⁻¹ k‖²

    Args:
      posterior: from `freeze`.
      x: new inputs, in the type of the posterior.

    Returns:
      Means, and variances, which the K outputs share; at least the noise variance.
    """
    p = posterior
    k = kernel_matrix(p.amplitude_variance, p.lengthscales, x, p.inputs)
    mean = p.offset + tf.matmul(k, p.alpha)
    explained = tf.reduce_sum(tf.square(tf.matmul(k, p.L_inv, transpose_b=True)), axis=1)
    # Rounding may explain a little more than there is.
    return mean, p.noise_variance + tf.nn.relu(p.amplitude_variance - explained)
