"""Metrics of expressions against scikit-learn, a loop, and cases with a known answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as referee

from deepcoder_tf.evaluation.expression_metrics import (
    confusion_matrix,
    measure_expressions,
    top_label_calibration_error,
    top_label_reliability,
)
from deepcoder_tf.expressions import EXPRESSIONS


def case(seed: int, classes=range(8), pictures: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice(list(classes), pictures)
    P = rng.dirichlet(np.ones(8), pictures) + 0.5 * np.eye(8)[y]
    return y, P / P.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
def test_against_scikit_learn(seed):
    y, P = case(seed)
    found, f = measure_expressions(y, P), P.argmax(1)
    assert found.accuracy == pytest.approx(referee.accuracy_score(y, f))
    assert found.balanced_accuracy == pytest.approx(referee.balanced_accuracy_score(y, f))
    assert found.macro_f1 == pytest.approx(referee.f1_score(y, f, average="macro"))
    assert found.log_loss == pytest.approx(referee.log_loss(y, P, labels=range(8)))
    np.testing.assert_array_equal(found.confusion, referee.confusion_matrix(y, f))
    assert found.majority_rate == np.bincount(y).max() / len(y)
    rows = referee.precision_recall_fscore_support(y, f, labels=range(8))
    for k, name in enumerate(EXPRESSIONS):
        one = found.per_class[name]
        numbers = (one.precision, one.recall, one.f1, one.pictures)
        assert numbers == pytest.approx([row[k] for row in rows])


def test_a_class_that_the_split_lacks_is_said_to_be_absent():
    y, P = case(0, classes=(0, 1, 4))
    found, f = measure_expressions(y, P), P.argmax(1)
    assert found.absent_classes == tuple(EXPRESSIONS[k] for k in (2, 3, 5, 6, 7))
    assert found.per_class["contempt"].recall is None and found.per_class["contempt"].f1 is None
    present = {"labels": [0, 1, 4], "average": "macro"}
    assert found.macro_f1 == pytest.approx(referee.f1_score(y, f, **present))
    assert found.balanced_accuracy == pytest.approx(referee.recall_score(y, f, **present))
    json.dumps(found.to_json(), allow_nan=False)


def test_a_class_that_is_never_predicted_has_no_precision_and_an_f1_of_0():
    y = np.array([0, 0, 1])
    found = measure_expressions(y, np.eye(8)[[0, 0, 0]])
    assert found.per_class["happiness"].precision is None
    assert found.per_class["happiness"].f1 == 0 == found.per_class["happiness"].recall
    assert found.macro_f1 == pytest.approx(0.4) and found.balanced_accuracy == 0.5


def test_pictures_without_a_class_are_not_scored():
    y, P = case(1)
    more = np.concatenate([y, [-1, -1]])
    found = measure_expressions(more, np.concatenate([P, P[:2]]))
    assert (found.pictures, found.labelled) == (302, 300)
    assert found.confusion == measure_expressions(y, P).confusion


def test_a_wrong_certainty_costs_much_and_is_finite():
    found = measure_expressions([1], np.eye(8)[[0]])
    assert 80 < found.log_loss < 100 and found.calibration_error == 1


def by_loop(y: np.ndarray, P: np.ndarray, bins: int) -> float:
    """ECE as Guo et al. write it, picture by picture."""
    total = 0.0
    for m in range(bins):
        inside = [
            (p.max(), p.argmax() == label)
            for label, p in zip(y, P, strict=True)
            if m / bins < p.max() <= (m + 1) / bins
        ]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            total += len(inside) / len(y) * abs(confidence - right)
    return total


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 20))
def test_calibration_error_by_loop(seed, pictures, bins):
    y, P = case(seed, pictures=pictures)
    assert top_label_calibration_error(y, P, bins) == pytest.approx(by_loop(y, P, bins))


def test_calibrated_probabilities_have_no_error():
    P = np.full((10, 8), 0.4 / 7)
    P[:, 0] = 0.6
    assert top_label_calibration_error([0] * 6 + [1] * 4, P) == pytest.approx(0)


def test_reliability_counts_every_picture():
    y, P = case(2)
    table = top_label_reliability(y, P)
    assert table.count.sum() == len(y) and len(table.edges) == 16
    # The most probable of eight classes has at least an eighth.
    assert table.count[0] == 0 and np.isnan(table.probability[0])


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0], np.full((2, 8), 0.125), r"not \[N\] and"),
        ([8], np.full((1, 8), 0.125), "-1..7"),
        ([-1, -1], np.full((2, 8), 0.125), "no labelled"),
        ([0, 1], np.array([[0.125] * 8, [0.5] * 8]), "row 1"),
        ([0], np.full((1, 8), np.nan), "no distribution"),
    ],
)
def test_misuse_is_named(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        measure_expressions(labels, probabilities)


def test_confusion_matrix_refuses_other_classes():
    with pytest.raises(ValueError, match=r"0\.\.7"):
        confusion_matrix([0], [-1])
    with pytest.raises(ValueError, match="equal"):
        confusion_matrix([0], [1, 2])
    with pytest.raises(ValueError, match="at least 1"):
        top_label_reliability([0], np.full((1, 8), 0.125), 0)
