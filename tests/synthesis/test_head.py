"""The asset: what it is made of, and the geometry built on it."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from deepcoder_tf.synthesis.expression import GAINS, UNPAIRED
from deepcoder_tf.synthesis.head import ASSET, chart, eye_sphere, load_head


def test_the_asset_is_small_and_holds_plain_arrays():
    assert ASSET.stat().st_size < 8 * 2**20
    with np.load(ASSET, allow_pickle=False) as asset:  # an object array would raise here
        assert {asset[name].dtype.kind for name in asset.files} <= set("fiuU")


def test_its_note_tells_the_licence_and_the_checksum_of_this_very_file():
    note = ASSET.with_name("HEAD_ASSET.md").read_text(encoding="utf-8")
    assert "CC0" in note
    assert hashlib.sha256(ASSET.read_bytes()).hexdigest() in re.findall(r"[0-9a-f]{64}", note)


def test_every_index_points_at_a_vertex_and_every_vertex_is_used():
    head = load_head()
    total = len(head.vertices)
    used = np.union1d(head.triangles, np.concatenate(list(head.eyes.values())))
    np.testing.assert_array_equal(used, np.arange(total))
    for family in (head.units, head.macro, head.identity):
        assert family.vertices.max() < total
        assert family.splits[0] == 0 and family.splits[-1] == len(family.vertices)
        assert np.isfinite(family.offsets).all()
    assert all(mask.min() >= 0 and mask.max() == 1 for mask in head.masks.values())


def test_the_head_is_symmetric():
    vertices = load_head().vertices
    mirrored = vertices * [-1, 1, 1]
    nearest = np.sqrt(((vertices[::7, None] - mirrored[None]) ** 2).sum(-1)).min(axis=1)
    assert nearest.max() < 0.01


def test_all_face_units_of_the_action_units_are_there():
    needed = {
        unit + side
        for units in GAINS.values()
        for unit in units
        for side in ([""] if unit in UNPAIRED else ["Left", "Right"])
    }
    assert needed <= set(load_head().units.names)


@pytest.mark.parametrize("unit", ["mouthSmile", "browDown", "eyeBlink", "cheekSquint"])
def test_left_is_where_x_is_positive(unit: str):
    head = load_head()
    offsets = head.units.dense(f"{unit}Left", len(head.vertices))
    weight = np.linalg.norm(offsets, axis=1)
    assert (weight * head.vertices[:, 0]).sum() / weight.sum() > 0.05


def test_combining_morphs_is_the_weighted_sum():
    head = load_head()
    total = len(head.vertices)
    both = head.units.combine({"jawOpen": 0.5, "browInnerUp": -2.0}, total)
    expected = 0.5 * head.units.dense("jawOpen", total) - 2 * head.units.dense("browInnerUp", total)
    np.testing.assert_allclose(both, expected, atol=1e-7)


def test_an_unknown_morph_is_named():
    with pytest.raises(ValueError, match=r"'grin' is no morph of the head; known: browDownLeft"):
        load_head().units.dense("grin", 10)


def test_the_chart_puts_nose_left_and_height_where_they_belong():
    nose, left, above = chart(np.array([[0, 7, 1.6], [0.5, 7, 1.2], [0, 8, 1.2]], dtype=np.float32))
    assert nose[0] == 0.5
    assert left[0] > nose[0] and above[1] < nose[1]


def test_the_eye_sphere_is_closed_round_and_faces_outwards():
    points, triangles = eye_sphere(8, 12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-6)
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    assert set(counts) == {2}
    a, b, c = (points[triangles[:, k]] for k in range(3))
    outward = np.einsum("ti,ti->t", np.cross(b - a, c - a), a + b + c)
    assert (outward > 0).all()
    # Enclosed volume by the divergence theorem, a little under the ball's.
    volume = np.einsum("ti,ti->", a, np.cross(b, c)) / 6
    assert 0.85 < volume / (4 / 3 * np.pi) < 1
