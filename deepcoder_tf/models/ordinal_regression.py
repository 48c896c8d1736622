"""Standard ordinal regression: maximum likelihood of weights and ordered cut-points.

    P(y ≤ s | x) = F(γ_{s+1} - wᵀx),   F the normal (probit) or logistic (logit) distribution

for each action unit on its own. All of them are fitted by one L-BFGS in coordinates in which the
curvature at w = 0 is the unit matrix: there a gradient of size g means a distance of about g
standard errors from the optimum, and correlated features cost no more steps than others.

Source: Agresti, Analysis of Ordinal Categorical Data, chapters 3 and 5; McCullagh, Regression
Models for Ordinal Data, 1980.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.optimize import minimize
from scipy.special import expit, ndtr

from deepcoder_tf.action_units import LEVELS, MISSING
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.likelihoods.ordered_probit import OrderedProbit
from deepcoder_tf.likelihoods.ordinal import MIN_GAP, cutpoints, initial_cutpoints, raw_cutpoints
from deepcoder_tf.models.regression import RANK_TOLERANCE, Standardisation, chunks

__all__ = ["LINKS", "OrdinalFit", "fit_ordinal", "level_distribution"]

log = logging.getLogger(__name__)

LINKS = ("probit", "logit")
"""Distributions behind the levels: normal, logistic."""

LOGISTIC_SCALE = 1.7
"""Standard deviation of the normal that is closest to the logistic distribution."""

GRADIENT_TOLERANCE = 1e-4
"""Largest entry of the gradient at the end, in standard errors."""

MAX_ITERATIONS = 1000
MEMORY = 20

KEPT = 2**26
"""Numbers of a feature matrix that are kept in double precision between evaluations (512 MB); a
larger one is converted in pieces each time."""


class OrdinalFit(NamedTuple):
    """Ordinal regression of Q action units.

    Attributes:
      weights: `[F, Q]`, per unit of the features as given.
      gamma: `[Q, 5]` increasing cut-points for features whose mean was subtracted.
      log_likelihood: of all labels, in nats, without the terms of the prior.
      iterations: of L-BFGS.
    """

    weights: np.ndarray
    gamma: np.ndarray
    log_likelihood: float
    iterations: int


def level_distribution(
    link: str, gamma: tf.Tensor, f: tf.Tensor
) -> OrderedProbit | tfp.distributions.OrderedLogistic:
    """The distribution over levels, with `categorical_probs` `[..., Q, L]`.

    Args:
      link: `probit` or `logit`.
      gamma: `[Q, K]` cut-points.
      f: `[..., Q]` linear predictors.
    """
    if link == "probit":
        return OrderedProbit(gamma, f)
    return tfp.distributions.OrderedLogistic(cutpoints=gamma, loc=f)


def fit_ordinal(
    features: np.ndarray,
    labels: np.ndarray,
    standardisation: Standardisation,
    link: str,
    penalty: float,
    imagined: float = 1.0,
) -> OrdinalFit:
    """Maximises the likelihood with a weak prior.

    The prior is there for what has no maximum otherwise. Classes that a plane separates (a rare
    unit among many features) send weights to infinity: ½ `penalty` ‖w‖² for each unit, on the
    standardised features, is the prior w ~ N(0, 1 / penalty), once per data set. A level that never
    occurs sends a cut-point to infinity: `imagined` frames at the mean of the features are spread
    evenly over the levels.

    Args:
      features: `[N, F]`, finite; a memory map is read in pieces.
      labels: `[N, Q]` levels, -1 where missing.
      standardisation: of the features.
      link: `probit` or `logit`.
      penalty: at least 0.
      imagined: weight of the imagined frames; 0 for none.

    Returns:
      The fit; warns in the log when L-BFGS ended before convergence.
    """
    problem = Problem(features, labels, standardisation, link, penalty, imagined)
    found = minimize(
        problem.loss,
        np.zeros(problem.size),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": MAX_ITERATIONS,
            "maxfun": 2 * MAX_ITERATIONS,
            "maxcor": MEMORY,
            "gtol": GRADIENT_TOLERANCE,
            "ftol": 0.0,
        },
    )
    steepest = float(np.abs(found.jac).max(initial=0.0))
    if not found.success and steepest > 10 * GRADIENT_TOLERANCE:
        log.warning(
            "ordinal regression stopped after %d iterations, %.1g standard errors from its "
            "optimum; raise --sor_penalty if the classes are separable",
            found.nit,
            steepest,
        )
    W, gamma = problem.parameters(found.x)
    weights = standardisation.gain[:, np.newaxis] * W
    return OrdinalFit(weights, gamma, problem.log_likelihood, int(found.nit))


def normal_pdf(x: np.ndarray) -> np.ndarray:
    """φ(x)."""
    return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


class Problem:
    """The negative log-posterior and its gradient in well-scaled coordinates.

    Args:
      features, labels, standardisation, link, penalty, imagined: as in `fit_ordinal`.

    Attributes:
      size: number of coordinates.
      log_likelihood: of the labels, as of the last evaluation.
    """

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        standardisation: Standardisation,
        link: str,
        penalty: float,
        imagined: float,
    ) -> None:
        self.features, self.labels = features, labels.astype(np.int32)
        self.mean, self.gain = standardisation
        self.link, self.penalty, self.imagined = link, penalty, imagined
        self.shape = (features.shape[1], labels.shape[1])
        start = initial_cutpoints(labels, LEVELS)
        if link == "logit":
            start = LOGISTIC_SCALE * start
        first, gaps = raw_cutpoints(tf.constant(start))
        self.raw_start = np.concatenate([first[:, np.newaxis], gaps], axis=1)
        count = (labels != MISSING).sum(axis=0)
        information = np.maximum(self.information(start) * count, 1.0)  # [Q]
        parts = chunks(*features.shape)
        self.kept = [self.standardised(r) for r in parts] if features.size <= KEPT else None
        spread, basis = np.linalg.eigh(self.correlations())
        # In directions without data the weight is 0, by the prior or as the smallest of many.
        varies = spread > RANK_TOLERANCE * spread.max(initial=0.0)
        self.basis = basis[:, varies]  # [F, r]
        curvature = spread[varies, np.newaxis] * information + penalty
        self.scale = 1.0 / np.sqrt(curvature)  # [r, Q]
        self.raw_scale = 1.0 / np.sqrt(information)[:, np.newaxis]  # [Q, 1]
        self.size = self.scale.size + self.raw_start.size
        self.log_likelihood = 0.0
        Q, K = self.raw_start.shape
        signature = (((None, Q), tf.float64), ((None, Q), tf.int32), ((Q, K), tf.float64))
        self.terms = graph_of(self._terms, [tf.TensorSpec(*spec) for spec in signature])

    def standardised(self, rows: slice) -> np.ndarray:
        """Some rows of the features, `[n, F]` float64."""
        return (np.asarray(self.features[rows], np.float64) - self.mean) * self.gain

    def parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The standardised features in pieces, with the rows of each."""
        for number, rows in enumerate(chunks(*self.features.shape)):
            yield rows, self.standardised(rows) if self.kept is None else self.kept[number]

    def correlations(self) -> np.ndarray:
        """XᵀX / N of the standardised features, `[F, F]`."""
        gram = np.zeros((self.shape[0],) * 2)
        for _, X in self.parts():
            gram += X.T @ X
        return gram / len(self.features)

    def information(self, gamma: np.ndarray) -> np.ndarray:
        """Fisher information `[Q]` of one frame about f at f = 0: Σ_s (∂P_s/∂f)² / P_s."""
        cdf = ndtr(gamma) if self.link == "probit" else expit(gamma)
        pdf = normal_pdf(gamma) if self.link == "probit" else cdf * (1.0 - cdf)
        p = np.diff(cdf, prepend=0.0, append=1.0)
        slope = np.diff(pdf, prepend=0.0, append=0.0)
        return (slope**2 / np.maximum(p, np.finfo(float).tiny)).sum(axis=1)

    def parameters(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the standardised features `[F, Q]` and cut-points `[Q, K]`."""
        W = self.basis @ (self.scale * x[: self.scale.size].reshape(self.scale.shape))
        raw = tf.constant(self.raw(x))
        return W, cutpoints(raw[:, 0], raw[:, 1:], MIN_GAP).numpy()

    def raw(self, x: np.ndarray) -> np.ndarray:
        """The unconstrained cut-points `[Q, K]`."""
        step = x[self.scale.size :].reshape(self.raw_start.shape)
        return self.raw_start + self.raw_scale * step

    def loss(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log-posterior up to a constant, and its gradient."""
        W = self.basis @ (self.scale * x[: self.scale.size].reshape(self.scale.shape))
        raw = tf.constant(self.raw(x))
        prior, g_raw = self.terms(
            tf.zeros((LEVELS, self.shape[1]), tf.float64),
            tf.repeat(tf.range(LEVELS)[:, tf.newaxis], self.shape[1], axis=1),
            raw,
        )[::2]
        weight = self.imagined / LEVELS
        total, g_raw, g_W = 0.0, weight * g_raw.numpy(), self.penalty * W
        for rows, X in self.parts():
            value, g_f, g_part = self.terms(X @ W, self.labels[rows], raw)
            total += float(value)
            g_W += X.T @ g_f.numpy()
            g_raw += g_part.numpy()
        self.log_likelihood = -total
        value = total + weight * float(prior) + 0.5 * self.penalty * float((W**2).sum())
        gradient = [self.scale * (self.basis.T @ g_W), self.raw_scale * g_raw]
        return value, np.concatenate([g.ravel() for g in gradient])

    def _terms(
        self, f: tf.Tensor, y: tf.Tensor, raw: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Negative log-likelihood of some frames, and its gradients to `f` and `raw`."""
        with tf.GradientTape() as tape:
            tape.watch((f, raw))
            gamma = cutpoints(raw[:, 0], raw[:, 1:], MIN_GAP)
            log_prob = level_distribution(self.link, gamma, f).log_prob(tf.maximum(y, 0))
            loss = -tf.reduce_sum(tf.where(y >= 0, log_prob, 0.0))
        return loss, *tape.gradient(loss, (f, raw))
