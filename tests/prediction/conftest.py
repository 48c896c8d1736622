"""Small models in the exported form, one of each kind, and real faces to try them on."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.registration import mean_shape, place_in_crop
from deepcoder_tf.faces.squares import ANCHORS

ACTION_UNITS = ("AU01", "AU12", "AU25")
CROP = (240, 160)
SIDE = 48

FACES = tf.TensorSpec([None, SIDE, SIDE, 3], tf.uint8, name="faces")
CROPS = tf.TensorSpec([None, *CROP, 1], tf.uint8, name="crops")
LANDMARKS = tf.TensorSpec([None, 49, 2], tf.float32, name="landmarks")


class PixelModel(tf.Module):
    """Level probabilities that depend on every pixel, by a fixed random projection."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        outputs = len(ACTION_UNITS) * 6
        size = (CROP[0] // 8 * CROP[1] // 8, outputs)
        self.weights = tf.Variable(rng.normal(0, 0.2, size), dtype=tf.float32)
        self.point_weights = tf.Variable(rng.normal(0, 0.2, (98, outputs)), dtype=tf.float32)

    @tf.function(input_signature=[CROPS])
    def serve(self, crops):
        """crops uint8 -> the agreed outputs."""
        small = tf.nn.avg_pool2d(tf.cast(crops, tf.float32) / 255 - 0.5, 8, 8, "VALID")
        return self.outputs(tf.reshape(small, [tf.shape(crops)[0], -1]) @ self.weights)

    @tf.function(input_signature=[CROPS, LANDMARKS])
    def serve_points(self, crops, landmarks):
        """The same for landmarks; of the crops it sees no more than their mean."""
        light = tf.reduce_mean(tf.cast(crops, tf.float32) / 255, axis=[1, 2])
        points = tf.reshape(landmarks, [-1, 98]) / 80 - 1
        return self.outputs(points @ self.point_weights + light)

    def outputs(self, logits):
        """The agreed outputs of logits `[B, 18]`."""
        P = tf.nn.softmax(tf.reshape(logits, [-1, len(ACTION_UNITS), 6]))
        s = tf.range(6, dtype=tf.float32)
        mean = tf.reduce_sum(P * s, -1)
        return {
            "intensity": mean,
            "presence": tf.cast(P[..., 0] < 0.5, tf.int32),
            "standard_deviation": tf.sqrt(tf.reduce_sum(P * s**2, -1) - mean**2),
            "level_probabilities": P,
        }


class PixelExpressions(tf.Module):
    """Probabilities of expressions that depend on every pixel and every landmark."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        shape = (SIDE * SIDE * 3, len(EXPRESSIONS))
        self.weights = tf.Variable(rng.normal(0, 0.05, shape), dtype=tf.float32)
        self.point_weights = tf.Variable(
            rng.normal(0, 0.5, (98, len(EXPRESSIONS))), dtype=tf.float32
        )

    @tf.function(input_signature=[FACES, LANDMARKS])
    def serve(self, faces, landmarks):
        """faces uint8 and landmarks -> the one output that others follow from."""
        pixels = tf.reshape(tf.cast(faces, tf.float32) / 255 - 0.5, [-1, SIDE * SIDE * 3])
        points = tf.reshape(landmarks, [-1, 98]) / SIDE - 0.5
        logits = pixels @ self.weights + points @ self.point_weights
        return {"expression_probabilities": tf.nn.softmax(logits)}


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """`[512, 512, 3]` uint8 BGR photograph with one face."""
    return cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)


@pytest.fixture(scope="session")
def description(astronaut) -> dict:
    """The content of the model's `deepcoder.json`."""
    (face,) = FaceAligner().analyse(astronaut)
    shape = place_in_crop(mean_shape([face.landmarks49[None]]))
    return {
        "action_units": list(ACTION_UNITS),
        "mean_shape": shape.tolist(),
        "crop_shape": list(CROP),
        "config": {},
        "versions": {},
    }


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, description) -> Path:
    """An exported model, `NAME/1`."""
    module = PixelModel()
    return saved(tmp_path_factory, "pixels", module, module.serve, description)


@pytest.fixture(scope="session")
def points_folder(tmp_path_factory, description) -> Path:
    """An exported model that wants landmarks too."""
    module = PixelModel()
    return saved(tmp_path_factory, "points", module, module.serve_points, description)


@pytest.fixture(scope="session")
def expressions_folder(tmp_path_factory) -> Path:
    """An exported recogniser of expressions that wants landmarks too."""
    module = PixelExpressions()
    told = {
        "kind": "expressions",
        "expressions": list(EXPRESSIONS),
        "anchors": ANCHORS.tolist(),
        "crop_shape": [SIDE, SIDE],
        "channels": 3,
    }
    return saved(tmp_path_factory, "expressions", module, module.serve, told)


def saved(tmp_path_factory, name: str, module: tf.Module, serve, description: dict) -> Path:
    """Writes `NAME/1`."""
    folder = tmp_path_factory.mktemp("savedmodels") / name / "1"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "deepcoder.json").write_text(json.dumps(description))
    return folder


@pytest.fixture(scope="session")
def predictor(model_folder):
    """Two threads, small batches."""
    from deepcoder_tf.prediction.predictor import Predictor

    return Predictor(model_folder, batch_size=4, threads=2)


@pytest.fixture(scope="session")
def photo(tmp_path_factory, astronaut) -> Path:
    """The photograph, 256 pixels wide, as PNG."""
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    cv2.imwrite(str(path), cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA))
    return path


def face_frame(astronaut: np.ndarray, step: int) -> np.ndarray:
    """The face moved a little, 240 rows and 320 columns."""
    matrix = np.array([[0.7, 0, 20 + 2.0 * step], [0, 0.7, 5 + step % 3]])
    return cv2.warpAffine(astronaut, matrix, (320, 240), borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture(scope="session")
def video(tmp_path_factory, astronaut) -> Path:
    """Thirteen frames at 25 frames/s: nine with the face, two without, two with it again."""
    path = tmp_path_factory.mktemp("videos") / "moving.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (320, 240))
    for step in range(13):
        blank = np.full((240, 320, 3), 90, np.uint8)
        writer.write(blank if step in (9, 10) else face_frame(astronaut, step))
    writer.release()
    return path
