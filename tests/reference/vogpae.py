"""The equations of the VO-GPAE as loops over points, dimensions and levels.

Written from the papers (DeepCoder, Section 3.2; Rasmussen and Williams, chapters 2 and 5), slow and
without any function of the package: referees for the algebra that the package uses instead.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "gaussian_kl",
    "gp_log_likelihood",
    "gp_prediction",
    "leave_one_out",
    "normal_cdf",
    "ordinal_probability",
    "rbf_ard",
]


def rbf_ard(amplitude_variance: float, lengthscales, X, X2) -> np.ndarray:
    """k(x, x') = a exp(-½ Σ_d (x_d - x'_d)² / ℓ_d²), one pair at a time."""
    K = np.zeros((len(X), len(X2)))
    for i in range(len(X)):
        for j in range(len(X2)):
            total = 0.0
            for d in range(len(lengthscales)):
                total += ((X[i, d] - X2[j, d]) / lengthscales[d]) ** 2
            K[i, j] = amplitude_variance * math.exp(-0.5 * total)
    return K


def gp_prediction(C, k, prior_variance: float, targets) -> tuple[np.ndarray, float]:
    """Mean k C⁻¹ y and variance prior - k C⁻¹ kᵀ at one new point (RW Eq. 2.25, 2.26)."""
    weights = np.linalg.solve(C, k)
    return weights @ targets, prior_variance - weights @ k


def leave_one_out(C, M) -> tuple[np.ndarray, np.ndarray]:
    """Each point predicted by a process without it: remove its row and column, solve again."""
    mean, var = np.zeros_like(M), np.zeros(len(M))
    for i in range(len(M)):
        rest = [j for j in range(len(M)) if j != i]
        mean[i], var[i] = gp_prediction(C[np.ix_(rest, rest)], C[rest, i], C[i, i], M[rest])
    return mean, var


def gp_log_likelihood(C, Z) -> float:
    """Σ_d log N(z_d | 0, C), output by output, through the chain rule over points (Eq. 13)."""
    total = 0.0
    for d in range(Z.shape[1]):
        for i in range(len(Z)):
            mean, var = 0.0, C[i, i]
            if i > 0:
                mean, var = gp_prediction(C[:i, :i], C[:i, i], C[i, i], Z[:i, d])
            total -= 0.5 * (math.log(2.0 * math.pi * var) + (Z[i, d] - mean) ** 2 / var)
    return total


def normal_cdf(x: float) -> float:
    """Φ(x)."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def ordinal_probability(level: int, cutpoints, f: float, scale: float = 1.0) -> float:
    """Φ((γ_s - f) / σ_o) - Φ((γ_{s-1} - f) / σ_o), open at both ends (Eq. 20)."""
    upper = 1.0 if level == len(cutpoints) else normal_cdf((cutpoints[level] - f) / scale)
    lower = 0.0 if level == 0 else normal_cdf((cutpoints[level - 1] - f) / scale)
    return upper - lower


def gaussian_kl(mean_q: float, var_q: float, mean_p: float, var_p: float) -> float:
    """KL of one-dimensional Gaussians by the trapezium rule over 20 standard deviations."""
    x = mean_q + math.sqrt(var_q) * np.linspace(-10.0, 10.0, 20001)
    log_q = -0.5 * (np.log(2.0 * np.pi * var_q) + (x - mean_q) ** 2 / var_q)
    log_p = -0.5 * (np.log(2.0 * np.pi * var_p) + (x - mean_p) ** 2 / var_p)
    return float(np.trapezoid(np.exp(log_q) * (log_q - log_p), x))
