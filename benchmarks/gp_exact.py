"""The exact VO-GPAE (--gp=exact) at its largest size: seconds per step, share of the peak, memory.

    python benchmarks/gp_exact.py [--points 5000] [--steps 2] > gp_exact_5000.json

A step is that of the training loop: the bound on all N frames at once, its gradient to every
parameter, Adam; D0 = 2000, D1 = 50, Q = 12, float64. `share_of_peak` is the rate at which the floor
of operations (`gp_step.py` counts it) is done, over the rate of TensorFlow's own product Z0 Z0ᵀ in
the same run; `share_of_peak_numpy` is that over NumPy's. Peaks are those of the process, codes,
caches, optimizer and libraries included: after steps, and after the caches of prediction.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from environment import Record, best_seconds, peak_mb, seconds
from gp_step import D0, D1, LEVELS, Q, floor

from deepcoder_tf.coders import VOGPAE
from deepcoder_tf.training.step import Step, make_optimizer
from deepcoder_tf.types import Gaussian


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=5000, help="N")
    parser.add_argument("--steps", type=int, default=2, help="timed steps, the best counts")
    options = parser.parse_args()
    N = options.points
    record = Record("tensorflow", "tensorflow-probability")
    rng = np.random.default_rng(N)
    z = Gaussian(
        rng.standard_normal((N, D0), np.float32), rng.uniform(0.05, 0.2, (N, D0)).astype(np.float32)
    )
    labels = rng.integers(-1, LEVELS, (N, Q)).astype(np.int32)
    Z0 = tf.constant(z.mean, tf.float64)
    array, transpose = Z0.numpy(), Z0.numpy().T.copy()
    gemm = tf.function(lambda: tf.matmul(Z0, Z0, transpose_b=True)[0, 0], autograph=False)
    products = best_seconds(
        {"gemm": lambda: gemm().numpy(), "gemm_numpy": lambda: array @ transpose}, 2
    )
    rates = {name: 2.0 * N**2 * D0 / time for name, time in products.items()}

    coder = VOGPAE(N, D0, D1, Q, name="coder")
    coder.build()
    coder.observe(z, labels, first=True)
    step = Step(coder, make_optimizer("adam", 1e-2), lambda z_in, seed: z_in, None, 100.0)
    given = Gaussian(*map(tf.constant, z)), tf.constant(labels), tf.range(N), None
    one, points = tf.constant(1.0), tf.constant(float(N))

    def one_step() -> None:
        step.run(*given, one, one, points, tf.constant([0, 1]))["bound"].numpy()

    best = best_seconds({"step": one_step}, options.steps)["step"]
    peak = peak_mb()
    refresh = seconds(coder.refresh)
    rate = floor(N) / best
    record.report(
        {**vars(options), "D0": D0, "D1": D1, "Q": Q, "dtype": "float64"},
        {
            "gemm_gflops": {name: rate / 1e9 for name, rate in rates.items()},
            "floor_gflop": floor(N) / 1e9,
            "step_seconds": best,
            "share_of_peak": rate / rates["gemm"],
            "share_of_peak_numpy": rate / rates["gemm_numpy"],
            "refresh_seconds": refresh,
            "peak_memory_mb": {"steps": peak, "refresh": peak_mb()},
        },
    )


if __name__ == "__main__":
    main()
