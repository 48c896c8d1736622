"""The paper's Table 1 as data."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.evaluation.paper_table import FILE, PaperTable, deviations, paper_table
from deepcoder_tf.experiment.bench_cells import BUILT_IN

TABLES = [paper_table("disfa"), paper_table("fera2015")]


@pytest.mark.parametrize(("table", "units"), zip(TABLES, (DISFA, FERA2015), strict=True))
def test_it_has_the_rows_and_columns_of_the_bench(table, units):
    assert table.action_units == units
    for metric in ("icc", "mse"):
        assert list(table.cells[metric]) == list(BUILT_IN) == list(table.labels)
        for row in table.cells[metric].values():
            assert len(row) == len(units)
            assert all(value >= 0 and round(value, 2) == value for value in row)
    assert all(value <= 1 for row in table.cells["icc"].values() for value in row)


def test_figures_as_the_text_of_the_paper_has_them():
    disfa, fera = TABLES
    assert disfa.averages["icc"] == dict(
        zip(
            BUILT_IN, (0.5, 0.43, 0.44, 0.36, 0.32, 0.31, 0.31, 0.39, 0.28, 0.29, 0.29), strict=True
        )
    )
    assert fera.averages["mse"] == dict(
        zip(BUILT_IN, (0.95, 1.05, 1.01, 1.02, 1.1, 1.11, 1.1, 1.13, 1.17, 1.9, 1.0), strict=True)
    )
    assert disfa.cells["icc"]["2dc"][6] == 0.88  # AU12
    assert disfa.cells["mse"]["sor"][-2:] == (1.27, 0.93)
    assert fera.cells["icc"]["vae_dgp"] == (0.7, 0.68, 0.78, 0.43, 0.31)


def test_the_averages_that_do_not_recompute_are_named_in_the_file():
    noted = json.loads(FILE.read_text(encoding="utf-8"))["averages_that_do_not_recompute"]
    found = [
        {**item._asdict(), "recomputed": round(item.recomputed, 4)}
        for table in TABLES
        for item in deviations(table)
    ]
    assert found == noted
    beyond_rounding = {(d["dataset"], d["metric"], d["system"]) for d in noted if not d["rounding"]}
    assert beyond_rounding == {
        ("disfa", "icc", "vgg16"),
        ("disfa", "icc", "vogpae_lbp"),
        ("disfa", "icc", "mlr"),
        ("disfa", "mse", "vgg16"),
        ("disfa", "mse", "gp"),
        ("fera2015", "mse", "vogpae"),
    }


def test_a_wrong_average_is_found_and_a_rounded_one_is_not():
    cells = {"icc": {"a": (0.1, 0.25), "b": (0.1, 0.25), "c": (0.1, 0.25)}}
    averages = {"icc": {"a": 0.18, "b": 0.166, "c": 0.16}}
    table = PaperTable("disfa", "", {}, ("AU01", "AU02"), cells, averages)
    found = {item.system: item for item in deviations(table)}
    assert set(found) == {"b", "c"}
    assert found["b"].rounding and not found["c"].rounding
    assert np.isclose(found["c"].recomputed, 0.175)


def test_another_data_set_is_refused():
    with pytest.raises(ValueError, match="'ck'; known are disfa, fera2015"):
        paper_table("ck")
