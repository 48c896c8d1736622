"""Weights of the terms (Eq. 21, 22) and the bound that they make."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.config import Config
from deepcoder_tf.objectives import bound, warm_up, weights_at


@pytest.mark.parametrize(
    ("iteration", "expected"), [(-1, 0.0), (0, 0.0), (5, 0.25), (20, 1.0), (49, 1.0)]
)
def test_warm_up_is_linear_then_full(iteration, expected):
    assert warm_up(iteration, 20) == expected


@pytest.mark.parametrize("iteration", [-1, 0, 3, 10, 30])
def test_the_weights_of_the_paper(iteration):
    config = Config(warmup_iterations=10, label_weight=2.0, ordinal_weight=3.0)
    alpha = min(1.0, max(0, iteration) / 10)
    upper = weights_at(iteration, last=False, gp=False, config=config)
    assert upper == (alpha, pytest.approx(2.0 * (1.0 - alpha)))
    assert weights_at(iteration, last=True, gp=True, config=config) == (alpha, 3.0)
    # The labels of a parametric coder that stands last are the prediction: they never fade.
    assert weights_at(iteration, last=True, gp=False, config=config) == (alpha, 2.0)


def test_labels_that_are_kept_do_not_fade():
    config = Config(warmup_iterations=4, label_weight=30.0, label_schedule="kept")
    found = [weights_at(e, last=False, gp=False, config=config) for e in (-1, 2, 9)]
    assert found == [(0.0, 30.0), (0.5, 30.0), (1.0, 30.0)]


def test_the_bound_is_the_weighted_sum_of_its_terms():
    rng = np.random.default_rng(0)
    terms = {name: tf.constant(rng.normal(size=5)) for name in ("recon", "kl", "label")}
    found = bound(terms, tf.constant(0.3, tf.float64), tf.constant(7.0, tf.float64))
    np.testing.assert_allclose(
        found, terms["recon"].numpy() - 0.3 * terms["kl"].numpy() + 7.0 * terms["label"].numpy()
    )
    plain = bound(terms, tf.constant(1.0, tf.float64), tf.constant(1.0, tf.float64))
    np.testing.assert_allclose(plain, terms["recon"] - terms["kl"] + terms["label"])
