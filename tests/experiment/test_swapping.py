"""Which pictures are swapped, which a judge learns from, and what validation sees of a decoder."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from deepcoder_tf.datasets.expressions.store import ExpressionFrames
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.expression_watching import ExpressionWatch
from deepcoder_tf.experiment.swapping import can_swap, halves, measure_swaps, swap_pairs
from deepcoder_tf.models.expressions import build_recogniser
from deepcoder_tf.recogniser_config import RecogniserConfig

CONFIG = RecogniserConfig(
    trunk="vgg16",
    trunk_weights="random",
    trunk_endpoint="block1_pool",
    picture_side=32,
    branch_filters=(4,),
    branch_kernels=(1,),
    decoder_filters=(4, 4, 4, 4, 4),
    beta_reconstruction=1.0,
)


def frames(people: int = 3, each: int = 2) -> ExpressionFrames:
    """Every person shows every expression `each` times; the last picture has no class."""
    labels = np.tile(np.arange(8), people * each).astype(np.int32)
    labels[-1] = -1
    n = len(labels)
    rng = np.random.default_rng(0)
    return ExpressionFrames(
        images=rng.integers(0, 256, (n, 16, 16, 3)).astype(np.uint8),
        labels=labels,
        votes=np.zeros((n, 8), np.float32),
        subjects=np.repeat([f"p{k}" for k in range(people)], 8 * each),
        splits=np.full(n, "validation"),
        rows=np.arange(n),
    )


def test_halves_share_no_picture_and_both_show_every_person():
    given = frames()
    own = halves(given)
    assert not set(own.learnt) & set(own.judged)
    assert len(own.learnt) + len(own.judged) == np.sum(given.labels >= 0)
    for half in own:
        assert set(given.subjects[half]) == {"p0", "p1", "p2"}


def test_partners_are_other_people_with_other_expressions():
    given = frames()
    rows = halves(given).judged
    partners = swap_pairs(given, rows, seed=1)
    assert set(partners) <= set(rows)
    assert np.all(given.subjects[partners] != given.subjects[rows])
    assert np.all(given.labels[partners] != given.labels[rows])
    np.testing.assert_array_equal(partners, swap_pairs(given, rows, seed=1))


def test_swaps_are_measured_where_they_can_be_made():
    given = frames()
    model = build_recogniser(CONFIG, 16, 3)
    assert can_swap(model, given)
    rates = measure_swaps(model, given, given)
    assert rates["pictures"] == len(halves(given).judged) and rates["people"] == 3
    shares = [value for name, value in rates.items() if name not in ("pictures", "people")]
    assert all(0 <= share <= 1 for share in shares)
    nobody = given._replace(subjects=np.full(len(given.labels), ""))
    assert not can_swap(model, nobody)
    plain = build_recogniser(dataclasses.replace(CONFIG, system="baseline"), 16, 3)
    assert not can_swap(plain, given)


def test_validation_looks_at_the_decoder_too(tmp_path):
    config = dataclasses.replace(CONFIG, selection="reconstruction")
    given = frames()
    keras.utils.set_random_seed(0)
    model = build_recogniser(config, 16, 3)
    scores = ExpressionWatch(model, given, tmp_path).validate(model)
    known = given.labels >= 0
    shown = model.pictures(given.images[known])
    wrong = (shown - model.reconstruct(shown)) / 2
    expected = np.sqrt(np.sum(np.square(wrong), axis=(1, 2, 3))).mean()
    np.testing.assert_allclose(scores["reconstruction"], expected, rtol=1e-5)
    plain = build_recogniser(dataclasses.replace(CONFIG, system="baseline"), 16, 3)
    assert "reconstruction" not in ExpressionWatch(plain, given, tmp_path).validate(plain)


@pytest.mark.parametrize("changes", [{"system": "baseline"}, {"beta_reconstruction": 0.0}])
def test_an_epoch_is_chosen_by_the_decoder_only_where_there_is_one(changes):
    with pytest.raises(UserError, match="needs a decoder"):
        dataclasses.replace(CONFIG, **{"selection": "reconstruction", **changes})
