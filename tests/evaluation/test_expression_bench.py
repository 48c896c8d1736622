"""Tables 1 and 2 of the second paper: sums against the metrics, averages, differences, texts."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from deepcoder_tf.evaluation.bootstrap import Interval
from deepcoder_tf.evaluation.expression_bench import (
    SCORES,
    ScoredCell,
    ScoredPictures,
    build_expression_tables,
)
from deepcoder_tf.evaluation.expression_bench_text import (
    EXPRESSION_COLUMNS,
    expression_csv,
    expression_markdown,
)
from deepcoder_tf.evaluation.expression_metrics import measure_expressions
from deepcoder_tf.evaluation.expression_sums import (
    METRICS,
    measure_sums,
    resample,
    sums_of,
    unit_names,
    units_of,
)
from deepcoder_tf.evaluation.paper_expressions import paper_expressions
from deepcoder_tf.recogniser_config import EXPRESSION_SYSTEMS

N = 300

LABELS = np.random.default_rng(0).integers(-1, 7, N)  # nobody shows contempt

SUBJECTS = np.array([f"s{i % 30}" for i in range(N)])

NOBODY = np.full(N, "")


def probabilities(skill: float, seed: int) -> np.ndarray:
    """`[N, 8]` of a system that knows more with more skill."""
    rng = np.random.default_rng([seed, int(100 * skill)])
    scores = rng.normal(size=(N, 8)) + skill * np.eye(8)[LABELS]
    P = np.exp(scores)
    return P / P.sum(1, keepdims=True)


def cell(skill: float, seed: int, adversary: bool = True) -> ScoredCell:
    """A cell of drawn predictions."""
    other = probabilities(0.0, seed + 50) if adversary else None
    sums = sums_of(LABELS, probabilities(skill, seed), other, units_of(LABELS, SUBJECTS))
    scores = dict.fromkeys(SCORES, 0.5 + 0.01 * seed)
    return ScoredCell(sums, scores if adversary else {"similarity_auc": 0.75})


def tables(rows=None, cells=None, **options):
    """Three rows; the baseline has no adversary and two seeds."""
    rows = rows or {"disentangled": 0.0, "baseline": 0.0, "beta1_1": 1.0}
    if cells is None:
        cells = {("disentangled", seed): cell(3.0, seed) for seed in range(3)}
        cells |= {("baseline", seed): cell(1.0, seed, adversary=False) for seed in range(2)}
        cells |= {("beta1_1", 0): cell(3.0, 1)}
    tested = ScoredPictures("validation", N, int((LABELS >= 0).sum()), 0.2, "subjects", "any pair")
    return build_expression_tables(rows, cells, tested, replicates=300, **options)


# Sums ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subjects", [SUBJECTS, NOBODY])
def test_sums_give_the_metrics_of_all_pictures(subjects):
    P, other = probabilities(1.5, 0), probabilities(0.5, 1)
    found = dict(
        zip(
            METRICS,
            measure_sums(sums_of(LABELS, P, other, units_of(LABELS, subjects)).sum(0)),
            strict=True,
        )
    )
    wanted = measure_expressions(LABELS, P)
    for name in METRICS[:-1]:
        assert found[name] == pytest.approx(getattr(wanted, name), abs=1e-12), name
    assert found["adversary_accuracy"] == pytest.approx(measure_expressions(LABELS, other).accuracy)


def test_a_resample_is_the_metrics_of_the_pictures_drawn():
    from deepcoder_tf.evaluation.bootstrap import draw_subjects

    P, units = probabilities(1.0, 3), units_of(LABELS, SUBJECTS)
    found = resample({0: sums_of(LABELS, P, None, units)}, 4, seed=5)[0]
    known = np.flatnonzero(LABELS >= 0)
    for counts, values in zip(draw_subjects(30, 4, 5, 0), found, strict=True):
        rows = np.repeat(known, counts.astype(int)[units])
        wanted = measure_expressions(LABELS[rows], P[rows])
        assert values[:-1] == pytest.approx([getattr(wanted, name) for name in METRICS[:-1]])
        assert np.isnan(values[-1])


def test_more_resamples_than_a_block_begin_with_the_same():
    cells = {0: sums_of(LABELS, probabilities(1, 0), None, units_of(LABELS, NOBODY))}
    few, many = resample(cells, 500)[0], resample(cells, 1100)[0]
    assert many.shape == (1100, len(METRICS))
    assert np.array_equal(few[:, :-1], many[:500, :-1])
    assert not np.array_equal(many[:500, 0], many[500:1000, 0])


def test_units_are_people_or_pictures():
    labels, some = [0, -1, 1, 2, 3], ["a", "a", "", "a", ""]
    assert len(set(units_of(labels, some).tolist())) == 3
    first, _, third, _ = units_of(labels, some)
    assert first == third
    assert len(set(units_of(labels, [""] * 5).tolist())) == 4
    assert unit_names(labels, ["a"] * 5) == "subjects"
    assert unit_names(labels, [""] * 5) == "pictures"
    assert "unknown" in unit_names(labels, some)


def test_one_unit_has_no_interval():
    assert resample({0: sums_of([0, 1], np.eye(8)[:2], None, np.array([0, 0]))}, 10) is None


# Tables -------------------------------------------------------------------------------------------


def test_averages_are_of_the_seeds_and_a_wrong_one_is_found():
    found = tables()
    assert found.average_errors() == []
    row = found.rows[0]
    each = [measure_expressions(LABELS, probabilities(3.0, seed)).accuracy for seed in range(3)]
    assert row.values["accuracy"].value == pytest.approx(np.mean(each))
    assert [row.by_seed[seed]["accuracy"] for seed in range(3)] == pytest.approx(each)
    assert row.values["probe_linear"].value == pytest.approx(0.51)
    assert row.values["accuracy"].low < row.values["accuracy"].value < row.values["accuracy"].high
    moved = dataclasses.replace(row, values={**row.values, "accuracy": Interval(0.1)})
    assert "accuracy" in dataclasses.replace(found, rows=(moved,)).average_errors()[0]


def test_differences_are_paired_and_say_whether_they_hold():
    reference, baseline, close = tables().rows
    assert not reference.difference and reference.has_adversary and not baseline.has_adversary
    gap = reference.values["accuracy"].value - baseline.values["accuracy"].value
    assert baseline.difference["accuracy"].value == pytest.approx(gap)
    assert baseline.difference["accuracy"].excludes_zero
    assert not close.difference["accuracy"].excludes_zero
    assert list(baseline.difference_by_seed) == [0, 1] and list(close.difference_by_seed) == [0]
    assert baseline.difference["adversary_accuracy"].value is None


def test_a_copy_of_the_reference_differs_by_nothing_in_every_resample():
    cells = {(name, 0): cell(2.0, 0) for name in ("disentangled", "copy")}
    found = tables({"disentangled": 0.0, "copy": 0.0}, cells).rows[1].difference["accuracy"]
    assert found == (0, 0, 0)


def test_the_texts_and_the_files():
    found = tables({"disentangled": 0.0, "baseline": 0.0, "beta1_1": 1.0, "gacnn": 0.0})
    text = expression_markdown(found)
    lines = text.splitlines()
    first = [
        line.split("|")[1].strip() for line in lines if line.startswith("| ") and "---" not in line
    ]
    assert first[:5] == ["Approach", "Baseline", "gACNN", "Proposed method", "beta1_1"]
    assert [name for name in first if name.startswith("beta1 =")] == ["beta1 = 1", "beta1 = 0"]
    for part in (
        "validation split", "## Proposed method minus each other", "# Table 2", "2-layer probe",
        "gACNN has no finished cell", "on which the epoch of each was chosen too",
        "pictures without a class do not count", "resamples of the subjects",
    ):  # fmt: skip
        assert part in text, part
    assert "AffectNet" not in text
    accuracy = found.rows[0].values["accuracy"].value
    assert f"{100 * accuracy:.2f}" in next(line for line in lines if "Proposed method " in line)
    with_paper = expression_markdown(found, paper_expressions())
    assert with_paper.startswith(text[:-1]) and "60.53" in with_paper and "58.78" in with_paper
    rows = list(csv.DictReader(io.StringIO(expression_csv(found))))
    assert tuple(rows[0]) == EXPRESSION_COLUMNS
    assert {row["holds"] for row in rows if row["against"]} == {"0", "1"}
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["systems"]["baseline"]["metrics"]["adversary_accuracy"]["value"] is None
    assert plain["systems"]["gacnn"]["metrics"] == {} and plain["tested"]["split"] == "validation"


def test_a_bench_without_its_reference_has_no_differences():
    found = tables({"beta1_1": 1.0}, {("beta1_1", 0): cell(2.0, 0)})
    assert found.reference is None
    assert "minus each other" not in expression_markdown(found)


# The paper ----------------------------------------------------------------------------------------


def test_the_papers_figures():
    paper = paper_expressions()
    assert set(paper.labels) == set(paper.accuracy) == set(EXPRESSION_SYSTEMS)
    assert max(paper.accuracy, key=paper.accuracy.get) == "disentangled"
    assert [row.beta1 for row in paper.ablation] == [1, 0.001, 0]
    assert paper.ablation[-1].expression == paper.accuracy["disentangled"]
    assert [row.adversary for row in paper.ablation] == [46, 53, 16]
