"""The table: its averages, intervals, differences, and how it reads."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from deepcoder_tf.action_units import FERA2015
from deepcoder_tf.evaluation import metrics
from deepcoder_tf.evaluation.bootstrap import METRICS, Interval, SubjectSums, subject_sums
from deepcoder_tf.evaluation.markdown import number
from deepcoder_tf.evaluation.table1 import AVERAGE, Failure, Table1, build_table
from deepcoder_tf.evaluation.table1_text import COLUMNS, csv_text, markdown, paper_of

UNITS = FERA2015
ICC, MSE = METRICS.index(("icc", "mean")), METRICS.index(("mse", "mean"))


def test_frames(fold: int, units: int = len(UNITS)) -> tuple[np.ndarray, np.ndarray]:
    """Labels and subjects of a fold, the same for every system."""
    rng = np.random.default_rng(fold)
    subjects = np.repeat([f"f{fold}s{k}" for k in range(6)], rng.integers(20, 40, 6))
    return rng.integers(0, 6, (len(subjects), units)), subjects


test_frames.__test__ = False


def predictions(fold: int, seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Expected levels and probabilities of a system that errs by `noise` levels."""
    Y, _ = test_frames(fold)
    rng = np.random.default_rng([fold, seed, int(noise * 100)])
    F = np.clip(Y + noise * rng.normal(size=Y.shape), 0, 5)
    P = np.exp(-((F[..., None] - np.arange(6)) ** 2))
    return F, P / P.sum(-1, keepdims=True)


def sums(fold: int, seed: int, noise: float, unlabelled: int | None = None) -> SubjectSums:
    """As the table wants them."""
    Y, subjects = test_frames(fold)
    if unlabelled is not None:
        Y[:, unlabelled] = -1
    return subject_sums(Y, *predictions(fold, seed, noise), subjects)


def cells() -> dict[tuple[str, int, int], SubjectSums]:
    """A good system with two seeds, a worse one, and one with a fold missing."""
    found = {("2dc", fold, seed): sums(fold, seed, 0.5) for fold in (0, 1) for seed in (0, 1)}
    found |= {("mlr", fold, 0): sums(fold, 0, 1.5) for fold in (0, 1)}
    found["sor", 1, 0] = sums(1, 0, 0.2)
    return found


def table(found=None, systems=("2dc", "sor", "mlr", "vgg16"), **options) -> Table1:
    """With few resamples."""
    found = cells() if found is None else found
    failures = [Failure("vgg16", 0, 0, "train: no weights")]
    return build_table(UNITS, systems, found, failures, **{"replicates": 400, **options})


def row(found: Table1, system: str):
    """One row."""
    return next(row for row in found.rows if row.system == system)


# Figures ------------------------------------------------------------------------------------------


def test_a_cell_is_the_mean_over_folds_of_the_mean_over_seeds_of_pooled_frames():
    found = row(table(), "2dc").values
    for q, unit in enumerate(UNITS):
        folds = [
            np.mean(
                [
                    metrics.icc31(test_frames(fold)[0][:, q], predictions(fold, s, 0.5)[0][:, q])
                    for s in (0, 1)
                ]
            )
            for fold in (0, 1)
        ]
        assert found["icc", "mean"][unit].value == pytest.approx(np.mean(folds), rel=1e-9)


def test_averages_recompute_and_a_wrong_one_is_found():
    found = table()
    assert found.average_errors() == []
    wrong = dataclasses.replace(found.rows[0])
    wrong.values["icc", "mean"][AVERAGE] = Interval(0.123)
    errors = dataclasses.replace(found, rows=(wrong,)).average_errors()
    assert len(errors) == 1 and errors[0].startswith("2dc icc mean: 0.123")


def test_intervals_hold_their_estimate_and_shrink_with_the_level():
    wide, narrow = (row(table(level=level), "mlr").values for level in (0.99, 0.5))
    for key in (("icc", "mean"), ("mse", "mean"), ("mae", "mode"), ("ordinal_log_score", "")):
        for unit in (*UNITS, AVERAGE):
            assert wide[key][unit].low < narrow[key][unit].low < narrow[key][unit].high
            assert narrow[key][unit].high < wide[key][unit].high
            assert wide[key][unit].low < wide[key][unit].value < wide[key][unit].high


def test_a_clear_difference_holds_and_one_with_itself_does_not():
    found = cells() | {("copy", f, s): sums(f, s, 0.5) for f in (0, 1) for s in (0, 1)}
    built = table(found, ("2dc", "mlr", "copy"))
    icc = row(built, "mlr").difference["icc", "mean"][AVERAGE]
    assert icc.value > 0.1 and icc.excludes_zero
    mse = row(built, "mlr").difference["mse", "mean"][AVERAGE]
    assert mse.value < 0 and mse.excludes_zero
    for values in row(built, "copy").difference.values():
        assert all(v == (0, 0, 0) and not v.excludes_zero for v in values.values())
    assert row(built, "2dc").difference == {}


def test_a_difference_is_of_the_folds_of_both():
    found = row(table(), "sor")
    assert found.folds == found.difference_folds == (1,)
    own = row(table({k: v for k, v in cells().items() if k[1] == 1}), "2dc").values
    expected = own["icc", "mean"][AVERAGE].value - found.values["icc", "mean"][AVERAGE].value
    assert found.difference["icc", "mean"][AVERAGE].value == pytest.approx(expected, rel=1e-12)


def test_another_row_can_be_the_reference_and_a_missing_one_is_none():
    found = table(reference="mlr")
    assert row(found, "mlr").difference == {} and row(found, "2dc").difference
    opposite = row(table(), "mlr").difference["icc", "mean"][AVERAGE].value
    assert row(found, "2dc").difference["icc", "mean"][AVERAGE].value == pytest.approx(-opposite)
    nobody = table(reference="dcp")
    assert nobody.reference is None and not any(r.difference for r in nobody.rows)
    assert "minus each other" not in markdown(nobody)


def test_seeds_alone():
    found = row(table(), "2dc")
    assert found.seeds == {0: (0, 1), 1: (0, 1)} and found.all_seeds == (0, 1)
    each = [found.by_seed[seed]["icc", "mean"] for seed in (0, 1)]
    assert each[0] != each[1]
    assert np.mean(each) == pytest.approx(found.values["icc", "mean"][AVERAGE].value, rel=1e-12)


def test_a_unit_that_nobody_labelled_is_left_out_and_said():
    found = {("2dc", 0, 0): sums(0, 0, 0.5, unlabelled=2), ("2dc", 1, 0): sums(1, 0, 0.5)}
    built = table(found, ("2dc",))
    assert "AU12 is not labelled in fold 0: averaged over the others." in built.notes
    only = row(table({("2dc", 1, 0): sums(1, 0, 0.5)}, ("2dc",)), "2dc").values["icc", "mean"]
    assert row(built, "2dc").values["icc", "mean"]["AU12"] == only["AU12"]
    none = table({("2dc", 0, 0): sums(0, 0, 0.5, unlabelled=2)}, ("2dc",))
    assert row(none, "2dc").values["icc", "mean"]["AU12"].value is None
    assert none.average_errors() == []
    assert "–" in markdown(none)


def test_a_unit_without_a_positive_frame_is_said():
    Y, subjects = test_frames(0)
    Y[:, 0] = 0
    F, P = predictions(0, 0, 0.5)
    built = table({("2dc", 0, 0): subject_sums(Y, F, P, subjects)}, ("2dc",))
    assert "AU06 has no positive frame in fold 0: its ICC is 0 there." in built.notes
    assert row(built, "2dc").values["icc", "mean"]["AU06"].value == 0


def test_one_subject_has_no_interval():
    Y, _ = test_frames(0)
    found = {("2dc", 0, 0): subject_sums(Y, *predictions(0, 0, 0.5), np.full(len(Y), "only"))}
    built = table(found, ("2dc",))
    values = row(built, "2dc").values["icc", "mean"][AVERAGE]
    assert values.value is not None and values.low is None
    assert built.notes[0].startswith("Fold 0 has one test subject, only")


def test_systems_tested_on_other_subjects_are_refused():
    other = sums(0, 0, 0.5)._replace(subjects=np.array(list("abcdef")))
    with pytest.raises(ValueError, match="mlr, fold 0, seed 0 was tested on a, b"):
        table({("2dc", 0, 0): sums(0, 0, 0.5), ("mlr", 0, 0): other}, ("2dc", "mlr"))


# Text ---------------------------------------------------------------------------------------------


def rows_of(text: str, heading: str) -> dict[str, list[str]]:
    """Cells of the table below a heading, by the first."""
    part = text.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cells[0]: cells[1:] for cells in split if not cells[0].startswith("--")}


def test_the_layout_is_the_papers():
    text = markdown(table())
    found = rows_of(text, "ICC(3,1)")
    assert found[""] == ["6", "10", "12", "14", "17", "Avg.", "95 %", "folds × seeds"]
    assert list(found) == ["", "2DC", "SOR* ¹", "MLR*", "VGG16 ¹"]
    assert found["VGG16 ¹"][:6] == ["–"] * 6
    assert found["2DC"][-1] == "2 × 2" and found["SOR* ¹"][-1] == "1 × 1"
    values = row(table(), "2dc").values["icc", "mean"]
    assert found["2DC"][0] == f"**{number(values['AU06'].value, 2)}**"
    assert (
        found["2DC"][6] == f"[{number(values[AVERAGE].low, 2)}, {number(values[AVERAGE].high, 2)}]"
    )
    for heading in ("MSE", "MAE", "NLPD of the ordinal prediction", "Calibration error"):
        assert list(rows_of(text, heading)) == list(found)
    assert "SOR* is averaged over fold 1 alone" in text
    assert "- vgg16, fold 0, seed 0: train: no weights" in text


def test_the_best_is_bold_among_systems_on_every_fold():
    found = markdown(table())
    icc, mse = rows_of(found, "ICC(3,1)"), rows_of(found, "MSE")
    # SOR errs least, but on one fold alone.
    assert all(cell.startswith("**") for cell in (*icc["2DC"][:6], *mse["2DC"][:6]))
    assert not any("**" in cell for cell in (*icc["MLR*"], *icc["SOR* ¹"], *mse["SOR* ¹"]))


def test_a_system_that_lacks_a_fold_is_not_bold_where_it_reads_like_the_best():
    found = {("2dc", 0, 0): sums(0, 0, 0.5), ("2dc", 1, 0): sums(1, 0, 0.5)}
    found["sor", 1, 0] = found["2dc", 1, 0]
    found |= {("mlr", fold, 0): sums(fold, 0, 1.5) for fold in (0, 1)}
    icc = rows_of(markdown(table(found)), "ICC(3,1)")
    same = [two == f"**{sor}**" for two, sor in zip(icc["2DC"], icc["SOR* ¹"], strict=True)]
    assert any(same)
    assert not any("**" in cell for cell in icc["SOR* ¹"])


def test_differences_are_bold_where_they_hold():
    found = rows_of(markdown(table()), "2DC minus each other, on average")
    assert list(found) == ["", "SOR* ¹".removesuffix(" ¹"), "MLR*"]
    assert found["MLR*"][0].startswith("**+0.") and found["MLR*"][-1] == "0, 1"
    assert found["SOR*"][0].startswith("**-0.") and found["SOR*"][-1] == "1"


def test_the_other_point_prediction_can_be_shown():
    built = table()
    mode = rows_of(markdown(built, "mode"), "MSE")
    value = row(built, "mlr").values["mse", "mode"]["AU06"].value
    assert mode["MLR*"][0] == number(value, 2)
    with pytest.raises(ValueError, match="median"):
        markdown(built, "median")


def test_the_papers_figures_stand_below_ours():
    text = markdown(table(), paper=paper_of(UNITS))
    assert "| *.76* | *.71* | *.85* | *.45* | *.53* | *.66* |" in text.replace("  ", "")
    assert "printed 1.11, the cells give 1.134" in text
    assert (
        "MLR*, ICC: printed .57, the cells give .578 (the cells' rounding can explain it)" in text
    )
    assert paper_of(("AU01", "AU02")) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, ".50"), (-0.04, "-.04"), (1.02, "1.02"), (-0.001, ".00"), (0.996, "1.00"), (None, "–")],
)
def test_numbers_are_printed_as_in_the_paper(value, text):
    assert number(value, 2) == text


def test_the_csv_is_tidy_and_whole():
    built = table()
    lines = list(csv.DictReader(io.StringIO(csv_text(built))))
    assert tuple(lines[0]) == COLUMNS
    own = [line for line in lines if not line["against"]]
    assert len(own) == 3 * len(METRICS) * (len(UNITS) + 1)
    compared = [line for line in lines if line["against"]]
    assert {line["against"] for line in compared} == {"2dc"}
    assert {line["system"] for line in compared} == {"mlr", "sor"}
    wanted = {"system": "2dc", "au": AVERAGE, "metric": "icc", "point": "mean"}
    line = next(x for x in own if all(x[key] == value for key, value in wanted.items()))
    value = row(built, "2dc").values["icc", "mean"][AVERAGE]
    assert float(line["value"]) == pytest.approx(value.value, rel=1e-5)
    assert float(line["low"]) == pytest.approx(value.low, rel=1e-5)
    assert (line["folds"], line["seeds"]) == ("0 1", "0 1")


def test_the_json_says_the_same():
    built = table()
    content = json.loads(json.dumps(built.to_json(), allow_nan=False))
    values = row(built, "mlr").values
    found = content["systems"]["mlr"]
    assert found["metrics"]["icc"]["mode"]["AU10"]["value"] == values["icc", "mode"]["AU10"].value
    assert set(found["metrics"]["calibration_error"]) == {*UNITS, AVERAGE}
    assert found["difference"]["icc"]["mean"][AVERAGE]["holds"] is True
    assert found["average_by_seed"]["0"]["icc:mean"] is not None
    assert content["systems"]["vgg16"]["metrics"] == {}
    assert content["failed"][0]["reason"] == "train: no weights"
    assert content["bootstrap"]["replicates"] == 400


def test_the_same_seed_gives_the_same_table():
    assert csv_text(table(seed=3)) == csv_text(table(seed=3)) != csv_text(table(seed=4))
