"""Classifiers trained apart, which judge decoded pictures: do they show what they should?"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.graphs import graph_of
from deepcoder_tf.preprocessing.augment import AugmentConfig, augment
from deepcoder_tf.preprocessing.scale import area_resize

__all__ = ["JUDGE_SIDE", "Judge", "SwapRates", "judge_swaps", "train_judge"]

JUDGE_SIDE = 48
"""Pixels of the side that a judge sees: a decoder's blur then matters less."""

EPOCHS, BATCH, RATE = 30, 64, 2e-3

CHANGES = AugmentConfig(
    shift=0.04, scale=0.06, rotation=5.0, brightness=0.1, contrast=0.2, blur=1.0, flip=0.5
)
"""Decoded pictures are blurred and paler than those that a judge learns from."""


class Judge:
    """A small convolutional classifier of pictures.

    Args:
      classes: how many.
    """

    def __init__(self, classes: int) -> None:
        layers = []
        for filters in (24, 48, 96):
            layers += [
                keras.layers.Conv2D(filters, 3, padding="same", activation="relu"),
                keras.layers.MaxPooling2D(),
            ]
        layers += [keras.layers.Flatten(), keras.layers.Dropout(0.3), keras.layers.Dense(classes)]
        self.net = keras.Sequential([keras.Input((JUDGE_SIDE, JUDGE_SIDE, 3)), *layers])
        self.run = graph_of(lambda x: self.net(x, training=False))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """The most probable class `[N]` of pictures `[N, H, W, 3]` float32 in -1..1."""
        parts = [
            self.run(judged(pictures[start : start + BATCH])).numpy()
            for start in range(0, len(pictures), BATCH)
        ]
        return np.concatenate(parts).argmax(axis=1)


def judged(pictures: np.ndarray) -> tf.Tensor:
    """Pictures at the size that judges see."""
    return area_resize(tf.constant(pictures), JUDGE_SIDE, JUDGE_SIDE)


def train_judge(pictures: np.ndarray, labels: np.ndarray, classes: int, seed: int = 0) -> Judge:
    """Trains a judge on pictures as they were taken.

    Args:
      pictures: `[N, H, W, 3]` float32 in -1..1.
      labels: `[N]` classes.
      classes: how many.
      seed: of its weights and of the order.

    Returns:
      The judge.
    """
    keras.utils.set_random_seed(seed)
    judge = Judge(classes)
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(judge.net.trainable_variables)

    @graph_of
    def step(x: tf.Tensor, y: tf.Tensor, draw: tf.Tensor) -> None:
        x = augment(x, draw, CHANGES)
        with tf.GradientTape() as tape:
            logits = judge.net(x, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            )
        variables = judge.net.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    x, y = judged(pictures), tf.constant(labels)
    rng = np.random.default_rng(seed)
    size = min(BATCH, len(labels))
    for epoch in range(EPOCHS):
        optimizer.learning_rate.assign(RATE * (1 - epoch / EPOCHS))
        order = rng.permutation(len(labels))
        for number, start in enumerate(range(0, len(order) - size + 1, size)):
            rows = order[start : start + size]
            step(tf.gather(x, rows), tf.gather(y, rows), tf.constant([epoch, number]))
    return judge


class SwapRates(NamedTuple):
    """Shares of pictures in which a judge sees what should be there.

    Attributes:
      expression_real: expression in pictures as they were taken: how good the judge is.
      expression_reconstructed: in x'.
      expression_swapped: of the other face, in x''.
      expression_kept: of the own face, in x'' (should be that of chance).
      identity_real: likewise of who it is.
      identity_reconstructed: in x'.
      identity_swapped: of the own face, in x''.
    """

    expression_real: float
    expression_reconstructed: float
    expression_swapped: float
    expression_kept: float
    identity_real: float
    identity_reconstructed: float
    identity_swapped: float


def judge_swaps(
    expression: Judge,
    identity: Judge,
    pictures: np.ndarray,
    reconstructed: np.ndarray,
    swapped: np.ndarray,
    labels: np.ndarray,
    wanted: np.ndarray,
    people: np.ndarray,
) -> SwapRates:
    """Asks both judges.

    Args:
      expression: judge of expressions.
      identity: judge of people.
      pictures: `[N, H, W, 3]` in -1..1, none that a judge has learnt from.
      reconstructed: x' of them.
      swapped: x'': their people with other expressions.
      labels: `[N]` expressions of the pictures.
      wanted: `[N]` expressions that the swapped pictures should show.
      people: `[N]` who it is.

    Returns:
      The rates.
    """

    def share(found: np.ndarray, true: np.ndarray) -> float:
        return float(np.mean(found == true))

    seen = expression(swapped)
    other = wanted != labels
    return SwapRates(
        expression_real=share(expression(pictures), labels),
        expression_reconstructed=share(expression(reconstructed), labels),
        expression_swapped=share(seen, wanted),
        expression_kept=share(seen[other], labels[other]),
        identity_real=share(identity(pictures), people),
        identity_reconstructed=share(identity(reconstructed), people),
        identity_swapped=share(identity(swapped), people),
    )
