"""IPA2LT: the loss of what annotators say, against loops and at the identity; who is asked."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepcoder_tf.models.expressions.latent_truth import VOTES, observed_cross_entropy
from deepcoder_tf.models.expressions.system import cross_entropy
from deepcoder_tf.objectives_expressions import expression_weights
from deepcoder_tf.recogniser_config import RecogniserConfig
from tests.models.expressions.rows import a_batch, tiny
from tests.reference import expression_rows as reference

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (6, 8)).astype(np.float32)
SEED = tf.constant([1, 2])


def truth_of(model, batch) -> np.ndarray:
    """p(z|x) of every picture, float64."""
    return model.predict(batch.pictures).numpy().astype(float)


def test_both_terms_are_those_of_loops():
    model, batch = tiny("ipa2lt"), a_batch()
    model.label.raw_rows.assign(RANDOM.normal(0, 1, (8, 8)))
    model.crowd.raw_rows.assign(RANDOM.normal(0, 1, (8, VOTES)))
    terms = model.losses(batch, SEED)["network"]
    truth = truth_of(model, batch)
    counts = batch.annotations.numpy()
    shares = {"label": batch.targets.numpy(), "crowd": counts / counts.sum(axis=1, keepdims=True)}
    assert set(terms) == set(shares)
    for name, given in shares.items():
        T = np.exp(getattr(model, name).log_matrix())
        wanted = np.mean(reference.observed(given, truth, T))
        np.testing.assert_allclose(terms[name], wanted, rtol=1e-4, err_msg=name)


def test_the_identity_reduces_to_cross_entropy_and_its_gradient():
    model = tiny("ipa2lt")
    targets = tf.constant(RANDOM.dirichlet(np.ones(8), 6), tf.float32)
    model.label.raw_rows.assign(1e4 * np.eye(8))
    for truth in (targets, tf.one_hot([0, 1, 2, 3, 6, 7], 8)):
        logits = tf.Variable(LOGITS)
        with tf.GradientTape(persistent=True) as tape:
            observed = model.label(tf.nn.log_softmax(logits))
            loss, plain = observed_cross_entropy(truth, observed), cross_entropy(truth, logits)
        np.testing.assert_allclose(loss, plain, rtol=1e-5)
        np.testing.assert_allclose(
            tape.gradient(loss, logits), tape.gradient(plain, logits), atol=1e-5
        )


def test_answers_that_nobody_gave_may_be_impossible():
    log_p = tf.Variable([[0.0, -np.inf], [-1.0, -2.0]])
    with tf.GradientTape() as tape:
        loss = observed_cross_entropy(tf.constant([[1.0, 0.0], [0.0, 0.0]]), log_p)
    assert loss.numpy().tolist() == [0.0, 0.0]
    assert tape.gradient(loss, log_p).numpy().tolist() == [[-1.0, 0.0], [0.0, 0.0]]


def test_without_votes_the_label_is_the_only_annotator():
    model, batch = tiny("ipa2lt"), a_batch(annotations=False)
    with tf.GradientTape() as tape:
        terms = model.losses(batch, SEED)["network"]
    assert set(terms) == {"label"}
    wanted = model.losses(a_batch(), SEED)["network"]["label"]
    np.testing.assert_allclose(terms["label"], wanted, rtol=1e-6)
    gradient = tape.gradient(
        terms["label"], [model.label.raw_rows.value, model.crowd.raw_rows.value]
    )
    assert np.any(gradient[0]) and gradient[1] is None


def test_prediction_is_the_latent_truth_whatever_the_annotators_say():
    model, batch = tiny("ipa2lt"), a_batch()
    before = truth_of(model, batch)
    model.label.raw_rows.assign(RANDOM.normal(0, 3, (8, 8)))
    np.testing.assert_array_equal(truth_of(model, batch), before)


def test_transitions_tell_how_annotators_err():
    """Latent truth as given; the label says the next class in three of ten pictures."""
    model = tiny("ipa2lt")
    truth = np.repeat(np.arange(8), 10)
    said = np.where(np.arange(80) % 10 < 3, (truth + 1) % 8, truth)
    log_truth = tf.constant(np.log(np.where(np.eye(8)[truth] > 0, 0.999, 1e-4)), tf.float32)
    rows = model.label.raw_rows
    for _ in range(200):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                observed_cross_entropy(tf.one_hot(said, 8), model.label(log_truth))
            )
        rows.assign_sub(20.0 * tape.gradient(loss, rows.value))
    T = np.exp(model.label.log_matrix())
    np.testing.assert_allclose(np.diagonal(T), 0.7, atol=0.02)
    np.testing.assert_allclose(T[np.arange(8), (np.arange(8) + 1) % 8], 0.3, atol=0.02)


def test_the_crowd_has_the_weight_of_its_option():
    weights = expression_weights(RecogniserConfig(system="ipa2lt", ipa2lt_crowd=0.25))
    assert (weights["label"], weights["crowd"]) == (1.0, 0.25)
