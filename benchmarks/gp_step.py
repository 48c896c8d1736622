"""One VO-GPAE training step's algebra against its floor of floating-point operations.

    python benchmarks/gp_step.py [--points 500 1000] [--repeats 7] > gp_step.json

For each N: the encoder's covariance and its leave-one-out prediction, a sample, the decoder's
covariance and log-likelihood, the divergence, the ordinal term, and the gradient of all of it to
every parameter; float64, D0 = 2000, D1 = 50, Q = 12. `ratio` is the time of the whole step over the
time that its floor would take at the rate of TensorFlow's own float64 product of such matrices,
measured between the repeats of the same run, so that it depends little on the machine and its
load; `ratio_numpy`, the stricter, takes the rate of NumPy's product, which is faster where
TensorFlow has no tuned kernel for float64. Parts are timed by themselves, forward and backward.

The floor counts, in operations: both products for k0 and its gradient 4 N² D0; for each of two
covariances a Cholesky factor and inverse N³; backward through leave-one-out 2 N³; α = P1 Z0 and
(half of) α αᵀ 3 N² D0; and everything that has width D1, 18 N² D1.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from environment import Record, best_seconds, peak_mb

from deepcoder_tf.gp import kernels, leave_one_out
from deepcoder_tf.likelihoods import gaussian, ordinal
from deepcoder_tf.types import Gaussian

D0, D1, Q, LEVELS = 2000, 50, 12, 6


def floor(N: int) -> float:
    """Operations that one step cannot do without; see the text above."""
    return 7.0 * N**2 * D0 + 4.0 * N**3 + 18.0 * N**2 * D1


def parameters(N: int, rng: np.random.Generator) -> dict[str, tf.Tensor]:
    """Random parameters of a step in the middle of training."""
    values = {
        "M": rng.standard_normal((N, D1)),
        "S": np.full((N, D1), 0.1),
        "lengthscales0": np.full(D0, np.sqrt(2.0 * D0)),
        "lengthscales1": np.full(D1, np.sqrt(D1)),
        "amplitude0": np.array(1.0),
        "amplitude1": np.array(1.0),
        "noise0": np.array(0.1),
        "noise1": np.array(0.5),
        "W": 0.1 * rng.standard_normal((Q, D1)),
        "raw_first": np.zeros(Q),
        "raw_gaps": np.zeros((Q, LEVELS - 2)),
    }
    return {name: tf.constant(value, tf.float64) for name, value in values.items()}


def bound(theta: dict, Z0: tf.Tensor, labels: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Eq. 9 with one sample of Z1."""
    t = theta
    C0 = kernels.covariance(t["amplitude0"], t["lengthscales0"], t["noise0"], Z0)
    mean, var = leave_one_out.loo(C0, t["M"])
    q = Gaussian(mean, t["S"] + var[:, tf.newaxis])
    Z1 = q.mean + tf.sqrt(q.var) * epsilon
    C1 = kernels.covariance(t["amplitude1"], t["lengthscales1"], t["noise1"], Z1)
    recon = leave_one_out.gp_log_likelihood(C1, Z0)
    gamma = ordinal.cutpoints(t["raw_first"], t["raw_gaps"])
    label = ordinal.expected_log_prob(labels, t["W"], gamma, q.mean, q.var)
    return recon - tf.reduce_sum(gaussian.kl_diagonal(q)) + tf.reduce_sum(label)


def with_gradient(function: Callable, *arguments) -> Callable[[], None]:
    """A compiled call of a function with the gradient of its outputs to all its arguments."""

    @tf.function(autograph=False)
    def step(*given):
        with tf.GradientTape() as tape:
            tape.watch(given)
            value = tf.add_n([tf.reduce_sum(v) for v in tf.nest.flatten(function(*given))])
        return value, tape.gradient(value, given)

    return lambda: step(*arguments)[0].numpy()


def parts(N: int) -> dict[str, Callable[[], None]]:
    """The step, its parts, the GEMM that sets the scale, and the kernel object for comparison."""
    rng = np.random.default_rng(N)
    theta = parameters(N, rng)
    Z0 = tf.constant(rng.standard_normal((N, D0)))
    labels = tf.constant(rng.integers(-1, LEVELS, (N, Q)), tf.int32)
    epsilon = tf.constant(rng.standard_normal((N, D1)))
    t, amplitude, noise = theta, theta["amplitude0"], theta["noise0"]
    C0 = kernels.covariance(amplitude, t["lengthscales0"], noise, Z0)
    C1 = kernels.covariance(amplitude, t["lengthscales1"], noise, epsilon)
    gamma = ordinal.cutpoints(t["raw_first"], t["raw_gaps"])
    left, right = Z0.numpy(), Z0.numpy().T.copy()
    gemm = tf.function(lambda: tf.matmul(Z0, Z0, transpose_b=True)[0, 0], autograph=False)
    return {
        "gemm": lambda: gemm().numpy(),
        "gemm_numpy": lambda: left @ right,
        "step": with_gradient(lambda p: bound(p, Z0, labels, epsilon), theta),
        "encoder_kernel": with_gradient(
            lambda a, ls: kernels.kernel_matrix(a, ls, Z0), amplitude, t["lengthscales0"]
        ),
        "encoder_kernel_tfp_autodiff": with_gradient(
            lambda a, ls: kernels.rbf_ard(a, ls).matrix(Z0, Z0), amplitude, t["lengthscales0"]
        ),
        "factorise": with_gradient(lambda C: leave_one_out.factorise(C).P + 0.0 * C, C0),
        "leave_one_out": with_gradient(leave_one_out.loo, C0, t["M"]),
        "decoder_kernel": with_gradient(
            kernels.kernel_matrix, amplitude, t["lengthscales1"], epsilon
        ),
        "decoder_log_likelihood": with_gradient(
            lambda C: leave_one_out.gp_log_likelihood(C, Z0), C1
        ),
        "ordinal": with_gradient(
            lambda W, g, m, v: ordinal.expected_log_prob(labels, W, g, m, v),
            t["W"],
            gamma,
            epsilon,
            t["S"],
        ),
    }


def measure(N: int, repeats: int) -> dict[str, float]:
    """Best times of repeats in turns, and the ratio to the floor."""
    best = best_seconds(parts(N), repeats)
    product = 2.0 * N**2 * D0
    rate, numpy_rate = product / best["gemm"], product / best["gemm_numpy"]
    return {
        "points": N,
        "gemm_gflops": {"tensorflow": rate / 1e9, "numpy": numpy_rate / 1e9},
        "floor_gflop": floor(N) / 1e9,
        "floor_seconds": floor(N) / rate,
        "ratio": best["step"] / (floor(N) / rate),
        "ratio_numpy": best["step"] / (floor(N) / numpy_rate),
        **{f"{name}_seconds": seconds for name, seconds in best.items()},
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[500, 1000], help="values of N")
    parser.add_argument("--repeats", type=int, default=7, help="timed repeats, the best counts")
    options = parser.parse_args()
    record = Record("tensorflow", "tensorflow-probability")
    steps = [measure(N, options.repeats) for N in options.points]
    record.report(
        {**vars(options), "D0": D0, "D1": D1, "Q": Q, "dtype": "float64"},
        {"steps": steps, "peak_memory_mb": peak_mb()},
    )


if __name__ == "__main__":
    main()
