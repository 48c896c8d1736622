"""A tiny run, and the SavedModel of its model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from deepcoder_tf.config import Config
from deepcoder_tf.export import export_model
from deepcoder_tf.export.tflite import add_variants
from deepcoder_tf.faces.registration import mean_shape, place_in_crop
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.training.checkpoints import Checkpoints
from deepcoder_tf.training.run import RunInfo, load_model, open_run
from deepcoder_tf.types import Gaussian
from tools.parity.golden import stored_landmarks
from tools.parity.route import Outputs, Question, Route
from tools.parity.routes import REFERENCE

ACTION_UNITS = ("AU01", "AU12")
POINTS = 9
CONFIG = Config(
    coders="conv:4,gp:2",
    image_height=24,
    image_width=16,
    filters=(3, 2),
    pools=(1, 1),
    kernel_size=3,
)


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A folder as training leaves it, with weights that give every face other numbers."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("run")
    shapes = np.array(list(stored_landmarks().values()), np.float64)
    shape = place_in_crop(mean_shape([shapes])).tolist()
    subjects = {"train": ["a"], "validation": ["b"], "test": ["c"]}
    open_run(folder, RunInfo(CONFIG, ACTION_UNITS, shape, POINTS, "drawn", subjects, {}))
    model = DeepCoder(CONFIG, len(ACTION_UNITS), POINTS)
    model.build()
    rng = np.random.default_rng(0)
    z = rng.standard_normal((POINTS, 4))
    labels = rng.integers(0, 6, (POINTS, len(ACTION_UNITS)))
    model.coders[1].observe(Gaussian(z, 0.1 * np.ones_like(z)), labels, first=True)
    for weight in model.trainable_variables:
        weight.assign_add(0.2 * rng.standard_normal(weight.shape))
    for coder in model.coders:
        coder.refresh()
    Checkpoints.save_model(folder, model)
    return folder


@pytest.fixture(scope="session")
def reference() -> Route:
    """What the model in memory says, asked once: each export is of the same run."""
    answers: dict[str, Outputs] = {}

    def ask(question: Question) -> Outputs:
        if question.signature not in answers:
            answers[question.signature] = REFERENCE.ask(question)
        return answers[question.signature]

    return REFERENCE._replace(ask=ask)


def exported(
    run: Path, folder: Path, change: float = 0.0, addition: Callable[..., None] | None = None
) -> Path:
    """Version 1 of the run's model, one weight of which may be changed before."""
    model, info = load_model(run)
    model.coders[1].W.assign_add(np.full(model.coders[1].W.shape, change))
    card = {
        "format": 1,
        "action_units": list(info.action_units),
        "mean_shape": info.mean_shape,
        "crop_shape": [240, 160],
    }
    additions = () if addition is None else (functools.partial(addition, model=model),)
    return export_model(model, card, folder, additions=additions)


@pytest.fixture(scope="session")
def export(run, tmp_path_factory) -> Path:
    """The SavedModel of the run's model."""
    return exported(run, tmp_path_factory.mktemp("models") / "right")


@pytest.fixture(scope="session")
def lite_export(run, tmp_path_factory) -> Path:
    """The same with variants for TFLite that need no examples."""
    variants = functools.partial(add_variants, variants=["float32", "float16"])
    return exported(run, tmp_path_factory.mktemp("models") / "lite", addition=variants)


@pytest.fixture(scope="session")
def wrong_export(run, tmp_path_factory) -> Path:
    """The SavedModel of a model that is not quite the run's."""
    return exported(run, tmp_path_factory.mktemp("models") / "wrong", change=1e-3)
