"""Judges of decoded pictures."""

from __future__ import annotations

import numpy as np

from deepcoder_tf.evaluation.judges import judge_swaps, train_judge


def stripes(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures whose class is the direction of their stripes."""
    waves = np.sin(0.5 * np.arange(48) + rng.uniform(0, 6, (len(labels), 1)))[:, :, np.newaxis]
    waves = np.repeat(waves, 48, axis=2)
    images = np.where(labels[:, np.newaxis, np.newaxis] == 1, waves, waves.transpose(0, 2, 1))
    return np.repeat(images[..., np.newaxis], 3, axis=-1).astype(np.float32)


def test_a_judge_sees_what_pictures_show_and_the_rates_are_those_of_its_answers():
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    judge = train_judge(stripes(labels, rng), labels, 2)
    shown, wanted = np.array([0, 1, 1, 0]), np.array([1, 0, 0, 0])
    pictures, swapped = stripes(shown, rng), stripes(np.array([1, 1, 0, 0]), rng)
    np.testing.assert_array_equal(judge(pictures), shown)
    people = np.array([0, 1, 1, 1])  # the judge of people sees stripes too: three of four right
    rates = judge_swaps(judge, judge, pictures, pictures, swapped, shown, wanted, people)
    assert rates.expression_real == rates.expression_reconstructed == 1.0
    assert rates.expression_swapped == 0.75  # all but the second
    assert rates.expression_kept == 1 / 3  # of the three that should have changed
    assert rates.identity_real == rates.identity_reconstructed == 0.75
    assert rates.identity_swapped == 0.25
