"""VAE-DGP: a bound below the evidence, a start that is alive, levels learnt from a curved line."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.gp.kernels import covariance
from deepcoder_tf.models.vae_dgp import VAEDGP
from deepcoder_tf.numerics import gauss_hermite
from deepcoder_tf.training.step import Step, make_optimizer
from deepcoder_tf.types import Gaussian


def model(F: int, latents, Q: int, m: int = 12, **options) -> VAEDGP:
    """Built."""
    coder = VAEDGP(F, latents, 16, Q, m, **options)
    coder.build(None)
    return coder


def curve(N: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of a curved line in 12 dimensions with noise, and levels along it, some missing."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(-1, 1, N)
    frequencies, phases = np.linspace(0.5, 4.0, 12), np.linspace(0, 3, 12)
    features = np.sin(s[:, None] * frequencies + phases) + 0.05 * rng.standard_normal((N, 12))
    first = np.clip(np.round(2.5 + 2.5 * np.sin(2.5 * s)), 0, 5)
    second = np.clip(np.round(5 * s**2), 0, 5)
    labels = np.stack([first, second], axis=1).astype(np.int32)
    labels[rng.random(labels.shape) < 0.1] = -1
    return features.astype(np.float32), labels


def objective(coder: VAEDGP, y: np.ndarray, labels: np.ndarray) -> tf.Tensor:
    """The bound on all frames."""
    terms = coder.terms(
        Gaussian(tf.constant(y), None),
        tf.constant(labels),
        prior=None,
        index=tf.range(len(y)),
        seed=tf.constant([0, 0]),
    )
    return tf.reduce_sum(terms["recon"] - terms["kl"] + terms["label"]) - coder.penalty()


# The bound ----------------------------------------------------------------------------------------


def log_normal(y: np.ndarray, C: np.ndarray) -> np.ndarray:
    """log N(y | 0, C) for stacks of 2x2 matrices."""
    a, b, d = C[..., 0, 0], C[..., 0, 1], C[..., 1, 1]
    det = a * d - b**2
    squares = (d * y[0] ** 2 - 2 * b * y[0] * y[1] + a * y[1] ** 2) / det
    return -math.log(2 * math.pi) - 0.5 * np.log(det) - 0.5 * squares


def covariance_of_two(gp, difference: np.ndarray) -> np.ndarray:
    """Covariance of the noisy outputs at two points of a line at these distances."""
    a, ell, noise = float(gp.kernel[0]), float(gp.kernel[1][0]), float(gp.noise[0])
    C = np.empty((*difference.shape, 2, 2))
    C[..., 0, 0] = C[..., 1, 1] = a + noise
    C[..., 0, 1] = C[..., 1, 0] = a * np.exp(-0.5 * difference**2 / ell**2)
    return C


def small_case() -> tuple[VAEDGP, np.ndarray, np.ndarray]:
    """Two frames, one feature, one label, two latent layers of one dimension each."""
    coder = model(1, (1, 1), 1, m=2)
    coder.label_offset.assign([2.0])
    for k, gp in enumerate((*coder.gps, coder.labels)):
        gp.raw_noise.assign(gp.raw_noise - 0.3 * k)
        gp.V.assign([[-0.8], [0.9]])
    return coder, np.array([[0.7], [-0.4]], np.float32), np.array([[3], [1]], np.int32)


def evidence_of(coder: VAEDGP, y: np.ndarray, labels: np.ndarray) -> float:
    """log p(features, labels) of the small case by two nested sums.

    Of the top layer only the distance of the frames counts, d ~ N(0, 2). Given it the middle layer
    is Gaussian, and of that too only the distance counts.
    """
    nodes, weights = gauss_hermite(80)
    top = math.sqrt(2.0) * nodes
    label = log_normal(labels[:, 0] - 2.0, covariance_of_two(coder.labels, top))
    middle = covariance_of_two(coder.gps[1], top)
    distance = np.sqrt(2.0 * (middle[:, 0, 0] - middle[:, 0, 1]))  # its deviation
    features = log_normal(
        y[:, 0].astype(np.float64), covariance_of_two(coder.gps[0], distance[:, None] * nodes)
    )
    return math.log(np.sum(weights * np.exp(label) * (np.exp(features) @ weights)))


def test_the_referee_has_the_kernel_of_the_project():
    coder, *_ = small_case()
    gp = coder.gps[0]
    X = tf.constant([[0.3], [-0.9]], tf.float64)
    expected = covariance(gp.kernel[0], gp.kernel[1], gp.noise[0], X)
    np.testing.assert_allclose(covariance_of_two(gp, np.array(1.2)), expected, rtol=1e-12)


def test_the_bound_is_below_the_evidence_wherever_its_parameters_are_and_comes_close():
    coder, y, labels = small_case()
    evidence = evidence_of(coder, y, labels)
    of_the_model = ("amplitude", "lengthscales", "noise")
    free = [
        v for v in coder.trainable_variables if not any(name in v.path for name in of_the_model)
    ]
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert float(objective(coder, y, labels)) < evidence
        for weight in free:
            weight.assign_add(0.1 * rng.standard_normal(weight.shape))
    optimizer = make_optimizer("adam", 0.04)
    optimizer.build(free)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = -objective(coder, y, labels)
        optimizer.apply_gradients(zip(tape.gradient(loss, free), free, strict=True))

    for _ in range(150):
        step()
    # Independent latents in two layers cost some nats; a constant too much or too few would show.
    assert evidence - 5.0 < float(objective(coder, y, labels)) < evidence
    assert evidence_of(coder, y, labels) == evidence


def test_frames_add_up_so_that_minibatches_estimate_the_bound_without_bias():
    y, labels = curve(40)
    coder = model(12, (3, 2), 2)
    coder.observe(Gaussian(y, None), labels, first=True)
    penalty = float(coder.penalty())
    parts = [
        objective(coder, y[k : k + 10], labels[k : k + 10]) + penalty for k in range(0, 40, 10)
    ]
    assert float(sum(parts)) - penalty == pytest.approx(
        float(objective(coder, y, labels)), rel=1e-12
    )


# Learning -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("init", "latents"),
    [("pca", (3, 2)), ("labels", (3,)), ("labels", (2, 3, 2)), ("random", (3, 2))],
)
def test_any_depth_starts_with_finite_gradients_to_every_weight(init, latents):
    y, labels = curve(50)
    coder = model(12, latents, 2, init=init)
    coder.observe(Gaussian(y, None), labels, first=True)
    with tf.GradientTape() as tape:
        loss = -objective(coder, y, labels)
    for v, g in zip(
        coder.trainable_variables, tape.gradient(loss, coder.trainable_variables), strict=True
    ):
        assert np.all(np.isfinite(g)) and np.any(g), v.path


def test_a_feature_that_never_varies_and_an_action_unit_without_labels_do_no_harm():
    y, labels = curve(50)
    y[:, 3], labels[:, 1] = 7.0, -1
    coder = model(12, (3, 2), 2)
    coder.observe(Gaussian(y, None), labels, first=True)
    y[:, 3] = 1e6  # what a constant feature becomes later says nothing
    q = coder.encode(tf.constant(y))
    level, features = coder.regression(q), coder.decode(q.mean)
    assert np.all(np.isfinite(level.mean)) and np.all(level.var.numpy() > 0)
    np.testing.assert_array_equal(features.mean[:, 3], 7.0)
    assert np.isfinite(float(objective(coder, y, labels)))


def test_levels_along_a_curved_line_are_learnt_by_minibatches():
    y, labels = curve(400)
    coder = model(12, (4, 2), 2, m=16)
    coder.observe(Gaussian(y, None), labels, first=True)
    step = Step(coder, make_optimizer("adam", 0.01), lambda z, seed: z, None, 100.0)
    rng = np.random.default_rng(1)
    before = float(objective(coder, y, labels))
    for n in range(120):
        rows = rng.choice(400, 100, replace=False)
        step.run(
            Gaussian(tf.constant(y[rows]), None),
            tf.constant(labels[rows]),
            tf.constant(rows.astype(np.int32)),
            None,
            tf.constant(1.0),
            tf.constant(1.0),
            tf.constant(400.0),
            tf.constant([0, n]),
        )
    coder.refresh()
    assert float(objective(coder, y, labels)) > before + 400.0
    unseen, truth = curve(200, seed=5)
    seen = truth >= 0
    q = coder.encode(tf.constant(unseen))
    level = coder.regression(q)
    error = (level.mean.numpy() - truth)[seen]
    assert np.mean(error**2) < 0.15 * np.var(truth[seen])
    # It is not surer than it may be, and surer than at the start.
    assert np.std(error / np.sqrt(level.var.numpy()[seen])) < 1.3
    assert np.all(coder.labels.noise < 0.45)
    p = coder.level_probabilities(q).numpy()
    np.testing.assert_allclose(p.sum(-1), 1.0, atol=1e-6)
    assert np.mean(p.argmax(-1)[seen] == truth[seen]) > 0.7
    # And the features come back from the code.
    assert np.mean((coder.decode(q.mean).mean - unseen) ** 2) < 0.15 * np.var(unseen)
