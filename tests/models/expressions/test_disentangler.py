"""The disentangling network: its losses against NumPy, and who learns from which."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.models.expressions import build_recogniser
from deepcoder_tf.models.expressions.disentangler import Disentangler
from deepcoder_tf.models.expressions.system import (
    ExpressionBatch,
    cross_entropy,
    summarise_expressions,
    uniformity,
)
from deepcoder_tf.objectives_expressions import expression_weights, total
from deepcoder_tf.recogniser_config import RecogniserConfig

CONFIG = RecogniserConfig(
    trunk="vgg16",
    trunk_weights="random",
    trunk_endpoint="block1_pool",
    picture_side=32,
    branch_filters=(6, 4),
    branch_kernels=(3, 3),
    decoder_filters=(6, 5, 4, 3, 3),
    beta_reconstruction=0.7,
    beta_expression=1.5,
    beta_adversary=2.0,
)
SEED = tf.constant([1, 2])


def network(identities: int = 0, **changes) -> Disentangler:
    model = build_recogniser(dataclasses.replace(CONFIG, **changes), 32, 3, identities)
    assert isinstance(model, Disentangler)
    return model


def batch(model: Disentangler, count: int = 6) -> ExpressionBatch:
    rng = np.random.default_rng(3)
    faces = tf.constant(rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8))
    targets = rng.dirichlet(np.ones(8), count).astype(np.float32)
    return ExpressionBatch(
        model.pictures(faces),
        tf.constant(targets),
        tf.constant([0, 1, 2, -1, 0, 1][:count]),
        None,
        None,
        tf.range(count),
    )


def log_softmax(z: np.ndarray) -> np.ndarray:
    """By its definition, float64."""
    z = np.asarray(z, np.float64)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def test_the_losses_are_those_of_the_paper():
    model = network()
    given = batch(model)
    found = model.losses(given, SEED)
    codes = model.codes(given.pictures)
    expression = log_softmax(model.head(codes["expression"]))
    told = log_softmax(model.adversary(codes["non_expression"]))
    y = given.targets.numpy()
    x = 0.5 * (given.pictures.numpy() + 1)
    again = 0.5 * (model.reconstruct(given.pictures).numpy() + 1)
    distances = [np.linalg.norm((a - b).ravel()) for a, b in zip(x, again, strict=True)]
    expected = {
        "network": {
            "expression": -np.mean([sum(y[i] * expression[i]) for i in range(6)]),
            "uniformity": -np.mean([sum(told[i]) / 8 for i in range(6)]),
            "reconstruction": np.mean(distances),
        },
        "adversary": {"adversary": -np.mean([sum(y[i] * told[i]) for i in range(6)])},
    }
    assert found.keys() == expected.keys()
    for player, terms in expected.items():
        assert found[player].keys() == terms.keys()
        for name, value in terms.items():
            np.testing.assert_allclose(found[player][name], value, rtol=1e-5, err_msg=name)
    value = total(found["network"], expression_weights(model.config))
    by_hand = (
        0.7 * expected["network"]["reconstruction"]
        + 1.5 * expected["network"]["expression"]
        + 2.0 * expected["network"]["uniformity"]
    )
    np.testing.assert_allclose(value, by_hand, rtol=1e-5)


def test_uniformity_is_least_where_the_adversary_knows_nothing():
    logits = tf.constant(np.random.default_rng(0).normal(size=(50, 8)))
    assert np.all(uniformity(logits) >= np.log(8) - 1e-12)
    np.testing.assert_allclose(uniformity(tf.zeros((1, 8), tf.float64)), np.log(8))
    # It is the cross-entropy of the uniform distribution.
    even = tf.fill((50, 8), tf.constant(1 / 8, tf.float64))
    np.testing.assert_allclose(uniformity(logits), cross_entropy(even, logits))


def gradients(model: Disentangler, player: str, term: str | None = None) -> dict[str, bool]:
    """Which weights a player's loss (or one of its terms) moves, by path."""
    with tf.GradientTape() as tape:
        terms = model.losses(batch(model), SEED)[player]
        loss = total(terms, expression_weights(model.config)) if term is None else terms[term]
    found = tape.gradient(loss, model.trainable_variables)
    return {
        v.path: g is not None and bool(np.any(tf.convert_to_tensor(g)))
        for v, g in zip(model.trainable_variables, found, strict=True)
    }


@pytest.mark.parametrize("identities", [0, 3])
def test_the_adversary_learns_from_its_own_loss_and_nobody_else_does(identities):
    betas = {"beta_identity": 1.0, "beta_identity_adversary": 1.0} if identities else {}
    model = network(identities, **betas)
    players = model.players()
    own = {v.path for v in players["adversary"]}
    rest = {v.path for v in players["network"]}
    assert own and not own & rest
    assert len(own | rest) == len(model.trainable_variables)
    moved = gradients(model, "adversary")
    assert {path for path, moves in moved.items() if moves} == own
    assert all("adversary" in path for path in own)


def test_each_term_reaches_the_parts_that_the_paper_names():
    model = network()
    parts = {"trunk": "block1", "branch": "/branch/", "other": "/other_branch/"}
    reached = {
        term: {
            name
            for name, mark in parts.items()
            if any(
                moves for path, moves in gradients(model, "network", term).items() if mark in path
            )
        }
        for term in ("expression", "uniformity", "reconstruction")
        for moved in [gradients(model, "network", term)]
    }
    assert reached == {
        "expression": {"trunk", "branch"},
        "uniformity": {"trunk", "other"},
        "reconstruction": {"trunk", "branch", "other"},
    }


def test_unknown_people_add_nothing_to_the_terms_of_identities():
    model = network(3, beta_identity=1.0)
    given = batch(model)
    codes = model.codes(given.pictures)["non_expression"]
    logs = log_softmax(model.identity_head(codes))
    who = given.identities.numpy()
    by_hand = -sum(logs[i, who[i]] for i in range(6) if who[i] >= 0) / 6
    found = model.losses(given, SEED)["network"]["identity"]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_swapping_twice_and_mixing_with_nothing_change_nothing():
    model = network()
    a, b = batch(model).pictures[:3], batch(model).pictures[3:]
    same, again = model.swap(a, a)
    np.testing.assert_allclose(same, model.reconstruct(a), atol=1e-6)
    np.testing.assert_allclose(again, model.reconstruct(a), atol=1e-6)
    np.testing.assert_allclose(model.mix(a, b, 0.0), model.reconstruct(a), atol=1e-6)
    np.testing.assert_allclose(model.mix(a, b, 1.0), model.swap(a, b)[0], atol=1e-6)
    assert np.ptp(model.swap(a, b)[0]) > 0


def test_a_network_without_a_decoder_says_so():
    model = network(beta_reconstruction=0.0)
    assert "reconstruction" not in model.losses(batch(model), SEED)["network"]
    with pytest.raises(ValueError, match="--beta_reconstruction above 0"):
        model.reconstruct(batch(model).pictures)


def test_what_is_said_of_an_expression_agrees():
    p = np.array([[0.7, 0.3, 0, 0, 0, 0, 0, 0], np.full(8, 1 / 8)], np.float32)
    found = summarise_expressions(tf.constant(p))
    assert found["expression"].numpy().tolist() == [0, 0]
    np.testing.assert_allclose(found["confidence"], [0.7, 0.125])
    by_hand = [-(0.7 * np.log(0.7) + 0.3 * np.log(0.3)), np.log(8)]
    np.testing.assert_allclose(found["entropy"], by_hand, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trunk": "inception_resnet_v1", "trunk_endpoint": ""}, "--picture_side=32: .* 75 pixels"),
        ({"trunk": "no_such_net"}, "no such network"),
        ({"trunk_endpoint": "nowhere"}, "nowhere"),
        ({"beta_identity": 1.0}, "subjects are known"),
    ],
)
def test_what_cannot_be_built_is_told(changes, message):
    with pytest.raises(UserError, match=message):
        network(**changes)


def test_weights_are_never_silently_random():
    with pytest.raises(UserError, match=r"--trunk_weights is not given; name .*imagenet"):
        network(trunk_weights="").start(np.zeros(1), None)
    with pytest.raises(UserError, match="no such file"):
        network(trunk_weights="nowhere.h5").start(np.zeros(1), None)
    network(trunk_weights="random").start(np.zeros(1), None)
