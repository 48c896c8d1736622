"""What is observed given a latent variable: ordinal levels and images."""

from __future__ import annotations

from deepcoder_tf.likelihoods.ordered_probit import OrderedProbit

__all__ = ["OrderedProbit"]
