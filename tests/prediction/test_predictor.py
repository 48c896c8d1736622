"""The whole way from files to rows, with real faces and a small model."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.face_model import FaceModel
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.images import read_image
from deepcoder_tf.faces.registration import fit_similarity
from deepcoder_tf.prediction import predictor as module
from deepcoder_tf.prediction.identities import overlap
from deepcoder_tf.prediction.inputs import find_inputs
from deepcoder_tf.prediction.model import read_description
from deepcoder_tf.prediction.predictor import Predictor

NAMES = ("AU01", "AU12", "AU25")


def check_same(a, b) -> None:
    """Equal rows; numbers of a face but for the last digits, which its row in a batch decides."""
    for key in ("frame", "face_id", "timestamp", "confidence", "status", "reason"):
        assert getattr(a, key) == getattr(b, key)
    assert set(a.action_units or ()) == set(b.action_units or ())
    for name, unit in (a.action_units or {}).items():
        other = b.action_units[name].probabilities
        np.testing.assert_allclose(unit.probabilities, other, atol=2e-6)


def test_a_photo_gives_what_the_steps_give_one_by_one(predictor, photo):
    (row,) = predictor.predict(photo)
    image = read_image(photo)
    aligner = FaceAligner()
    (face,) = aligner.analyse(image)
    description = predictor.model.description
    crop = aligner.align(image, face, description.mean_shape)
    expected = predictor.predict_crops(crop[None, ..., None])
    assert row.success and row.status == "ok" and row.face_id == 0 and row.timestamp is None
    assert row.confidence == face.score
    for q, name in enumerate(NAMES):
        unit = row.action_units[name]
        assert unit.intensity == expected["intensity"][0, q]
        assert unit.presence == expected["presence"][0, q]
        assert unit.standard_deviation == expected["standard_deviation"][0, q]
        assert unit.probabilities == tuple(expected["level_probabilities"][0, q])
        assert sum(unit.probabilities) == pytest.approx(1, abs=1e-12)


def test_a_model_that_wants_landmarks_gets_them_registered_as_the_crop_is(
    points_folder, model_folder, photo, video
):
    predictor = Predictor(points_folder, batch_size=4, threads=2)
    assert predictor.model.needs_landmarks and not Predictor(model_folder).model.needs_landmarks
    (row,) = predictor.predict(photo)
    image, aligner = read_image(photo), FaceAligner()
    (face,) = aligner.analyse(image)
    mean_shape = predictor.model.description.mean_shape
    matrix = fit_similarity(face.landmarks49, mean_shape)
    moved = face.landmarks49 @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(moved - mean_shape).max() < 8
    crops = aligner.align(image, face, mean_shape)[None, ..., None]
    expected = predictor.predict_crops(crops, moved[None])
    shifted = predictor.predict_crops(crops, moved[None] + 1)
    for q, name in enumerate(NAMES):
        unit = row.action_units[name]
        assert unit.intensity == pytest.approx(expected["intensity"][0, q], abs=1e-5)
        assert abs(unit.intensity - shifted["intensity"][0, q]) > 1e-4
    assert [row.status for row in predictor.predict(video)].count("ok") == 11


def test_a_video_has_a_row_for_every_frame_and_one_face_number(predictor, video):
    rows = list(predictor.predict(video))
    assert [row.frame for row in rows] == list(range(13))
    assert [row.status for row in rows] == ["ok"] * 9 + ["no_face"] * 2 + ["ok"] * 2
    assert {row.face_id for row in rows if row.success} == {0}
    np.testing.assert_allclose([row.timestamp for row in rows], np.arange(13) / 25, atol=1e-6)
    assert all((row.action_units is None) == (not row.success) for row in rows)
    assert all(row.confidence is None for row in rows if not row.success)


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (3, 2), (50, 3)])
def test_threads_and_batches_change_nothing(model_folder, predictor, video, batch_size, threads):
    other = Predictor(model_folder, batch_size=batch_size, threads=threads)
    for a, b in zip(predictor.predict(video), other.predict(video), strict=True):
        check_same(a, b)


class RowModel(FaceModel):
    """Says of each face in which row of a call it lay, as the intensity of all action units."""

    needs_landmarks = False

    def __init__(self, folder) -> None:
        self.description = read_description(folder)

    def answer(self, faces):
        """See `FaceModel.answer`."""
        rows = np.eye(6)[: len(faces["crops"])]
        return np.repeat(rows[:, np.newaxis], len(self.description.names), axis=1)


def test_the_row_of_a_face_does_not_depend_on_where_a_run_began(
    model_folder, photo, video, tmp_path
):
    """Also behind a stretch without faces, before which a part of a batch was run."""
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((100, 100, 3), 128, np.uint8))
    paths = [photo] + [wall] * 9 + [video, photo]
    predictor = Predictor(RowModel(model_folder), batch_size=4, threads=1)
    inputs = find_inputs(paths)
    whole = list(predictor.predict_frames(inputs))
    assert [int(intensity) for intensity in rows_told(whole)] == [i % 4 for i in range(13)]
    for done, entry in ((1, 1), (6, 6), (12, 10), (17, 10), (23, 11)):
        before = len(rows_told(whole[:done]))
        rest = predictor.predict_frames(
            inputs[entry:], start=done - 10 if entry == 10 else 0, before=before
        )
        assert rows_told(list(rest)) == rows_told(whole[done:])


def rows_told(frames) -> list[float]:
    """What `RowModel` says of the faces of some frames."""
    faces = [row for frame in frames for row in frame.rows if row.success]
    return [face.action_units[NAMES[0]].intensity for face in faces]


def test_order_and_numbers_do_not_depend_on_the_company(predictor, photo, video):
    together = list(predictor.predict([video, photo, video]))
    assert [row.file for row in together] == [str(video)] * 13 + [str(photo)] + [str(video)] * 13
    alone = [*predictor.predict(video), *predictor.predict(photo), *predictor.predict(video)]
    for a, b in zip(together, alone, strict=True):
        check_same(a, b)


def test_every_face_when_all_are_asked_for(model_folder, astronaut, tmp_path):
    scene = np.hstack([astronaut[:400], astronaut[:400, ::-1]])
    path = tmp_path / "two.png"
    cv2.imwrite(str(path), scene)
    rows = list(Predictor(model_folder, faces="all", batch_size=3).predict(path))
    assert [row.face_id for row in rows] == [0, 1]
    assert rows[0].box != rows[1].box and rows[0].frame == rows[1].frame == 0
    (one,) = Predictor(model_folder).predict(path)
    assert sorted(overlap(one.box, row.box) > 0.4 for row in rows) == [False, True]


def test_two_faces_keep_their_numbers_through_a_video(model_folder, astronaut, tmp_path):
    """Two faces a frame, and three crops a batch: batches end within frames."""
    path = tmp_path / "two.avi"
    half = astronaut[:300, 60:380]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (640, 300))
    for step in range(5):
        writer.write(np.roll(np.hstack([half, half[:, ::-1]]), step, axis=1))
    writer.release()
    rows = list(Predictor(model_folder, faces="all", batch_size=3).predict(path))
    assert [(row.frame, row.face_id) for row in rows] == [(f, i) for f in range(5) for i in (0, 1)]
    for number in (0, 1):
        x = [row.box[0] for row in rows if row.face_id == number]
        assert max(x) - min(x) < 20


def test_bad_items_become_rows_and_the_rest_goes_on(predictor, photo, tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "noise.jpg").write_bytes(b"\xff\xd8 this is no picture")
    whole = cv2.imencode(".jpg", cv2.imread(str(photo)))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "video.mp4").write_bytes(b"no video")
    cv2.imwrite(str(tmp_path / "pixel.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 300, 3), 128, np.uint8))
    (tmp_path / "notes.txt").touch()
    names = ["empty.jpg", "noise.jpg", "cut.jpg", "video.mp4", "pixel.png", "wall.png", "notes.txt"]
    paths = [*(tmp_path / name for name in names), tmp_path / "gone.png", photo]
    rows = list(predictor.predict(paths))
    assert [row.file for row in rows] == [str(path) for path in paths]
    expected = ["unreadable"] * 4 + ["no_face"] * 2 + ["unreadable"] * 2 + ["ok"]
    assert [row.status for row in rows] == expected
    for row in rows:
        assert bool(row.reason) == (row.status == "unreadable")
        assert row.file not in row.reason
    assert "0 bytes" in rows[0].reason and "no such file" in rows[7].reason


@pytest.mark.parametrize("kind", ["16-bit", "rgba", "grey"])
def test_unusual_pictures_give_the_numbers_of_the_usual_one(predictor, photo, tmp_path, kind):
    usual = cv2.imread(str(photo))
    grey = cv2.cvtColor(usual, cv2.COLOR_BGR2GRAY)
    images = {
        "16-bit": grey.astype(np.uint16) * 257,
        "rgba": np.dstack([usual, np.full(grey.shape, 255, np.uint8)]),
        "grey": grey,
    }
    path = tmp_path / "unusual.png"
    cv2.imwrite(str(path), images[kind])
    (a,), (b,) = predictor.predict(photo), predictor.predict(path)
    for name in NAMES:
        assert a.action_units[name].intensity == pytest.approx(b.action_units[name].intensity)


def test_the_first_row_comes_before_the_last_frame_is_read(predictor, photo, monkeypatch):
    """Flat memory: never more frames on their way than the queues hold."""
    on_the_way, most, lock = 0, 0, threading.Lock()
    real = module.read_frames

    def counted(entry):
        nonlocal on_the_way, most
        for frame in real(entry):
            with lock:
                on_the_way += 1
                most = max(most, on_the_way)
            yield frame

    monkeypatch.setattr(module, "read_frames", counted)
    inputs = module.find_inputs([photo] * 60)
    for _ in predictor.predict_frames(inputs):
        with lock:
            on_the_way -= 1
    assert on_the_way == 0
    assert most <= 2 * predictor.batch_size + 2 * predictor.threads + 1


def test_frames_without_faces_do_not_pile_up_behind_one_face(predictor, photo, tmp_path):
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((100, 100, 3), 128, np.uint8))
    stream = predictor.predict([photo] + [wall] * 200)
    first = next(stream)
    assert first.success
    assert sum(1 for _ in stream) == 200


def test_an_abandoned_iterator_stops_its_threads(predictor, video):
    stream = predictor.predict([video] * 20)
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("faces")]


def test_no_input_is_an_error(predictor, tmp_path):
    with pytest.raises(UserError, match="nothing to predict"):
        list(predictor.predict(tmp_path / "gone.png"))


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"threads": 0}, {"faces": "prettiest"}])
def test_misuse_is_named(model_folder, arguments):
    with pytest.raises(ValueError, match=r"at least 1|prettiest"):
        Predictor(model_folder, **arguments)
