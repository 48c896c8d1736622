"""The predictive distribution of a trained Gaussian process, frozen to plain arrays.

Prediction is matrix products and exponentials only, so that it exports to any format. The variance
is a sum of squares with L⁻¹ rather than a product with C⁻¹: in float32 ten times more accurate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import tensorflow as tf
from check_shapes import check_shapes

from deepcoder_tf.gp.centred import centred_rows
from deepcoder_tf.gp.kernels import covariance, kernel_matrix
from deepcoder_tf.gp.leave_one_out import Factors, factorise, loo_predictions
from deepcoder_tf.numerics import relative_jitter

__all__ = [
    "MAX_JITTER",
    "FrozenPosterior",
    "factorise_with_jitter",
    "for_single_precision",
    "freeze",
    "predict",
    "propagated_variance",
]

MAX_JITTER = 1e-2
"""Relative to the kernel's variance: more would no longer be the model that was trained."""


SINGLE = ContextVar("SINGLE", default=False)
"""Whether prediction takes the form of `for_single_precision`."""


@contextmanager
def for_single_precision() -> Iterator[None]:
    """Predictions traced inside stay right when their graph is turned into single precision.

    They are the same numbers, from more constants: worth it where constants are computed once.
    """
    token = SINGLE.set(True)
    try:
        yield
    finally:
        SINGLE.reset(token)


class FrozenPosterior(NamedTuple):
    """Everything that prediction needs.

    Attributes:
      inputs: `[N, D]`, training inputs.
      alpha: `[N, K]`, C⁻¹ times the targets.
      L_inv: `[N, N]`, inverse of the lower factor of C.
      amplitude_variance: scalar a.
      lengthscales: `[D]`.
      noise_variance: scalar, all that stands on the diagonal of C beyond a.
      spread: `[N, N]`, a square root R of what uncertain targets add to the variance, ‖R k‖²;
        None where the targets are known.
    """

    inputs: tf.Tensor
    alpha: tf.Tensor
    L_inv: tf.Tensor
    amplitude_variance: tf.Tensor
    lengthscales: tf.Tensor
    noise_variance: tf.Tensor
    spread: tf.Tensor | None = None


@check_shapes("amplitude_variance: []", "lengthscales: [D]", "noise_variance: []", "inputs: [N, D]")
def factorise_with_jitter(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    noise_variance: tf.Tensor,
    inputs: tf.Tensor,
) -> tuple[Factors, tf.Tensor]:
    """Factors of the covariance, with as much jitter as that takes.

    The first try is the model itself. Where rounding makes its covariance indefinite, jitter grows
    tenfold until it is not. Eager only, because how often it tries depends on values.

    Args:
      amplitude_variance: scalar a.
      lengthscales: in units of the inputs.
      noise_variance: scalar σ², as in `kernels.covariance`.
      inputs: of the process.

    Returns:
      The factors of C, and what now stands on its diagonal beyond a.

    Raises:
      ValueError: if the covariance is not positive definite with a jitter of `MAX_JITTER` a.
    """
    C = covariance(amplitude_variance, lengthscales, noise_variance, inputs)
    jitter = 0.0
    while not bool((factors := factorise(C, jitter * amplitude_variance)).ok):
        jitter = 10.0 * (jitter or relative_jitter(inputs.dtype))
        if jitter > MAX_JITTER * (1.0 + 1e-6):
            raise ValueError(_indefinite(amplitude_variance, lengthscales, noise_variance))
    return factors, noise_variance + jitter * amplitude_variance


@check_shapes(
    "amplitude_variance: []",
    "lengthscales: [D]",
    "noise_variance: []",
    "inputs: [N, D]",
    "targets: [N, K]",
)
def freeze(
    amplitude_variance: tf.Tensor,
    lengthscales: tf.Tensor,
    noise_variance: tf.Tensor,
    inputs: tf.Tensor,
    targets: tf.Tensor,
) -> tuple[FrozenPosterior, tuple[tf.Tensor, tf.Tensor]]:
    """Factorises the covariance once and keeps what prediction needs.

    Where rounding makes it indefinite, the jitter that cures it counts in the predicted variance
    too. Eager only.

    Args:
      amplitude_variance: scalar a, in squared units of the targets.
      lengthscales: in units of the inputs.
      noise_variance: scalar σ², as in `kernels.covariance`.
      inputs: training inputs.
      targets: training targets, whose mean has been subtracted.

    Returns:
      The frozen posterior, and the leave-one-out means `[N, K]` and variances `[N]` of the targets.

    Raises:
      ValueError: if the covariance is not positive definite with a jitter of `MAX_JITTER` a.
    """
    factors, noise_variance = factorise_with_jitter(
        amplitude_variance, lengthscales, noise_variance, inputs
    )
    posterior = FrozenPosterior(
        inputs=inputs,
        alpha=tf.matmul(factors.P, targets),
        L_inv=factors.L_inv,
        amplitude_variance=amplitude_variance,
        lengthscales=lengthscales,
        noise_variance=noise_variance,
    )
    return posterior, loo_predictions(factors, targets)


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

        mean = k α,   var = a + σ² - ‖L⁻¹ k‖² [ + ‖R k‖² ]

    Args:
      posterior: from `freeze`.
      x: new inputs, in the type of the posterior.

    Returns:
      Means, and variances, which the K outputs share; the noise variance or more.
    """
    p = posterior
    if SINGLE.get():
        return predict_centred(p, x)
    k = kernel_matrix(p.amplitude_variance, p.lengthscales, x, p.inputs)
    explained = tf.reduce_sum(tf.square(tf.matmul(k, p.L_inv, transpose_b=True)), axis=1)
    # Rounding may explain a little more than there is.
    var = p.noise_variance + tf.nn.relu(p.amplitude_variance - explained)
    if p.spread is not None:
        var += tf.reduce_sum(tf.square(tf.matmul(k, p.spread, transpose_b=True)), axis=1)
    return tf.matmul(k, p.alpha), var


@check_shapes("x: [B, D]", "return[0]: [B, K]", "return[1]: [B]")
def predict_centred(posterior: FrozenPosterior, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`predict` with everything relative to the centre of the inputs; see `gp.centred`.

    With k = g + δ, a square ‖R k‖² is ‖R g‖² + 2 (Rᵀ R g)ᵀ δ + ‖R δ‖².

    Args:
      posterior: from `freeze`.
      x: new inputs.

    Returns:
      As `predict`.
    """
    p = posterior
    k = centred_rows(p.amplitude_variance, p.lengthscales, x, p.inputs)

    def change_of_square(R: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """‖R g‖², a constant, and ‖R k‖² - ‖R g‖² `[B]`."""
        Rg = tf.linalg.matvec(R, k.at_centre)
        slope = 2.0 * tf.linalg.matvec(R, Rg, transpose_a=True)
        change = k.change_times(slope[:, tf.newaxis])[:, 0]
        change += tf.reduce_sum(tf.square(tf.matmul(k.change, R, transpose_b=True)), axis=1)
        return tf.reduce_sum(tf.square(Rg)), change

    explained, change = change_of_square(p.L_inv)
    var = p.noise_variance + tf.nn.relu((p.amplitude_variance - explained) - change)
    if p.spread is not None:
        spread, change = change_of_square(p.spread)
        var += tf.nn.relu(spread + change)
    return k.at_centre_times(p.alpha) + k.change_times(p.alpha), var


@check_shapes("x: [B, D]", "target_var: [N, K]", "return: [B, K]")
def propagated_variance(
    posterior: FrozenPosterior, x: tf.Tensor, target_var: tf.Tensor
) -> tf.Tensor:
    """Variance that uncertain training targets add to the predicted mean.

        var_k = k C⁻¹ diag(S_k) C⁻¹ kᵀ

    Args:
      posterior: from `freeze`.
      x: new inputs, in the type of the posterior.
      target_var: S, variances of the training targets.

    Returns:
      Variances for each output, to be added to that of `predict`.
    """
    p = posterior
    if SINGLE.get():
        rows = centred_rows(p.amplitude_variance, p.lengthscales, x, p.inputs)
        gain = tf.matmul(tf.matmul(rows.change, p.L_inv, transpose_b=True), p.L_inv)
        at_centre = tf.matmul(rows.at_centre[tf.newaxis], p.L_inv, transpose_b=True)
        gain += tf.matmul(at_centre, p.L_inv)
    else:
        k = kernel_matrix(p.amplitude_variance, p.lengthscales, x, p.inputs)
        gain = tf.matmul(tf.matmul(k, p.L_inv, transpose_b=True), p.L_inv)  # k C⁻¹
    return tf.matmul(tf.square(gain), target_var)
