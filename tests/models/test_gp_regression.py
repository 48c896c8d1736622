"""The exact GP head against scikit-learn's, and what happens to frames that it does not own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from deepcoder_tf.models.gp_regression import GPHead
from deepcoder_tf.models.regression import standardisation


def problem(n: int = 25, F: int = 3):
    """Smooth levels of two units."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, F)) * [1, 5, 0.2][:F] + 2).astype(np.float32)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    Y = np.stack([2 + np.sin(Z[:, 0]), 1 + Z[:, 1] ** 2], axis=1) + 0.2 * rng.normal(size=(n, 2))
    return X, Y


def head_of(X, Y, kernel: str, points: int, lengths) -> tuple[GPHead, tf.Tensor, tf.Tensor]:
    """A GP that owns these frames, with known hyper-parameters."""
    head = GPHead(Y.shape[1], points, kernel)
    head.build((None, X.shape[1]))
    head.start(X, standardisation(X), Y.mean(axis=0), Y.std(axis=0), 1.0)
    head.log_amplitude.assign(np.log(1.3))
    head.log_noise.assign(np.log(0.2))
    head.log_lengthscales.assign(np.log(lengths))
    Xs, Ys = head.standardised(X), tf.constant((Y - Y.mean(axis=0)) / Y.std(axis=0))
    head.freeze(Xs, Ys)
    return head, Xs, Ys


@pytest.mark.parametrize(
    ("kernel", "lengths"), [("rbf", np.array([1.7])), ("rbf_ard", np.array([1.7, 0.9, 3.0]))]
)
@pytest.mark.parametrize("spare", [0, 4])
def test_likelihood_and_predictions_equal_scikit_learn(kernel, lengths, spare):
    X, Y = problem()
    head, Xs, Ys = head_of(X, Y, kernel, len(X) + spare, lengths)
    prior = ConstantKernel(1.3) * RBF(lengths) + WhiteKernel(0.2)
    referee = GaussianProcessRegressor(prior, alpha=0.0, optimizer=None).fit(Xs, Ys)
    likelihood = referee.log_marginal_likelihood(referee.kernel_.theta)
    assert float(head.log_likelihood(Xs, Ys)) == pytest.approx(likelihood, abs=1e-8)
    new = problem(n=40)[0][25:] + np.float32(0.3)
    mean, deviation = referee.predict(head.standardised(new), return_std=True)
    levels = head.predict(tf.constant(new)).regression
    np.testing.assert_allclose(levels.mean, mean * Y.std(axis=0) + Y.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(levels.var), deviation * Y.std(axis=0), rtol=1e-5)


def test_far_from_its_frames_it_says_the_mean_and_all_it_does_not_know():
    X, Y = problem()
    head, _, _ = head_of(X, Y, "rbf", 25, [1.0])
    levels = head.predict(tf.constant(X[:1] + 1e3)).regression
    np.testing.assert_allclose(levels.mean[0], Y.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(levels.var[0], 1.5 * Y.var(axis=0), rtol=1e-6)


def test_the_start_is_alive():
    """Lengthscales in median distances, signal and noise the labels' variance together."""
    X, Y = problem()
    head = GPHead(2, 25, "rbf_ard")
    head.build((None, 3))
    head.start(X, standardisation(X), Y.mean(axis=0), Y.std(axis=0), 2.0)
    a, lengths, noise = head.hyper_parameters()
    Z = head.standardised(X).numpy()
    distance = np.sqrt(((Z[:, np.newaxis] - Z) ** 2).sum(axis=-1))[np.triu_indices(25, 1)]
    np.testing.assert_allclose(lengths, 2.0 * np.median(distance), rtol=1e-3)
    assert float(a + noise) == pytest.approx(1.0)


def test_misuse_is_named():
    with pytest.raises(ValueError, match="kernel='linear': choose one of rbf, rbf_ard"):
        GPHead(2, 5, "linear")
    with pytest.raises(ValueError, match="at least 2 points, got points=0"):
        GPHead(2, 0)
