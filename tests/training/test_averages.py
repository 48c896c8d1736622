"""Averages of an epoch: which steps count, and when a number that is not finite ends the run."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.training.averages import epoch_means
from deepcoder_tf.training.step import ClippedUpdate, make_optimizer


@pytest.fixture
def update() -> ClippedUpdate:
    """Of one variable."""
    return ClippedUpdate([keras.Variable(0.0)], make_optimizer("sgd", 0.01), 1.0)


def steps(bounds: list[float]) -> list[dict[str, float]]:
    """What steps found; each counts the updates that were left out in a row until it."""
    found, skipped = [], 0
    for bound in bounds:
        skipped = 0 if np.isfinite(bound) else skipped + 1
        found.append({"bound": bound, "skipped": float(skipped)})
    return found


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_steps_that_are_left_out_do_not_count(update, bad):
    means = epoch_means(steps([1.0, bad, 3.0, bad, bad]), update, "gp", 2, skips_allowed=3)
    assert means == {"bound": 2.0, "skipped": 3.0}


@pytest.mark.parametrize(
    ("bounds", "step"), [([1.0, np.nan, np.inf, np.nan], 1), ([np.nan], 0), ([-np.inf] * 2, 0)]
)
def test_too_many_in_a_row_and_none_at_all_end_the_run(update, bounds, step):
    message = rf"gp: the term 'bound' is not finite at step {step} of iteration 2 \(learning rate"
    with pytest.raises(UserError, match=message):
        epoch_means(steps(bounds), update, "gp", 2, skips_allowed=3)


def test_without_steps_there_are_no_means(update):
    assert epoch_means([], update, "gp", 2) == {}
