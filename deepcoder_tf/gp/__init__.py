"""Gaussian processes as algebra on tensors, in float64: kernels, leave-one-out, posteriors."""
