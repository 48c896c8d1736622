"""Registered landmarks: in the order of the index, about the mean shape, and on the crop's face."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from deepcoder_tf.datasets.analysis import load_analysis
from deepcoder_tf.datasets.landmarks import load_landmarks
from deepcoder_tf.datasets.prepared import PreparedInfo, load_index, mean_shape_of
from deepcoder_tf.datasets.records import load_crops
from deepcoder_tf.errors import UserError
from deepcoder_tf.faces.aligner import align
from deepcoder_tf.faces.detection import Detection
from deepcoder_tf.faces.landmarks import INNER_49, LandmarkPredictor


def test_the_mean_over_training_frames_is_the_mean_shape(prepared: PreparedInfo) -> None:
    points = load_landmarks(prepared.folder, 0, "train")
    target = mean_shape_of(prepared.folder, 0)
    np.testing.assert_allclose(points.mean(axis=0), target, atol=1.0)
    # Least squares: what is left has no shift, no turn and no change of size.
    error, centred = points - target, points - points.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(error.mean(axis=1), 0, atol=1e-4)
    turn = centred[..., 0] * error[..., 1] - centred[..., 1] * error[..., 0]
    size = (centred * error).sum(axis=-1)
    scale = (centred**2).sum(axis=(1, 2))
    np.testing.assert_allclose(turn.sum(axis=1) / scale, 0, atol=1e-5)
    np.testing.assert_allclose(size.sum(axis=1) / scale, 0, atol=1e-5)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_rows_are_those_of_the_index(prepared: PreparedInfo, split: str) -> None:
    """A mark painted at a landmark of the picture appears in its crop where the landmark is."""
    points, index = load_landmarks(prepared.folder, 1, split), load_index(prepared.folder, 1, split)
    assert points.shape == (len(index.rows), 49, 2) and points.dtype == np.float32
    target = mean_shape_of(prepared.folder, 1)
    analyses = {r.video: load_analysis(prepared.landmarks(r)) for r in prepared.recordings}
    for row in range(0, len(points), 3):
        analysis = analyses[index.videos[row]]
        (at,) = np.flatnonzero(analysis.numbers == index.frames[row])
        shape = analysis.landmarks[at][INNER_49]
        for point in (0, 13, 31):
            x, y = np.round(shape[point]).astype(int)
            picture = np.zeros((200, 240), np.uint8)
            picture[y - 1 : y + 2, x - 1 : x + 2] = 255
            crop = align(picture, shape, target).astype(np.float64)
            rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]]
            centre = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
            np.testing.assert_allclose(centre, points[row, point], atol=1.2)


def test_points_lie_on_the_face_of_the_crop(prepared: PreparedInfo) -> None:
    """The landmark model, asked again about the crop itself, finds them in the same places."""
    points = load_landmarks(prepared.folder, 0, "train")
    crops = load_crops(prepared.folder, 0, "train", np.arange(3))
    predictor = LandmarkPredictor()
    for crop, shape in zip(crops, points, strict=False):
        (left, top), (right, bottom) = shape.min(axis=0), shape.max(axis=0)
        width, centre = 1.25 * (right - left), shape.mean(axis=0)
        box = Detection(
            int(centre[0] - width / 2), int(centre[1] - width / 2), int(width), int(width), 1.0
        )
        found = predictor(crop[..., 0], box)[INNER_49]
        distance = np.linalg.norm(found - shape, axis=1).mean()
        assert distance < 0.05 * (bottom - top)


def test_a_damaged_file_is_named(prepared: PreparedInfo, tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared.folder, folder)
    name = prepared.recordings_of(0, "test")[0].name
    (folder / "landmarks" / f"{name}.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=rf"{name}\.npz: cannot be read .*prepare it again"):
        load_landmarks(folder, 0, "test")
