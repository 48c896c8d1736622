"""The VO-GPAE against loops, against itself without a point, and on a problem it should learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.coders.gp_coder import CALIBRATION_RANGE
from deepcoder_tf.coders.vogpae import VOGPAE
from deepcoder_tf.evaluation.metrics import icc31
from deepcoder_tf.likelihoods.gaussian import kl_diagonal
from deepcoder_tf.types import Gaussian
from tests.coders.problems import codes, gp_coder, train
from tests.reference import vogpae as reference

N, D0, D1, Q = 14, 5, 3, 2
SEED = tf.constant([3, 4])


@pytest.fixture(scope="module")
def problem() -> tuple[Gaussian, np.ndarray]:
    """q(Z0) and labels of the points that the coders own."""
    return codes(N, D0, Q)


def covariance_of(coder: VOGPAE, kernel, X) -> np.ndarray:
    """C of one of the coder's kernels, entry by entry."""
    amplitude, lengthscales, noise = (np.asarray(part) for part in kernel)
    return reference.rbf_ard(amplitude, lengthscales, X, X) + noise * np.eye(len(X))


def tensors(z: Gaussian) -> Gaussian:
    """NumPy to TensorFlow."""
    return Gaussian(tf.constant(z.mean), tf.constant(z.var))


def terms(coder: VOGPAE, z: Gaussian, labels, rows=None, prior=None):
    """All terms at some of the coder's points."""
    rows = np.arange(len(labels)) if rows is None else rows
    z_in = Gaussian(tf.constant(z.mean[rows]), tf.constant(z.var[rows]))
    return coder.terms(
        z_in, tf.constant(labels[rows]), prior=prior, index=tf.constant(rows), seed=SEED
    )


def drawn(q: Gaussian) -> np.ndarray:
    """The sample of Z1 that the coder takes with `SEED`."""
    eps = tf.random.stateless_normal(q.mean.shape, SEED, dtype=tf.float64).numpy()
    return q.mean + np.sqrt(q.var) * eps


# The bound ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("uncertainty", ["mean", "expected"])
@pytest.mark.parametrize("expectation", ["quadrature", "sample"])
def test_the_terms_are_those_of_the_loops(problem, uncertainty, expectation):
    z, labels = problem
    coder = gp_coder(z, labels, D1, z0_uncertainty=uncertainty, expectation=expectation)
    found = terms(coder, z, labels)
    offset, scale = z.mean.mean(0), np.sqrt(z.mean.var(0) + z.var.mean(0))
    Z0 = (z.mean - offset) / scale
    mean, var = reference.leave_one_out(covariance_of(coder, coder.encoder, Z0), coder.M.numpy())
    q = Gaussian(mean, coder.S.numpy() + var[:, None])
    Z1 = drawn(q)
    C1 = covariance_of(coder, coder.decoder, Z1)
    recon = reference.gp_log_likelihood(C1, Z0)
    if uncertainty == "expected":
        recon -= 0.5 * np.sum(np.diag(np.linalg.inv(C1))[:, None] * z.var / scale**2)
    np.testing.assert_allclose(found["recon"], recon / N, rtol=1e-9)
    kl = [
        sum(reference.gaussian_kl(q.mean[i, k], q.var[i, k], 0.0, 1.0) for k in range(D1))
        for i in range(N)
    ]
    np.testing.assert_allclose(found["kl"], kl, rtol=1e-6)
    label = [label_term(coder, q, Z1, labels, i, expectation) for i in range(N)]
    np.testing.assert_allclose(found["label"], label, rtol=1e-4, atol=1e-6)


def label_term(coder, q, Z1, labels, i, expectation) -> float:
    """Σ_c E log p(y_ic | z1_i), one action unit and one node at a time."""
    W, gamma = coder.W.numpy(), coder.cutpoints.numpy()
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    total = 0.0
    for c, level in enumerate(labels[i]):
        if level < 0:
            continue
        if expectation == "sample":
            p = reference.ordinal_probability(level, gamma[c], W[c] @ Z1[i])
            total += np.log(p)
            continue
        f = W[c] @ q.mean[i] + np.sqrt(W[c] ** 2 @ q.var[i]) * nodes
        log_p = [np.log(reference.ordinal_probability(level, gamma[c], x)) for x in f]
        total += weights @ log_p / weights.sum()
    return total


def test_a_block_is_a_process_of_its_own(problem):
    z, labels = problem
    rows = np.array([7, 2, 11, 0, 5])
    found = terms(gp_coder(z, labels, D1), z, labels, rows)
    whole = gp_coder(z, labels, D1)
    alone = VOGPAE(len(rows), D0, D1, Q)
    alone.build()
    copy_parameters(whole, alone, rows)
    again = terms(alone, Gaussian(z.mean[rows], z.var[rows]), labels[rows])
    for name in found:
        np.testing.assert_allclose(found[name], again[name], rtol=1e-12)


def test_missing_labels_contribute_exactly_nothing(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    nothing = np.full_like(labels, -1)
    with tf.GradientTape() as tape:
        label = terms(coder, z, nothing)["label"]
        total = tf.reduce_sum(label)
    np.testing.assert_array_equal(label, 0.0)
    for gradient in tape.gradient(total, coder.trainable_variables):
        assert gradient is None or not np.any(tf.convert_to_tensor(gradient))


def test_no_gradient_reaches_the_codes_above(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1, z0_uncertainty="expected")
    z_in = tensors(z)
    with tf.GradientTape() as tape:
        tape.watch(list(z_in))
        found = coder.terms(z_in, tf.constant(labels), prior=None, index=tf.range(N), seed=SEED)
        total = sum(map(tf.reduce_sum, found.values()))
    assert tape.gradient(total, list(z_in)) == [None, None]


def test_the_order_of_the_points_does_not_matter(problem):
    z, labels = problem
    order = np.random.default_rng(0).permutation(N)
    coder, shuffled = gp_coder(z, labels, D1), VOGPAE(N, D0, D1, Q)
    shuffled.build()
    copy_parameters(coder, shuffled, order)
    new = tf.constant(np.random.default_rng(1).standard_normal((4, D0)))
    for ours, theirs in zip(coder.encode(new), shuffled.encode(new), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)
    code = tf.constant(np.random.default_rng(2).standard_normal((4, D1)))
    for ours, theirs in zip(coder.decode(code), shuffled.decode(code), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)
    found = terms(coder, z, labels)
    again = terms(shuffled, Gaussian(z.mean[order], z.var[order]), labels[order])
    for name in ("kl", "label"):  # the reconstruction draws Z1 row by row
        np.testing.assert_allclose(again[name], found[name].numpy()[order], atol=1e-10)


# Leave-one-out and prediction ---------------------------------------------------------------------


def copy_parameters(source: VOGPAE, target: VOGPAE, rows: np.ndarray) -> None:
    """Gives `target` the parameters and some of the points of `source`, and its own caches."""
    per_point = {"M", "raw_S", "Z0", "Z0_var"}
    skip = {"Z1", "Z1_var", "alpha0", "alpha1", "L0_inv", "L1_inv"}
    for name in (w.name for w in source.weights):
        value = getattr(source, name).numpy()
        if name not in skip:
            getattr(target, name).assign(value[rows] if name in per_point else value)
    target.refresh()


def test_encoding_without_a_point_is_leaving_it_out(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1, test_variance="gp")
    S = coder.S.numpy()
    for i in range(N):
        rest = np.delete(np.arange(N), i)
        without = VOGPAE(N - 1, D0, D1, Q, test_variance="gp")
        without.build()
        copy_parameters(coder, without, rest)
        new = without.encode(tf.constant(z.mean[i : i + 1]))
        own = coder.encode_train(tf.constant(z.mean[i : i + 1]), tf.constant([i]))
        np.testing.assert_allclose(own.mean, new.mean, atol=1e-10)
        np.testing.assert_allclose(own.var, new.var + S[i], atol=1e-10)
        # Its own target would have given it away.
        known = coder.encode(tf.constant(z.mean[i : i + 1]))
        assert np.abs(known.mean - own.mean).max() > 1e-3


def test_a_target_has_no_influence_on_its_own_code(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    Z0 = coder.standardise(tensors(z)).mean
    with tf.GradientTape() as tape:
        mean = coder.leave_one_out(Z0, tf.range(N)).mean[:, 0]
    jacobian = tape.jacobian(mean, coder.M.value).numpy()[:, :, 0]
    assert np.abs(np.diag(jacobian)).max() < 1e-13
    assert np.abs(jacobian).max() > 0.05


@pytest.mark.parametrize("kind", ["gp", "gp+meanS", "gp+propagated"])
def test_the_variance_at_new_points(problem, kind):
    z, labels = problem
    coder = gp_coder(z, labels, D1, test_variance=kind)
    new = np.random.default_rng(5).standard_normal((6, D0))
    Z0, x = ((v - coder.offset.numpy()) / coder.scale.numpy() for v in (z.mean, new))
    amplitude, lengthscales, noise = (np.asarray(part) for part in coder.encoder)
    C, S = covariance_of(coder, coder.encoder, Z0), coder.S.numpy()
    q = coder.encode(tf.constant(new))
    for i, k in enumerate(reference.rbf_ard(amplitude, lengthscales, x, Z0)):
        mean, var = reference.gp_prediction(C, k, amplitude + noise, coder.M.numpy())
        gain = np.linalg.solve(C, k)
        extra = {"gp": 0.0, "gp+meanS": S.mean(0), "gp+propagated": gain**2 @ S}[kind]
        np.testing.assert_allclose(q.mean[i], mean, atol=1e-10)
        np.testing.assert_allclose(q.var[i], var + extra, atol=1e-10)


def test_decoding_is_prediction_from_the_leave_one_out_codes_in_the_units_of_z0(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1, tie_variance="shared")
    Z0 = (z.mean - coder.offset.numpy()) / coder.scale.numpy()
    inputs, _ = reference.leave_one_out(covariance_of(coder, coder.encoder, Z0), coder.M.numpy())
    C1 = covariance_of(coder, coder.decoder, inputs)
    amplitude, lengthscales, noise = (np.asarray(part) for part in coder.decoder)
    new = np.random.default_rng(6).standard_normal((4, D1))
    p = coder.decode(tf.constant(new))
    for i, k in enumerate(reference.rbf_ard(amplitude, lengthscales, new, inputs)):
        mean, var = reference.gp_prediction(C1, k, amplitude + noise, Z0)
        np.testing.assert_allclose(p.mean[i], mean * coder.scale + coder.offset, atol=1e-9)
        np.testing.assert_allclose(p.var[i], var * coder.scale.numpy() ** 2, atol=1e-10)


def test_level_probabilities_are_averages_over_the_code(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    q = coder.encode(tf.constant(z.mean[:3] + 0.5))
    p = coder.level_probabilities(q).numpy()
    q = Gaussian(*(part.numpy() for part in q))
    np.testing.assert_allclose(p.sum(axis=-1), 1.0, atol=1e-14)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    W, gamma = coder.W.numpy(), coder.cutpoints.numpy()
    for i in range(3):
        for c in range(Q):
            f = W[c] @ q.mean[i] + np.sqrt(W[c] ** 2 @ q.var[i]) * nodes
            for s in range(6):
                average = [reference.ordinal_probability(s, gamma[c], x) for x in f] @ weights
                assert p[i, c, s] == pytest.approx(average / weights.sum(), abs=1e-6)


def test_single_precision_codes_give_single_precision_answers(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    x = tf.constant(z.mean, tf.float32)
    q = coder.encode(x)
    for part in (*q, *coder.decode(q.mean), coder.level_probabilities(q)):
        assert part.dtype == tf.float32
    np.testing.assert_allclose(q.mean, coder.encode(tf.constant(z.mean)).mean, atol=1e-4)


# Prior tying --------------------------------------------------------------------------------------


def test_equal_gaussians_have_no_divergence(problem):
    z, labels = problem
    p = gp_coder(z, labels, D1).tied_prior(tf.zeros((4, D1), tf.float64))
    np.testing.assert_array_equal(kl_diagonal(p, p), 0.0)


def test_unit_factors_are_the_variance_of_the_paper(problem):
    z, labels = problem
    shared, calibrated = (
        gp_coder(z, labels, D1, tie_variance=kind) for kind in ("shared", "loo_calibrated")
    )
    code = tf.constant(np.random.default_rng(0).standard_normal((4, D1)))
    np.testing.assert_array_equal(shared.calibration, 1.0)
    assert np.abs(calibrated.decode(code).var / shared.decode(code).var - 1).max() > 0.05
    calibrated.calibration.assign(np.ones(D0))
    np.testing.assert_array_equal(calibrated.decode(code).var, shared.decode(code).var)
    np.testing.assert_array_equal(calibrated.decode(code).mean, shared.decode(code).mean)


def test_the_factors_are_those_of_leave_one_out(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    Z0 = coder.Z0.numpy()
    mean, var = reference.leave_one_out(covariance_of(coder, coder.decoder, coder.Z1.numpy()), Z0)
    error = (Z0 - mean) ** 2 + coder.Z0_var.numpy()
    factors = np.clip((error / var[:, None]).mean(0), *CALIBRATION_RANGE)
    np.testing.assert_allclose(coder.calibration, factors, rtol=1e-9)


def test_the_tied_prior_is_a_constant(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    code = tf.zeros((2, D1), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(code)
        p = coder.tied_prior(code)
        total = tf.reduce_sum(p.mean) + tf.reduce_sum(p.var)
    assert not any(g is not None for g in tape.gradient(total, [code, *coder.trainable_variables]))


def collapsed_problem(count: int = 120) -> tuple[Gaussian, np.ndarray]:
    """Six dimensions that follow a curve, and 24 that the top coder no longer uses."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, (count, 1))
    active = np.sin(t * [0.5, 1.0, 1.5, 0.7, 1.2, 0.9] + np.arange(6))
    mean = np.concatenate([active, 1e-3 * rng.standard_normal((count, 24))], axis=1)
    var = np.concatenate([np.full((count, 6), 0.01), np.ones((count, 24))], axis=1)
    return Gaussian(mean, var), np.clip(np.round(t + 2.5), 0, 5).astype(np.int32)


@pytest.mark.parametrize("kind", ["loo_calibrated", "shared"])
def test_a_collapsed_dimension_costs_nothing_with_calibration_only(kind):
    z, labels = collapsed_problem()
    coder = VOGPAE(len(labels), 30, 2, 1, tie_variance=kind)
    coder.build()
    coder.observe(z, labels, first=True)
    train(coder, z, labels, steps=120)
    q = tensors(z)
    prior = coder.tied_prior(coder.encode(q.mean).mean)
    per_dimension = np.mean(kl_diagonal(q, prior), axis=0)[6:]
    if kind == "shared":
        assert per_dimension.min() > 1.0
    else:
        assert per_dimension.max() < 0.05


# Starts, failures, learning -----------------------------------------------------------------------


def wide_problem(dims: int = 2000) -> tuple[Gaussian, np.ndarray]:
    """Thirty points in many dimensions."""
    z, labels = codes(30, dims, Q, seed=1)
    return z, np.maximum(labels, 0)


def lengthscale_gradient(coder: VOGPAE, z: Gaussian, labels) -> np.ndarray:
    """Of the bound, to the encoder's lengthscales."""
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(sum(terms(coder, z, labels).values()))
    return tf.convert_to_tensor(tape.gradient(total, coder.raw_lengthscales0.value)).numpy()


def test_the_median_distance_starts_the_kernel_alive():
    z, labels = wide_problem()
    coder = VOGPAE(30, 2000, D1, Q)
    coder.build()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coder.observe(z, labels, first=True)
    Z0 = coder.Z0.numpy()
    distances = [np.linalg.norm(Z0[i] - Z0[j]) for i in range(30) for j in range(i)]
    assert float(coder.lengthscale0) == pytest.approx(np.median(distances), rel=1e-9)
    assert np.abs(lengthscale_gradient(coder, z, labels)).max() > 1e-6


def test_a_lengthscale_of_one_in_many_dimensions_is_told_to_be_dead(monkeypatch):
    z, labels = wide_problem()
    one = tf.constant(1.0, tf.float64)
    monkeypatch.setattr("deepcoder_tf.coders.gp_coder.median_lengthscale", lambda X: one)
    coder = VOGPAE(30, 2000, D1, Q)
    coder.build()
    with pytest.warns(RuntimeWarning, match="encoder kernel starts dead"):
        coder.observe(z, labels, first=True)
    assert np.abs(lengthscale_gradient(coder, z, labels)).max() == 0.0


@pytest.mark.parametrize("init", ["pca", "random"])
def test_the_start_of_the_means(problem, init):
    z, labels = problem
    coder = VOGPAE(N, D0, D1, Q, init=init)
    coder.build()
    coder.observe(z, labels, first=True)
    M, Z0 = coder.M.numpy(), coder.Z0.numpy()
    directions = np.linalg.svd(Z0 - Z0.mean(0), full_matrices=False)[0][:, :D1]
    correlation = [abs(np.corrcoef(M[:, k], directions[:, k])[0, 1]) for k in range(D1)]
    assert (min(correlation) > 0.99) == (init == "pca")
    np.testing.assert_array_less(0.0, coder.S)


def test_a_start_at_the_labels_is_regression_of_the_labels(problem):
    z, labels = problem
    labels = np.where(np.arange(N)[:, None] == 3, -1, labels)
    coder = VOGPAE(N, D0, D1, Q, init="labels", lengthscale_factor=2.0)
    coder.build()
    coder.observe(z, labels, first=True)
    for c in range(Q):
        seen = labels[:, c] >= 0
        column, levels = coder.M.numpy()[:, c], labels[:, c]
        scores = (levels[seen] - levels[seen].mean()) / levels[seen].std()
        np.testing.assert_allclose(column[seen], scores, rtol=1e-5)
        np.testing.assert_array_equal(column[~seen], 0.0)
        assert np.argmax(np.abs(coder.W.numpy()[c])) == c
    plain = VOGPAE(N, D0, D1, Q)
    plain.build()
    plain.observe(z, labels, first=True)
    assert float(coder.lengthscale0) == pytest.approx(2.0 * float(plain.lengthscale0))


def test_observing_again_moves_the_points_and_keeps_the_parameters(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    before = [v.numpy() for v in coder.trainable_variables]
    moved = Gaussian(3.0 * z.mean + 1.0, 9.0 * z.var)
    Z0 = coder.Z0.numpy()
    coder.observe(moved, labels, first=False)
    for old, v in zip(before, coder.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, v)
    # The GPs see standardised codes, which a change of unit leaves alone.
    np.testing.assert_allclose(coder.Z0, Z0, atol=1e-9)
    np.testing.assert_allclose(coder.offset, moved.mean.mean(0))


def test_a_covariance_beyond_repair_is_told(problem):
    z, labels = problem
    coder = gp_coder(z, labels, D1)
    coder.raw_noise0.assign(np.nan)
    with pytest.raises(ValueError, match="positive definite"):
        coder.refresh()


def nonlinear_ordinal(count: int, seed: int) -> tuple[Gaussian, np.ndarray]:
    """Eight noisy nonlinear views of a plane; levels are distances from two places in it."""
    shapes, rng = np.random.default_rng(0), np.random.default_rng(seed)
    directions, phases = shapes.normal(size=(2, 8)), shapes.uniform(0, 6, 8)
    t = rng.uniform(-1.5, 1.5, (count, 2))
    views = np.sin(t @ directions + phases) + 0.05 * rng.standard_normal((count, 8))
    distance = np.stack([np.hypot(*(t - place).T) for place in ([0.0, 0.0], [1.0, -0.5])], axis=1)
    labels = np.clip(np.floor(2.5 * distance), 0, 5).astype(np.int32)
    return Gaussian(views, np.full_like(views, 0.01)), labels


def test_it_learns_a_nonlinear_ordinal_problem():
    z, labels = nonlinear_ordinal(150, seed=1)
    new, truth = nonlinear_ordinal(200, seed=2)
    coder = VOGPAE(150, 8, 4, 2)
    coder.build()
    coder.observe(z, labels, first=True)
    train(coder, z, labels, steps=150, rate=0.03)
    p = coder.level_probabilities(coder.encode(tf.constant(new.mean))).numpy()
    found = [icc31(truth[:, c], p[:, c] @ np.arange(6)) for c in range(2)]
    design = np.column_stack([z.mean, np.ones(150)])
    weights = np.linalg.lstsq(design, labels, rcond=None)[0]
    line = np.column_stack([new.mean, np.ones(200)]) @ weights
    straight = [icc31(truth[:, c], line[:, c]) for c in range(2)]
    assert min(found) > 0.7
    assert np.mean(found) > np.mean(straight)
