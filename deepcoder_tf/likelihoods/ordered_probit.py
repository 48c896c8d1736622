"""The ordered probit distribution, in the conventions of TensorFlow Probability.

TensorFlow Probability has only the logistic member of the family (`tfd.OrderedLogistic`). The
probit member is the one whose latent variable is Gaussian, and therefore the one that stays in the
family when its latent mean is averaged over a Gaussian.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from deepcoder_tf.numerics import BIG, log_diff_ndtr, log_ndtr, ndtr

__all__ = ["OrderedProbit"]

tfd = tfp.distributions


class OrderedProbit(tfp.distributions.Distribution):
    """A level in {0, ..., K}: the interval between K cut-points in which a Gaussian falls.

    With ε ~ N(0, 1) and γ_0 = -∞ < γ_1 < ... < γ_K < γ_{K+1} = ∞,

        y = s  where  γ_s < loc + scale ε ≤ γ_{s+1},
        P(y = s) = Φ((γ_{s+1} - loc) / scale) - Φ((γ_s - loc) / scale).

    Logarithms and their gradients with respect to all three parameters are right however far `loc`
    lies from the interval, in float32 and float64. Batch shapes of the parameters broadcast.

    Multiplying cut-points, loc and scale by one positive number changes nothing; a model that
    learns the others should fix the scale.

    >>> dist = OrderedProbit(cutpoints=[-1.0, 0.0, 1.0], loc=[0.0, 2.0])
    >>> dist.batch_shape
    TensorShape([2])
    >>> dist.mode().numpy().tolist()
    [1, 3]

    Source: McCullagh, Regression Models for Ordinal Data, 1980; Eq. 17-20 of DeepCoder.
    """

    def __init__(
        self,
        cutpoints: Any,
        loc: Any,
        scale: Any = 1.0,
        dtype: tf.DType = tf.int32,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "OrderedProbit",
    ) -> None:
        """Makes the distribution.

        Args:
          cutpoints: floating `[..., K]`, increasing along the last axis, K at least 1.
          loc: floating `[...]`, the mean of the latent Gaussian.
          scale: floating `[...]`, its standard deviation, positive.
          dtype: integer or floating type of samples and of the mode.
          validate_args: check the order of the cut-points, the sign of the scale and the levels
            given to `log_prob`, at some cost in speed.
          allow_nan_stats: kept for the interface; no statistic of this distribution is undefined.
          name: prefix of the names of operations.

        Raises:
          TypeError: if a parameter is not floating point.
          ValueError: if `cutpoints` is a scalar or empty.
        """
        parameters = dict(locals())
        with tf.name_scope(name) as scope:
            given = (cutpoints, loc, scale)
            float_dtype = next(
                (tf.as_dtype(p.dtype) for p in given if hasattr(p, "dtype")), tf.float32
            )
            self._cutpoints, self._loc, self._scale = (
                _keep_variable(p, float_dtype, n)
                for p, n in zip(given, ("cutpoints", "loc", "scale"), strict=True)
            )
            super().__init__(
                dtype=dtype,
                reparameterization_type=tfd.NOT_REPARAMETERIZED,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=scope,
            )

    @classmethod
    def _parameter_properties(
        cls, dtype: tf.DType | None, num_classes: int | None = None
    ) -> dict[str, tfp.util.ParameterProperties]:
        return {
            "cutpoints": tfp.util.ParameterProperties(
                event_ndims=1,
                shape_fn=lambda shape: tf.concat(
                    [shape, [1 if num_classes is None else num_classes - 1]], axis=0
                ),
                default_constraining_bijector_fn=tfp.bijectors.Ascending,
            ),
            "loc": tfp.util.ParameterProperties(),
            "scale": tfp.util.ParameterProperties(
                default_constraining_bijector_fn=tfp.bijectors.Softplus
            ),
        }

    @property
    def cutpoints(self) -> tf.Tensor:
        """The cut-points, `[..., K]`."""
        return self._cutpoints

    @property
    def loc(self) -> tf.Tensor:
        """Mean of the latent Gaussian, `[...]`."""
        return self._loc

    @property
    def scale(self) -> tf.Tensor:
        """Standard deviation of the latent Gaussian, `[...]`."""
        return self._scale

    def categorical_log_probs(self) -> tf.Tensor:
        """Log-probabilities of the K + 1 levels, `[..., K + 1]`, each right in its own tail."""
        ends = self._end_points()
        return log_diff_ndtr(ends[..., :-1], ends[..., 1:])

    def categorical_probs(self) -> tf.Tensor:
        """Probabilities of the K + 1 levels, `[..., K + 1]`.

        Differences of Φ at the ends of each interval, or above the mean of Φ(-·), where those of Φ
        would be differences of numbers near 1: they sum to 1 up to the rounding of the sum, which
        exponentials of `categorical_log_probs` do not.
        """
        ends = self._end_points()
        below, above = ndtr(ends), ndtr(-ends)
        right = ends[..., 1:] + ends[..., :-1] > 0.0
        lower, upper = below[..., 1:] - below[..., :-1], above[..., :-1] - above[..., 1:]
        return tf.nn.relu(tf.where(right, upper, lower))

    def _standardise(self, cutpoints: tf.Tensor, extra_axes: int = 0) -> tf.Tensor:
        """(γ - loc) / scale, where γ has `extra_axes` axes behind those of the batch."""
        loc, scale = tf.convert_to_tensor(self.loc), tf.convert_to_tensor(self.scale)
        for _ in range(extra_axes):
            loc, scale = loc[..., tf.newaxis], scale[..., tf.newaxis]
        return (cutpoints - loc) / scale

    def _end_points(self) -> tf.Tensor:
        """The standardised cut-points between the two ends of the real line, `[..., K + 2]`."""
        inner = self._standardise(self.cutpoints, extra_axes=1)
        return tf.concat([_left_of(inner[..., :1]), inner, _right_of(inner[..., -1:])], axis=-1)

    def _interval(self, level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Standardised ends of the interval of each level, which must be in 0..K.

        The cut-points are picked before they meet `loc`, which is often much larger. A sum with a
        one-hot code does it, because the shapes of level and batch need only broadcast.
        """
        cutpoints = tf.convert_to_tensor(self.cutpoints)
        K = tf.shape(cutpoints)[-1]

        def pick(which: tf.Tensor) -> tf.Tensor:
            code = tf.one_hot(which, K, dtype=cutpoints.dtype)  # zeros outside 0..K-1
            return self._standardise(tf.reduce_sum(code * cutpoints, axis=-1))

        lower, upper = pick(level - 1), pick(level)
        first, last = tf.equal(level, 0), tf.equal(level, K)
        return (
            tf.where(first, _left_of(upper), lower),
            tf.where(last, _right_of(lower), upper),
        )

    def _level(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The level at or below `value`, clipped to the support; whether below it, above it."""
        value = tf.convert_to_tensor(value)
        if value.dtype.is_floating:
            value = tf.floor(value)
        top = tf.cast(tf.shape(self.cutpoints)[-1], value.dtype)
        zero = tf.zeros([], value.dtype)
        inside = tf.cast(tf.clip_by_value(value, zero, top), tf.int32)
        return inside, value < zero, value > top

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], dtype=tf.int32)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _log_prob(self, value: tf.Tensor) -> tf.Tensor:
        level, below, above = self._level(value)
        log_prob = log_diff_ndtr(*self._interval(level))
        value = tf.convert_to_tensor(value)
        outside = below | above
        if value.dtype.is_floating:
            outside |= value != tf.floor(value)
        return tf.where(outside, tf.constant(-float("inf"), log_prob.dtype), log_prob)

    def _upper_end(self, value: tf.Tensor) -> tf.Tensor:
        """Standardised upper end of the interval of `value`: -BIG below the support."""
        level, below, _ = self._level(value)
        _, upper = self._interval(level)
        return tf.where(below, tf.constant(-BIG, upper.dtype), upper)

    def _cdf(self, value: tf.Tensor) -> tf.Tensor:
        return ndtr(self._upper_end(value))

    def _log_cdf(self, value: tf.Tensor) -> tf.Tensor:
        return log_ndtr(self._upper_end(value))

    def _survival_function(self, value: tf.Tensor) -> tf.Tensor:
        return ndtr(-self._upper_end(value))

    def _log_survival_function(self, value: tf.Tensor) -> tf.Tensor:
        return log_ndtr(-self._upper_end(value))

    def _sample_n(self, n: int, seed: Any = None) -> tf.Tensor:
        # The definition itself: draw the latent Gaussian and count the cut-points below it.
        latent = tfd.Normal(
            tf.broadcast_to(self.loc, self.batch_shape_tensor()), self.scale
        ).sample(n, seed=seed)
        above = latent[..., tf.newaxis] > self.cutpoints
        return tf.reduce_sum(tf.cast(above, self.dtype), axis=-1)

    def _mean(self) -> tf.Tensor:
        # E[y] = Σ_{s=1}^{K} P(y ≥ s)
        return tf.reduce_sum(ndtr(-self._standardise(self.cutpoints, extra_axes=1)), axis=-1)

    def _variance(self) -> tf.Tensor:
        probs = self.categorical_probs()
        levels = tf.range(tf.shape(probs)[-1])
        deviation = tf.cast(levels, probs.dtype) - self._mean()[..., tf.newaxis]
        return tf.reduce_sum(probs * deviation**2, axis=-1)

    def _stddev(self) -> tf.Tensor:
        return tf.sqrt(self._variance())

    def _mode(self) -> tf.Tensor:
        return tf.cast(tf.argmax(self.categorical_log_probs(), axis=-1), self.dtype)

    def _entropy(self) -> tf.Tensor:
        log_probs = self.categorical_log_probs()
        return -tf.reduce_sum(tf.exp(log_probs) * log_probs, axis=-1)

    def _default_event_space_bijector(self) -> None:
        return None

    def _parameter_control_dependencies(self, is_init: bool) -> list[tf.Operation]:
        if is_init:
            shape = self.cutpoints.shape
            if shape.rank == 0 or (shape.rank is not None and shape[-1] == 0):
                raise ValueError(
                    f"`cutpoints` needs at least one cut-point on its last axis, got shape {shape}"
                )
        if not self.validate_args:
            return []
        gaps = self.cutpoints[..., 1:] - self.cutpoints[..., :-1]
        return [
            tf.debugging.assert_positive(gaps, message="`cutpoints` must increase"),
            tf.debugging.assert_positive(self.scale, message="`scale` must be positive"),
        ]

    def _sample_control_dependencies(self, value: tf.Tensor) -> list[tf.Operation]:
        if not self.validate_args:
            return []
        value = tf.convert_to_tensor(value)
        top = tf.cast(tf.shape(self.cutpoints)[-1], value.dtype)
        message = "levels must be integers in 0..K, where K is the number of cut-points"
        checks = [
            tf.debugging.assert_non_negative(value, message=message),
            tf.debugging.assert_less_equal(value, top, message=message),
        ]
        if value.dtype.is_floating:
            checks.append(tf.debugging.assert_equal(value, tf.floor(value), message=message))
        return checks


# The ends of the real line lie beyond the outermost cut-points wherever `loc` is, and are made
# after the division by the scale, so that they are far enough whatever the scale. They carry no
# gradient.


def _left_of(x: tf.Tensor) -> tf.Tensor:
    return tf.stop_gradient(tf.minimum(x, 0.0)) - BIG


def _right_of(x: tf.Tensor) -> tf.Tensor:
    return tf.stop_gradient(tf.maximum(x, 0.0)) + BIG


def _keep_variable(value: Any, dtype: tf.DType, name: str) -> Any:
    """A tensor, except that what must be read again at each use stays what it is."""
    if hasattr(value, "dtype") and not tf.as_dtype(value.dtype).is_floating:
        raise TypeError(f"`{name}` must be floating point, got {value.dtype}")
    if isinstance(value, tf.Variable | tfp.util.DeferredTensor):
        return value
    return tf.convert_to_tensor(value, dtype=dtype, name=name)


@tfd.RegisterKL(OrderedProbit, OrderedProbit)
def _kl_ordered_probit(a: OrderedProbit, b: OrderedProbit, name: str | None = None) -> tf.Tensor:
    """KL(a || b): a finite sum over the levels, which both must have in the same number."""
    with tf.name_scope(name or "kl_ordered_probit"):
        log_a, log_b = a.categorical_log_probs(), b.categorical_log_probs()
        return tf.reduce_sum(tf.exp(log_a) * (log_a - log_b), axis=-1)
