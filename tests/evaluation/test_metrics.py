"""Metrics against independent referees, loops and properties."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

from deepcoder_tf.evaluation import metrics

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)
PAIRS = st.integers(3, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, n, elements=st.integers(0, 5)),
        hnp.arrays(np.float64, n, elements=st.floats(0, 5, allow_subnormal=False)),
    )
)


def labels_and_probabilities(seed: int, n: int = 60, q: int = 3):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(6, 0.6), (n, q))
    Y = np.array([[rng.choice(6, p=p) for p in row] for row in P])
    Y[rng.random(Y.shape) < 0.2] = -1
    return Y, P


def pingouin_icc3(ratings: np.ndarray) -> float:
    n, k = ratings.shape
    table = pd.DataFrame(
        {
            "target": np.repeat(np.arange(n), k),
            "rater": np.tile(np.arange(k), n),
            "rating": ratings.ravel().astype(float),
        }
    )
    result = pingouin.intraclass_corr(table, "target", "rater", "rating").set_index("Type")
    return float(result.loc["ICC(C,1)" if "ICC(C,1)" in result.index else "ICC3", "ICC"])


def loop_icc3(ratings: np.ndarray) -> float:
    """The two-way table of Shrout and Fleiss, entry by entry."""
    n, k = ratings.shape
    grand = sum(ratings[i, j] for i in range(n) for j in range(k)) / (n * k)
    rows = [sum(ratings[i]) / k for i in range(n)]
    columns = [sum(ratings[:, j]) / n for j in range(k)]
    bms = k * sum((row - grand) ** 2 for row in rows) / (n - 1)
    ems = sum(
        (ratings[i, j] - rows[i] - columns[j] + grand) ** 2 for i in range(n) for j in range(k)
    ) / ((n - 1) * (k - 1))
    return (bms - ems) / (bms + (k - 1) * ems)


def test_icc_of_the_published_example():
    assert metrics.intraclass_correlation(SHROUT_FLEISS) == pytest.approx(0.7148407, abs=5e-8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("raters", [2, 3, 5])
def test_icc_equals_pingouin_and_the_loop(seed, raters):
    rng = np.random.default_rng(seed)
    ratings = rng.normal(size=(25, 1)) + rng.normal(0, 1 + seed, size=(25, raters))
    value = metrics.intraclass_correlation(ratings)
    assert value == pytest.approx(loop_icc3(ratings), abs=1e-12)
    assert value == pytest.approx(pingouin_icc3(ratings), abs=1e-9)


def test_icc31_of_two_raters_equals_pingouin_on_levels():
    rng = np.random.default_rng(5)
    y = rng.integers(0, 6, 80)
    f = np.clip(y + rng.normal(0, 1.5, 80), 0, 5)
    assert metrics.icc31(y, f) == pytest.approx(pingouin_icc3(np.stack([y, f], 1)), abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(PAIRS, st.floats(-3, 3), st.randoms(use_true_random=False))
def test_icc_properties(pair, shift, random):
    y, f = pair
    assume(np.ptp(y) > 0 and np.ptp(f) > 1e-3)
    value = metrics.icc31(y, f)
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    # Consistency: an offset of one rater does not matter.
    assert metrics.icc31(y, f + shift) == pytest.approx(value, abs=1e-8)
    assert metrics.icc31(y, y) == pytest.approx(1, abs=1e-12)
    # Reversed agreement of equal spread is as bad as it gets.
    assert metrics.icc31(y, 5 - y) == pytest.approx(-1, abs=1e-12)
    order = list(range(len(y)))
    random.shuffle(order)
    assert metrics.icc31(y[order], f[order]) == pytest.approx(value, abs=1e-9)
    # The two raters are exchangeable, and scaling both changes nothing.
    swapped = metrics.intraclass_correlation(np.stack([f, y], 1) * 7)
    assert swapped == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, 1e6 / 3])
def test_two_constant_raters_give_zero_and_no_rounding_noise(constant):
    assert metrics.icc31(np.zeros(1001), np.full(1001, constant)) == 0.0


def test_one_constant_rater_gives_zero():
    f = np.random.default_rng(0).normal(size=200)
    assert metrics.icc31(np.zeros(200), f) == pytest.approx(0, abs=1e-12)


def test_one_frame_is_zero_over_zero():
    assert metrics.icc31([3], [4.0]) == 0.0


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.integers(0, 2**31))
def test_missing_labels_change_nothing(pair, seed):
    y, f = pair
    rng = np.random.default_rng(seed)
    place = rng.integers(0, len(y) + 1, 5)
    Y, F = np.insert(y, place, -1), np.insert(f, place, rng.normal(0, 9, 5))
    for metric in (metrics.icc31, metrics.mse, metrics.mae):
        assert metric(Y, F) == metric(y, f)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_errors_equal_scikit_learn(pair):
    y, f = pair
    assert metrics.mse(y, f) == pytest.approx(mean_squared_error(y, f), abs=1e-12)
    assert metrics.mae(y, f) == pytest.approx(mean_absolute_error(y, f), abs=1e-12)


def test_nlpd_equals_scipy():
    rng = np.random.default_rng(0)
    Z, mean = rng.normal(size=(2, 7, 4))
    var = rng.gamma(2, size=(7, 4)) + 0.01
    density = sum(
        stats.multivariate_normal.logpdf(Z[i], mean[i], np.diag(var[i])) for i in range(7)
    )
    assert metrics.nlpd(Z, mean, var) == pytest.approx(-density / (7 * 4), abs=1e-12)
    shared = metrics.nlpd(Z, mean, var[:, :1])
    assert shared == pytest.approx(metrics.nlpd(Z, mean, np.tile(var[:, :1], 4)), abs=1e-12)


def test_nlpd_of_the_true_density_is_its_entropy():
    Z = np.random.default_rng(1).normal(0, 3, (4000, 10))
    entropy = 0.5 * math.log(2 * math.pi * math.e * 9)
    assert metrics.nlpd(Z, np.zeros_like(Z), 9.0) == pytest.approx(entropy, abs=0.02)
    assert metrics.nlpd(Z, np.zeros_like(Z), 4.0) > entropy + 0.05


def test_ordinal_log_score_equals_scikit_learn_and_pools_units():
    Y, P = labels_and_probabilities(0)
    kept = Y[:, 0] >= 0
    expected = log_loss(Y[kept, 0], P[kept, 0], labels=range(6))
    assert metrics.ordinal_log_score(P[:, 0], Y[:, 0]) == pytest.approx(expected, abs=1e-6)
    total = sum(-math.log(P[i, q, Y[i, q]]) for i, q in np.argwhere(Y >= 0))
    assert metrics.ordinal_log_score(P, Y) == pytest.approx(total / np.sum(Y >= 0), abs=1e-6)


def test_a_rounded_off_zero_is_bad_but_not_infinite():
    score = metrics.ordinal_log_score([[1.0, 0.0], [0.5, 0.5]], [1, 0])
    assert score == pytest.approx((24 * math.log(2) + math.log(2)) / 2)


def test_reliability_equals_a_loop():
    Y, P = labels_and_probabilities(1)
    bins = 7
    inside: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for i, q in np.argwhere(Y >= 0):
        for s in range(1, 6):
            p = sum(P[i, q, s:])
            inside[min(int(p * bins), bins - 1)].append((p, Y[i, q] >= s))
    table = metrics.reliability(P, Y, bins)
    assert table.count.tolist() == [len(events) for events in inside]
    for b, events in enumerate(inside):
        if events:
            assert table.probability[b] == pytest.approx(np.mean([p for p, _ in events]))
            assert table.frequency[b] == pytest.approx(np.mean([e for _, e in events]))
        else:
            assert np.isnan(table.probability[b]) and np.isnan(table.frequency[b])
    n = sum(map(len, inside))
    error = sum(abs(sum(p for p, _ in events) - sum(e for _, e in events)) / n for events in inside)
    assert metrics.expected_calibration_error(P, Y, bins) == pytest.approx(error, abs=1e-12)


def test_calibration_error_of_known_cases():
    # Always right and certain: 0. Always wrong and certain: every threshold between is off by 1.
    assert metrics.expected_calibration_error(np.eye(6), np.arange(6)) == 0
    assert metrics.expected_calibration_error(np.eye(6)[[0]], [5]) == 1
    # Labels drawn from the probabilities: only sampling noise is left.
    rng = np.random.default_rng(2)
    P = rng.dirichlet(np.ones(6), 20000)
    y = (rng.random((len(P), 1)) > np.cumsum(P, 1)[:, :-1]).sum(1)
    assert metrics.expected_calibration_error(P, y) < 0.01
    # An overconfident system is worse.
    sharp = P**3 / np.sum(P**3, 1, keepdims=True)
    assert metrics.expected_calibration_error(sharp, y) > 0.05


def test_evaluate_predictions_is_the_issue_form():
    Y, P = labels_and_probabilities(3)
    Y[:, 2] = -1
    result = metrics.evaluate_predictions(("AU01", "AU12", "AU25"), Y, P, nlpd=1.25)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["system"] == "2DC" and document["split"] == "test" and document["frames"] == 60
    assert list(document["per_au"]) == ["AU01", "AU12", "AU25"]
    expected = P @ np.arange(6)
    for column, name in enumerate(("AU01", "AU12")):
        entry = document["per_au"][name]
        y = Y[:, column]
        assert entry["icc"] == metrics.icc31(y, expected[:, column])
        assert entry["mse"] == metrics.mse(y, expected[:, column])
        assert entry["mae"] == metrics.mae(y, expected[:, column])
        assert entry["mode"]["icc"] == metrics.icc31(y, P[:, column].argmax(-1))
        assert entry["ordinal_log_score"] == metrics.ordinal_log_score(P[:, column], y)
        assert entry["frames"] == np.sum(y >= 0)
    assert document["per_au"]["AU25"] == {
        "icc": None,
        "mse": None,
        "mae": None,
        "frames": 0,
        "ordinal_log_score": None,
        "calibration_error": None,
        "mode": {"icc": None, "mse": None, "mae": None},
        "reason": "no labelled frame in this split",
    }
    mean = document["mean"]
    assert mean["nlpd"] == 1.25
    for key in ("icc", "mse", "mae", "ordinal_log_score", "calibration_error"):
        values = [document["per_au"][name][key] for name in ("AU01", "AU12")]
        assert mean[key] == pytest.approx(np.mean(values))


def test_the_mode_can_come_first():
    Y, P = labels_and_probabilities(4)
    names = ("AU01", "AU12", "AU25")
    first = metrics.evaluate_predictions(names, Y, P, point="mode").to_json()
    other = metrics.evaluate_predictions(names, Y, P).to_json()
    assert first["mean"]["icc"] == other["mean"]["mode"]["icc"]
    assert first["mean"]["mean"]["icc"] == other["mean"]["icc"]


def test_evaluate_points_has_no_probabilities():
    Y, P = labels_and_probabilities(5)
    names = ("AU01", "AU12", "AU25")
    points = metrics.evaluate_points(names, Y, P @ np.arange(6), system="mlr_z0").to_json()
    full = metrics.evaluate_predictions(names, Y, P).to_json()
    assert points["system"] == "mlr_z0"
    assert points["mean"]["icc"] == full["mean"]["icc"]
    assert "ordinal_log_score" not in points["per_au"]["AU01"]


def test_nothing_labelled_at_all_is_null_with_a_reason():
    Y, P = labels_and_probabilities(6)
    document = metrics.evaluate_predictions(("AU01", "AU12", "AU25"), Y * 0 - 1, P).to_json()
    assert document["mean"]["icc"] is None
    assert document["mean"]["reason"] == "no labelled frame in this split"
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.icc31([1, 2], [1.0]), r"labels are \[2\], predictions \[1\]"),
        (lambda: metrics.icc31([-1, -1], [1.0, 2.0]), "none of 2 frames is labelled"),
        (lambda: metrics.mse([1, 2], [1.0, np.nan]), "prediction 1 is not finite"),
        (lambda: metrics.intraclass_correlation([1, 2]), r"\[n >= 1, k >= 2\]"),
        (lambda: metrics.intraclass_correlation([[1, np.inf]]), "row 0 is not"),
        (lambda: metrics.nlpd([[0.0]], [[0.0]], [[0.0]]), "must be positive, got 0"),
        (lambda: metrics.nlpd([[0.0]], [[0.0, 1.0]], 1.0), r"equal \[N, D\]"),
        (lambda: metrics.ordinal_log_score([[0.5, 0.5]], [2]), r"0\.\.1, got 2"),
        (lambda: metrics.ordinal_log_score([[0.5, 0.5]], [-1]), "no frame is labelled"),
        (lambda: metrics.reliability([[0.5, 0.5]], [1], bins=0), "bins must be at least 1"),
        (
            lambda: metrics.evaluate_predictions(["AU01"], [[0]], np.eye(6)[[[0]]], point="x"),
            "'mean' or 'mode', got 'x'",
        ),
        (
            lambda: metrics.evaluate_predictions(["AU01"], [[0, 1]], np.eye(6)[[[0]]]),
            r"labels are \[1, 2\]",
        ),
        (
            lambda: metrics.evaluate_predictions(["AU01"], [[0]], np.eye(6)[[[0]]], math.nan),
            "nlpd must be finite",
        ),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
