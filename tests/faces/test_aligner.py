"""Detection, choice of face, landmarks and crops on a real photograph."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.faces import landmarks
from deepcoder_tf.faces.aligner import Face, FaceAligner
from deepcoder_tf.faces.detection import (
    CHOICES,
    Detection,
    FaceDetector,
    choose,
    import_dlib,
)
from deepcoder_tf.faces.landmarks import INNER_49, MIRRORED_49, LandmarkPredictor, model_path
from deepcoder_tf.faces.registration import mean_shape, place_in_crop
from deepcoder_tf.faces.tracking import FaceTracker


def test_finds_the_face(photo: np.ndarray, face: Face) -> None:
    assert (face.count, face.index) == (1, 0)
    assert face.score > 0.5
    eyes = face.landmarks68[36:42].mean(axis=0), face.landmarks68[42:48].mean(axis=0)
    np.testing.assert_allclose(eyes[0], (203, 102), atol=6)
    np.testing.assert_allclose(eyes[1], (247, 104), atol=6)
    assert face.landmarks68.dtype == np.float32


def test_the_49_points_leave_out_jaw_and_inner_corners(face: Face) -> None:
    assert len(INNER_49) == 49
    assert not {*range(17), 60, 64} & set(INNER_49.tolist())
    np.testing.assert_array_equal(face.landmarks49[0], face.landmarks68[17])
    np.testing.assert_array_equal(face.landmarks49[-1], face.landmarks68[67])


def test_the_mirror_image_has_the_mirrored_points(aligner: FaceAligner, photo: np.ndarray) -> None:
    first = aligner.analyse(photo)[0].landmarks49
    other = aligner.analyse(np.ascontiguousarray(photo[:, ::-1]))[0].landmarks49
    wanted = first[MIRRORED_49] * (-1, 1) + (photo.shape[1] - 1, 0)
    np.testing.assert_allclose(other, wanted, atol=5)
    np.testing.assert_array_equal(MIRRORED_49[MIRRORED_49], np.arange(49))


def test_crop_does_not_depend_on_where_the_face_is(aligner: FaceAligner, photo: np.ndarray) -> None:
    first = aligner.analyse(photo)[0]
    shape = place_in_crop(mean_shape([first.landmarks49[None]]))
    crop = aligner.align(photo, first, shape)
    assert (crop.shape, crop.dtype) == ((240, 160), np.uint8)
    matrix = cv2.getRotationMatrix2D((223, 130), 10, 1.4)
    turned = cv2.warpAffine(photo, matrix, (512, 512), flags=cv2.INTER_CUBIC)
    again = aligner.align(turned, aligner.analyse(turned)[0], shape)
    inner = np.s_[60:200, 25:135]
    correlation = np.corrcoef(crop[inner].ravel(), again[inner].ravel())[0, 1]
    assert correlation > 0.9


def test_large_and_small_pictures(aligner: FaceAligner, photo: np.ndarray) -> None:
    for scale in (0.4, 4.0):
        found = aligner.analyse(cv2.resize(photo, None, fx=scale, fy=scale))
        assert len(found) == 1
        box = found[0].box
        centre = np.array([box.x + box.width / 2, box.y + box.height / 2]) / scale
        np.testing.assert_allclose(centre, (223, 127), atol=15)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (240, 320), (1, 1, 3)])
def test_no_face(aligner: FaceAligner, shape: tuple[int, ...]) -> None:
    assert aligner.analyse(np.full(shape, 128, np.uint8)) == []


def test_several_faces(photo: np.ndarray) -> None:
    """The photograph twice: small at the centre, large at the side."""
    canvas = np.full((900, 1600, 3), 90, np.uint8)
    head = photo[30:230, 120:330]
    canvas[350:550, 695:905] = head
    canvas[250:650, 30:450] = cv2.resize(head, None, fx=2, fy=2)
    found = {name: FaceAligner(name).analyse(canvas) for name in CHOICES}
    assert len(found["all"]) == 2
    assert [face.index for face in found["all"]] == [0, 1]
    scores = [face.score for face in found["all"]]
    assert scores == sorted(scores, reverse=True)
    assert all(len(found[name]) == 1 for name in CHOICES[:-1])
    assert found["central"][0].count == found["highest_score"][0].count == 2
    assert found["largest"][0].box.x < 450
    assert found["central"][0].box.x > 600
    assert found["largest_central"][0].box.x < 450
    assert found["highest_score"][0].index == 0


def test_largest_central_by_hand() -> None:
    centre, corner = Detection(90, 90, 20, 20, 0.5), Detection(0, 0, 30, 30, 0.9)
    # 400 * 0.5 * 1 against 900 * 0.9 * (1 - 0.85); then a false face of the same size and place.
    assert choose([centre, Detection(90, 90, 21, 21, 0.05)], (200, 200), "largest_central") == [0]
    assert choose([corner, centre], (200, 200), "largest_central") == [1]
    assert choose([corner, centre], (200, 200), "largest") == [0]
    assert choose([], (200, 200), "largest_central") == []
    with pytest.raises(ValueError, match="'best' is not one of largest_central"):
        FaceAligner("best")


def test_tracking_follows_a_moving_face(aligner: FaceAligner, photo: np.ndarray) -> None:
    class Counting(FaceAligner):
        calls = 0

        def analyse(self, image: np.ndarray) -> list[Face]:
            Counting.calls += 1
            return super().analyse(image)

    tracker = FaceTracker(Counting(predictor=aligner.predictor), detect_every=4)
    for k in range(8):
        frame = np.roll(photo, 5 * k, axis=1)
        followed, fresh = tracker.analyse(frame), aligner.analyse(frame)
        error = np.linalg.norm(followed[0].landmarks49 - fresh[0].landmarks49, axis=1).mean()
        assert error < 4
    assert Counting.calls == 2
    with pytest.raises(ValueError, match="detect_every=0 must be at least 1"):
        FaceTracker(aligner, 0)


def test_tracking_without_a_face_looks_again_at_once(
    aligner: FaceAligner, photo: np.ndarray
) -> None:
    tracker = FaceTracker(aligner, detect_every=100)
    assert tracker.analyse(np.zeros_like(photo)) == []
    assert len(tracker.analyse(photo)) == 1


def test_landmark_model_from_argument_variable_and_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPCODER_LANDMARKS", raising=False)
    packaged = model_path()
    assert packaged.name == "shape_predictor_68_face_landmarks.dat"
    assert "face_recognition_models" not in sys.modules
    with pytest.raises(UserError, match=r"none\.dat: no such landmark model"):
        model_path(tmp_path / "none.dat")
    monkeypatch.setenv("DEEPCODER_LANDMARKS", str(tmp_path / "other.dat"))
    with pytest.raises(UserError, match=r"other\.dat: no such landmark model.*DEEPCODER_LANDMARKS"):
        model_path()
    (tmp_path / "other.dat").write_bytes(b"not a model")
    assert model_path() == tmp_path / "other.dat"
    with pytest.raises(UserError, match=r"other\.dat: not a dlib landmark model"):
        LandmarkPredictor()


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPCODER_LANDMARKS", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install face-recognition-models==0\.3\.0"):
        model_path()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(UserError, match=r"dlib cannot be loaded .*pip install dlib-bin"):
        import_dlib()


def test_landmark_models_are_shared_while_somebody_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landmarks, "_in_use", weakref.WeakValueDictionary())
    path = tmp_path / "small.dat"
    shutil.copy(model_path().with_name("shape_predictor_5_face_landmarks.dat"), path)
    one, other = LandmarkPredictor(path), LandmarkPredictor(path)
    assert one._predictor is other._predictor
    os.utime(path, (0, 0))  # Another file, as far as anyone can tell.
    assert LandmarkPredictor(path)._predictor is not one._predictor
    del one, other
    assert not landmarks._in_use


def test_a_copied_detector_finds_what_dlibs_own_does(photo: np.ndarray) -> None:
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    boxes, scores, _ = import_dlib().get_frontal_face_detector().run(grey, 0, -0.5)
    found = FaceDetector(threshold=-0.5).search(grey, 1.0)
    assert len(found) > 1
    assert [(face.x, face.y, face.score) for face in found] == [
        (box.left(), box.top(), score) for box, score in zip(boxes, scores, strict=True)
    ]


def test_wrong_number_of_landmarks_is_told(photo: np.ndarray) -> None:
    other = model_path().with_name("shape_predictor_5_face_landmarks.dat")
    with pytest.raises(UserError, match="gives 5 landmarks, 68 are needed"):
        FaceAligner(landmarks=other).analyse(photo)
