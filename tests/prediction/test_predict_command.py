"""deepcoder-predict: the CSV, the pictures, the exit codes."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.cli import predict
from deepcoder_tf.prediction import run as module
from deepcoder_tf.prediction.rows import AUPrediction, csv_header, csv_line

LEADING = ["file", "frame", "face_id", "timestamp", "confidence", "success", "status"]


def command(*arguments: object) -> int:
    return predict.main(["deepcoder-predict", *map(str, arguments)])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_csv_is_the_library_call(model_folder, predictor, photo, video, tmp_path, capsys):
    output = tmp_path / "new" / "out.csv"
    arguments = [f"--model={model_folder}", f"--output={output}", "--batch_size=4", video, photo]
    assert command(*arguments) == 0
    assert "14 frames: 12 faces, 2 without a face, 0 unreadable" in capsys.readouterr().out
    assert [path.name for path in output.parent.iterdir()] == ["out.csv"]
    lines, rows = read(output), list(predictor.predict([video, photo]))
    assert list(lines[0]) == csv_header(("AU01", "AU12", "AU25"))
    assert list(lines[0])[:9] == [*LEADING, "AU01_r", "AU01_c"]
    assert len(lines) == len(rows) == 14
    for line, row in zip(lines, rows, strict=True):
        assert list(line.values()) == csv_line(row, ("AU01", "AU12", "AU25"))
        assert line["success"] == str(int(row.success))
        for name, unit in (row.action_units or {}).items():
            assert float(line[f"{name}_r"]) == pytest.approx(unit.intensity, abs=1e-12)
            assert float(line[f"{name}_sd"]) == pytest.approx(unit.standard_deviation, abs=1e-12)
            assert int(line[f"{name}_c"]) == unit.presence
            printed = [float(line[f"{name}_p{s}"]) for s in range(6)]
            assert printed == pytest.approx(unit.probabilities, abs=1e-12)


def test_every_line_can_be_computed_again_from_its_probabilities(model_folder, video, tmp_path):
    output = tmp_path / "out.csv"
    assert command(f"--model={model_folder}", f"--output={output}", video) == 0
    s = np.arange(6)
    for line in read(output):
        cells = [line[f"AU12_{kind}"] for kind in ("r", "c", "sd")]
        if line["success"] == "0":
            assert line["status"] == "no_face" and line["face_id"] == line["confidence"] == ""
            assert cells == ["", "", ""]
            continue
        P = np.array([float(line[f"AU12_p{level}"]) for level in s])
        assert round(P.sum(), 6) == 1
        assert f"{P @ s:.6f}" == cells[0]
        assert str(int(round(1 - P[0], 6) > 0.5)) == cells[1]
        assert float(cells[2]) == pytest.approx(np.sqrt(P @ s**2 - (P @ s) ** 2), abs=1e-6)


def test_the_empty_cells_of_a_bad_frame_fit_the_header():
    names = ("AU01", "AU12")
    row = AUPrediction("a, b.avi", 3, timestamp=0.12, status="unreadable", reason="cut short")
    cells = csv_line(row, names)
    assert len(cells) == len(csv_header(names)) == 7 + 2 * 9
    assert cells[:7] == ["a, b.avi", "3", "", "0.120", "", "0", "unreadable: cut short"]
    assert set(cells[7:]) == {""}


def test_a_file_name_that_is_no_text_can_be_written(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    cells = csv_line(AUPrediction(name, 0, status="no_face"), ())
    assert cells[0].encode("utf-8") == b"caf?.png"


def test_annotated_pictures_and_videos(model_folder, photo, video, tmp_path, capsys):
    folder = tmp_path / "drawn"
    arguments = [f"--model={model_folder}", f"--output={tmp_path / 'out.csv'}"]
    assert command(*arguments, f"--annotate={folder}", photo, video) == 0
    picture = cv2.imread(str(folder / "astronaut_aus.png"))
    assert picture.shape[0] == 256 and picture.shape[1] > 256 + 200
    capture = cv2.VideoCapture(str(folder / "moving_aus.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 13
    printed = capsys.readouterr().out
    assert str(folder / "astronaut_aus.png") in printed and "moving_aus.mp4" in printed


def test_a_batch_with_bad_items_succeeds_and_names_them(model_folder, photo, tmp_path, caplog):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    output = tmp_path / "out.csv"
    assert command(f"--model={model_folder}", f"--output={output}", bad, photo) == 0
    assert [line["success"] for line in read(output)] == ["0", "1"]
    assert read(output)[0]["status"].startswith("unreadable: is not a picture")
    assert f"{bad}: is not a picture" in caplog.text


def test_what_cannot_be_done_at_all_is_exit_code_1(model_folder, photo, tmp_path, capsys):
    output, gone = tmp_path / "out.csv", tmp_path / "gone.png"
    cases: list[tuple[list[object], str]] = [
        ([f"--model={tmp_path}", f"--output={output}", photo], "is no exported model"),
        ([f"--model={model_folder}", f"--output={output}", gone], "no such file"),
        ([f"--model={model_folder}", f"--output={output}", tmp_path], "holds no photo"),
        ([f"--model={model_folder}", f"--output={output}"], "no input was given"),
        ([f"--model={model_folder}", f"--output={tmp_path}", photo], "is a folder"),
        ([f"--model={model_folder}", f"--output={photo}", photo], "is one of the inputs"),
        ([f"--model={model_folder}", f"--output={photo}/x.csv", photo], "failed"),
    ]
    for arguments, message in cases:
        assert command(*arguments) == 1, message
        error = capsys.readouterr().err
        assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert cv2.imread(str(photo)) is not None
    assert not output.exists()


@pytest.mark.parametrize(
    "wrong", ["--threads=0", "--batch_size=2000", "--faces=prettiest", "--nonsense=1"]
)
def test_wrong_flags_are_exit_code_2(model_folder, photo, tmp_path, wrong, capsys):
    output = tmp_path / "out.csv"
    assert command(f"--model={model_folder}", f"--output={output}", wrong, photo) == 2
    assert wrong.split("=")[0].strip("-") in capsys.readouterr().err


def test_a_full_disk_is_one_line(model_folder, photo, tmp_path, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("needs the device that is always full")
    output = tmp_path / "out.csv"
    (tmp_path / "out.csv.partial").symlink_to("/dev/full")
    assert command(f"--model={model_folder}", f"--output={output}", photo) == 1
    assert f"the disk is full while writing {output}" in capsys.readouterr().err
    assert not output.exists()


def test_a_stopped_run_keeps_its_rows(model_folder, video, tmp_path, monkeypatch, caplog):
    """Stopped after ten frames, as Ctrl-C would: ten lines stay, under the unfinished name."""
    monkeypatch.setattr(module, "FLUSH_EVERY", 1)
    output, partial = tmp_path / "out.csv", tmp_path / "out.csv.partial"
    real = module.Predictor.predict_frames

    def stopped(self, *arguments, **options):
        for frame in real(self, *arguments, **options):
            if frame.number == 10:
                # A killed process would leave the same: all rows are on the disk already.
                assert len(read(partial)) == 10
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(module.Predictor, "predict_frames", stopped)
    assert command(f"--model={model_folder}", f"--output={output}", video) == 130
    assert not output.exists()
    assert [line["frame"] for line in read(partial)] == [str(i) for i in range(10)]
    assert f"the rows computed so far are in {partial}" in caplog.text
    monkeypatch.undo()
    assert command(f"--model={model_folder}", f"--output={output}", video) == 0
    assert len(read(output)) == 13 and not partial.exists()
