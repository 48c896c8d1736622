"""Ordinal weights and cut-points that suit given codes best: the label term solved for itself."""

from __future__ import annotations

import functools
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from deepcoder_tf.graphs import graph_of
from deepcoder_tf.likelihoods.ordinal import cutpoints, expected_log_prob, weight_prior

__all__ = ["OrdinalHead", "fit_ordinal_head"]

NODES = 11
"""Of the quadrature; 2e-7 from the integral at a variance of 1, and this is solved many times."""

CUT_SCALE = 3.0
"""How far, in probit units, an unconstrained cut-point goes from its start without evidence: levels
that were never seen would otherwise move theirs to infinity."""


class OrdinalHead(NamedTuple):
    """Parameters of Q ordinal probits on a D-dimensional code.

    Attributes:
      W: `[Q, D]` weights.
      raw_first: `[Q]`, see `ordinal.cutpoints`.
      raw_gaps: `[Q, L-2]`, see `ordinal.cutpoints`.
    """

    W: tf.Tensor
    raw_first: tf.Tensor
    raw_gaps: tf.Tensor


def fit_ordinal_head(
    start: OrdinalHead,
    labels: tf.Tensor,
    mean: tf.Tensor,
    var: tf.Tensor,
    centre: tf.Tensor,
    tau: float,
    steps: int,
) -> OrdinalHead:
    """Maximises Σ E log p(y|z) + log p(W) over W and γ by L-BFGS, the codes held fixed.

    A block of coordinate ascent on the bound where its label term has weight 1: no other term
    depends on these parameters.

    Args:
      start: where to begin.
      labels: `[N, Q]` whole numbers, -1 where missing.
      mean: `[N, D]` of q(Z), float64.
      var: `[N, D]` of q(Z), float64.
      centre: `[Q, D]`, mean of the prior of W.
      tau: its standard deviation.
      steps: iterations of L-BFGS at most.

    Returns:
      The parameters; never worse than `start`.

    Source: Eq. 9, last term; Nocedal, Mathematics of Computation 35 (1980), for L-BFGS.
    """
    solve = solver(*start.W.shape, start.raw_gaps.shape[1])
    labels, tau = tf.cast(labels, tf.int32), tf.cast(tau, tf.float64)
    return unpack(solve(*start, labels, mean, var, centre, tau, steps), start)


@functools.lru_cache(maxsize=8)
def solver(Q: int, D: int, gaps: int) -> tf.types.experimental.GenericFunction:
    """The compiled `fit_ordinal_head`, to one vector, for any number of codes and steps.

    Tracing L-BFGS takes seconds, solving a tenth of one: what is asked for again is not traced
    again.

    Args:
      Q: action units.
      D: dimensions of the code.
      gaps: L - 2.
    """
    shapes = ((Q, D), (Q,), (Q, gaps), (None, Q), (None, D), (None, D), (Q, D), (), ())
    types = [tf.float64] * 3 + [tf.int32] + [tf.float64] * 4 + [tf.int32]

    def solve(
        W: tf.Tensor,
        raw_first: tf.Tensor,
        raw_gaps: tf.Tensor,
        labels: tf.Tensor,
        mean: tf.Tensor,
        var: tf.Tensor,
        centre: tf.Tensor,
        tau: tf.Tensor,
        steps: tf.Tensor,
    ) -> tf.Tensor:
        start = OrdinalHead(W, raw_first, raw_gaps)

        def loss(x: tf.Tensor) -> tf.Tensor:
            head = unpack(x, start)
            gamma = cutpoints(head.raw_first, head.raw_gaps)
            label = tf.reduce_sum(expected_log_prob(labels, head.W, gamma, mean, var, NODES))
            moved = tf.concat([(head.raw_first - start.raw_first)[:, tf.newaxis],
                               head.raw_gaps - start.raw_gaps], axis=1)  # fmt: skip
            prior = weight_prior(head.W - centre, tau) + weight_prior(moved, CUT_SCALE)
            return -(label + prior) / tf.cast(tf.shape(labels)[0], mean.dtype)

        # The line search asks at five places: one graph for all, traced and optimised once.
        loss_and_gradient = graph_of(lambda x: tfp.math.value_and_gradient(loss, x), inline=False)
        x = tf.concat([tf.reshape(part, [-1]) for part in start], axis=0)
        found = tfp.optimizer.lbfgs_minimize(
            loss_and_gradient,
            x,
            max_iterations=steps,
            tolerance=1e-6,
        )
        better = tf.reduce_all(tf.math.is_finite(found.position))
        better &= found.objective_value <= loss_and_gradient(x)[0]
        return tf.where(better, found.position, x)

    return graph_of(solve, list(map(tf.TensorSpec, shapes, types)))


def unpack(x: tf.Tensor, like: OrdinalHead) -> OrdinalHead:
    """The parameters in a vector of all of them, in the shapes of `like`."""
    parts = tf.split(x, [part.shape.num_elements() for part in like])
    return OrdinalHead(
        *(tf.reshape(part, old.shape) for part, old in zip(parts, like, strict=True))
    )
