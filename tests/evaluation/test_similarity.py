"""Similarity of all pairs against a loop over them, scikit-learn and SciPy."""

from __future__ import annotations

import itertools
import json
import tracemalloc

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cosine
from sklearn.metrics import roc_auc_score

from deepcoder_tf.evaluation import similarity
from deepcoder_tf.evaluation.similarity import ACROSS_IDENTITIES, ANY_PAIR, compare_pairs


def case(pictures: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(-1, 8, pictures)
    who = np.array(["", "a", "b", "c", "d"])[rng.integers(0, 5, pictures)]
    Z = rng.normal(size=(8, 5))[y] + rng.normal(size=(pictures, 5))
    return Z, y, who


def by_loop(Z, y, who, known: bool) -> tuple[list[float], list[float]]:
    same, other = [], []
    for i, j in itertools.combinations(range(len(Z)), 2):
        if y[i] < 0 or y[j] < 0 or (known and "" in (who[i], who[j])):
            continue
        value = 1 - cosine(Z[i], Z[j])
        if y[i] == y[j] and (not known or who[i] != who[j]):
            same.append(value)
        if y[i] != y[j] and (not known or who[i] == who[j]):
            other.append(value)
    return same, other


def check(found, same: list[float], other: list[float]) -> None:
    for pairs, values in ((found.same, same), (found.other, other)):
        assert pairs.pairs == len(values) == pairs.counts.sum()
        assert pairs.mean == pytest.approx(np.mean(values), abs=1e-6)
        assert pairs.standard_deviation == pytest.approx(np.std(values), abs=1e-6)
        for share, value in pairs.quantiles.items():
            assert value == pytest.approx(np.quantile(values, share, method="lower"), abs=4e-5)
    truth = [1] * len(same) + [0] * len(other)
    assert found.auc == pytest.approx(roc_auc_score(truth, same + other), abs=1e-5)
    U = stats.mannwhitneyu(same, other).statistic
    assert found.auc == pytest.approx(U / len(same) / len(other), abs=1e-5)


@pytest.mark.parametrize("block", [7, 1000])
def test_across_identities_by_loop(monkeypatch, block):
    monkeypatch.setattr(similarity, "BLOCK", block)
    Z, y, who = case()
    found = compare_pairs(Z, y, who)
    assert found.comparison == ACROSS_IDENTITIES
    check(found, *by_loop(Z, y, who, known=True))


def test_without_identities_any_pair_counts_and_is_said_to():
    Z, y, who = case(seed=1)
    found = compare_pairs(Z, y, np.full_like(who, ""))
    assert found.comparison == ANY_PAIR == found.to_json()["comparison"]
    assert found.same.kind == "same expression"
    check(found, *by_loop(Z, y, who, known=False))


def test_people_who_are_seen_once_tell_nothing_of_identities():
    Z, y, _ = case(seed=2)
    found = compare_pairs(Z, y, [f"p{i}" for i in range(len(Z))])
    assert found.comparison == ANY_PAIR


def test_ties_count_half():
    Z = np.ones((6, 3))
    found = compare_pairs(Z, [0, 0, 0, 1, 1, 1], [""] * 6)
    assert found.auc == 0.5 and found.same.mean == pytest.approx(1)
    # A code of length 0 has no direction.
    assert compare_pairs(0 * Z, [0, 0, 0, 1, 1, 1], [""] * 6).same.mean == 0


def test_an_expression_code_and_an_identity_code_end_at_the_two_ends():
    who, y = np.divmod(np.arange(20), 4)
    names = np.array([f"p{i}" for i in who])
    assert compare_pairs(np.eye(8)[y], y, names).auc == 1
    assert compare_pairs(np.eye(8)[who], y, names).auc == 0


def test_one_expression_leaves_nothing_to_compare():
    found = compare_pairs(np.ones((3, 2)), [1, 1, -1], [""] * 3)
    assert found.auc is None and found.other.mean is None and found.other.pairs == 0
    json.dumps(found.to_json(), allow_nan=False)
    assert compare_pairs(np.ones((2, 2)), [-1, -1], ["a", ""]).auc is None


def test_memory_does_not_grow_with_the_pairs():
    pictures = 6000
    rng = np.random.default_rng(0)
    Z, y = rng.normal(size=(pictures, 16)), rng.integers(0, 8, pictures)
    tracemalloc.start()
    compare_pairs(Z, y, [""] * pictures)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Half of the table of similarities in float32 would be 72 MB.
    assert most < 6e7


@pytest.mark.parametrize(
    ("codes", "labels", "message"),
    [
        (np.ones(3), [0, 0, 0], r"not \[N, D\]"),
        (np.ones((3, 2)), [0, 0], r"not \[N, D\]"),
        (np.full((3, 2), np.nan), [0, 0, 0], "finite"),
    ],
)
def test_misuse_is_named(codes, labels, message):
    with pytest.raises(ValueError, match=message):
        compare_pairs(codes, labels, [""] * len(labels))
