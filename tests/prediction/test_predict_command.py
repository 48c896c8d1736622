"""deepcoder-predict: the CSV, the pictures, the exit codes."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.cli import predict
from deepcoder_tf.errors import UserError
from deepcoder_tf.prediction import run as module
from deepcoder_tf.prediction.rows import AUPrediction, action_unit_columns, csv_header, csv_line

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
    assert list(lines[0]) == csv_header(action_unit_columns(("AU01", "AU12", "AU25")))
    assert list(lines[0])[:9] == [*LEADING, "AU01_r", "AU01_c"]
    assert len(lines) == len(rows) == 14
    for line, row in zip(lines, rows, strict=True):
        assert list(line.values()) == csv_line(row, action_unit_columns(("AU01", "AU12", "AU25")))
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
    columns = action_unit_columns(("AU01", "AU12"))
    row = AUPrediction("a, b.avi", 3, timestamp=0.12, status="unreadable", reason="cut short")
    cells = csv_line(row, columns)
    assert len(cells) == len(csv_header(columns)) == 7 + 2 * 9
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


# Runs that are stopped ---------------------------------------------------------------------------


@pytest.fixture(params=["model_folder", "expressions_folder"])
def either_folder(request) -> Path:
    """An exported model of action units, then one of expressions."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def stopped_after(monkeypatch):
    """Makes the next run stop behind some frames, as Ctrl-C would, or a server that goes away."""
    real = module.Predictor.predict_frames

    def stop(frames: int, error: BaseException) -> None:
        def stopped(self, *arguments, **options):
            yield from itertools.islice(real(self, *arguments, **options), frames)
            raise error

        monkeypatch.setattr(module.Predictor, "predict_frames", stopped)

    return stop


def test_a_stopped_run_keeps_its_rows(
    either_folder, video, tmp_path, stopped_after, monkeypatch, caplog
):
    """Stopped after ten frames: ten lines stay, and the same command writes the other three."""
    caplog.set_level("INFO")
    output, partial = tmp_path / "out.csv", tmp_path / "out.csv.partial"
    whole = tmp_path / "whole.csv"
    assert command(f"--model={either_folder}", f"--output={whole}", video) == 0
    arguments = [f"--model={either_folder}", f"--output={output}", video]
    stopped_after(10, KeyboardInterrupt())
    assert command(*arguments) == 130
    assert not output.exists()
    assert [line["frame"] for line in read(partial)] == [str(i) for i in range(10)]
    assert f"the rows computed so far are in {partial}" in caplog.text
    monkeypatch.undo()
    seen = []
    real = module.Predictor._analyse
    monkeypatch.setattr(
        module.Predictor, "_analyse", lambda *given: seen.append(given[1]) or real(*given)
    )
    assert command(*arguments) == 0
    assert f"going on behind 10 frames in {partial}" in caplog.text
    assert [frame.number for frame in seen] == [10, 11, 12]
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "whole.csv"]


@pytest.mark.parametrize("frames", [1, 13, 14, 20])
def test_a_run_in_parts_is_a_run_in_one(
    either_folder, video, photo, tmp_path, stopped_after, monkeypatch, capsys, frames
):
    """Stopped within a video, at its end, behind a photo, and in the second video."""
    options = [f"--model={either_folder}", "--batch_size=3", "--faces=all"]
    whole, output = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert command(*options, f"--output={whole}", video, photo, video) == 0
    told = capsys.readouterr().out
    stopped_after(frames, UserError("the server went away"))
    assert command(*options, f"--output={output}", video, photo, video) == 1
    error = capsys.readouterr().err
    assert f"error: the server went away; {frames} finished frames are in {output}" in error
    monkeypatch.undo()
    assert command(*options, f"--output={output}", video, photo, video) == 0
    assert capsys.readouterr().out == told.replace("whole.csv", "out.csv")
    assert output.read_bytes() == whole.read_bytes()


def test_a_killed_run_goes_on_behind_the_last_place_kept(
    either_folder, video, tmp_path, stopped_after, monkeypatch
):
    """Rows that reached the disk after the place was kept are written again, not twice."""
    monkeypatch.setattr(module, "FLUSH_EVERY", 4)
    output, partial = tmp_path / "out.csv", tmp_path / "out.csv.partial"
    whole = tmp_path / "whole.csv"
    assert command(f"--model={either_folder}", f"--output={whole}", video) == 0
    stopped_after(6, SystemExit(9))
    with pytest.raises(SystemExit):
        command(f"--model={either_folder}", f"--output={output}", video)
    assert len(read(partial)) == 6
    assert json.loads((tmp_path / "out.csv.partial.json").read_text())["done"] == 4
    monkeypatch.undo()
    assert command(f"--model={either_folder}", f"--output={output}", video) == 0
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("change", ["flag", "faces", "annotate", "model", "video", "torn"])
def test_what_is_left_of_another_run_is_not_gone_on_with(
    either_folder, video, tmp_path, stopped_after, monkeypatch, caplog, change
):
    caplog.set_level("INFO")
    model, clip = tmp_path / "model" / "1", tmp_path / "clip.avi"
    shutil.copytree(either_folder, model)
    shutil.copy2(video, clip)
    arguments = [f"--model={model}", f"--output={tmp_path / 'out.csv'}"]
    stopped_after(5, KeyboardInterrupt())
    assert command(*arguments, clip) == 130
    monkeypatch.undo()
    if change == "model":
        path = model / "assets.extra" / "deepcoder.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "config": {"seed": 1}}))
    elif change == "video":
        os.utime(clip, ns=(1, 1))
    elif change == "torn":
        (tmp_path / "out.csv.partial").write_text("file,frame\n")
    flag = {"flag": "--noresume", "faces": "--faces=all", "annotate": f"--annotate={tmp_path}"}
    caplog.clear()
    assert command(*arguments, *([flag[change]] if change in flag else []), clip) == 0
    assert "going on" not in caplog.text
    assert ("is of another run" in caplog.text) == (change not in ("flag", "annotate"))
    assert [line["frame"] for line in read(tmp_path / "out.csv")] == [str(i) for i in range(13)]
    assert not list(tmp_path.glob("out.csv.partial*"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("the server went away")])
def test_a_stopped_run_that_draws_is_drawn_anew(
    either_folder, video, photo, tmp_path, stopped_after, monkeypatch, capsys, caplog, error
):
    """Stopped within the video: the same command ends as one that nobody stopped."""
    caplog.set_level("INFO")

    def arguments(name: str) -> list[object]:
        where = [f"--output={tmp_path / name}.csv", f"--annotate={tmp_path / name}"]
        return [f"--model={either_folder}", *where, "--faces=all", photo, video]

    assert command(*arguments("whole")) == 0
    told = capsys.readouterr().out
    stopped_after(6, error)
    assert command(*arguments("part")) == (1 if isinstance(error, UserError) else 130)
    if isinstance(error, UserError):
        assert (
            f"6 finished frames are in {tmp_path / 'part'}.csv.partial: without --annotate it goes "
            "on from there"
        ) in capsys.readouterr().err
    monkeypatch.undo()
    capsys.readouterr()
    assert command(*arguments("part")) == 0
    assert f"{tmp_path / 'part'}.csv.partial is begun anew: --annotate draws" in caplog.text
    assert capsys.readouterr().out == told.replace(str(tmp_path / "whole"), str(tmp_path / "part"))
    assert (tmp_path / "part.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    drawn, wanted = (sorted((tmp_path / name).iterdir()) for name in ("part", "whole"))
    assert [path.name for path in drawn] == [path.name for path in wanted] and len(drawn) == 2
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(drawn, wanted, strict=True))
    assert not list(tmp_path.glob("part.csv.partial*"))


def test_a_stopped_run_that_drew_goes_on_without_drawing(
    either_folder, video, tmp_path, stopped_after, monkeypatch, caplog
):
    caplog.set_level("INFO")
    whole, output = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert command(f"--model={either_folder}", f"--output={whole}", video) == 0
    arguments = [f"--model={either_folder}", f"--output={output}", video]
    stopped_after(6, KeyboardInterrupt())
    assert command(*arguments, f"--annotate={tmp_path / 'drawn'}") == 130
    monkeypatch.undo()
    assert command(*arguments) == 0
    assert "going on behind 6 frames" in caplog.text
    assert output.read_bytes() == whole.read_bytes()
