"""Ranks: weights, likelihood and distribution against loops; the paper's rule is the median."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepcoder_tf.models.rank_head import RankHead, importance_weights

Q, K, F = 3, 6, 4


def head() -> RankHead:
    """A built head whose classifiers differ in bias and importance."""
    layer = RankHead(Q)
    layer.build((None, F))
    layer.bias.assign(np.linspace(-2, 2, Q * (K - 1)))
    layer.weigh(labels(50))
    return layer


def labels(count: int) -> np.ndarray:
    """Skewed levels with holes; the second action unit never exceeds 2."""
    rng = np.random.default_rng(3)
    y = np.where(rng.random((count, Q)) < 0.5, 0, rng.integers(0, K, (count, Q)))
    y[:, 1] = np.minimum(y[:, 1], 2)
    y[rng.random((count, Q)) < 0.2] = -1
    return y.astype(np.int32)


def features(count: int) -> np.ndarray:
    """Standard normal, float32."""
    return np.random.default_rng(1).standard_normal((count, F)).astype(np.float32)


def test_importance_weights_equal_a_loop():
    y = labels(200)
    found = importance_weights(y)
    for q in range(Q):
        roots = []
        for k in range(K - 1):
            roots.append((sum(int(level == k) for level in y[:, q]) + 1) ** 0.5)
        np.testing.assert_allclose(found[q], np.array(roots) / sum(roots), rtol=1e-6)
    assert np.all(found > 0) and np.allclose(found.sum(axis=1), 1)


def test_an_action_unit_without_labels_has_equal_weights():
    np.testing.assert_allclose(importance_weights(np.full((9, 2), -1)), 0.2)


def test_the_likelihood_equals_a_loop_over_classifiers():
    layer, z, y = head(), features(20), labels(20)
    o = 1 / (1 + np.exp(-(z @ layer.W.numpy() + layer.bias.numpy()).astype(np.float64)))
    expected = np.zeros(20)
    for i in range(20):
        for q in range(Q):
            if y[i, q] < 0:
                continue
            for k in range(K - 1):
                p = o[i, q * (K - 1) + k]
                weight = layer.importance.numpy()[q, k]
                expected[i] += weight * np.log(p if y[i, q] > k else 1 - p)
    np.testing.assert_allclose(layer.log_prob(z, y), expected, rtol=1e-5)


def test_nothing_is_said_of_a_frame_without_labels():
    layer = head()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.log_prob(features(3), np.full((3, Q), -1, np.int32)))
    assert loss == 0
    assert all(not np.any(g) for g in tape.gradient(loss, layer.trainable_variables))


@settings(deadline=None, max_examples=50)
@given(
    arrays.arrays(np.float32, (7, Q, K - 1), elements=st.floats(-40, 40, allow_nan=False, width=32))
)
def test_classifiers_that_contradict_each_other_make_a_distribution(logits):
    layer = RankHead(Q)
    layer.build((None, F))
    layer.logits = lambda z: tf.constant(logits)
    p = layer.probabilities(None).numpy()
    assert np.all(p >= 0) and np.allclose(p.sum(axis=-1), 1, atol=1e-6)
    o = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(p @ np.arange(K), o.sum(axis=-1), atol=1e-5)
    # The paper's predicted rank is the number of decisions; here it is the median level.
    clear = np.all(np.abs(o - 0.5) > 1e-4, axis=-1)
    median = np.sum(np.cumsum(p, axis=-1) < 0.5, axis=-1)
    np.testing.assert_array_equal(median[clear], np.sum(o > 0.5, axis=-1)[clear])


def test_classifiers_that_agree_are_left_alone():
    layer = RankHead(1)
    layer.build((None, F))
    o = np.array([0.9, 0.7, 0.4, 0.2, 0.1])
    layer.logits = lambda z: tf.constant(np.log(o / (1 - o))[None, None])
    expected = [0.1, 0.2, 0.3, 0.2, 0.1, 0.1]
    np.testing.assert_allclose(layer.probabilities(None)[0, 0], expected, atol=1e-12)


def test_importance_is_kept_with_the_weights_but_not_trained():
    layer = head()
    assert [w.name for w in layer.non_trainable_weights] == ["importance"]
    assert pytest.approx(1, abs=1e-6) == float(layer.importance.numpy()[0].sum())
