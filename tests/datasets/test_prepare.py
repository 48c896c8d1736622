"""Preparation end to end on real faces: rows, crops, resumption, damage, refusals."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.cli.prepare import main
from deepcoder_tf.datasets import prepare as prepare_module
from deepcoder_tf.datasets.prepare import PrepareConfig, prepare
from deepcoder_tf.datasets.prepared import (
    PreparedInfo,
    dataset_info,
    load_fold,
    load_index,
    mean_shape_of,
)
from deepcoder_tf.datasets.records import load_crops, read_fold
from deepcoder_tf.datasets.works import safe_name
from deepcoder_tf.errors import UserError

Make = Callable[..., Path]
SPLITS = ("train", "validation", "test")


def config(root: Path, **changes: object) -> PrepareConfig:
    values = {
        "dataset": "disfa",
        "input_path": root,
        "output_dir": root.parent / "prepared",
        "progress": False,
    }
    return PrepareConfig(**{**values, **changes})


def rows_of(info: PreparedInfo) -> list[dict[str, str]]:
    with (info.folder / "frames.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Content of every file but the ZIP members' times in `.npz`."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".npz"
    }


def test_folder_holds_what_it_says(prepared: PreparedInfo) -> None:
    assert prepared == dataset_info(prepared.folder)
    assert prepared.action_units == DISFA
    assert (prepared.crop_shape, prepared.source, prepared.seed) == ((240, 160), "disfa", 0)
    assert sorted(prepared.folds) == [0, 1, 2]
    assert prepared.fold(0).test == ("SN001", "SN002")
    assert load_fold(prepared.folder, 1).test == ("SN006", "SN011")
    assert [(r.subject, r.frames, r.crops) for r in prepared.recordings] == [
        (f"SN{k:03d}", 4, 4) for k in (1, 2, 3, 4, 6, 11)
    ]
    assert not list(prepared.folder.rglob("*.partial"))


def test_a_row_for_every_frame(prepared: PreparedInfo) -> None:
    rows = rows_of(prepared)
    assert [int(row["row"]) for row in rows] == list(range(24))
    first = rows[4]
    assert first["file"] == "Videos_LeftCamera/LeftVideoSN002_comp.avi"
    assert (first["subject"], first["frame"], first["status"]) == ("SN002", "1", "ok")
    assert [float(row["timestamp"]) for row in rows[4:8]] == [0, 0.05, 0.1, 0.15]
    assert all(row["faces"] == "1" and row["choice"] == "0" for row in rows)
    assert all(float(row["score"]) > 0.3 and 70 < int(row["width"]) < 160 for row in rows)


@pytest.mark.parametrize("split", SPLITS)
def test_records_index_and_crops_agree(prepared: PreparedInfo, split: str) -> None:
    index = load_index(prepared.folder, 0, split)
    records = list(read_fold(prepared.folder, 0, split).as_numpy_iterator())
    rows = rows_of(prepared)
    assert len(records) == len(index.labels) == 4 * len(prepared.fold(0).subjects(split))
    assert set(index.subjects) == set(prepared.fold(0).subjects(split))
    for at, record in enumerate(records):
        np.testing.assert_array_equal(record["labels"], index.labels[at])
        assert record["subject"].decode() == index.subjects[at]
        assert record["video"].decode() == index.videos[at]
        assert record["frame"] == index.frames[at]
        assert record["row"] == index.rows[at]
        row = rows[index.rows[at]]
        assert (row["subject"], int(row["frame"])) == (index.subjects[at], index.frames[at])
        number = int(index.subjects[at][2:])
        expected = [(number + 2 * c + 3 * (index.frames[at] - 1)) % 6 for c in range(12)]
        np.testing.assert_array_equal(index.labels[at], expected)
    crops = load_crops(prepared.folder, 0, split)
    np.testing.assert_array_equal(crops, [record["crop"] for record in records])
    some = load_crops(prepared.folder, 0, split, [3, 0, 3])
    np.testing.assert_array_equal(some, crops[[3, 0, 3]])


def test_crops_are_registered_to_the_training_subjects_mean(prepared: PreparedInfo) -> None:
    for fold in range(3):
        stored = json.loads((prepared.folder / f"fold{fold}" / "mean_shape.json").read_text())
        assert tuple(stored["subjects"]) == prepared.fold(fold).train
        np.testing.assert_array_equal(stored["mean_shape"], mean_shape_of(prepared.folder, fold))
    crops = load_crops(prepared.folder, 0, "test")[..., 0].astype(np.float64)
    assert crops.shape[1:] == (240, 160)
    inner = crops[:, 60:200, 25:135].reshape(len(crops), -1)
    assert np.corrcoef(inner).min() > 0.85  # one face throughout: registered crops look alike


def test_folds_that_are_not_there(prepared: PreparedInfo) -> None:
    with pytest.raises(UserError, match=r"--fold=9: .* has no such fold; choose from 0, 1, 2"):
        load_fold(prepared.folder, 9)
    with pytest.raises(UserError, match="--fold=9"):
        read_fold(prepared.folder, 9, "train")
    with pytest.raises(ValueError, match="split 'dev' is not one of"):
        load_index(prepared.folder, 0, "dev")
    with pytest.raises(ValueError, match=r"positions 0\.\.99 do not lie in 0\.\.7"):
        load_crops(prepared.folder, 0, "test", [0, 99])


def test_what_is_no_prepared_folder(prepared: PreparedInfo, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prepared folder \(no dataset\.json\); run deepcoder-"):
        dataset_info(tmp_path)
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(UserError, match="the preparation is not finished; run the same"):
        dataset_info(tmp_path)
    content = json.loads((prepared.folder / "dataset.json").read_text())
    for change, told in (
        ({"format": 99}, "format 99, this version reads 1"),
        ({"folds": 3}, "damaged"),
        (
            {"folds": {"0": {"train": ["a"], "validation": [], "test": ["a"]}}},
            "both train and test",
        ),
    ):
        (tmp_path / "dataset.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(UserError, match=told):
            dataset_info(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: damaged"):
        dataset_info(tmp_path)


def test_number_of_workers_changes_nothing(make_disfa: Make) -> None:
    root = make_disfa((1, 6, 11))
    one = prepare(config(root, workers=1, output_dir=root.parent / "one"))
    two = prepare(config(root, workers=3, output_dir=root.parent / "two"))
    assert snapshot(one.folder) == snapshot(two.folder)
    assert "SN001" in one.fold(0).test
    with pytest.raises(UserError, match=r"--fold=1 of .* cannot be used: needs two training"):
        one.fold(1)


def test_resumes_without_redoing_what_is_finished(
    make_disfa: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_disfa((1, 6, 11))
    info = prepare(config(root))
    whole = snapshot(info.folder)
    analysed: list[str] = []
    real = prepare_module.analyse

    def counting(source, *rest):
        analysed.append(source.subject)
        return real(source, *rest)

    monkeypatch.setattr(prepare_module, "analyse", counting)
    times = {path: path.stat().st_mtime_ns for path in info.folder.rglob("*__*")}

    # Killed in pass 2: one shard and the closing files are not there, one is half written.
    lost = info.shard(0, info.recordings[1])
    lost.rename(lost.with_name(lost.name + ".partial"))
    for name in ("dataset.json", "frames.csv"):
        (info.folder / name).unlink()
    prepare(config(root))
    assert analysed == []
    assert snapshot(info.folder) == whole
    assert [p for p, then in times.items() if p.stat().st_mtime_ns != then] == [lost]

    # Killed in pass 1: one recording's landmarks are not there, another's are damaged.
    info.landmarks(info.recordings[0]).unlink()
    info.landmarks(info.recordings[2]).write_bytes(b"half")
    for path in (info.folder / "dataset.json", info.folder / "fold0"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    prepare(config(root))
    assert sorted(analysed) == ["SN001", "SN011"]
    assert snapshot(info.folder) == whole


def test_a_changed_label_is_prepared_anew(make_disfa: Make) -> None:
    root = make_disfa((1, 6, 11))
    info = prepare(config(root))
    path = root / "ActionUnit_Labels" / "SN001" / "SN001_au1.txt"
    path.write_text("1,5\n2,5\n3,5\n4,9\n")
    prepare(config(root))
    expected = [5, 5, 5, -1]
    assert load_index(info.folder, 0, "test").labels[:, 0].tolist() == expected
    records = read_fold(info.folder, 0, "test").as_numpy_iterator()
    assert [int(record["labels"][0]) for record in records] == expected


def test_a_new_subject_moves_the_rows(make_disfa: Make) -> None:
    root = make_disfa((2, 6, 11))
    prepare(config(root))
    make_disfa((1,))
    info = prepare(config(root))
    for split in SPLITS:
        records = list(read_fold(info.folder, 0, split).as_numpy_iterator())
        index = load_index(info.folder, 0, split)
        assert [int(record["row"]) for record in records] == index.rows.tolist()


def test_other_settings_need_overwrite(make_disfa: Make) -> None:
    root = make_disfa((1, 6, 11))
    info = prepare(config(root))
    with pytest.raises(UserError, match=r"other settings \(seed was 0 and is 1\).*--overwrite"):
        prepare(config(root, seed=1))
    (info.folder / "mine.txt").write_text("stays")
    assert prepare(config(root, seed=1, overwrite=True)).seed == 1
    assert (info.folder / "mine.txt").exists()
    (root.parent / "full").mkdir()
    (root.parent / "full" / "thesis.doc").write_text("")
    with pytest.raises(UserError, match="is not empty and not a prepared folder"):
        prepare(config(root, output_dir=root.parent / "full", overwrite=True))


def damage(video: Path, number: int) -> None:
    """Blanks one frame of a Motion JPEG."""
    content = bytearray(video.read_bytes())
    at = content.find(b"movi")
    for _ in range(number + 1):
        at = content.find(b"00dc", at + 4)
    length = int.from_bytes(content[at + 4 : at + 8], "little")
    content[at + 8 : at + 8 + length] = bytes(length)
    video.write_bytes(content)


def test_bad_items_become_rows_and_the_rest_goes_on(
    make_disfa: Make, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture
) -> None:
    root = make_disfa((1, 2, 6, 11))
    videos = {k: root / "Videos_LeftCamera" / f"LeftVideoSN{k:03d}_comp.avi" for k in (1, 2, 6)}
    damage(videos[1], 1)  # frame 2 of SN001
    videos[2].write_bytes(b"not a video")
    blank = [np.full((200, 240, 3), 90, np.uint8)] * 4
    writer = cv2.VideoWriter(str(videos[6]), cv2.VideoWriter_fourcc(*"MJPG"), 20, (240, 200))
    for frame in blank:
        writer.write(frame)
    writer.release()
    for path in (root / "ActionUnit_Labels" / "SN001").iterdir():
        path.write_text("1,1\n2,2\n3,9\n4,4\n")
    code = main(
        ["deepcoder-prepare", f"--input_dir={root}", f"--output_dir={root.parent / 'prepared'}",
         "--noprogress"]
    )  # fmt: skip
    assert code == 0
    assert "7 crops of 4 subjects, folds 0" in capsys.readouterr().out
    info = dataset_info(root.parent / "prepared")
    status = {
        name: [row["status"] for row in rows_of(info) if row["subject"] == name]
        for name in ("SN001", "SN002", "SN006", "SN011")
    }
    assert status == {
        "SN001": ["ok", "unreadable", "no_label", "ok"],
        "SN002": ["unreadable"] * 4,
        "SN006": ["no_face"] * 4,
        "SN011": ["ok"] * 4,
    }
    assert "frame 2 cannot be decoded (1 of 4 frames without a picture)" in caplog.text
    assert "cannot be opened as a video" in caplog.text
    index = load_index(info.folder, 0, "test")
    assert index.frames.tolist() == [1, 3, 4]
    assert index.labels[:, 0].tolist() == [1, -1, 4]
    assert len(load_crops(info.folder, 0, "test")) == 3


def test_structural_mistakes_end_before_any_work(
    make_disfa: Make, capsys: pytest.CaptureFixture
) -> None:
    root = make_disfa((1, 6, 11))
    labels = root / "ActionUnit_Labels"
    (labels / "SN001" / "SN001_au1.txt").write_text("")
    (labels / "SN006" / "SN006_au2.txt").write_text("1,7\n")
    (labels / "SN011" / "SN011_au4.txt").write_text("9,0\n")
    output = root.parent / "prepared"
    assert main(["deepcoder-prepare", f"--input_dir={root}", f"--output_dir={output}"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: 3 mistakes:")
    assert "SN001_au1.txt: the label file is empty" in told
    assert "SN006_au2.txt:1: level 7" in told
    assert "SN011_au4.txt:1: a label for frame 9" in told
    assert not output.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk_keeps_what_is_finished(make_disfa: Make) -> None:
    root = make_disfa((1, 6, 11))
    output = root.parent / "prepared"
    full = output / "landmarks" / "SN006__LeftVideoSN006_comp.npz.partial"
    (output / "landmarks").mkdir(parents=True)
    (output / "settings.json").write_text(json.dumps(config(root).settings()))
    full.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"the disk is full while writing .*SN006.*is kept"):
        prepare(config(root, workers=1))
    assert (output / "landmarks" / "SN001__LeftVideoSN001_comp.npz").is_file()
    info = prepare(config(root))
    whole = snapshot(output)

    lost = info.shard(0, info.recordings[0])
    lost.unlink()
    lost.with_name(lost.name + ".partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full while writing"):
        prepare(config(root))
    with pytest.raises(UserError, match="the preparation is not finished"):
        dataset_info(output)
    prepare(config(root))
    assert snapshot(output) == whole


def test_damaged_shards_are_told(make_disfa: Make) -> None:
    root = make_disfa((1, 6, 11))
    info = prepare(config(root))
    shard = info.shard(0, info.recordings[0])
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="a shard of fold 0 is damaged"):
        load_crops(info.folder, 0, "test")
    shard.unlink()
    with pytest.raises(UserError, match=r"SN001.*\.tfrecord: no such file; run the same deepcoder"):
        read_fold(info.folder, 0, "test")


def test_a_fold_without_a_training_face_is_left_out(make_disfa: Make) -> None:
    root = make_disfa((1, 6, 11))
    videos = root / "Videos_LeftCamera"
    (videos / "LeftVideoSN001_comp.avi").write_bytes(b"no video")
    info = prepare(config(root))
    assert list(info.folds) == [0]
    for path in videos.iterdir():
        path.write_bytes(b"no video")
    with pytest.raises(UserError, match=r"no fold can be used .*fold 0: no face was found in any"):
        prepare(config(root))


def test_fera2015_end_to_end(make_fera: Make) -> None:
    root = make_fera(("F001", "M001", "F003", "F002"))
    folder = root / "BP4D-training" / "F002" / "T1"
    (folder / "0002.jpg").write_bytes(b"")
    (folder / "0003.jpg").unlink()
    info = prepare(config(root, dataset="fera2015"))
    assert info.fold(0).test == ("F002",)
    rows = [row for row in rows_of(info) if row["subject"] == "F002"]
    assert [row["status"] for row in rows] == ["ok", "unreadable", "missing", "ok"]
    assert rows[0]["file"] == "BP4D-training/F002/T1/0001.jpg"
    assert rows[0]["timestamp"] == ""
    assert load_index(info.folder, 0, "test").frames.tolist() == [1, 4]


def test_manifest_end_to_end(make_manifest: Make) -> None:
    path = make_manifest(
        "path,subject,frame,AU12,AU4\n"
        "pictures/0.png,ann,,0,5\n"
        "pictures/1.png,bob b,,,\n"
        "pictures/2.png,bob-b,,2,1\n"
        "clip.avi,eve,2,1,\n"
    )
    info = prepare(config(path, dataset="manifest", folds=2))
    assert info.action_units == ("AU12", "AU04")
    status = {row["subject"]: row["status"] for row in rows_of(info)}
    assert status == {"ann": "ok", "bob b": "no_label", "bob-b": "ok", "eve": "no_label"}
    assert [row["status"] for row in rows_of(info)].count("no_label") == 4
    names = [recording.name for recording in info.recordings]
    assert names == ["ann__pictures", "bob-b__pictures", "bob-b__pictures-2", "eve__clip"]
    both = [len(load_index(info.folder, fold, split).rows) for fold in (0, 1) for split in SPLITS]
    assert sum(both[:3]) == sum(both[3:]) == 7


def test_odd_pictures_become_rows(make_manifest: Make) -> None:
    path = make_manifest(
        "path,subject,AU12\n"
        "pictures/0.png,ann,1\npictures/1.png,bob,1\npictures/2.png,eve,1\n"
        "pictures/one.png,eve,1\npictures/deep.png,eve,2\npictures/clear.png,eve,3\n"
        "pictures/half.jpg,eve,4\npictures/wall.png,eve,5\n"
    )
    folder = path.parent / "pictures"
    face = cv2.imread(str(folder / "2.png"))
    cv2.imwrite(str(folder / "one.png"), face[:1, :1])
    cv2.imwrite(str(folder / "deep.png"), face.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "clear.png"), cv2.cvtColor(face, cv2.COLOR_BGR2BGRA))
    (folder / "half.jpg").write_bytes(cv2.imencode(".jpg", face)[1].tobytes()[:3000])
    cv2.imwrite(str(folder / "wall.png"), np.full((200, 200, 3), 120, np.uint8))
    info = prepare(config(path, dataset="manifest", folds=3))
    found = {Path(row["file"]).name: row["status"] for row in rows_of(info)[2:]}
    assert found == {
        "2.png": "ok",
        "one.png": "no_face",
        "deep.png": "ok",
        "clear.png": "ok",
        "half.jpg": "unreadable",
        "wall.png": "no_face",
    }
    split = next(s for s in SPLITS if "eve" in info.fold(0).subjects(s))
    crops = load_crops(info.folder, 0, split)
    np.testing.assert_array_equal(crops[-1], crops[-3])  # 16 bits and RGBA: the same crop as 8 bits
    np.testing.assert_array_equal(crops[-2], crops[-3])


def test_detecting_every_second_frame_gives_nearly_the_same_crops(make_disfa: Make) -> None:
    root = make_disfa((1, 6, 11))
    every = prepare(config(root))
    second = prepare(config(root, detect_every=2, output_dir=root.parent / "second"))
    first, other = (load_crops(info.folder, 0, "test").astype(float) for info in (every, second))
    assert first.shape == other.shape
    assert np.corrcoef(first.ravel(), other.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 1, "--dataset=disfa needs --input_dir=..."),
        (["--dataset=manifest", "--input_dir=x"], 1, "--dataset=manifest needs --manifest=..."),
        (["--input_dir=x"], 1, "--output_dir=... is missing"),
        (["--input_dir=none", "--output_dir=y"], 1, "none: no such folder"),
        (["folder"], 1, "'folder' is no flag; write --input_dir=folder"),
        (["--dataset=ck"], 2, "ck"),
        (["--workers=0"], 2, "workers"),
        (["--face=all"], 2, "all"),
    ],
)
def test_wrong_flags(
    arguments: list[str],
    code: int,
    told: str,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["deepcoder-prepare", *arguments]) == code
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [{"dataset": "x"}, {"workers": 0}, {"face": "all"}, {"camera": "x"}, {"folds": 1},
     {"detect_every": 0}],
)  # fmt: skip
def test_config_is_checked(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        config(Path(), **change)


def test_safe_name() -> None:
    assert safe_name("../a b/ü") == "-a-b--"
    assert safe_name("..") == "-"
