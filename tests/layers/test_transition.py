"""Transitions: stochastic rows at every step, a start near the identity, the identity itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.layers.transition import Transition, log_observed

LOGITS = tf.constant(np.random.default_rng(0).normal(0, 3, (6, 4)), tf.float32)
TRUTH = tf.nn.log_softmax(LOGITS)


def transition(answers: int, start: float = 0.9) -> Transition:
    """Of four classes."""
    layer = Transition(4, answers, start)
    layer.build()
    return layer


def test_it_starts_near_the_identity():
    T = np.exp(transition(6, 0.7).log_matrix())
    np.testing.assert_allclose(np.diagonal(T), 0.7, rtol=1e-5)
    np.testing.assert_allclose(T[~np.eye(4, 6, dtype=bool)], 0.3 / 5, rtol=1e-5)


def test_rows_stay_stochastic_whatever_a_step_does():
    layer = transition(6)
    optimizer = keras.optimizers.SGD(50.0)
    for seed in range(5):
        weights = tf.random.stateless_normal((6, 6), (seed, 1))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weights * layer(TRUTH))
        optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
        T = np.exp(layer.log_matrix())
        assert np.all(T >= 0)
        np.testing.assert_allclose(T.sum(axis=1), 1.0, rtol=1e-5)
        np.testing.assert_allclose(np.exp(layer(TRUTH)).sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("answers", [4, 6])
def test_what_is_observed_is_the_product_of_matrices(answers):
    layer = transition(answers, 0.4)
    layer.raw_rows.assign(np.random.default_rng(1).normal(0, 2, (4, answers)))
    wanted = np.exp(TRUTH) @ np.exp(layer.log_matrix())
    np.testing.assert_allclose(np.exp(layer(TRUTH)), wanted, rtol=1e-5)


def test_with_the_identity_the_truth_is_observed():
    identity = tf.math.log(tf.eye(4))
    np.testing.assert_allclose(log_observed(TRUTH, identity), TRUTH, rtol=1e-6)


@pytest.mark.parametrize("options", [(4, 3, 0.9), (1, 1, 0.9), (4, 4, 0.0), (4, 4, 1.0)])
def test_impossible_sizes_and_starts_are_refused(options):
    with pytest.raises(ValueError, match="wanted at least as many answers as classes"):
        Transition(*options)
