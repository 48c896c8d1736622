"""Writes tests/gp/data/gpflow_svgp.npz: bounds and predictions of GPflow's sparse GP.

    python -m venv VENV
    VENV/bin/pip install gpflow==2.11.2 tensorflow==2.21.0
    VENV/bin/python tools/make_gpflow_reference.py

GPflow needs numpy below 2, hence an environment of its own; tests read the file, never GPflow. The
problem is random: shared kernel and noise, D0 outputs, whitened q(u), a data set of N frames and
one batch of it. The versions that made the file are inside it.
"""

from __future__ import annotations

from pathlib import Path

import gpflow
import numpy as np
import tensorflow as tf

TARGET = Path(__file__).parent.parent / "tests" / "gp" / "data" / "gpflow_svgp.npz"
N, B, M, D1, D0 = 40, 16, 7, 3, 5


def problem() -> dict[str, np.ndarray]:
    """Random inputs, outputs and parameters."""
    rng = np.random.default_rng(42)
    Lambda = np.tril(0.2 * rng.standard_normal((M, M)), -1)
    return {
        "Z1": rng.standard_normal((N, D1)),
        "Z0": rng.standard_normal((N, D0)),
        "V": rng.standard_normal((M, D1)),
        "A": rng.standard_normal((M, D0)),
        "Lambda": Lambda + np.diag(rng.uniform(0.2, 1.2, M)),
        "lengthscales": rng.uniform(0.7, 2.0, D1),
        "amplitude": np.array(1.7),
        "noise": np.array(0.3),
        "jitter": np.array(1e-6),
        "batch": rng.choice(N, B, replace=False),
        "new": rng.standard_normal((6, D1)),
    }


def reference(p: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What GPflow says of it."""
    gpflow.config.set_default_jitter(float(p["jitter"]))
    kernel = gpflow.kernels.SquaredExponential(float(p["amplitude"]), p["lengthscales"])
    model = gpflow.models.SVGP(
        kernel,
        gpflow.likelihoods.Gaussian(float(p["noise"])),
        gpflow.inducing_variables.InducingPoints(p["V"]),
        num_latent_gps=D0,
        q_mu=p["A"],
        q_sqrt=np.tile(p["Lambda"], (D0, 1, 1)),
        whiten=True,
        num_data=N,
    )
    batch = p["batch"]
    mean, var = model.predict_y(p["new"])
    return {
        "elbo": model.elbo((p["Z1"], p["Z0"])).numpy(),
        "elbo_batch": model.elbo((p["Z1"][batch], p["Z0"][batch])).numpy(),
        "kl": model.prior_kl().numpy(),
        "mean": mean.numpy(),
        "var": var.numpy(),
        "optimal": gpflow.models.SGPR(
            (p["Z1"], p["Z0"]), kernel, p["V"], noise_variance=float(p["noise"])
        )
        .elbo()
        .numpy(),
        "versions": np.array(
            [
                f"gpflow {gpflow.__version__}",
                f"tensorflow {tf.__version__}",
                f"numpy {np.__version__}",
            ]
        ),
    }


def main() -> None:
    """Writes the file."""
    p = problem()
    TARGET.parent.mkdir(exist_ok=True)
    np.savez(TARGET, **p, **reference(p))


if __name__ == "__main__":
    main()
