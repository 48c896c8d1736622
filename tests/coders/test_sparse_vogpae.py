"""The sparse VO-GPAE against loops, against the VO-GPAE, and on problems it should solve."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.coders.gp_coder import CALIBRATION_RANGE
from deepcoder_tf.coders.sparse_vogpae import SparseVOGPAE
from deepcoder_tf.evaluation.metrics import icc31
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.types import Gaussian
from tests.coders.problems import codes, gp_coder, train
from tests.coders.test_vogpae import collapsed_problem, nonlinear_ordinal
from tests.reference import vogpae as reference

N, ANCHORS, INDUCING, D0, D1, Q = 20, 12, 5, 6, 3, 2
SEED = tf.constant([3, 4])


def anchored(z: Gaussian, labels: np.ndarray, rows: np.ndarray, **options) -> SparseVOGPAE:
    """A sparse coder that owns some of the points and has just started."""
    coder = SparseVOGPAE(len(rows), z.mean.shape[1], D1, labels.shape[1], **options)
    coder.build()
    coder.observe(Gaussian(z.mean[rows], z.var[rows]), labels[rows], first=True)
    coder.refresh()
    return coder


def moved(coder: SparseVOGPAE, seed: int = 0) -> SparseVOGPAE:
    """The coder with its parameters away from where they start."""
    rng = np.random.default_rng(seed)
    for v in coder.trainable_variables:
        v.assign_add(0.2 * rng.standard_normal(v.shape))
    coder.refresh()
    return coder


@pytest.fixture(scope="module")
def problem() -> tuple[Gaussian, np.ndarray]:
    """q(Z0) and labels of all frames."""
    return codes(N, D0, Q)


@pytest.fixture(scope="module")
def coder(problem) -> SparseVOGPAE:
    """Owns the first frames."""
    return moved(anchored(*problem, np.arange(ANCHORS), inducing=INDUCING))


def terms(coder, z: Gaussian, labels, rows=slice(None)) -> dict[str, np.ndarray]:
    """All terms at some frames."""
    z_in = Gaussian(tf.constant(z.mean[rows]), tf.constant(z.var[rows]))
    y = tf.constant(labels[rows])
    return coder.terms(z_in, y, prior=None, index=tf.range(len(y)), seed=SEED)


def arrays(kernel) -> list[np.ndarray]:
    """A kernel's parameters."""
    return [np.asarray(part) for part in kernel]


def decoder_parts(coder: SparseVOGPAE, Z1) -> tuple[np.ndarray, np.ndarray]:
    """Whitened kernel to the inducing codes, and what they leave of the variance, by loops."""
    amplitude, ls, _ = arrays(coder.decoder)
    V = coder.V.numpy()
    K = reference.rbf_ard(amplitude, ls, V, V) + 1e-6 * amplitude * np.eye(len(V))
    T = np.linalg.solve(np.linalg.cholesky(K), reference.rbf_ard(amplitude, ls, V, Z1)).T
    learnt = np.sum((T @ coder.Lambda.numpy()) ** 2, axis=1)
    return T, amplitude - np.sum(T**2, axis=1) + learnt


# Encoder ------------------------------------------------------------------------------------------


def test_with_all_frames_as_anchors_it_encodes_as_the_vogpae(problem):
    z, labels = problem
    exact = gp_coder(z, labels, D1)
    sparse = anchored(z, labels, np.arange(N), inducing=INDUCING)
    for name in ("M", "raw_lengthscales0", "raw_amplitude0", "raw_noise0", "W", "raw_first"):
        getattr(sparse, name).assign(getattr(exact, name))
    s = exact.S.numpy().mean(axis=0)
    sparse.raw_s.assign(np.log(np.expm1(s)))
    sparse.refresh()
    new = tf.constant(np.random.default_rng(1).standard_normal((9, D0)))
    for ours, theirs in zip(sparse.encode(new), exact.encode(new), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_training_and_prediction_use_one_map(problem, coder):
    z, _ = problem
    q = coder.pseudo_points(coder.standardise(z).mean)
    for predicted in (
        coder.encode(tf.constant(z.mean)),
        coder.encode_train(tf.constant(z.mean), tf.range(N)),
    ):
        np.testing.assert_allclose(predicted.mean, q.mean, atol=1e-12)
        np.testing.assert_allclose(predicted.var, q.var, atol=1e-12)


# The bound ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("uncertainty", ["mean", "expected"])
def test_the_terms_are_those_of_the_loops(problem, uncertainty):
    z, labels = problem
    coder = moved(
        anchored(z, labels, np.arange(ANCHORS), inducing=INDUCING, z0_uncertainty=uncertainty)
    )
    found = terms(coder, z, labels)
    Z0 = (z.mean - coder.offset.numpy()) / coder.scale.numpy()
    amplitude, ls, noise = arrays(coder.encoder)
    U = coder.Z0.numpy()
    np.testing.assert_allclose(U, Z0[:ANCHORS], atol=1e-12)
    C = reference.rbf_ard(amplitude, ls, U, U) + noise * np.eye(ANCHORS)
    k = reference.rbf_ard(amplitude, ls, Z0, U)
    pairs = [reference.gp_prediction(C, row, amplitude + noise, coder.M.numpy()) for row in k]
    mean = np.array([pair[0] for pair in pairs])
    var = np.array([pair[1] for pair in pairs])[:, None] + coder.s.numpy()
    eps = tf.random.stateless_normal(mean.shape, SEED, dtype=tf.float64).numpy()
    T, var_f = decoder_parts(coder, mean + np.sqrt(var) * eps)
    noise = arrays(coder.decoder)[2]
    residual = (Z0 - T @ coder.A.numpy()) ** 2 + var_f[:, None]
    if uncertainty == "expected":
        residual += z.var / coder.scale.numpy() ** 2
    recon = -0.5 * np.sum(np.log(2 * np.pi * noise) + residual / noise, axis=1)
    np.testing.assert_allclose(found["recon"], recon, rtol=1e-9)
    kl = 0.5 * np.sum(var + mean**2 - 1 - np.log(var), axis=1)
    np.testing.assert_allclose(found["kl"], kl, rtol=1e-10)


def test_the_penalty_is_the_divergence_of_full_gaussians_and_the_prior_of_w(coder):
    covariance = coder.Lambda.numpy() @ coder.Lambda.numpy().T
    expected = 0.5 * np.sum(coder.W.numpy() ** 2) / 10.0**2
    for a in coder.A.numpy().T:
        excess = np.trace(covariance) - INDUCING - np.linalg.slogdet(covariance)[1]
        expected += 0.5 * (a @ a + excess)
    assert float(coder.penalty()) == pytest.approx(expected, rel=1e-12)


def test_a_frame_has_its_terms_whatever_the_batch(problem, coder):
    z, labels = problem
    whole = terms(coder, z, labels)
    rows = np.array([17, 2, 9])
    part = terms(coder, z, labels, rows)
    for name in ("kl", "label"):  # the draw of Z1 behind `recon` goes row by row
        np.testing.assert_allclose(part[name], whole[name].numpy()[rows], rtol=1e-11)


def test_the_gradient_is_the_slope_of_the_bound_in_any_direction(problem):
    z, labels = problem
    coder = moved(anchored(z, labels, np.arange(ANCHORS), inducing=INDUCING))
    variables = coder.trainable_variables

    def bound() -> tf.Tensor:
        t = terms(coder, z, labels)
        return tf.reduce_sum(t["recon"] - t["kl"] + t["label"]) - coder.penalty()

    with tf.GradientTape() as tape:
        value = bound()
    gradients = [np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(value, variables)]
    start = [v.numpy() for v in variables]
    rng, h = np.random.default_rng(2), 1e-5
    for _ in range(3):
        direction = [rng.standard_normal(v.shape) for v in variables]
        values = []
        for sign in (1, -1):
            for v, origin, d in zip(variables, start, direction, strict=True):
                v.assign(origin + sign * h * d)
            values.append(float(bound()))
        slope = (values[0] - values[1]) / (2 * h)
        expected = sum(np.sum(g * d) for g, d in zip(gradients, direction, strict=True))
        assert slope == pytest.approx(expected, rel=1e-6)


def test_no_gradient_reaches_the_codes_above(problem, coder):
    z, labels = problem
    z_in = Gaussian(tf.constant(z.mean), tf.constant(z.var))
    with tf.GradientTape() as tape:
        tape.watch(list(z_in))
        total = sum(
            tf.reduce_sum(t)
            for t in coder.terms(
                z_in, tf.constant(labels), prior=None, index=tf.range(N), seed=SEED
            ).values()
        )
    assert tape.gradient(total, list(z_in)) == [None, None]


# Prediction ---------------------------------------------------------------------------------------


def test_decoding_is_the_prediction_of_the_sparse_process_in_the_units_of_z0(problem):
    z, labels = problem
    rows = np.arange(ANCHORS)
    coder = moved(anchored(z, labels, rows, inducing=INDUCING, tie_variance="shared"))
    new = np.random.default_rng(6).standard_normal((4, D1))
    T, var_f = decoder_parts(coder, new)
    p = coder.decode(tf.constant(new))
    scale, offset = coder.scale.numpy(), coder.offset.numpy()
    np.testing.assert_allclose(p.mean, T @ coder.A.numpy() * scale + offset, atol=1e-9)
    expected = (var_f + arrays(coder.decoder)[2])[:, None] * scale**2
    np.testing.assert_allclose(p.var, expected, rtol=1e-8)


def test_the_factors_of_the_tied_prior_are_those_of_anchors_left_out(problem):
    z, labels = problem
    coder = anchored(z, labels, np.arange(ANCHORS), inducing=INDUCING)
    # At the start q(U) is the best one for the anchors: leaving one out can be done by hand.
    codes = coder.encode(tf.constant(z.mean[:ANCHORS])).mean.numpy()
    Z0, (amplitude, _, noise) = coder.Z0.numpy(), arrays(coder.decoder)
    T, _ = decoder_parts(coder, codes)
    ratio = np.zeros((ANCHORS, D0))
    for i in range(ANCHORS):
        rest = np.delete(np.arange(ANCHORS), i)
        S = np.linalg.inv(np.eye(INDUCING) + T[rest].T @ T[rest] / noise)
        mean = T[i] @ S @ T[rest].T @ Z0[rest] / noise
        var = amplitude - T[i] @ T[i] + T[i] @ S @ T[i] + noise
        ratio[i] = ((Z0[i] - mean) ** 2 + coder.Z0_var.numpy()[i]) / var
    np.testing.assert_allclose(
        coder.calibration, np.clip(ratio.mean(0), *CALIBRATION_RANGE), rtol=1e-8
    )


@pytest.mark.parametrize("kind", ["loo_calibrated", "shared"])
def test_a_collapsed_dimension_costs_nothing_with_calibration_only(kind):
    z, labels = collapsed_problem()
    rows = np.arange(0, len(labels), 2)
    coder = anchored(z, labels, rows, inducing=30, tie_variance=kind)
    train(coder, z, labels, steps=120)
    q = Gaussian(tf.constant(z.mean), tf.constant(z.var))
    prior = coder.tied_prior(coder.encode(q.mean).mean)
    per_dimension = np.mean(kl_diagonal(q, prior), axis=0)[6:]
    if kind == "shared":
        assert per_dimension.min() > 1.0
    else:
        assert per_dimension.max() < 0.05


# Starts, failures, learning -----------------------------------------------------------------------


def test_the_decoder_starts_at_codes_of_anchors_with_the_best_q_for_them(problem):
    z, labels = problem
    coder = anchored(z, labels, np.arange(ANCHORS), inducing=INDUCING)
    codes = coder.encode(tf.constant(z.mean[:ANCHORS])).mean.numpy()
    distance = np.linalg.norm(coder.V.numpy()[:, None] - codes[None], axis=-1)
    assert len(set(np.argmin(distance, axis=1))) == INDUCING
    assert distance.min(axis=1).max() < 1e-10
    T, _ = decoder_parts(coder, codes)
    noise = arrays(coder.decoder)[2]
    S = np.linalg.inv(np.eye(INDUCING) + T.T @ T / noise)
    np.testing.assert_allclose(coder.Lambda @ tf.transpose(coder.Lambda), S, atol=1e-10)
    np.testing.assert_allclose(coder.A, S @ T.T @ coder.Z0.numpy() / noise, atol=1e-9)
    with pytest.raises(ValueError, match="13 inducing codes start at the codes of 12 anchors"):
        SparseVOGPAE(ANCHORS, D0, D1, Q, inducing=13)


def test_observing_again_encodes_the_anchors_again_and_keeps_the_parameters(problem):
    z, labels = problem
    coder = moved(anchored(z, labels, np.arange(ANCHORS), inducing=INDUCING))
    before = [v.numpy() for v in coder.trainable_variables]
    other, _ = codes(ANCHORS, D0, Q, seed=9)
    coder.observe(other, labels[:ANCHORS], first=False)
    for old, v in zip(before, coder.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, v)
    scale = np.sqrt(other.mean.var(0) + other.var.mean(0))
    np.testing.assert_allclose(coder.Z0, (other.mean - other.mean.mean(0)) / scale, atol=1e-9)


@pytest.mark.parametrize("weight", ["raw_noise0", "raw_amplitude1"])
def test_a_covariance_beyond_repair_is_told(problem, weight):
    z, labels = problem
    coder = anchored(z, labels, np.arange(ANCHORS), inducing=INDUCING)
    getattr(coder, weight).assign(np.nan)
    with pytest.raises(ValueError, match="positive definite"):
        coder.refresh()


@pytest.mark.parametrize("init", ["pca", "labels"])
def test_it_learns_a_nonlinear_ordinal_problem_from_more_frames_than_it_owns(init):
    z, labels = nonlinear_ordinal(300, seed=1)
    new, truth = nonlinear_ordinal(200, seed=2)
    rows = np.arange(0, 300, 5)

    def score(frames) -> float:
        coder = SparseVOGPAE(60, 8, 4, 2, inducing=40, init=init)
        coder.build()
        coder.observe(Gaussian(z.mean[rows], z.var[rows]), labels[rows], first=True)
        train(coder, Gaussian(z.mean[frames], z.var[frames]), labels[frames], 150, rate=0.03)
        p = coder.level_probabilities(coder.encode(tf.constant(new.mean))).numpy()
        return np.mean([icc31(truth[:, c], p[:, c] @ np.arange(6)) for c in range(2)])

    every = score(np.arange(300))
    assert every > 0.75
    assert every > score(rows)
