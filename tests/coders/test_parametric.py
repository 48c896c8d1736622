"""The convolutional and the dense coder, and their label head, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from deepcoder_tf.coders import ConvVAE, DenseVAE
from deepcoder_tf.coders.label_head import LabelHead
from deepcoder_tf.layers import sample
from deepcoder_tf.types import Gaussian
from tests.reference.vogpae import ordinal_probability

SEED = tf.constant([5, 6])
LABELS = np.array([[0, 5], [3, -1], [-1, -1], [1, 2]], np.int32)


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    """Standard normal, float32."""
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), tf.float32)


def conv(shape=(12, 8), filters=(3, 2), pools=(1, 1), **options) -> ConvVAE:
    """A small convolutional coder with four latent dimensions and two action units."""
    coder = ConvVAE(shape, filters, pools, 3, 4, 2, **options)
    coder.build()
    return coder


def dense() -> DenseVAE:
    """From 6 to 3 dimensions."""
    coder = DenseVAE(6, 5, 3, 2)
    coder.build()
    return coder


def terms(coder, z: tf.Tensor, prior=None, labels=LABELS, seed=SEED):
    """At the coder's input."""
    return coder.terms(
        Gaussian(z, None), tf.constant(labels), prior=prior, index=tf.range(len(z)), seed=seed
    )


def kl(q: Gaussian, p: Gaussian) -> np.ndarray:
    """½ Σ_d (log p/q + (q + (μ_q - μ_p)²) / p - 1), `[B]`."""
    (m, v), (m0, v0) = ([np.asarray(x, np.float64) for x in g] for g in (q, p))
    return 0.5 * np.sum(np.log(v0 / v) + (v + (m - m0) ** 2) / v0 - 1.0, axis=1)


# Sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pools", [(1, 1, 1), (1, 0, 1), (0, 0, 0), (1, 1, 0)])
@pytest.mark.parametrize("shape", [(15, 10), (13, 9), (16, 8), (1, 1)])
def test_an_image_comes_back_in_its_own_size(shape, pools):
    coder = conv(shape, (2, 3, 2), pools)
    x = normal(3, *shape, 1)
    p = coder.decode(coder.encode(x).mean)
    assert p.mean.shape == p.var.shape == x.shape
    halves = sum(pools)
    expected = tuple(int(np.ceil(side / 2**halves)) for side in shape)
    assert coder.sizes[-1] == expected
    assert coder.code_size == expected[0] * expected[1] * 2


def test_the_papers_sizes_give_the_code_that_its_pools_allow():
    coder = ConvVAE((240, 160), (128, 64, 32, 16, 8), (1, 1, 1, 1, 0), 5, 2000, 12)
    assert coder.sizes[-1] == (15, 10) and coder.code_size == 1200
    paper_code = ConvVAE((240, 320), (128, 64, 32, 16), (1, 1, 1, 1), 5, 2000, 12)
    assert (*paper_code.sizes[-1], paper_code.filters[-1]) == (15, 20, 16)


# Terms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
def test_the_terms_of_the_convolutional_coder(tied):
    coder, x = conv(), normal(4, 12, 8, 1)
    unit = Gaussian(np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32))
    other = Gaussian(normal(4, 4, seed=1), tf.exp(normal(4, 4, seed=2)))
    found = terms(coder, x, prior=other if tied else None)
    q = coder.encode(x)
    z = sample(q, SEED)
    decoded, noise = coder.decode(z).mean.numpy(), float(coder.noise)
    density = scipy.stats.norm(decoded, np.sqrt(noise)).logpdf(x.numpy())
    np.testing.assert_allclose(found["recon"], density.sum(axis=(1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(found["kl"], kl(q, other if tied else unit), rtol=1e-4)
    p = coder.labels.probabilities(z).numpy()
    np.testing.assert_allclose(found["label"], masked_sum(p), rtol=1e-4)
    assert noise == pytest.approx(0.1, abs=0.01)


def masked_sum(p: np.ndarray) -> list[float]:
    """Σ over the annotated action units of log p(y)."""
    return [
        sum(np.log(p[i, c, y]) for c, y in enumerate(row) if y >= 0) for i, row in enumerate(LABELS)
    ]


def test_the_terms_of_the_dense_coder():
    coder, z_in = dense(), normal(4, 6)
    found = terms(coder, z_in)
    q = coder.encode(z_in)
    z = sample(q, SEED)
    p = coder.decode(z)
    density = scipy.stats.norm(p.mean, np.sqrt(p.var)).logpdf(z_in)
    np.testing.assert_allclose(found["recon"], density.sum(axis=1), rtol=1e-4)
    unit = Gaussian(np.zeros((4, 3)), np.ones((4, 3)))
    np.testing.assert_allclose(found["kl"], kl(q, unit), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        found["label"], masked_sum(coder.labels.probabilities(z).numpy()), rtol=1e-4
    )


@pytest.mark.parametrize("make", [conv, dense])
def test_the_seed_decides_the_draw(make):
    coder = make()
    x = normal(4, 12, 8, 1) if make is conv else normal(4, 6)
    first, again = terms(coder, x), terms(coder, x)
    other = terms(coder, x, seed=tf.constant([5, 7]))
    np.testing.assert_array_equal(first["recon"], again["recon"])
    assert np.abs(first["recon"] - other["recon"]).max() > 0
    np.testing.assert_array_equal(first["kl"], other["kl"])


def test_dropout_is_for_training_steps_only():
    plain, dropping = conv(), conv(dropout=0.5)
    dropping.set_weights(plain.get_weights())
    x = normal(4, 12, 8, 1)
    np.testing.assert_array_equal(plain.encode(x).mean, dropping.encode(x).mean)
    assert np.abs(terms(plain, x)["kl"] - terms(dropping, x)["kl"]).max() > 1e-4
    np.testing.assert_array_equal(terms(dropping, x)["kl"], terms(dropping, x)["kl"])


@pytest.mark.parametrize("make", [conv, dense])
def test_the_defaults_of_the_interface(make):
    coder = make()
    x = normal(4, 12, 8, 1) if make is conv else normal(4, 6)
    before = coder.get_weights()
    coder.observe(Gaussian(x, None), LABELS, first=True)
    coder.refresh()
    assert all(map(np.array_equal, before, coder.get_weights()))
    assert coder.max_points is None and float(coder.penalty()) == 0.0
    own, new = coder.encode_train(x, tf.range(4)), coder.encode(x)
    np.testing.assert_array_equal(own.mean, new.mean)


# The label head -----------------------------------------------------------------------------------


def head(kind: str) -> LabelHead:
    """Two action units of six levels from three dimensions, all weights random."""
    layer = LabelHead(2, 6, kind)
    layer.build((None, 3))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.standard_normal(w.shape).astype(np.float32) for w in layer.weights])
    return layer


@pytest.mark.parametrize("kind", ["softmax", "ordinal"])
def test_each_row_is_a_distribution(kind):
    p = head(kind).probabilities(3.0 * normal(20, 3)).numpy()
    assert p.shape == (20, 2, 6) and p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=-1), 1.0, atol=1e-6)


def test_the_softmax_head_is_logistic_regression():
    layer, z = head("softmax"), normal(4, 3)
    W, bias = (w.numpy().astype(np.float64) for w in layer.weights)
    logits = (z.numpy() @ W + bias).reshape(4, 2, 6)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(layer.probabilities(z), expected, rtol=1e-5)


def test_the_ordinal_head_is_a_probit_with_growing_cut_points():
    layer, z = head("ordinal"), normal(4, 3)
    W, first, gaps = (w.numpy().astype(np.float64) for w in layer.weights)
    steps = np.log1p(np.exp(gaps)) + 1e-2
    cuts = first[:, None] + np.concatenate([np.zeros((2, 1)), np.cumsum(steps, axis=1)], axis=1)
    f = z.numpy() @ W
    expected = [
        [[ordinal_probability(s, cuts[c], f[i, c]) for s in range(6)] for c in range(2)]
        for i in range(4)
    ]
    np.testing.assert_allclose(layer.probabilities(z), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["softmax", "ordinal"])
def test_missing_labels_contribute_exactly_nothing(kind):
    layer, z = head(kind), normal(4, 3)
    weights = [w.value for w in layer.weights]

    def value_and_gradients(labels):
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_p = layer.log_prob(z, tf.constant(labels))
            total = tf.reduce_sum(log_p)
        return log_p.numpy(), [g.numpy() for g in tape.gradient(total, [z, *weights])]

    nothing, gradients = value_and_gradients(np.full((4, 2), -1, np.int32))
    np.testing.assert_array_equal(nothing, 0.0)
    assert not any(np.any(g) for g in gradients)
    # A frame without labels beside frames with them changes none of their gradients.
    found, gradients = value_and_gradients(LABELS)
    assert found[2] == 0.0 and not np.any(gradients[0][2])
    expected = masked_sum(layer.probabilities(z).numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_an_impossible_level_keeps_a_finite_gradient():
    layer = head("ordinal")
    z = tf.fill((1, 3), 300.0)
    with tf.GradientTape() as tape:
        tape.watch(z)
        total = tf.reduce_sum(layer.log_prob(z, tf.constant([[0, 0]])))
        other = tf.reduce_sum(layer.log_prob(-z, tf.constant([[0, 0]])))
        total += other
    assert np.all(np.isfinite(tape.gradient(total, z))) and np.isfinite(total)


def test_other_kinds_of_heads_are_refused():
    with pytest.raises(ValueError, match="kind must be softmax or ordinal, not 'probit'"):
        LabelHead(2, 6, "probit")
