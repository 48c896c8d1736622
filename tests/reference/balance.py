"""Eq. 24-25 by loops over frames, action units and subjects: the referee of balanced batches."""

from __future__ import annotations

import math

__all__ = ["effective_sample_size", "log_frequency", "tempered"]


def log_frequency(labels, levels: int) -> list[float]:
    """log Π_c (n_c(y_ic) + 1) / (n_c + L), over the annotated action units of each frame."""
    found = []
    for row in labels:
        total = 0.0
        for c, level in enumerate(row):
            if level < 0:
                continue
            annotated = [other[c] for other in labels if other[c] >= 0]
            total += math.log((annotated.count(level) + 1) / (len(annotated) + levels))
        found.append(total)
    return found


def tempered(log_f, subjects, tau: float) -> list[float]:
    """f_i^-tau / Σ_j f_j^-tau, j over the frames of i's subject, over the number of subjects."""
    rows = {name: [i for i, s in enumerate(subjects) if s == name] for name in set(subjects)}
    found = [0.0] * len(log_f)
    for own in rows.values():
        largest = max(-tau * log_f[i] for i in own)
        total = math.fsum(math.exp(-tau * log_f[i] - largest) for i in own)
        for i in own:
            found[i] = math.exp(-tau * log_f[i] - largest) / total / len(rows)
    return found


def effective_sample_size(p) -> float:
    """1 / Σ p²."""
    return 1.0 / math.fsum(x * x for x in p)
