"""What the tests of the main job and of the bench share: one tiny data set, one trained model."""

from __future__ import annotations

import json

import pytest

from deepcoder_tf.cli import evaluate, export, prepare, synthesize, train
from tests.integration.tiny_job import FRAMES, SUBJECTS, TRAIN, Data, Job, do, evaluation


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Data:
    """Synthesised and prepared once."""
    root = tmp_path_factory.mktemp("data")
    faces, prepared = root / "faces", root / "prepared"
    do(
        synthesize.main,
        f"--output_dir={faces}",
        f"--subjects={SUBJECTS}",
        f"--frames={FRAMES}",
        "--noprogress",
    )
    do(
        prepare.main,
        "--dataset=disfa",
        f"--input_dir={faces}",
        f"--output_dir={prepared}",
        "--workers=1",
        "--noprogress",
    )
    fold = json.loads((prepared / "dataset.json").read_text())["folds"]["0"]
    return Data(faces, prepared, fold["test"])


@pytest.fixture(scope="session")
def job(data, tmp_path_factory) -> Job:
    """2DC: every step once."""
    root = tmp_path_factory.mktemp("job")
    run, results, served = root / "run", root / "results", root / "savedmodels" / "tiny"
    do(train.main, *TRAIN, f"--data_dir={data.prepared}", f"--model_dir={run}")
    do(evaluate.main, *evaluation(run, data.prepared, results), "--references")
    do(export.main, f"--model_dir={run}", f"--output_dir={served}")
    return Job(data.faces, data.prepared, run, results, served / "1", data.test_subjects)
