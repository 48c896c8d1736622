"""OrderedProbit against SciPy, extended precision, statsmodels and the conventions of TFP."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.miscmodels.ordinal_model import OrderedModel

from deepcoder_tf.likelihoods import OrderedProbit
from tests.reference.vogpae import ordinal_probability

tfd = tfp.distributions

CUTPOINTS = np.array([-1.5, -0.2, 0.1, 2.0])
LEVELS = np.arange(5)


def probabilities(loc: float, scale: float) -> np.ndarray:
    """Differences of SciPy's normal distribution function."""
    cdf = scipy.stats.norm.cdf(np.array([-np.inf, *CUTPOINTS, np.inf]), loc, scale)
    return np.diff(cdf)


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    """Both precisions."""
    return request.param


@pytest.fixture
def dist(dtype):
    """Three distributions over five levels."""
    return OrderedProbit(CUTPOINTS.astype(dtype), np.array([-1, 0, 3], dtype), dtype(0.7))


def test_probabilities_are_those_of_scipy_and_of_the_paper(dist, dtype):
    tolerance = 1e-13 if dtype is np.float64 else 2e-6
    truth = np.array([probabilities(loc, 0.7) for loc in (-1.0, 0.0, 3.0)])
    loops = [[ordinal_probability(s, CUTPOINTS, f, 0.7) for s in LEVELS] for f in (-1.0, 0.0, 3.0)]
    np.testing.assert_allclose(truth, loops, atol=1e-15)
    np.testing.assert_allclose(dist.categorical_probs(), truth, atol=tolerance)
    np.testing.assert_allclose(tf.exp(dist.categorical_log_probs()), truth, atol=tolerance)
    np.testing.assert_allclose(dist.prob(LEVELS[:, None]), truth.T, atol=tolerance)
    np.testing.assert_allclose(dist.log_prob(LEVELS[:, None]), np.log(truth).T, rtol=1e-5)
    np.testing.assert_allclose(np.sum(dist.categorical_probs(), axis=-1), 1.0, rtol=3e-7)


def test_statistics_are_those_of_the_level_table(dist, dtype):
    tolerance = 1e-12 if dtype is np.float64 else 5e-6
    p = np.array([probabilities(loc, 0.7) for loc in (-1.0, 0.0, 3.0)])
    mean = p @ LEVELS
    variance = p @ LEVELS**2 - mean**2
    np.testing.assert_allclose(dist.mean(), mean, rtol=tolerance)
    np.testing.assert_allclose(dist.variance(), variance, rtol=10 * tolerance)
    np.testing.assert_allclose(dist.stddev(), np.sqrt(variance), rtol=10 * tolerance)
    np.testing.assert_array_equal(dist.mode(), p.argmax(axis=1))
    np.testing.assert_allclose(dist.entropy(), scipy.stats.entropy(p, axis=1), rtol=tolerance)
    cdf = np.cumsum(p, axis=1).T
    np.testing.assert_allclose(dist.cdf(LEVELS[:, None]), cdf, rtol=tolerance)
    np.testing.assert_allclose(dist.log_cdf(LEVELS[:, None]), np.log(cdf), atol=tolerance)
    survival = 1.0 - cdf
    np.testing.assert_allclose(dist.survival_function(LEVELS[:, None]), survival, atol=tolerance)
    np.testing.assert_allclose(
        dist.log_survival_function(LEVELS[:-1, None]), np.log(survival[:-1]), rtol=1e-4
    )


def test_levels_outside_the_support_are_impossible(dist):
    outside = dist.log_prob([[-1], [5], [70]])
    assert np.all(outside == -np.inf)
    np.testing.assert_array_equal(dist.cdf([[-1], [5]]), [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(dist.prob(tf.constant([[0.5]])), [[0, 0, 0]])
    np.testing.assert_allclose(dist.cdf(tf.constant([[1.5]])), dist.cdf([[1]]))


def test_the_log_likelihood_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    features, beta = rng.standard_normal((200, 3)), np.array([0.5, -1.0, 2.0])
    latent = features @ beta + rng.standard_normal(200)
    levels = np.searchsorted(CUTPOINTS, latent)
    model = OrderedModel(levels, features, distr="probit")
    thresholds = [CUTPOINTS[0], *np.log(np.diff(CUTPOINTS))]
    truth = model.loglikeobs(np.concatenate([beta, thresholds]))
    ours = OrderedProbit(CUTPOINTS, features @ beta).log_prob(levels)
    np.testing.assert_allclose(ours, truth, rtol=1e-9)
    assert float(tf.reduce_sum(ours)) == pytest.approx(np.sum(truth), rel=1e-13)


@pytest.mark.parametrize("loc", [-300.0, -40.0, 40.0, 300.0])
@pytest.mark.parametrize("level", [0, 2, 4])
def test_tails_match_80_digits_with_their_gradients(loc, level, dtype):
    rtol = 1e-11 if dtype is np.float64 else 1e-3
    ends = [-mpmath.inf, *map(mpmath.mpf, map(float, CUTPOINTS.astype(dtype))), mpmath.inf]
    scale = 0.5

    def exact(loc, scale):
        a, b = ((ends[i] - loc) / scale for i in (level, level + 1))
        return mpmath.log(
            mpmath.ncdf(-a) - mpmath.ncdf(-b) if loc < 0 else mpmath.ncdf(b) - mpmath.ncdf(a)
        )

    arguments = [tf.constant(x, dtype) for x in (loc, scale)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = OrderedProbit(CUTPOINTS.astype(dtype), *arguments).log_prob(level)
    slopes = tape.gradient(value, arguments)
    digits = 80 if abs(loc) < 100.0 else 400
    with mpmath.workdps(digits):
        truth = float(exact(mpmath.mpf(loc), mpmath.mpf(scale)))
        step = mpmath.mpf(10) ** -30
        loc_slope = float((exact(loc + step, scale) - exact(loc - step, scale)) / (2 * step))
        half = mpmath.mpf(scale)
        scale_slope = float((exact(loc, half + step) - exact(loc, half - step)) / (2 * step))
    np.testing.assert_allclose(value, truth, rtol=rtol, atol=1e-30)
    np.testing.assert_allclose(slopes[0], loc_slope, rtol=rtol, atol=1e-30)
    np.testing.assert_allclose(slopes[1], scale_slope, rtol=rtol, atol=1e-30)


def test_gradients_to_all_parameters_are_those_of_finite_differences():
    levels = LEVELS[:, None]

    def total(cutpoints, loc, scale):
        return tf.reduce_sum(OrderedProbit(cutpoints, loc, scale).log_prob(levels))

    point = [CUTPOINTS, np.array([-1.0, 0.3]), np.array([0.7, 2.0])]
    theory, numeric = tfp.math.value_and_gradient(total, [tf.constant(p) for p in point])[1], []
    for which, values in enumerate(point):
        slope = np.zeros_like(values)
        for i in range(len(values)):
            ends = []
            for sign in (1.0, -1.0):
                moved = [p.copy() for p in point]
                moved[which][i] += sign * 1e-6
                ends.append(float(total(*map(tf.constant, moved))))
            slope[i] = (ends[0] - ends[1]) / 2e-6
        numeric.append(slope)
    for ours, truth in zip(theory, numeric, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-7, atol=1e-8)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    first=st.floats(-5.0, 5.0),
    gaps=st.lists(st.floats(1e-2, 3.0), min_size=1, max_size=6),
    loc=st.floats(-1e6, 1e6),
    scale=st.floats(1e-3, 1e5),
    kappa=st.floats(1e-3, 1e3),
)
def test_any_parameters_give_a_distribution_that_a_common_factor_does_not_change(
    first, gaps, loc, scale, kappa
):
    cutpoints = np.cumsum([first, *gaps])
    dist = OrderedProbit(cutpoints, np.float64(loc), np.float64(scale))
    probs = dist.categorical_probs().numpy()
    assert np.all(probs >= 0.0)
    assert np.sum(probs) == pytest.approx(1.0, abs=1e-14)
    log_probs = dist.categorical_log_probs().numpy()
    assert np.all(np.isfinite(log_probs))
    # (loc - γ) / scale loses the digits that loc has more than γ.
    digits = 1e-14 * max(1.0, abs(loc) / scale)
    np.testing.assert_allclose(np.exp(log_probs), probs, atol=100.0 * digits)
    scaled = OrderedProbit(kappa * cutpoints, np.float64(kappa * loc), np.float64(kappa * scale))
    np.testing.assert_allclose(scaled.categorical_probs(), probs, atol=100.0 * digits)


def test_divergence_is_the_sum_over_levels():
    a = OrderedProbit(CUTPOINTS, np.array([0.0, 1.0]))
    b = OrderedProbit(CUTPOINTS + 0.3, np.float64(0.5), np.float64(2.0))
    p, q = a.categorical_probs().numpy(), b.categorical_probs().numpy()
    np.testing.assert_allclose(tfd.kl_divergence(a, b), scipy.stats.entropy(p, q, axis=1))
    np.testing.assert_array_equal(a.kl_divergence(a), [0.0, 0.0])
    far = OrderedProbit(CUTPOINTS, np.float64(300.0))
    assert np.all(np.isfinite(a.kl_divergence(far)))


def test_samples_have_the_probabilities():
    dist = OrderedProbit(CUTPOINTS, np.array([-1.0, 0.0]), np.float64(0.7))
    draws = dist.sample(20_000, seed=(1, 2))
    assert draws.shape == (20_000, 2)
    assert draws.dtype == tf.int32
    np.testing.assert_array_equal(draws, dist.sample(20_000, seed=(1, 2)))
    for column, p in enumerate(dist.categorical_probs().numpy()):
        counts = np.bincount(draws[:, column], minlength=5)
        assert scipy.stats.chisquare(counts, 20_000 * p).pvalue > 1e-3


def test_each_member_of_a_batch_of_cutpoints_gets_its_own_draw():
    dist = OrderedProbit(np.tile(CUTPOINTS, (50, 1)), np.float64(0.0), np.float64(3.0))
    assert len(np.unique(dist.sample(seed=(0, 1)))) > 1


# Conventions --------------------------------------------------------------------------------------


def test_batch_shapes_broadcast_and_slice():
    dist = OrderedProbit(np.tile([0.0, 1.0], (3, 1, 1)), np.zeros([5]), np.ones([1, 5]))
    assert dist.batch_shape == (3, 5)
    assert dist.batch_shape_tensor().numpy().tolist() == [3, 5]
    assert dist.event_shape == ()
    assert dist.event_shape_tensor().numpy().tolist() == []
    assert dist.categorical_probs().shape == (3, 5, 3)
    for statistic in (dist.mean(), dist.mode(), dist.stddev(), dist.entropy()):
        assert statistic.shape == (3, 5)
    assert dist.log_prob(np.zeros([7, 1, 1], np.int32)).shape == (7, 3, 5)
    assert dist.sample([2, 4], seed=(0, 0)).shape == (2, 4, 3, 5)
    assert dist[0].batch_shape == (5,)
    assert dist[:, 1:3].batch_shape == (3, 2)
    assert dist.copy(loc=np.zeros([2, 1, 5])).batch_shape == (2, 3, 5)
    assert tfd.Independent(dist, 2).event_shape == (3, 5)


def test_parameter_properties_describe_the_parameters():
    properties = OrderedProbit.parameter_properties(dtype=tf.float32, num_classes=4)
    assert set(properties) == {"cutpoints", "loc", "scale"}
    assert properties["cutpoints"].event_ndims == 1
    assert list(properties["cutpoints"].shape_fn([2])) == [2, 3]
    raw = tf.constant([[0.3, -2.0, 1.0]])
    ordered = properties["cutpoints"].default_constraining_bijector_fn()(raw)
    assert np.all(np.diff(ordered) > 0)
    assert properties["scale"].default_constraining_bijector_fn()(-3.0) > 0


def test_the_interface_is_that_of_ordered_logistic(dist):
    other = tfd.OrderedLogistic(CUTPOINTS, np.array([-1.0, 0.0, 3.0]))
    assert dist.batch_shape == other.batch_shape
    assert dist.dtype == other.dtype
    assert dist.reparameterization_type == other.reparameterization_type
    for name in ("categorical_probs", "categorical_log_probs", "mode", "entropy"):
        assert getattr(dist, name)().shape == getattr(other, name)().shape


def test_python_numbers_are_float32_and_arrays_keep_their_type():
    assert OrderedProbit([0.0, 1.0], 0.5).mean().dtype == tf.float32
    assert OrderedProbit([0.0, 1.0], np.float64(0.5)).mean().dtype == tf.float64
    assert OrderedProbit([0.0, 1.0], 0.5, dtype=tf.float32).sample(seed=(0, 0)).dtype == tf.float32


def test_variables_are_read_at_each_use():
    loc = tf.Variable(0.0)
    dist = OrderedProbit([-1.0, 1.0], loc)
    before = dist.mean()
    loc.assign(2.0)
    assert dist.mean() > before
    assert dist.trainable_variables == (loc,)
    with tf.GradientTape() as tape:
        value = dist.log_prob(0)
    assert tape.gradient(value, loc) < 0.0


def test_it_works_in_a_graph_with_an_unknown_batch(dtype):
    @tf.function(
        input_signature=[tf.TensorSpec([None, 2], dtype), tf.TensorSpec([None, 2], tf.int32)]
    )
    def function(loc, levels):
        dist = OrderedProbit(CUTPOINTS.astype(dtype), loc)
        return dist.log_prob(levels), dist.mean(), dist.mode(), dist.categorical_probs()

    loc, levels = np.linspace(-2, 2, 6, dtype=dtype).reshape(3, 2), np.arange(6).reshape(3, 2) % 5
    dist = OrderedProbit(CUTPOINTS.astype(dtype), loc)
    log_prob, mean, mode, probs = function(loc, levels.astype(np.int32))
    np.testing.assert_allclose(log_prob, dist.log_prob(levels), rtol=1e-5)
    np.testing.assert_allclose(mean, dist.mean(), rtol=1e-5)
    np.testing.assert_array_equal(mode, dist.mode())
    np.testing.assert_allclose(probs, dist.categorical_probs(), rtol=1e-5)


def test_wrong_parameters_are_refused():
    with pytest.raises(TypeError, match="must be floating point"):
        OrderedProbit(np.array([0, 1]), np.array(0))
    with pytest.raises(ValueError, match="at least one cut-point"):
        OrderedProbit(np.float64(1.0), np.float64(0.0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must increase"):
        OrderedProbit([1.0, 0.0], 0.0, validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be positive"):
        OrderedProbit([0.0, 1.0], 0.0, -1.0, validate_args=True)
    checked = OrderedProbit([0.0, 1.0], 0.0, validate_args=True)
    for level in (-1, 3):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"levels must be integers in 0..K"
        ):
            checked.log_prob(level)
    with pytest.raises(tf.errors.InvalidArgumentError, match="levels must be integers"):
        checked.log_prob(0.5)
    assert float(checked.prob(1)) > 0.0
