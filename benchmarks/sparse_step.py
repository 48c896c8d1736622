"""One training step of the sparse VO-GPAE: whether N enters its time, and its floor of operations.

    python benchmarks/sparse_step.py [--frames 5000 20000 100000] [--repeats 20] > sparse_step.json

A step is what the training loop does from one update to the next: gather the codes of a balanced
batch of 512 of N frames, differentiate the bound, update every parameter with Adam; D0 = 2000,
D1 = 50, Q = 12, 512 anchors, 256 inducing codes, float64. The draw of the batch, which the loop
makes for many steps at once, is timed by itself and added. Values of N are timed in turns;
`times_first` is the time over that of the first. `ratio` is the time of the step over the time that
its floor would take at the rate of TensorFlow's own float64 product, `ratio_numpy` at that of
NumPy's, each measured between the repeats of the same run.

The floor counts, in operations, with m_e anchors, m_d inducing codes and a batch of B: for K_UU and
its gradient 3 m_e² D0 (half of the symmetric product, then one product); for k(z, U) and its
gradient 4 B m_e D0; for T A, its gradient and that of A 6 B m_d D0; for the Cholesky factors and
inverses m_e³ + m_d³; for whitening with them and its gradient 4 B (m_e² + m_d²) + 2 m_e² B.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from environment import Record, best_seconds, peak_mb

from deepcoder_tf.action_units import LEVELS
from deepcoder_tf.coders import SparseVOGPAE
from deepcoder_tf.training.balance import balanced_probabilities, sample_epoch
from deepcoder_tf.training.data import batches
from deepcoder_tf.training.step import Step, make_optimizer
from deepcoder_tf.types import Gaussian

D0, D1, Q, ANCHORS, INDUCING, BATCH, SUBJECTS = 2000, 50, 12, 512, 256, 512, 18
DRAWN = 8
"""Batches that one timed draw makes."""


def floor() -> float:
    """Operations that one step cannot do without; see the text above."""
    kernels = 3.0 * ANCHORS**2 * D0 + 4.0 * BATCH * ANCHORS * D0
    outputs = 6.0 * BATCH * INDUCING * D0
    factors = ANCHORS**3 + INDUCING**3
    return kernels + outputs + factors + BATCH * (6.0 * ANCHORS**2 + 4.0 * INDUCING**2)


def frames(count: int) -> dict[str, np.ndarray]:
    """Random codes of faces, float32, and mostly neutral labels."""
    rng = np.random.default_rng(count)
    active = rng.random((count, Q), np.float32) < 0.08
    labels = np.where(active, rng.integers(1, LEVELS, (count, Q)), 0)
    return {
        "mean": rng.standard_normal((count, D0), np.float32),
        "var": np.full((count, D0), 0.1, np.float32),
        "labels": labels.astype(np.int32),
    }


def trained(parts: dict[str, np.ndarray]) -> Step:
    """The compiled step of a coder that owns evenly spread frames."""
    coder = SparseVOGPAE(ANCHORS, D0, D1, Q, inducing=INDUCING)
    coder.build()
    rows = np.linspace(0, len(parts["labels"]) - 1, ANCHORS).astype(int)
    own = Gaussian(parts["mean"][rows], parts["var"][rows])
    coder.observe(own, parts["labels"][rows], first=True)
    return Step(coder, make_optimizer("adam", 1e-3), lambda z_in, seed: z_in, None, 100.0)


def calls_of(count: int, repeats: int) -> dict[str, Callable[[], object]]:
    """A step with N frames, and the draw of some batches."""
    parts = frames(count)
    step = trained(parts)
    subjects = np.arange(count) * SUBJECTS // count
    probabilities, rng = balanced_probabilities(parts["labels"], subjects), np.random.default_rng(0)
    drawn = iter(batches(parts, sample_epoch(probabilities, BATCH, repeats + 1, rng)))
    weight, points = tf.constant(1.0), tf.constant(float(count))

    def one_step() -> None:
        batch = next(drawn)
        z_in = Gaussian(batch["mean"], batch["var"])
        given = batch["labels"], batch["index"], None, weight, weight, points
        step.run(z_in, *given, tf.constant([0, 1]))["bound"].numpy()

    return {
        f"step {count}": one_step,
        f"draw {count}": lambda: sample_epoch(probabilities, BATCH, DRAWN, rng),
    }


def products() -> dict[str, Callable[[], object]]:
    """The matrix products that set the scale."""
    left, right = np.random.default_rng(0).standard_normal((2, BATCH, D0))
    a, b = tf.constant(left), tf.constant(right)
    gemm = tf.function(lambda: tf.matmul(a, b, transpose_b=True)[0, 0], autograph=False)
    return {"gemm": lambda: gemm().numpy(), "gemm_numpy": lambda: left @ right.T}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--frames", type=int, nargs="+", default=[5000, 20000, 100000], help="values of N"
    )
    parser.add_argument("--repeats", type=int, default=20, help="timed repeats, the best counts")
    options = parser.parse_args()
    record = Record("tensorflow", "tensorflow-probability")
    calls = products()
    for count in options.frames:
        calls |= calls_of(count, options.repeats)
    # NumPy's threads spin on for a while after their product: no step comes right behind it.
    order = ("gemm_numpy", "draw", "gemm", "step")
    calls = dict(sorted(calls.items(), key=lambda call: order.index(call[0].split()[0])))
    best = best_seconds(calls, options.repeats)
    draws = {count: best[f"draw {count}"] / DRAWN for count in options.frames}
    per_step = {count: best[f"step {count}"] + draws[count] for count in options.frames}
    product = 2.0 * BATCH * BATCH * D0
    rates = {name: product / best[name] for name in ("gemm", "gemm_numpy")}
    steps = [
        {
            "frames": count,
            "step_seconds": seconds,
            "draw_seconds": draws[count],
            "times_first": seconds / per_step[options.frames[0]],
            "ratio": seconds / (floor() / rates["gemm"]),
            "ratio_numpy": seconds / (floor() / rates["gemm_numpy"]),
            "codes_mb": 8.0 * count * D0 / 2**20,
        }
        for count, seconds in per_step.items()
    ]
    record.report(
        {
            **vars(options),
            **{"D0": D0, "D1": D1, "Q": Q, "anchors": ANCHORS, "inducing": INDUCING},
            "batch": BATCH,
            "dtype": "float64",
        },
        {
            "gemm_gflops": {name: rate / 1e9 for name, rate in rates.items()},
            "floor_gflop": floor() / 1e9,
            "steps": steps,
            "peak_memory_mb": peak_mb(),
        },
    )


if __name__ == "__main__":
    main()
