"""Tables 1 and 2 of the second paper as Markdown in the paper's layout, and as tidy CSV."""

from __future__ import annotations

import csv
import io

from deepcoder_tf.evaluation.bootstrap import Interval
from deepcoder_tf.evaluation.expression_bench import ExpressionRow, ExpressionTables
from deepcoder_tf.evaluation.markdown import DASH, compared, grid, level_text, number
from deepcoder_tf.evaluation.paper_expressions import PaperExpressions, paper_expressions

__all__ = ["EXPRESSION_COLUMNS", "expression_csv", "expression_markdown"]

EXPRESSION_COLUMNS = ("system", "metric", "value", "low", "high", "seeds", "against", "holds")
"""Of the CSV. With `against`, the value is that row's minus this one's."""

DIFFERENCES = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("log_loss", "log loss"),
    ("calibration_error", "calibration error"),
)
"""Metric and heading."""


def expression_markdown(tables: ExpressionTables, paper: PaperExpressions | None = None) -> str:
    """The tables for people.

    Args:
      tables: the figures.
      paper: figures to print below ours.

    Returns:
      Markdown with a final newline.
    """
    tested, level = tables.tested, level_text(tables.level)
    lines = [
        "# Table 1",
        "",
        f"{tested.labelled} labelled pictures of the {tested.split} split; seeds averaged. "
        f"Accuracies in per cent; always saying the most frequent class gives "
        f"{percent(tested.majority_rate)}. Intervals: {level}, {tables.replicates} bootstrap "
        f"resamples of the {tested.units}. AUC: cosine similarity of expression codes, "
        f"{tested.similarity}.",
        "",
        *table1(tables, level),
    ]
    if any(row.difference for row in tables.rows):
        lines += ["", *difference_block(tables, level)]
    if any(row.has_adversary for row in tables.rows):
        lines += ["", "# Table 2", "", *table2(tables, level)]
    if tables.notes or tables.failures:
        lines += ["", "# Notes", ""]
        lines += [f"- {note}" for note in tables.notes]
        lines += [f"- {f.system}, seed {f.seed}: {f.reason}" for f in tables.failures]
    if paper is not None:
        lines += ["", "# The paper's figures", "", *paper_block(paper)]
    return "\n".join(lines) + "\n"


def table1(tables: ExpressionTables, level: str) -> list[str]:
    """The paper's Table 1 with more columns; the paper's rows in its order, then others."""
    order = list(paper_expressions().labels)
    rows = sorted(
        tables.rows, key=lambda row: order.index(row.name) if row.name in order else len(order)
    )
    head = ["Approach", "Accuracy", level, "each seed", "balanced", "log loss", "calibr.", "AUC"]
    return grid(head, [table1_row(row) for row in rows])


def table1_row(row: ExpressionRow) -> list[str]:
    """A row of Table 1; dashes where no cell could be measured."""
    if not row.values:
        return [row.label, *[DASH] * 7]
    v = row.values
    return [
        row.label,
        percent(v["accuracy"].value),
        percents(v["accuracy"]),
        " ".join(percent(found["accuracy"]) for found in row.by_seed.values()),
        percent(v["balanced_accuracy"].value),
        number(v["log_loss"].value, 3),
        number(v["calibration_error"].value, 3),
        number(v["similarity_auc"].value, 3),
    ]


def difference_block(tables: ExpressionTables, level: str) -> list[str]:
    """The reference against each other row."""
    reference = next(row for row in tables.rows if row.name == tables.reference)
    head = ["", *(heading for _, heading in DIFFERENCES), "accuracy, each seed"]
    rows = []
    for row in tables.rows:
        if row.difference:
            each = " ".join(f"{value:+.3f}" for value in row.difference_by_seed.values())
            texts = [compared(row.difference[metric]) for metric, _ in DIFFERENCES]
            rows.append([row.label, *texts, each or DASH])
    return [
        f"## {reference.label} minus each other",
        "",
        f"As shares, on the same resamples. Bold: the {level} interval excludes zero, each pair by "
        "itself. Each seed: of the seeds of both.",
        "",
        *grid(head, rows),
    ]


def table2(tables: ExpressionTables, level: str) -> list[str]:
    """The paper's Table 2 for all rows with an adversary, largest beta1 first."""
    rows = sorted((row for row in tables.rows if row.has_adversary), key=lambda row: -row.beta1)
    majority = tables.tested.majority_rate
    head = [
        "Hyper-parameter", "row", "C_exp", level, "C_adv", level, "majority", "above it",
        "linear probe", "2-layer probe", "seeds",
    ]  # fmt: skip
    texts = []
    for row in rows:
        v = row.values
        adversary = v["adversary_accuracy"]
        assert adversary.value is not None
        texts.append(
            [
                f"beta1 = {row.beta1:g}",
                row.name,
                percent(v["accuracy"].value),
                percents(v["accuracy"]),
                percent(adversary.value),
                percents(adversary),
                percent(majority),
                f"{100 * (adversary.value - majority):+.2f}",
                percent(v["probe_linear"].value),
                percent(v["probe_mlp"].value),
                str(len(row.seeds)),
            ]
        )
    return [
        *grid(head, texts),
        "",
        "C_adv is the adversary as training left it. The probes are trained afterwards on the "
        "frozen non-expression code and tell what it still holds: a fooled adversary is not an "
        "empty code.",
    ]


def paper_block(paper: PaperExpressions) -> list[str]:
    """Both tables as printed."""
    one = [[paper.labels[system], f"{value:g}"] for system, value in paper.accuracy.items()]
    two = [
        [f"beta1 = {row.beta1:g}", f"{row.expression:g}", f"{row.adversary:g}"]
        for row in paper.ablation
    ]
    return [
        f"{paper.source}; {paper.dataset}, per cent.",
        "",
        *grid(["Approach", "Accuracy"], one),
        "",
        *grid(["Hyper-parameter", "C_exp", "C_adv"], two),
    ]


def expression_csv(tables: ExpressionTables) -> str:
    """Every figure, one a line; columns as `EXPRESSION_COLUMNS`.

    Args:
      tables: the figures.

    Returns:
      CSV with a header; what is not there is empty.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(EXPRESSION_COLUMNS)
    for row in tables.rows:
        seeds = " ".join(map(str, row.seeds))
        for values, against in ((row.values, ""), (row.difference, tables.reference or "")):
            for name, found in values.items():
                holds = int(found.excludes_zero) if against else ""
                numbers = ["" if value is None else f"{value:.6g}" for value in found]
                writer.writerow([row.name, name, *numbers, seeds, against, holds])
    return stream.getvalue()


def percent(value: float | None) -> str:
    """A share as the paper prints it, in per cent.

    >>> percent(0.6053), percent(None)
    ('60.53', '–')
    """
    return DASH if value is None else f"{100 * value:.2f}"


def percents(found: Interval) -> str:
    """An interval in per cent."""
    return DASH if found.low is None else f"[{percent(found.low)}, {percent(found.high)}]"
