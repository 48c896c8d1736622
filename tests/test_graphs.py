"""Functions become graphs that are traced once and do not hide a branch on a tensor."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.graphs import graph_of


def test_it_is_the_function():
    function = graph_of(lambda x: {"y": tf.reduce_sum(x**2, axis=-1)})
    x = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(function(tf.constant(x))["y"], (x**2).sum(axis=-1))


def test_another_length_is_not_another_graph():
    times = []

    def double(x: tf.Tensor) -> tf.Tensor:
        times.append(x.shape)
        return 2 * x

    function = graph_of(double)
    for n in range(1, 9):
        function(tf.zeros([n]))
    assert len(times) == 2, "one for the first length, one for all others"


def test_given_inputs_are_the_only_ones():
    function = graph_of(lambda x: 2 * x, [tf.TensorSpec([None], tf.float32, name="x")])
    assert function.get_concrete_function().structured_outputs.shape.as_list() == [None]
    with pytest.raises(TypeError):
        function(tf.zeros([2, 2]))


def test_a_branch_on_a_tensor_is_an_error_and_no_hidden_graph():
    function = graph_of(lambda x: x if x > 0 else -x)
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError, match="bool"):
        function(tf.constant(1.0))


def test_what_is_not_inlined_stays_one_graph():
    inner = graph_of(lambda x: tf.sin(x) ** 2, inline=False)
    outer = graph_of(lambda x: inner(x) + inner(2.0 * x))
    x = 0.3
    np.testing.assert_allclose(outer(tf.constant(x)), np.sin(x) ** 2 + np.sin(2 * x) ** 2, 1e-6)
    library = outer.get_concrete_function(tf.constant(x)).graph.as_graph_def().library.function
    kept = [function for function in library if function.attr["_noinline"].b]
    assert len(kept) == 1
