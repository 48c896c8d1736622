"""Pictures: geometry against hand-made rays, and what must be seen in them."""

from __future__ import annotations

import itertools

import dlib
import numpy as np
import pytest
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.synthesis import Moment, render
from deepcoder_tf.synthesis.figure import EYE, TEETH, VertexNormals, rotation
from deepcoder_tf.synthesis.movement import move
from deepcoder_tf.synthesis.renderer import Renderer


def test_vertex_normals_equal_a_loop_over_triangles():
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(12, 3)).astype(np.float32)
    triangles = rng.permuted(np.tile(np.arange(12), (20, 1)), axis=1)[:, :3].astype(np.int32)
    expected = np.zeros((12, 3))
    for a, b, c in triangles:
        expected[[a, b, c]] += np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(VertexNormals(triangles, 12)(vertices), expected, atol=1e-5)


def test_rotations_are_proper_and_turn_the_way_they_say():
    turn = rotation(20, -10, 5)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-6)
    nose = np.array([0, 0, 1.0])
    assert (rotation(10, 0, 0) @ nose)[0] > 0, "yaw turns the nose to the head's left"
    assert (rotation(0, 10, 0) @ nose)[1] < 0, "pitch nods down"
    assert (rotation(0, 0, 10) @ np.array([0, 1.0, 0]))[0] > 0, "roll leans to the left shoulder"


def test_rays_meet_what_moller_and_trumbore_find(renderer: Renderer):
    """The nearest hit of a few rays, by testing every triangle."""
    vertices = renderer.figure.pose({"AU26": 4.0, "AU25": 3.0}, Moment(yaw=8))
    scene = EmbreeScene()
    TriangleMesh(scene, vertices, renderer.figure.triangles)
    directions = renderer.centres[20:110:9, 50:110:7].reshape(-1, 3)
    hits = renderer._trace(scene, directions)
    a, b, c = (vertices[renderer.figure.triangles[:, k]].astype(np.float64) for k in range(3))
    origin = renderer.camera.astype(np.float64)
    nearest = {}
    for ray, direction in enumerate(directions.astype(np.float64)):
        p = np.cross(direction, c - a)
        determinant = np.einsum("ti,ti->t", b - a, p)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.einsum("ti,ti->t", origin - a, p) / determinant
            q = np.cross(origin - a, b - a)
            v = (q @ direction) / determinant
            t = np.einsum("ti,ti->t", c - a, q) / determinant
        inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        if inside.any():
            nearest[ray] = t[inside].min()
    assert list(hits.met) == list(nearest)
    np.testing.assert_allclose(hits.distance, list(nearest.values()), rtol=1e-5)
    points = np.einsum("nk,nkc->nc", hits.weights, vertices[renderer.figure.triangles[hits.faces]])
    np.testing.assert_allclose(points, origin + hits.distance[:, None] * hits.directions, atol=1e-4)


def kinds_seen(renderer: Renderer, intensities: dict[str, float], moment: Moment) -> np.ndarray:
    """Number of pixels of each kind of triangle."""
    scene = EmbreeScene()
    TriangleMesh(scene, renderer.figure.pose(intensities, moment), renderer.figure.triangles)
    hits = renderer._trace(scene, renderer.centres.reshape(-1, 3))
    return np.bincount(renderer.figure.kinds[hits.faces], minlength=4)


def test_eyes_open_wide_narrow_and_close_and_teeth_show_as_the_labels_say(person):
    for number in range(6):
        one = Renderer(person(number), (320, 240))
        rest = kinds_seen(one, {}, Moment())
        assert rest[TEETH] <= 2, "a resting mouth is closed"
        assert kinds_seen(one, {}, Moment(blink=1.0))[EYE] == 0
        assert kinds_seen(one, {"AU05": 5.0}, Moment())[EYE] > 1.3 * rest[EYE]
        assert kinds_seen(one, {"AU06": 5.0}, Moment())[EYE] < 0.85 * rest[EYE]
        assert kinds_seen(one, {"AU25": 5.0}, Moment())[TEETH] > 40


@pytest.mark.parametrize("name", sorted({*DISFA, *FERA2015}))
def test_each_level_is_seen_and_differs_from_the_one_before(renderer: Renderer, name: str):
    pictures = [np.sqrt(renderer.frame({name: float(level)})) for level in range(6)]
    steps = [np.abs(a - b).max() for a, b in itertools.pairwise(pictures)]
    assert min(steps) > 0.02, "more than the sensor's noise, somewhere"
    from_rest = [np.abs(picture - pictures[0]).sum() for picture in pictures]
    assert (np.diff(from_rest) > 0).all(), "a stronger expression is farther from rest"


def test_the_coarse_pass_misses_nothing(renderer: Renderer):
    scene = EmbreeScene()
    vertices = renderer.figure.pose({}, Moment(yaw=10, roll=8))
    TriangleMesh(scene, vertices, renderer.figure.triangles)
    full = np.zeros((120, 160), dtype=bool)
    full.reshape(-1)[renderer._trace(scene, renderer.centres.reshape(-1, 3)).met] = True
    covered = np.zeros_like(full)
    covered[renderer._covered(scene)] = True
    assert not (full & ~covered).any()


def test_a_person_faces_the_camera_and_looks_to_their_left_at_the_right_of_the_picture(subject):
    straight, aside = (
        render(subject, {}, Moment(gaze=gaze), (640, 480)).astype(float)
        for gaze in ((0, 0), (15, 0))
    )
    rows, columns = np.nonzero(np.abs(aside - straight).sum(axis=2) > 30)
    assert 100 < rows.mean() < 240, "only the eyes differ"
    change = (aside - straight).sum(axis=2)
    darker = np.average(columns, weights=np.clip(-change[rows, columns], 0, None))
    lighter = np.average(columns, weights=np.clip(change[rows, columns], 0, None))
    assert darker > lighter


def test_render_is_a_function_of_its_arguments(subject):
    first = render(subject, {"AU12": 3.0, "AU06": 2.0})
    again = render(subject, {"AU06": 2.0, "AU12": 3.0})
    assert first.shape == (240, 320, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)


def test_the_detector_finds_the_faces(person):
    detector = dlib.get_frontal_face_detector()
    found = 0
    for number in range(8):
        one = Renderer(person(number), (320, 240))
        moments = move(np.random.default_rng(number), 200)[::40]
        for k, moment in enumerate(moments):
            expression = {("AU12", "AU04", "AU26", "AU09", "AU05")[k]: 4.0}
            light = one.frame(expression, moment)
            picture = np.round(255 * np.sqrt(np.clip(light, 0, 1))).astype(np.uint8)
            found += len(detector(picture, 0)) == 1
    assert found >= 39  # of 40


@pytest.mark.parametrize("size", [(32, 240), (320, 4096)])
def test_sizes_have_bounds(subject, size: tuple[int, int]):
    with pytest.raises(ValueError, match=rf"size {size[0]}x{size[1]} has a side outside 64"):
        Renderer(subject, size)
