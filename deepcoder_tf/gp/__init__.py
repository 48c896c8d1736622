"""Gaussian processes as algebra on tensors, in float64: kernels, leave-one-out, posteriors."""

from __future__ import annotations

__all__: list[str] = []
