"""Head, eyes and camera."""

from __future__ import annotations

import numpy as np

from deepcoder_tf.synthesis.camera import Camera, draw_camera
from deepcoder_tf.synthesis.movement import LARGEST_GAZE, LARGEST_TURN, move


def test_heads_sway_smoothly_and_eyes_jump():
    moments = move(np.random.default_rng(1), 2000)
    turns = np.array([[m.yaw, m.pitch, m.roll] for m in moments])
    assert np.abs(turns).max() <= LARGEST_TURN
    assert (turns.std(axis=0) > 0.5).all()
    assert np.abs(np.diff(turns, axis=0)).max() < 2.0
    gaze = np.array([m.gaze for m in moments])
    assert np.abs(gaze).max() <= LARGEST_GAZE
    assert (np.abs(np.diff(gaze, axis=0)).sum(axis=1) == 0).mean() > 0.9, "fixations"
    closed = np.array([m.blink for m in moments])
    assert closed.min() >= 0 and closed.max() == 1
    assert 0.02 < (closed > 0).mean() < 0.15


def test_movement_is_a_function_of_its_stream():
    assert move(np.random.default_rng(5), 40) == move(np.random.default_rng(5), 40)


def test_the_camera_keeps_means_and_adds_its_noise():
    light = np.full((64, 64, 3), 0.25, dtype=np.float32)
    picture = Camera(blur=0.5, noise=0.02, exposure=1.0).expose(light, np.random.default_rng(0))
    assert picture.dtype == np.uint8
    assert abs(picture.mean() - 127.5) < 1  # the square root of a quarter is a half
    assert abs(picture.std() - 0.02 * 255) < 0.5


def test_the_camera_blurs_larger_pictures_by_more_pixels():
    camera = Camera(blur=1.0, noise=0.0, exposure=1.0)
    spread = []
    for rows in (240, 480):
        light = np.zeros((rows, 64, 3), dtype=np.float32)
        light[:, 32:] = 1
        row = camera.expose(light, np.random.default_rng(0))[rows // 2, :, 0]
        spread.append(int(((row > 0) & (row < 255)).sum()))
    assert spread[1] > 1.5 * spread[0]


def test_cameras_differ():
    assert draw_camera(np.random.default_rng(0)) != draw_camera(np.random.default_rng(1))
