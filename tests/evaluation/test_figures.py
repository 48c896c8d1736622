"""Figures come out as whole PNG and SVG files that show what they are given."""

from __future__ import annotations

import numpy as np
import pytest

from deepcoder_tf.evaluation import figures
from deepcoder_tf.evaluation.metrics import reliability
from tests.evaluation.drawn import read, words


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


def test_without_an_ending_both_files_are_written(tmp_path):
    figures.intervals(tmp_path / "a.b", {"x": figures.Estimate(0.5, 0.4, 0.6)}, "ICC")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.b.png", "a.b.svg"]
    read(tmp_path / "a.b.png")
    first = (tmp_path / "a.b.svg").read_bytes()
    figures.intervals(tmp_path / "a.b", {"x": figures.Estimate(0.5, 0.4, 0.6)}, "ICC")
    assert (tmp_path / "a.b.svg").read_bytes() == first


def test_curves_leave_out_what_is_not_finite_and_end_with_the_shortest_run(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn, plot = [], Axes.plot

    def spy(axis, x, y, *rest, **options):
        drawn.append((list(x), list(y), options["lw"]))
        return plot(axis, x, y, *rest, **options)

    monkeypatch.setattr(Axes, "plot", spy)
    runs = [([0, 1, 2, 3], [1.0, np.nan, 3.0, 9.0]), ([0, 1, 2], [2.0, 4.0, 6.0])]
    figures.over_iterations(tmp_path / "a", {"2DC": runs, "DCp": [([0], [1.0])]}, "ICC")
    thin, bold = [line for line in drawn if line[2] < 1], [line for line in drawn if line[2] > 1]
    assert [line[:2] for line in thin] == [([0, 2, 3], [1, 3, 9]), ([0, 1, 2], [2, 4, 6])]
    assert [line[:2] for line in bold] == [([0, 2], [1.5, 4.5]), ([0], [1])]
    read(tmp_path / "a.png")
    assert all(
        word in words(tmp_path / "a.svg") for word in ("ICC", "2DC", "DCp", "outer iteration")
    )


def test_t_sne_keeps_clusters_and_can_start_from_another_map():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 60)) * 20
    who = np.repeat([0, 1, 2], 20)
    points = figures.t_sne(centres[who] + rng.normal(size=(60, 60)))
    within = np.linalg.norm(points[who == 0] - points[who == 0].mean(0), axis=1).max()
    apart = min(np.linalg.norm(points[who == 0].mean(0) - points[who == i].mean(0)) for i in (1, 2))
    assert points.shape == (60, 2) and apart > 2 * within
    # Mirrored, the same data end mirrored: a map that starts from another stays comparable with it.
    for flip in (1, -1):
        again = figures.t_sne(centres[who] + rng.normal(size=(60, 60)), start=flip * points)
        means = np.array([again[who == i].mean(0) for i in range(3)])
        before = np.array([flip * points[who == i].mean(0) for i in range(3)])
        assert np.corrcoef(means.ravel(), before.ravel())[0, 1] > 0.8


def test_t_sne_of_one_place_is_one_place():
    assert figures.t_sne(np.ones((5, 3))).tolist() == [[0, 0]] * 5


@pytest.mark.parametrize("subjects", [3, 60])
def test_maps_by_subject(tmp_path, subjects):
    rng = np.random.default_rng(0)
    names = [f"SN{i % subjects:03d}" for i in range(120)]
    maps = {f"iteration {i}": {n: rng.normal(size=(120, 2)) for n in ("Z0", "Z1")} for i in (1, 9)}
    figures.spaces_by_subject(tmp_path / "a", maps, names)
    read(tmp_path / "a.png")
    told = words(tmp_path / "a.svg")
    assert "Z1, iteration 9" in told and ("SN002" in told) == (subjects == 3)


def test_maps_by_level(tmp_path):
    rng = np.random.default_rng(0)
    panels = {name: (rng.normal(size=(9, 2)), rng.integers(-1, 6, 9)) for name in ("SN1", "SN2")}
    figures.spaces_by_level(tmp_path / "a", {"Z1": panels}, "AU12")
    told = words(tmp_path / "a.svg")
    assert "SN2, Z1" in told and "level of AU12" in told
    read(tmp_path / "a.png")


def test_a_stranger_among_others(tmp_path):
    points = np.random.default_rng(0).normal(size=(30, 2))
    figures.neighbourhood(tmp_path / "a", points, ["a", "b", "c"] * 10, "b", ["c"])
    told = words(tmp_path / "a.svg")
    assert "b (test)" in told and "c (training)" in told
    read(tmp_path / "a.png")


def test_label_distribution(tmp_path):
    counts = {
        s: {f"AU{q:02d}": [900, 40, 30, 0, 5, 1] for q in range(7)} for s in ("train", "test")
    }
    figures.label_distribution(tmp_path / "a", counts)
    told = words(tmp_path / "a.svg")
    assert "AU06" in told and "frames" in told and "test" in told
    read(tmp_path / "a.png")


def test_confusion_matrices_show_the_counts(tmp_path):
    table = np.diag([4711, 5, 4, 3, 2, 0])
    figures.confusion_matrices(tmp_path / "a", {"AU12": table, "AU25": table + 1, "AU26": table})
    told = words(tmp_path / "a.svg")
    assert "4711" in told and "4712" in told and "AU25" in told
    read(tmp_path / "a.png")


def test_intervals_name_every_row(tmp_path):
    estimates = {"2DC": figures.Estimate(0.5, 0.45, 0.56), "MLR": figures.Estimate(-0.1)}
    figures.intervals(tmp_path / "a", estimates, "mean ICC", difference=True, marked=["2DC"])
    told = words(tmp_path / "a.svg")
    assert all(word in told for word in ("2DC", "MLR", "+0.500", "mean ICC"))


def test_reliability_diagram(tmp_path):
    P = np.random.default_rng(0).dirichlet(np.ones(6), 200)
    tables = {"2DC": reliability(P, P.argmax(1)), "certain": reliability(np.eye(6), range(6))}
    figures.reliability_diagram(tmp_path / "reliability.png", tables)
    read(tmp_path / "reliability.png")
    figures.reliability_by_unit(tmp_path / "units", tables)
    read(tmp_path / "units.png")
    assert "certain" in words(tmp_path / "units.svg")


def test_wilson_intervals_are_those_of_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    from deepcoder_tf.evaluation.figures.levels import wilson

    count = np.array([1, 7, 50, 400])
    for frequency in (0.0, 0.25, 1.0):
        happened = frequency * count
        low, high = proportion_confint(happened, count, method="wilson")
        np.testing.assert_allclose(wilson(np.full(4, frequency), count), (low, high), atol=1e-7)


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
        (lambda p: figures.over_iterations(p, {"a": []}, "ICC"), "no curve"),
        (lambda p: figures.over_iterations(p, {"a": [([1], [1, 2])]}, "ICC"), "steps and"),
        (lambda p: figures.t_sne(np.zeros((2, 2))), "N >= 3"),
        (
            lambda p: figures.spaces_by_subject(p, {"": {"Z0": np.zeros((3, 2))}}, ["a"]),
            r"\[1, 2\]",
        ),
        (lambda p: figures.spaces_by_level(p, {}, "AU12"), "no map"),
        (lambda p: figures.neighbourhood(p, np.zeros((1, 2)), ["a"], "b"), "b among"),
        (lambda p: figures.label_distribution(p, {}), "a split"),
        (lambda p: figures.confusion_matrices(p, {"AU12": np.zeros((2, 3))}), "square"),
        (lambda p: figures.intervals(p, {}, "ICC"), "no estimate"),
        (lambda p: figures.reliability_by_unit(p, {}), "no reliability table"),
        (lambda p: figures.reliability_diagram(p, {}), "no reliability table"),
    ],
)
def test_misuse_is_named_and_leaves_no_file(tmp_path, call, message):
    with pytest.raises(ValueError, match=message):
        call(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
