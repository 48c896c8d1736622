"""A bench's folder as its cells leave it, small and without training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from deepcoder_tf.config import Config
from deepcoder_tf.evaluation.tables import write_arrays
from deepcoder_tf.experiment.snapshots import Latents, Reconstructions, write_latents, write_test
from deepcoder_tf.files import write_json

__all__ = ["ACTION_UNITS", "SUBJECTS", "make_bench", "make_cell"]

ACTION_UNITS = ("AU06", "AU12", "AU25")

SUBJECTS = tuple(f"SN{i:03d}" for i in range(6))

ITERATIONS = 4


def make_bench(folder: Path) -> Path:
    """2DC, DCp and a 2DC without warm-up on two folds, a cnn, and a cell that failed."""
    rows = {
        "2dc": Config(),
        "dcp": Config(system="dcp", coders="conv:2000,dense:50"),
        "cnn": Config(system="cnn"),
        "gp": Config(system="gp"),
        "cold <&>": Config(warmup_iterations=1),
    }
    folds = {
        str(k): {
            "train": list(SUBJECTS[2 * k + 2 :] + SUBJECTS[: 2 * k - 1 if k else 0])[:3],
            "validation": [SUBJECTS[(2 * k + 5) % 6]],
            "test": list(SUBJECTS[2 * k : 2 * k + 2]),
        }
        for k in range(3)
    }
    data = {"source": "tiny <set>", "action_units": ACTION_UNITS, "seed": 0, "folds": folds}
    plain = {name: dataclasses.asdict(config) for name, config in rows.items()}
    write_json(folder / "bench.json", {"format": 1, "data": data, "rows": plain})
    for name, config in rows.items():
        for fold in range(3 if name != "cold <&>" else 1):
            if name != "gp":
                make_cell(folder, name, config, fold, folds[str(fold)]["test"])
    failed = folder / "cells" / "gp" / "fold0" / "seed0"
    write_json(failed / "cell.json", {"status": "failed", "reason": "the bound is <NaN>"})
    write_json(folder / "table1.json", table())
    return folder


def make_cell(folder: Path, name: str, config: Config, fold: int, test: list[str]) -> None:
    """One finished cell; networks keep no codes."""
    rng = np.random.default_rng([fold, len(name)])
    cell = folder / "cells" / name / f"fold{fold}" / "seed0"
    options = dataclasses.asdict(dataclasses.replace(config, fold=fold))
    write_json(cell / "run" / "run.json", {"config": options})
    stack = config.system in ("2dc", "dcp")
    lines = []
    for i in range(ITERATIONS + fold):
        line = {"iteration": i, "improved": i < ITERATIONS, "validation/icc": 0.3 + 0.05 * i}
        if stack:
            line |= {"validation/nlpd": 2.0 - 0.1 * i, "validation/bound": -900.0 / (i + 1)}
            line |= {"validation/image_mse/z0": 0.1 / (i + 1), "validation/image_mse/z1": 0.1}
        lines.append(json.dumps(line))
    (cell / "run" / "history.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    subjects = np.repeat(test, 30)
    labels = rng.integers(-1, 6, (60, 3)).astype(np.int8)
    probabilities = rng.dirichlet(np.ones(6), (60, 3)).astype(np.float32)
    write_arrays(
        cell / "test" / "predictions.npz",
        probabilities=probabilities, expected=probabilities @ np.arange(6, dtype=np.float32),
        labels=labels, subjects=subjects, rows=np.arange(60),
    )  # fmt: skip
    if stack:
        known = np.repeat([name for name in SUBJECTS if name not in test], 12)
        splits = np.repeat(["train", "validation"], [36, 12])
        for i in range(ITERATIONS):
            codes = [rng.normal(size=(48, d)) for d in (9, 4)]
            levels = rng.integers(-1, 6, (48, 3))
            latents = Latents(codes, levels, known, splits, ACTION_UNITS)
            write_latents(cell / "run" / "latents" / f"iteration_{i}.npz", latents)
        images = rng.integers(0, 256, (5, 24, 16, 1), dtype=np.uint8)
        faces = Reconstructions(images, images // 2, subjects[:5])
        codes = [rng.normal(size=(60, d)) for d in (9, 4)]
        write_test(cell / "test", ACTION_UNITS, labels, subjects, codes, faces)
    write_json(cell / "cell.json", {"status": "ok", "reason": "", "seconds": {}, "versions": {}})


def table() -> dict:
    """As much of `table1.json` as is read."""

    def system(label: str, icc: float, difference: float | None) -> dict:
        metrics = {
            "icc": {"mean": {"average": {"value": icc, "low": icc - 0.1, "high": icc + 0.1}}}
        }
        metrics["ordinal_log_score"] = {"average": {"value": 0.5, "low": None, "high": None}}
        minus = {}
        if difference is not None:
            ends = {"value": difference, "low": difference - 0.05, "high": difference + 0.05}
            minus = {"icc": {"mean": {"average": ends}}}
        return {"label": label, "metrics": metrics, "difference": minus}

    return {
        "point": "mean",
        "reference": "2dc",
        "bootstrap": {"replicates": 10000, "level": 0.95},
        "systems": {
            "2dc": system("2DC", 0.5, None),
            "dcp": system("DCp", 0.4, 0.1),
            "cnn": system("CNN", 0.48, 0.02),
            "gp": {"label": "GP", "metrics": {}, "difference": {}},
        },
    }
