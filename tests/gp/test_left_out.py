"""Predictions without a group, against Gaussian processes that never had it."""

from __future__ import annotations

import numpy as np

from deepcoder_tf.gp.left_out import predict_from_others

RNG = np.random.default_rng(5)
N, B, K, D = 30, 17, 3, 4
NOISE = 0.1


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared exponential."""
    return 2.0 * np.exp(-0.5 * ((a[:, None] - b[None]) ** 2).sum(-1))


def test_it_is_the_process_that_never_had_the_group():
    points, frames = RNG.normal(size=(N, D)), RNG.normal(size=(B, D))
    frames[:6] = points[:6]  # the points themselves are frames too
    targets = RNG.normal(size=(N, K))
    own = np.array(["a", "b", "c"])[np.arange(N) % 3]
    groups = np.array(["a", "b", "c", "stranger"])[np.r_[np.arange(6) % 3, np.arange(B - 6) % 4]]
    P = np.linalg.inv(kernel(points, points) + NOISE * np.eye(N))
    means, explained = predict_from_others(kernel(frames, points), P, targets, groups, own)
    for b, group in enumerate(groups):
        others = points[own != group]
        C = kernel(others, others) + NOISE * np.eye(len(others))
        k = kernel(frames[b : b + 1], others)
        np.testing.assert_allclose(
            means[b], (k @ np.linalg.solve(C, targets[own != group]))[0], rtol=0, atol=1e-10
        )
        np.testing.assert_allclose(
            explained[b], (k @ np.linalg.solve(C, k.T))[0, 0], rtol=0, atol=1e-10
        )
