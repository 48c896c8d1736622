"""What is drawn says what was predicted, and covers nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA, NAMES
from deepcoder_tf.errors import UserError
from deepcoder_tf.prediction import annotation
from deepcoder_tf.prediction.annotation import AnnotationWriter, Panel, draw
from deepcoder_tf.prediction.identities import FaceIdentities
from deepcoder_tf.prediction.predictor import PredictedFrame
from deepcoder_tf.prediction.rows import NO_FACE, ActionUnit, AUPrediction

COLOUR = annotation.FACE_COLOURS[0]


def row(intensity: float = 2.0, deviation: float = 0.0, face_id: int = 0) -> AUPrediction:
    unit = ActionUnit(intensity, int(intensity > 0.5), deviation, (0.0,) * 6)
    return AUPrediction(
        "a.png",
        0,
        face_id=face_id,
        action_units=dict.fromkeys(DISFA, unit),
        box=(20, 20, 60, 60),
        landmarks=np.full((49, 2), 50, np.float32),
    )


def frame(path: Path, number: int, rows: tuple, image, rate: float) -> PredictedFrame:
    """A frame of a run in which nobody asks for identities."""
    return PredictedFrame(path, number, rows, image, rate, FaceIdentities())


def bar_pixels(image: np.ndarray, colour=COLOUR) -> int:
    return int((image == colour).all(-1).sum())


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (768, 1024), (1080, 1920), (120, 90)])
@pytest.mark.parametrize("panels", [1, 2])
def test_the_panel_stands_beside_the_whole_picture(size, panels):
    image = np.full((*size, 3), 200, np.uint8)
    drawn = draw(image, [row()], DISFA, panels)
    height = max(size[0], Panel.least_height(DISFA))
    assert abs(drawn.shape[0] - height) <= 1
    assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0
    # Far from the face the picture is as it was, up to where the panel begins.
    wide = round(size[1] * drawn.shape[0] / size[0])
    corner = drawn[-20:, :wide]
    assert (np.abs(corner.astype(int) - 200) <= 2).all()
    assert (drawn[:, wide:] != 200).any(-1).all()


def test_the_bar_grows_with_the_intensity_and_the_whisker_with_the_deviation():
    panel = Panel(DISFA, 480)
    bars = [bar_pixels(panel.draw(row(level), "", COLOUR)) for level in (1.0, 2.0, 4.0, 5.0)]
    assert bars == sorted(bars) and bars[0] > 0
    # From level 1 to 5 the length is multiplied by five, whiskers aside.
    assert bars[3] / bars[0] == pytest.approx(5, rel=0.15)

    def white(deviation):
        image = panel.draw(row(2.5, deviation), "", COLOUR)
        _, _, top, bottom = panel._track(0)
        return int((image[top:bottom] == annotation.BRIGHT).all(-1).sum())

    assert white(0.1) < white(1.0) < white(2.0)


def test_the_whisker_stays_on_the_scale():
    panel = Panel(DISFA, 480)
    left, right, top, bottom = panel._track(0)
    image = panel.draw(row(4.5, 3.0), "", COLOUR)
    band = (image[top:bottom] == annotation.BRIGHT).all(-1)
    assert not band[:, :left].any() and not band[:, right + 1 :].any()


def test_absent_units_are_dimmed_and_no_face_has_no_bar():
    panel = Panel(DISFA, 480)
    assert bar_pixels(panel.draw(row(0.4), "", COLOUR)) == 0
    blank = panel.draw(None, "no face", COLOUR)
    assert bar_pixels(blank) == 0
    image = np.full((480, 640, 3), 200, np.uint8)
    drawn = draw(image, [AUPrediction("a.png", 0, status=NO_FACE)], DISFA)
    assert (drawn[:, :640] == 200).all()


def test_names_fit_beside_the_number():
    """The longest name of FACS ends before the value begins."""
    font = annotation._font(11)
    longest = max(font.getlength(name) for name in NAMES.values())
    room = annotation.WIDTH - 2 * annotation.PADDING - 40
    assert longest + font.getlength("0.0") + 4 < room


def test_photos_of_one_name_get_names_of_their_own(tmp_path):
    image = np.full((60, 60, 3), 99, np.uint8)
    writer = AnnotationWriter(tmp_path / "out", DISFA)
    for folder in ("a", "b"):
        writer.write(frame(Path(folder) / "x.jpg", 0, (row(),), image, 0.0))
    writer.write(frame(Path("bad.jpg"), 0, (row(),), None, 0.0))
    writer.close()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["x_aus-2.png", "x_aus.png"]
    assert [path.name for path in writer.written] == ["x_aus.png", "x_aus-2.png"]


def test_an_input_is_never_written_over(tmp_path):
    """The folder of the pictures may be the folder of the drawings, and drawings may be inputs."""
    own = tmp_path / "x_aus.png"
    own.write_bytes(b"mine")
    writer = AnnotationWriter(tmp_path, DISFA, inputs=[tmp_path / "x.png", own])
    image = np.full((60, 60, 3), 99, np.uint8)
    writer.write(frame(tmp_path / "x.png", 0, (row(),), image, 0.0))
    assert own.read_bytes() == b"mine"
    assert [path.name for path in writer.written] == ["x_aus-2.png"]


def video_frames(count: int, name: str = "x.avi") -> list[PredictedFrame]:
    image = np.full((240, 320, 3), 99, np.uint8)
    return [frame(Path(name), i, (row(i % 5 + 0.5),), image, 12.5) for i in range(count)]


def test_videos_come_out_with_all_frames_and_their_rate(tmp_path):
    writer = AnnotationWriter(tmp_path, DISFA)
    for frame in video_frames(7) + video_frames(4, "y.avi"):
        writer.write(frame)
    assert not (tmp_path / "y_aus.mp4").exists()
    writer.close()
    for name, count in (("x", 7), ("y", 4)):
        capture = cv2.VideoCapture(str(tmp_path / f"{name}_aus.mp4"))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == count
        assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_aus.mp4", "y_aus.mp4"]


def test_frames_that_did_not_arrive_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(annotation, "promised_frames", lambda path: 3)
    writer = AnnotationWriter(tmp_path, DISFA)
    for frame in video_frames(5):
        writer.write(frame)
    with pytest.raises(UserError, match="only 3 of 5 frames"):
        writer.close()
    assert not (tmp_path / "x_aus.mp4").exists()


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match="making the folder"):
        AnnotationWriter(tmp_path / "taken", DISFA)
