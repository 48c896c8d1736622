"""Trainers of the plain regressions on features: mlr, sor and gp."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize

from deepcoder_tf.action_units import MISSING
from deepcoder_tf.errors import UserError
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.gp_regression import GPHead
from deepcoder_tf.models.least_squares import LeastSquares
from deepcoder_tf.models.linear import MLRHead, SORHead
from deepcoder_tf.models.ordinal_regression import fit_ordinal
from deepcoder_tf.models.regression import ROUNDING_VARIANCE, Standardisation, standardisation
from deepcoder_tf.training.feature_training import FeatureTrainer

__all__ = ["GPTrainer", "MLRTrainer", "SORTrainer"]

STEPS = 5
"""Iterations of L-BFGS between two looks at the validation subjects."""

BOUNDS = {"amplitude": (1e-3, 1e3), "noise": (1e-4, 1e2), "lengthscales": (1e-2, 1e5)}
"""Of the hyper-parameters, in units of standardised features and labels. A flat likelihood would
lead them out of what double precision can factorise."""

CONVERGED = 1e-4
"""Largest slope of the log-likelihood per label about the logarithm of a hyper-parameter."""


class OneFit(FeatureTrainer):
    """A trainer that is done after one round."""

    def rounds(self) -> int:
        """One."""
        return 1

    def steps_until(self, iteration: int) -> int:
        """The fit is one step."""
        return iteration + 1

    @cached_property
    def scaling(self) -> Standardisation:
        """Of the training frames' features."""
        return standardisation(self.features)


class MLRTrainer(OneFit):
    """Multivariate linear regression, in closed form."""

    def round(self, iteration: int) -> dict[str, float]:
        """Least squares, or ridge with `--mlr_penalty`."""
        if iteration < 0:
            return {}
        head = self.system.head
        assert isinstance(head, MLRHead)
        problem = LeastSquares(self.features, self.labels, self.scaling.gain)
        fit = problem.solve(self.config.mlr_penalty * len(self.labels))
        head.assign(fit, self.scaling.mean)
        self.bar.update()
        return {"mlr/residual_variance": float(fit.variance.mean())}


class SORTrainer(OneFit):
    """Standard ordinal regression, by maximum likelihood with a weak prior."""

    def round(self, iteration: int) -> dict[str, float]:
        """Fits all action units."""
        if iteration < 0:
            return {}
        head = self.system.head
        assert isinstance(head, SORHead)
        fit = fit_ordinal(
            self.features, self.labels, self.scaling, head.link, self.config.sor_penalty
        )
        head.assign(fit, self.scaling.mean)
        self.bar.update()
        labels = (self.labels != MISSING).sum()
        return {
            "sor/log_likelihood_per_label": fit.log_likelihood / float(labels),
            "sor/iterations": float(fit.iterations),
        }


class GPTrainer(FeatureTrainer):
    """Maximises the marginal likelihood of X_L, a few steps of L-BFGS at a time.

    Frames of X_L on which some action unit is not labelled are left out: one covariance for all
    outputs needs all outputs of a frame. Units that nobody labelled on X_L do not count for this;
    they are predicted as absent. Units that are the same on every frame of X_L keep their level.
    """

    def round(self, iteration: int) -> dict[str, float]:
        """Some steps from the hyper-parameters as they are; -1 only prepares the start."""
        if iteration < 0:
            self.start()
            return {}
        X, Y, varies = self.data
        result = minimize(
            lambda values: self.loss(values, X, Y[:, varies]),
            self.values(),
            jac=True,
            method="L-BFGS-B",
            bounds=self.bounds(),
            callback=lambda values: self.bar.update(),
            options={"maxiter": STEPS, "gtol": CONVERGED, "ftol": 0.0},
        )
        self.assign(result.x)
        self.converged = result.status != 1  # 1: there were steps to go
        try:
            self.gp.freeze(X, tf.constant(Y))
        except ValueError as error:
            raise UserError(f"{self.folder}: gp, iteration {iteration}: {error}") from error
        a, lengths, noise = self.gp.hyper_parameters()
        return {
            "gp/bound": -float(result.fun) * Y[:, varies].size,
            "gp/amplitude_variance": float(a),
            "gp/noise_variance": float(noise),
            "gp/lengthscale": float(tf.exp(tf.reduce_mean(tf.math.log(lengths)))),
        }

    def steps_until(self, iteration: int) -> int:
        """At most."""
        return STEPS * (iteration + 1)

    def reason_to_stop(self, iteration: int) -> str:
        """Also where the hyper-parameters have nowhere to go."""
        if self.converged:
            return "the marginal likelihood has converged"
        return super().reason_to_stop(iteration)

    @property
    def gp(self) -> GPHead:
        """The head."""
        head = self.system.head
        assert isinstance(head, GPHead)
        return head

    @cached_property
    def complete(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of X_L whose labels are complete, and their labels `[N, Q]`, absent where unknown.

        Raises:
          UserError: there are fewer than two.
        """
        labels = self.labels[self.subset]
        known = np.any(labels != MISSING, axis=0)
        full = np.all(labels[:, known] != MISSING, axis=1)
        if full.sum() < 2:
            raise UserError(
                f"{self.folder}: the gp needs frames on which every action unit is labelled, and "
                f"{full.sum()} of {len(labels)} are; choose --system=mlr or sor, which need not"
            )
        return self.subset[full], np.where(known, labels[full], 0)

    def start(self) -> None:
        """The standardisation of what the GP owns, and the start of its hyper-parameters."""
        rows, labels = self.complete
        features = np.asarray(self.features[rows], np.float64)
        deviation = labels.std(axis=0)
        scale = np.where(deviation > 0, deviation, np.sqrt(ROUNDING_VARIANCE))
        self.gp.start(
            features,
            standardisation(features),
            labels.mean(axis=0),
            scale,
            self.config.gp_lengthscale,
        )

    @cached_property
    def data(self) -> tuple[tf.Tensor, np.ndarray, np.ndarray]:
        """Standardised features `[N, F]` and labels `[N, Q]`, and which units vary `[Q]`.

        Raises:
          UserError: none varies.
        """
        rows, labels = self.complete
        varies = labels.std(axis=0) > 0
        if not varies.any():
            raise UserError(
                f"{self.folder}: no action unit varies over the {len(rows)} frames of the gp; "
                "give it more with --gp_points"
            )
        Y = (labels - self.gp.label_mean.numpy()) / self.gp.label_scale.numpy()
        return self.gp.standardised(np.asarray(self.features[rows])), Y, varies

    def values(self) -> np.ndarray:
        """The logarithms of the hyper-parameters, as one vector."""
        gp = self.gp
        parts = (gp.log_amplitude, gp.log_noise, gp.log_lengthscales)
        return np.concatenate([np.atleast_1d(part.numpy()) for part in parts])

    def assign(self, values: np.ndarray) -> None:
        """The inverse of `values`."""
        self.gp.log_amplitude.assign(values[0])
        self.gp.log_noise.assign(values[1])
        self.gp.log_lengthscales.assign(values[2:])

    def bounds(self) -> list[tuple[float, float]]:
        """Smallest and largest entries of `values`."""
        amplitude, noise, lengths = (np.log(BOUNDS[name]) for name in BOUNDS)
        return [tuple(amplitude), tuple(noise), *[tuple(lengths)] * (len(self.values()) - 2)]

    def loss(self, values: np.ndarray, X: tf.Tensor, Y: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative marginal log-likelihood per label, and its gradient.

        Raises:
          UserError: it is not finite.
        """
        self.assign(values)
        value, gradient = self.value_and_gradient(X, tf.constant(Y))
        if not np.isfinite(float(value)):
            a, lengths, noise = (np.exp(part) for part in (values[0], values[2:], values[1]))
            raise UserError(
                f"{self.folder}: the marginal likelihood of the gp is not finite at amplitude "
                f"variance {a:.3g}, noise variance {noise:.3g}, lengthscales {lengths.min():.3g} "
                f"to {lengths.max():.3g}; check the features, or lower --gp_points"
            )
        return float(value) / Y.size, gradient.numpy() / Y.size

    @cached_property
    def value_and_gradient(self) -> tf.types.experimental.GenericFunction:
        """The compiled negative marginal log-likelihood, and its gradient as one vector."""
        gp = self.gp
        variables = [gp.log_amplitude, gp.log_noise, gp.log_lengthscales]

        @graph_of
        def compute(X: tf.Tensor, Y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                loss = -gp.log_likelihood(X, Y)
            gradients = tape.gradient(loss, [v.value for v in variables])
            return loss, tf.concat([tf.reshape(g, [-1]) for g in gradients], axis=0)

        return compute
