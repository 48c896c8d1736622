"""The frozen posterior: scikit-learn, loops, its tie to leave-one-out, and its way to fail."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from deepcoder_tf.gp.kernels import covariance
from deepcoder_tf.gp.leave_one_out import loo
from deepcoder_tf.gp.posterior import FrozenPosterior, freeze, predict, propagated_variance
from tests.reference import vogpae

N, D, K = 25, 4, 3


@pytest.fixture
def process():
    """Amplitude variance, lengthscales, noise variance, inputs, targets."""
    rng = np.random.default_rng(0)
    values = (1.4, rng.random(D) + 0.8, 0.1, rng.standard_normal((N, D)))
    return [tf.constant(v, tf.float64) for v in (*values, rng.standard_normal((N, K)))]


@pytest.fixture
def new_inputs():
    """Points near and far."""
    x = np.random.default_rng(1).standard_normal((6, D))
    x[-1] *= 1e4
    return tf.constant(x)


def test_prediction_is_that_of_scikit_learn(process, new_inputs):
    a, lengthscales, noise, X, Y = (v.numpy() for v in process)
    model = GaussianProcessRegressor(
        ConstantKernel(a) * RBF(lengthscales), alpha=noise, optimizer=None
    ).fit(X, Y)
    truth_mean, truth_std = model.predict(new_inputs, return_std=True)
    mean, var = predict(freeze(*process)[0], new_inputs)
    np.testing.assert_allclose(mean, truth_mean, atol=1e-12)
    np.testing.assert_allclose(var, truth_std[:, 0] ** 2 + noise, atol=1e-12)


def test_prediction_is_that_of_the_textbook(process, new_inputs):
    a, lengthscales, noise, X, Y = (v.numpy() for v in process)
    C = vogpae.rbf_ard(a, lengthscales, X, X) + noise * np.eye(N)
    mean, var = predict(freeze(*process)[0], new_inputs)
    for i, x in enumerate(new_inputs.numpy()):
        k = vogpae.rbf_ard(a, lengthscales, X, x[None])[:, 0]
        truth = vogpae.gp_prediction(C, k, a + noise, Y)
        np.testing.assert_allclose(mean[i], truth[0], atol=1e-12)
        np.testing.assert_allclose(var[i], truth[1], atol=1e-12)


def test_a_point_without_itself_is_its_leave_one_out_prediction(process):
    a, lengthscales, noise, X, Y = process
    mean, var = loo(covariance(a, lengthscales, noise, X), Y)
    for i in (0, 7, N - 1):
        rest = np.delete(np.arange(N), i)
        posterior, _ = freeze(a, lengthscales, noise, tf.gather(X, rest), tf.gather(Y, rest))
        mean_i, var_i = predict(posterior, X[i : i + 1])
        np.testing.assert_allclose(mean_i[0], mean[i], atol=1e-12)
        np.testing.assert_allclose(var_i[0], var[i], atol=1e-12)


def test_freeze_returns_the_leave_one_out_predictions_too(process):
    a, lengthscales, noise, X, Y = process
    mean, var = loo(covariance(a, lengthscales, noise, X), Y)
    _, (frozen_mean, frozen_var) = freeze(*process)
    np.testing.assert_allclose(frozen_mean, mean, atol=1e-13)
    np.testing.assert_allclose(frozen_var, var, atol=1e-13)


def test_far_from_all_data_the_prior_returns(process, new_inputs):
    mean, var = predict(freeze(*process)[0], new_inputs)
    np.testing.assert_array_equal(mean[-1], np.zeros(K))
    assert float(var[-1]) == pytest.approx(1.4 + 0.1)


def test_the_variance_never_falls_below_the_noise(process):
    a, lengthscales, _, X, Y = process
    tiny = tf.constant(1e-9, tf.float64)
    _, var = predict(freeze(a, lengthscales, tiny, X, Y)[0], X)
    assert np.all(var >= 1e-9)
    assert np.all(var < 1e-8)


def test_uncertain_targets_add_what_samples_of_them_show(process, new_inputs):
    a, lengthscales, noise, X, _ = process
    target_var = np.random.default_rng(2).random((N, K))
    posterior, _ = freeze(*process)
    ours = propagated_variance(posterior, new_inputs, tf.constant(target_var))
    C = covariance(a, lengthscales, noise, X).numpy()
    x = new_inputs.numpy()
    gain = vogpae.rbf_ard(float(a), lengthscales.numpy(), x, X.numpy()) @ np.linalg.inv(C)
    truth = np.stack([np.diag(gain @ np.diag(target_var[:, k]) @ gain.T) for k in range(K)], axis=1)
    np.testing.assert_allclose(ours, truth, rtol=1e-10, atol=1e-14)


def test_predictions_do_not_depend_on_the_batch(process, new_inputs):
    posterior, _ = freeze(*process)
    whole = predict(posterior, new_inputs)
    for i in range(len(new_inputs)):
        one = predict(posterior, new_inputs[i : i + 1])
        np.testing.assert_allclose(one[0][0], whole[0][i], atol=1e-14)
        np.testing.assert_allclose(one[1][0], whole[1][i], atol=1e-14)


def test_the_order_of_training_points_does_not_matter(process, new_inputs):
    a, lengthscales, noise, X, Y = process
    order = np.random.default_rng(3).permutation(N)
    posterior, _ = freeze(a, lengthscales, noise, tf.gather(X, order), tf.gather(Y, order))
    for ours, truth in zip(
        predict(posterior, new_inputs), predict(freeze(*process)[0], new_inputs), strict=True
    ):
        np.testing.assert_allclose(ours, truth, atol=1e-12)


def test_single_precision_is_close(process, new_inputs):
    posterior, _ = freeze(*process)
    single = FrozenPosterior(*(tf.cast(v, tf.float32) for v in posterior[:-1]))
    mean, var = predict(single, tf.cast(new_inputs, tf.float32))
    truth_mean, truth_var = predict(posterior, new_inputs)
    np.testing.assert_allclose(mean, truth_mean, atol=2e-5)
    np.testing.assert_allclose(var, truth_var, atol=5e-6)


def test_prediction_exports_with_any_batch(process, new_inputs, tmp_path):
    module = tf.Module()
    module.posterior = FrozenPosterior(*(tf.Variable(v) for v in freeze(*process)[0][:-1]))

    @tf.function(input_signature=[tf.TensorSpec([None, D], tf.float64)])
    def serve(x):
        tensors = FrozenPosterior(*(tf.convert_to_tensor(v) for v in module.posterior[:-1]))
        return dict(zip(("mean", "var"), predict(tensors, x), strict=True))

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    mean, var = predict(freeze(*process)[0], new_inputs)
    np.testing.assert_allclose(loaded.serve(new_inputs)["mean"], mean, atol=1e-14)
    np.testing.assert_allclose(loaded.serve(new_inputs[:2])["var"], var[:2], atol=1e-14)


def test_rounding_is_met_with_more_jitter_which_the_variance_counts(process):
    a, lengthscales, _, X, Y = process
    twice = tf.concat([X, X], axis=0), tf.concat([Y, Y], axis=0)
    posterior, _ = freeze(a, lengthscales, tf.constant(-1e-6, tf.float64), *twice)
    added = float(posterior.noise_variance) + 1e-6
    assert added == pytest.approx(1e-5 * float(a))
    mean, var = predict(posterior, X)
    np.testing.assert_allclose(mean, Y, atol=1e-2)
    assert np.all(var > 0.0)


def test_a_hopeless_covariance_is_refused_with_its_hyper_parameters(process):
    a, lengthscales, _, X, Y = process
    with pytest.raises(ValueError, match=r"jitter 0.01: amplitude variance 1.4, noise variance -1"):
        freeze(a, lengthscales, tf.constant(-1.0, tf.float64), X, Y)
    X = tf.where(tf.range(N)[:, tf.newaxis] == 3, tf.constant(np.nan, tf.float64), X)
    with pytest.raises(ValueError, match="check the inputs for NaN"):
        freeze(a, lengthscales, tf.constant(0.1, tf.float64), X, Y)
