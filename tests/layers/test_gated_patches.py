"""Patch-gated units against loops over pixels, and what a closed gate does."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepcoder_tf.layers.gated_patches import GatedPatches
from tests.reference import expression_rows as reference

PATCHES = np.random.default_rng(0).standard_normal((2, 3, 4, 4, 5)).astype(np.float32)


def units() -> GatedPatches:
    """Three, with every weight away from 0."""
    layer = GatedPatches(3, 6, name="patches")
    layer.build(PATCHES.shape)
    random = np.random.default_rng(1)
    layer.set_weights([w + 0.3 * random.standard_normal(w.shape) for w in layer.get_weights()])
    return layer


def test_codes_and_gates_are_those_of_loops():
    layer = units()
    weights = {w.path.removeprefix("patches/"): w.numpy() for w in layer.weights}
    codes, gates = layer(tf.constant(PATCHES))
    wanted, wanted_gates = reference.gated_patches(PATCHES, weights)
    assert np.count_nonzero(wanted) > 10
    np.testing.assert_allclose(gates, wanted_gates, rtol=1e-5)
    np.testing.assert_allclose(codes, wanted, rtol=1e-4, atol=1e-5)


def test_a_patch_changes_its_own_code_alone():
    layer = units()
    other = PATCHES.copy()
    other[0, 1] += 1.0
    codes, _ = layer(tf.constant(PATCHES))
    changed, _ = layer(tf.constant(other))
    differs = np.any(np.asarray(codes) != np.asarray(changed), axis=-1)
    assert differs.tolist() == [[False, True, False], [False, False, False]]


def test_a_closed_gate_leaves_nothing_of_its_patch():
    layer = units()
    shut = layer.gate.b2.numpy()
    shut[2] = -1e4
    layer.gate.b2.assign(shut)
    codes, gates = layer(tf.constant(PATCHES))
    assert not np.any(np.asarray(gates)[:, 2]) and not np.any(np.asarray(codes)[:, 2])
    assert np.any(np.asarray(codes)[:, :2])
