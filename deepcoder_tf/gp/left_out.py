"""Predictions of frames from the training points of other groups: other people's, say.

Frames of one video are near copies of each other: leaving one of them out leaves nothing out. What
is learnt of a prediction's errors for people who were never seen has to leave out the person.
"""

from __future__ import annotations

import numpy as np

__all__ = ["predict_from_others"]


def predict_from_others(
    k: np.ndarray, P: np.ndarray, targets: np.ndarray, groups: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means, and variances that are explained, from the points of all groups but a frame's own.

    With i the points of the group that is left out, and P = C⁻¹ of all points,

        C₋ᵢ⁻¹ = P - P[:, i] P[i, i]⁻¹ P[i, :]

    on the others, and 0 on i: one inverse serves every group.

    Args:
      k: `[B, N]`, kernel of the frames with the points.
      P: `[N, N]`, inverse of the covariance of the noisy targets.
      targets: `[N, K]`.
      groups: `[B]`, of the frames.
      own: `[N]`, of the points.

    Returns:
      Means `[B, K]`, and the part `[B]` of the prior variance that the points explain.

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, Eq. 2.25, 2.26, A.12.
    """
    alpha = P @ targets
    means = k @ alpha
    explained = np.einsum("ij,ij->i", k @ P, k)
    for group in np.unique(groups):
        rows, i = np.flatnonzero(groups == group), np.flatnonzero(own == group)
        if not len(i):
            continue
        shared = k[rows] @ P[:, i]
        solved = np.linalg.solve(P[np.ix_(i, i)], np.column_stack([alpha[i], shared.T]))
        means[rows] -= shared @ solved[:, : targets.shape[1]]
        explained[rows] -= np.einsum("ij,ji->i", shared, solved[:, targets.shape[1] :])
    return means, explained
