"""Figures come out as whole PNG files that show what they are given."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepcoder_tf.evaluation import figures
from deepcoder_tf.evaluation.metrics import reliability


def read(path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None and min(image.shape[:2]) > 100
    return image


def test_reconstructions_show_every_crop(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (5, 24, 16, 1))
    figures.reconstructions(tmp_path / "a.png", X, X // 2, ["a", "b", "c", "d", "e"], columns=3)
    drawn = read(tmp_path / "a.png")
    assert drawn.std() > 20
    figures.reconstructions(tmp_path / "b.png", X, X, columns=3)
    # No error, no colour: the difference maps of an exact copy are white.
    exact = read(tmp_path / "b.png").astype(int)
    coloured = np.abs(drawn.astype(int) - drawn.mean(-1, keepdims=True)).max(-1) > 20
    assert coloured.any()
    assert not (np.abs(exact - exact.mean(-1, keepdims=True)).max(-1) > 20).any()


def test_projection_is_the_best_plane():
    """Against the singular value decomposition, up to the signs of the axes."""
    Z = np.random.default_rng(0).normal(size=(60, 10)) * np.arange(1, 11)
    points = figures.project(Z)
    U, s, _ = np.linalg.svd(Z - Z.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(U[:, :2] * s[:2]), atol=1e-9)


def test_one_dimension_can_be_looked_at_too():
    points = figures.project(np.arange(5.0)[:, None])
    assert points.shape == (5, 2) and np.ptp(points[:, 0]) == pytest.approx(4)


@pytest.mark.parametrize("subjects", [3, 25])
def test_latent_spaces(tmp_path, subjects):
    rng = np.random.default_rng(0)
    y = rng.integers(-1, 6, 100)
    names = [f"S{i % subjects}" for i in range(100)]
    spaces = {"Z0": rng.normal(size=(100, 8)), "Z1": rng.normal(size=(100, 2))}
    figures.latent_spaces(tmp_path / "latent.png", spaces, names, y)
    assert read(tmp_path / "latent.png").std() > 10


def test_training_curves_leave_out_what_is_not_finite(tmp_path):
    curves = {
        "bound": {"train": ([0, 1, 2], [1.0, np.nan, 3.0]), "validation": ([0, 1], [1, 2])},
        "KL": {"train": ([0], [1.0])},
    }
    figures.training_curves(tmp_path / "curves.png", curves)
    read(tmp_path / "curves.png")


def test_reliability_diagram(tmp_path):
    P = np.random.default_rng(0).dirichlet(np.ones(6), 200)
    tables = {"2DC": reliability(P, P.argmax(1)), "certain": reliability(np.eye(6), range(6))}
    figures.reliability_diagram(tmp_path / "reliability.png", tables)
    read(tmp_path / "reliability.png")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: figures.reconstructions(p, np.zeros((1, 2, 2)), np.zeros((2, 2, 2))), "equal"),
        (lambda p: figures.reconstructions(p, np.zeros(3), np.zeros(3)), r"\[N, H, W\]"),
        (lambda p: figures.project(np.zeros((2, 2))), "N >= 3"),
        (
            lambda p: figures.latent_spaces(p, {"Z0": np.zeros((4, 2))}, ["a"] * 5, [0] * 5),
            "one length, 5",
        ),
        (lambda p: figures.training_curves(p, {}), "no curve"),
        (lambda p: figures.reliability_diagram(p, {}), "no reliability table"),
    ],
)
def test_misuse_is_named_and_leaves_no_file(tmp_path, call, message):
    with pytest.raises(ValueError, match=message):
        call(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
