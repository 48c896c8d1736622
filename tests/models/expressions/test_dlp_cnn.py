"""DLP-CNN: its locality term against loops, its gradient, and its weight in the total."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.models.expressions.dlp_cnn import locality
from deepcoder_tf.objectives_expressions import expression_weights
from deepcoder_tf.recogniser_config import RecogniserConfig
from tests.models.expressions.rows import a_batch, tiny
from tests.reference import expression_rows as reference

RANDOM = np.random.default_rng(0)
CODES = RANDOM.standard_normal((12, 3)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 0, 0, 1, 0, 0, 1, 0, 0, 7], np.int32)


@pytest.mark.parametrize("k", [1, 2, 3, 20])
def test_the_distance_is_that_of_loops(k):
    wanted = reference.locality(CODES.tolist(), CLASSES.tolist(), k)
    found = locality(tf.constant(CODES), tf.constant(CLASSES), k)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_picture_alone_in_its_class_or_batch_adds_nothing():
    assert locality(tf.constant(CODES), tf.constant(CLASSES), 4).numpy()[[2, 11]].tolist() == [0, 0]
    assert locality(tf.constant(CODES[:1]), tf.constant([3]), 4).numpy().tolist() == [0]


def test_codes_that_agree_within_classes_are_at_rest():
    same = CODES[CLASSES]
    np.testing.assert_allclose(locality(tf.constant(same), tf.constant(CLASSES), 3), 0, atol=1e-10)


def test_the_gradient_is_the_authors_difference_from_the_mean():
    codes = tf.Variable(CODES)
    with tf.GradientTape() as tape:
        loss = 0.5 * tf.reduce_sum(locality(codes, tf.constant(CLASSES), 2))
    gradient = tape.gradient(loss, codes).numpy()
    for i, x in enumerate(CODES):
        others = [j for j in range(12) if j != i and CLASSES[j] == CLASSES[i]]
        others.sort(key=lambda j: np.linalg.norm(CODES[j] - x))
        wanted = x - CODES[others[:2]].mean(axis=0) if others else np.zeros(3)
        np.testing.assert_allclose(gradient[i], wanted, rtol=1e-4, atol=1e-6)


def test_it_works_on_batches_of_unknown_size():
    signature = [tf.TensorSpec((None, 3)), tf.TensorSpec((None,), tf.int32)]
    graph = tf.function(lambda x, y: locality(x, y, 3), input_signature=signature)
    for size in (1, 2, 12):
        found = graph(CODES[:size], CLASSES[:size])
        wanted = reference.locality(CODES[:size].tolist(), CLASSES[:size].tolist(), 3)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_terms_are_the_baselines_and_the_locality_of_its_codes():
    model, batch, seed = tiny("dlp_cnn"), a_batch(), tf.constant([1, 2])
    terms = model.losses(batch, seed)["network"]
    assert set(terms) == {"expression", "locality"}
    plain = tiny("baseline")
    plain.set_weights(model.get_weights())
    expected = plain.losses(batch, seed)["network"]["expression"]
    np.testing.assert_allclose(terms["expression"], expected, rtol=1e-5)
    codes = model.codes(batch.pictures)["expression"].numpy().tolist()
    classes = batch.targets.numpy().argmax(axis=1).tolist()
    wanted = np.mean(reference.locality(codes, classes, 20))
    np.testing.assert_allclose(terms["locality"], wanted, rtol=1e-3)


def test_lambda_is_twice_the_weight():
    weights = expression_weights(RecogniserConfig(system="dlp_cnn", dlp_weight=0.5))
    assert (weights["locality"], weights["expression"]) == (0.25, 1.0)
