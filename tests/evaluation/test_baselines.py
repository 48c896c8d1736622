"""The linear references against closed forms and on data they can and cannot explain."""

from __future__ import annotations

import numpy as np
import pytest

from deepcoder_tf.evaluation import baselines
from deepcoder_tf.evaluation.metrics import icc31


def planted(seed: int, n: int, weights: np.ndarray, noise: float = 0.3):
    """Features and levels that are a noisy linear function of them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(weights)))
    Y = np.clip(np.round(2 + X @ weights + noise * rng.normal(size=(n, weights.shape[1]))), 0, 5)
    return X, Y.astype(int)


WEIGHTS = np.random.default_rng(9).normal(0, 0.5, (5, 3))


def test_mlr_solves_the_normal_equations_of_the_labelled_rows():
    X, Y = planted(0, 50, WEIGHTS)
    Y[::4, 1] = -1
    model = baselines.mlr(X, Y)
    for q in range(3):
        kept = Y[:, q] >= 0
        A = np.column_stack([X[kept], np.ones(kept.sum())])
        solution = np.linalg.solve(A.T @ A, A.T @ Y[kept, q])
        np.testing.assert_allclose(model.weights[:, q], solution[:-1], atol=1e-10)
        np.testing.assert_allclose(model.intercept[q], solution[-1], atol=1e-10)


def test_ridge_solves_the_penalised_normal_equations():
    X, Y = planted(1, 60, WEIGHTS)
    model = baselines.ridge(X, Y, X, Y, alphas=[0.1])
    C = X - X.mean(0)
    penalty = 0.1 * len(X) * X.var(0).max()
    assert model.alpha == pytest.approx(penalty)
    solution = np.linalg.solve(C.T @ C + penalty * np.eye(5), C.T @ (Y - Y.mean(0)))
    np.testing.assert_allclose(model.weights, solution, atol=1e-10)


def test_the_penalty_is_chosen_on_validation_subjects():
    """Many noise features: the least penalty overfits, the greatest one explains nothing."""
    weights = np.vstack([WEIGHTS, np.zeros((60, 3))])
    X, Y = planted(2, 80, weights, noise=1)
    V, T = planted(3, 200, weights, noise=1)
    chosen = baselines.ridge(X, Y, V, T)

    def score(model):
        return np.mean([icc31(T[:, q], model.predict(V)[:, q]) for q in range(3)])

    each = {a: score(baselines.ridge(X, Y, V, T, alphas=[a])) for a in baselines.ALPHAS}
    assert score(chosen) == max(each.values())
    assert score(chosen) > each[min(each)] + 0.01
    assert score(chosen) > each[max(each)] + 0.01


def test_predictions_are_levels_and_a_unit_without_labels_is_absent():
    X, Y = planted(4, 50, WEIGHTS * 4)
    Y[:, 2] = -1
    F = baselines.mlr(X, Y).predict(X * 10)
    assert F.min() == 0 and F.max() == 5
    assert (F[:, 2] == 0).all()


def pictures(seed: int, n: int):
    """Crops of three smooth patterns, whose strengths make the levels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:24, 0:16] / 16
    patterns = np.stack([np.sin(3 * rows), np.cos(5 * columns), rows * columns])
    strength = rng.random((n, 3))
    crops = np.einsum("nk,khw->nhw", strength, patterns) * 60 + 90
    crops += rng.normal(0, 2, crops.shape)
    return np.clip(crops, 0, 255).astype(np.uint8)[..., None], np.round(strength * 5).astype(int)


def test_ridge_on_components_learns_what_pixels_tell():
    crops, Y = pictures(0, 200)
    other, T = pictures(1, 80)
    test, labels = pictures(2, 80)
    model = baselines.ridge_pca(crops, Y, other, T, components=10, seed=1)
    assert model.components == 10
    F = model.predict(test)
    assert F.shape == (80, 3)
    assert min(icc31(labels[:, q], F[:, q]) for q in range(3)) > 0.9


def test_components_span_what_the_full_svd_spans():
    crops, Y = pictures(3, 120)
    model = baselines.ridge_pca(crops, Y, crops, Y, components=3)
    X = crops.reshape(120, -1).astype(float)
    _, _, V = np.linalg.svd(X - X.mean(0), full_matrices=False)
    cosines = np.linalg.svd(model.pca.components_ @ V[:3].T, compute_uv=False)
    assert cosines.min() > 0.999


def test_the_same_seed_gives_the_same_baseline_and_chunks_do_not_matter(monkeypatch):
    crops, Y = pictures(4, 90)
    first = baselines.ridge_pca(crops, Y, crops, Y, components=5, seed=3).predict(crops)
    monkeypatch.setattr(baselines, "CHUNK", 7)
    second = baselines.ridge_pca(crops, Y, crops, Y, components=5, seed=3).predict(crops)
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_more_components_than_frames_is_as_many_as_there_are():
    crops, Y = pictures(5, 20)
    assert baselines.ridge_pca(crops, Y, crops, Y, components=500).components == 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: baselines.mlr(np.zeros((3, 2)), np.zeros((4, 1))),
            r"\(3, 2\) and labels \(4, 1\)",
        ),
        (
            lambda: baselines.ridge(
                np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((3, 2)), np.zeros((3, 1)), []
            ),
            "at least one penalty",
        ),
        (
            lambda: baselines.ridge_pca(
                np.zeros((3, 2, 2)), np.zeros((3, 1)), np.zeros((3, 2, 2)), np.zeros((3, 1)), 0
            ),
            "components must be at least 1, got 0",
        ),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
