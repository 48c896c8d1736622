"""gACNN: where it looks, what it does without a face or landmarks, and its gates."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.models.expressions.face_patches import (
    PATCH_PLACES,
    PATCH_SHARE,
    PATCHES,
    Grid,
    cut_patches,
    patch_points,
)
from deepcoder_tf.models.expressions.gated_attention import GRIDS
from deepcoder_tf.models.expressions.shapes import traced_shapes
from deepcoder_tf.models.inception_resnet_v1 import InceptionResNetV1
from deepcoder_tf.models.trunks import build_trunk
from tests.models.expressions.rows import COUNT, SIZE, TINY, a_batch, faces, landmarks, tiny
from tests.reference import expression_rows as reference

NOTHING = np.zeros(0, np.int32)


def test_the_points_are_those_of_the_authors():
    """Their 16 landmarks and 6 middles of the 68, and 2 shifted from the corners of the mouth."""
    all68 = np.random.default_rng(0).uniform(20, 200, (1, 68, 2)).astype(np.float32)
    found = patch_points(tf.constant(all68[:, INNER_49]), 256)[0].numpy()
    p = {number: all68[0, number - 1] for number in range(1, 69)}
    wanted = [p[n] - (0, up) for n, up in ((19, 8), (22, 10), (23, 10), (26, 8))]
    wanted += [p[n] for n in (39, 37, 44, 46, 28, 30, 49, 51, 53, 55, 59, 57)]
    pairs = ((20, 38), (25, 45), (41, 42), (47, 48), (18, 59), (27, 57))
    wanted += [(p[a] + p[b]) / 2 for a, b in pairs]
    wanted += [p[49] - (16, 16), p[55] + (16, -16)]
    assert PATCHES == len(wanted) == 24
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_points_grow_with_the_picture():
    points = tf.constant(landmarks())
    twice = patch_points(2 * points, 2 * SIZE)
    np.testing.assert_allclose(twice, 2 * patch_points(points, SIZE), rtol=1e-5)


def test_patches_are_those_of_loops():
    random = np.random.default_rng(1)
    features = random.standard_normal((2, 7, 5, 3)).astype(np.float32)
    centres = random.uniform(-5, 70, (2, 4, 2)).astype(np.float32)
    grid = Grid(9.0, 8.0)
    found = cut_patches(tf.constant(features), tf.constant(centres), 64, grid)
    assert found.shape == (2, 4, PATCH_PLACES, PATCH_PLACES, 3)
    for b in range(2):
        for n in range(4):
            x, y = centres[b, n]
            wanted = reference.patch(features[b], x, y, 64, PATCH_PLACES, PATCH_SHARE, grid)
            np.testing.assert_allclose(found[b, n], wanted, rtol=1e-3, atol=1e-4)


def test_a_map_of_positions_gives_the_points_back():
    """Where each place holds its own position, the mean of a patch is its centre."""
    side, grid = 96, Grid(13.0, 8.0)
    places = grid.first + grid.step * np.arange(9, dtype=np.float32)
    features = np.stack(np.meshgrid(places, places), axis=-1)[np.newaxis]
    centres = np.random.default_rng(2).uniform(30, 60, (1, 24, 2)).astype(np.float32)
    patches = cut_patches(tf.constant(features), tf.constant(centres), side, grid)
    np.testing.assert_allclose(tf.reduce_mean(patches, axis=[2, 3]), centres, rtol=1e-4)
    across = np.asarray(patches)[0, :, 0, :, 0]
    np.testing.assert_allclose(np.diff(across), PATCH_SHARE * side / PATCH_PLACES, rtol=1e-3)


@pytest.mark.parametrize("endpoint", list(GRIDS))
@pytest.mark.parametrize("places", [2, 3, 9])
def test_places_of_the_trunk_lie_where_the_grid_says(endpoint, places):
    """In the smallest picture that gives so many, no pixel is left over at either edge.

    The first place is then as far from the one edge as the last is from the other.
    """
    net = InceptionResNetV1(folded=True, width=1 / 16, repeats=(1, 1, 1), until=endpoint)
    net.build(None)
    first, step = GRIDS[endpoint]
    side = int(2 * first + step * (places - 1)) + 1
    ((fitting, *_),) = traced_shapes(net.between, side)
    ((smaller, *_),) = traced_shapes(net.between, side - 1)
    assert (fitting, smaller) == (places, places - 1)


@pytest.mark.parametrize("frozen", ["", "Conv2d_4b_3x3", "Block35", "Mixed_6a"])
def test_the_trunk_gives_a_map_on_the_way_and_its_last(frozen):
    options = {"width": 1 / 16, "repeats": [1, 1, 1]}
    trunk = build_trunk("inception_resnet_v1", "", "Mixed_6a", frozen, options)
    pictures = a_batch().pictures
    passed, last = trunk.passing(pictures, "Block35")
    np.testing.assert_allclose(last, trunk(pictures), rtol=1e-4, atol=1e-6)
    short = build_trunk("inception_resnet_v1", "", "Block35", "", options)
    short.set_weights(trunk.get_weights()[: len(short.weights)])
    np.testing.assert_allclose(passed, short(pictures), rtol=1e-4, atol=1e-6)


def started(**changes):
    """With the mean landmarks of some pictures."""
    model = tiny("gacnn", **changes)
    points = landmarks()
    points[1] = np.nan
    model.start(NOTHING, points)
    return model, points


def test_a_face_that_was_not_found_has_the_mean_landmarks():
    model, points = started()
    mean = np.nanmean(points, axis=0)
    np.testing.assert_allclose(model.mean_landmarks, mean, rtol=1e-5)
    pictures = a_batch().pictures
    filled = np.where(np.isnan(points), mean, points).astype(np.float32)
    found = model.predict(pictures, tf.constant(points))
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, model.predict(pictures, tf.constant(filled)), rtol=1e-5)
    partly = filled.copy()
    partly[1, 3] = np.nan
    np.testing.assert_allclose(model.predict(pictures, tf.constant(partly)), found, rtol=1e-5)


def test_gradients_are_finite_where_no_face_was_found():
    model, points = started()
    batch = a_batch()._replace(landmarks=tf.constant(points))
    with tf.GradientTape() as tape:
        loss = model.losses(batch, tf.constant([1, 2]))["network"]["expression"]
    gradients = tape.gradient(loss, model.players()["network"])
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_a_folder_without_landmarks_says_what_to_do():
    with pytest.raises(
        UserError, match="prepare it again with deepcoder-prepare --store_landmarks"
    ):
        tiny("gacnn").start(NOTHING, None)
    with pytest.raises(UserError, match="no face was found in any training picture"):
        tiny("gacnn").start(NOTHING, np.full((3, 49, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="needs the landmarks of every picture"):
        tiny("gacnn").logits(a_batch().pictures)


def test_the_code_is_24_patches_and_the_face_each_behind_its_gate():
    model, _ = started()
    pictures, points = a_batch().pictures, tf.constant(landmarks(4))
    gates = model.gates(pictures, points).numpy()
    assert gates.shape == (COUNT, PATCHES + 1) and np.all((gates > 0) & (gates < 1))
    code = model.codes(pictures, points)["expression"].numpy()
    assert code.shape == (COUNT, 24 * TINY["patch_filters"] + TINY["branch_filters"][-1])
    _, whole = model.maps(pictures)
    face = model.branch(whole).numpy() * gates[:, -1:]
    np.testing.assert_allclose(code[:, -face.shape[1] :], face, rtol=1e-5)


def test_it_predicts_the_same_in_a_graph_with_any_number_of_faces():
    model, points = started()
    signature = [
        tf.TensorSpec((None, SIZE, SIZE, 1), tf.uint8),
        tf.TensorSpec((None, 49, 2), tf.float32),
    ]
    graph = tf.function(lambda x, y: model(x, y), input_signature=signature)
    expected = model(tf.constant(faces()), tf.constant(points))["expression_probabilities"]
    for count in (1, COUNT):
        found = graph(faces()[:count], points[:count])["expression_probabilities"]
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4, atol=1e-6)


def test_landmarks_decide_what_is_seen():
    model, _ = started()
    pictures = a_batch().pictures
    first = model.codes(pictures, tf.constant(landmarks(4)))["expression"]
    other = model.codes(pictures, tf.constant(landmarks(5)))["expression"]
    assert np.any(np.abs(first - other) > 1e-6)


def test_maps_are_chosen_by_name():
    assert tiny("gacnn").tap == "Block35"
    assert tiny("gacnn", patch_endpoint="Mixed_6a").tap == "Mixed_6a"
    keras_trunk = {"trunk": "vgg16", "trunk_endpoint": "block2_pool", "picture_side": 48}
    model = tiny("gacnn", **keras_trunk)
    local, whole = model.maps(a_batch(side=48).pictures)
    assert local is whole and model.grid(local) == Grid(1.5, 4.0)
    for changes, message in (
        ({"patch_endpoint": "pooled"}, "--patch_endpoint=pooled: choose one of Conv2d_4b_3x3"),
        ({"patch_endpoint": "Block8"}, "'Block8' is no endpoint of this network"),
        ({"patch_endpoint": "Block35", **keras_trunk}, "say which with --trunk_endpoint"),
    ):
        with pytest.raises(UserError, match=message):
            tiny("gacnn", **changes)
