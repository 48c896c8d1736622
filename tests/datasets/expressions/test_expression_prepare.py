"""Preparation of expressions end to end: pictures, rows, splits, resumption, damage, refusals."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from deepcoder_tf.cli.prepare import main
from deepcoder_tf.datasets.expressions import anchors, pictures
from deepcoder_tf.datasets.expressions.prepare import (
    ExpressionConfig,
    prepare_expressions,
    votes_of,
)
from deepcoder_tf.datasets.expressions.sources import Sample
from deepcoder_tf.datasets.expressions.splits import assign_splits
from deepcoder_tf.datasets.expressions.store import (
    ExpressionInfo,
    expression_info,
    load_expressions,
)
from deepcoder_tf.datasets.prepared import dataset_info, prepared_kind
from deepcoder_tf.errors import UserError
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.squares import ANCHORS, anchors_in, face_matrix
from tests.datasets.expressions.layouts import FERPLUS, level_of, unanimous, write_picture

Make = Callable[..., Path]


def config(root: Path, **changes: object) -> ExpressionConfig:
    values = {
        "dataset": "ferplus",
        "input_path": root,
        "output_dir": root.parent / "prepared",
        "progress": False,
    }
    return ExpressionConfig(**{**values, **changes})


def rows_of(info: ExpressionInfo) -> list[dict[str, str]]:
    with (info.folder / "frames.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Content of every file but the ZIP members' times in `.npz`."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".npz"
    }


def photograph() -> np.ndarray:
    """A face in the middle of `[256, 256, 3]` BGR."""
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)[:256, 96:352]


# What is stored -----------------------------------------------------------------------------------


def test_pictures_labels_and_rows_agree(make_ferplus: Make) -> None:
    split = [0] * 10
    split[0] = split[4] = 5
    unknown = [0] * 8 + [9, 1]
    root = make_ferplus(
        ["Training", "fer0000000.png", *unanimous("neutral")],
        ["Training", "tie.png", *split],
        ["Training", "odd.png", *unknown],
        ["PrivateTest", "gone.png", *unanimous("fear")],
        ["PublicTest", "half.png", *unanimous("fear")],
    )
    write_picture(root / "data" / "FER2013Train" / "tie.png", 30, 48)
    write_picture(root / "data" / "FER2013Train" / "odd.png", 31, 48)
    (root / "data" / "FER2013Valid" / "half.png").write_bytes(b"\x89PNG")
    info = prepare_expressions(config(root))
    frames, rows = load_expressions(info.folder), rows_of(info)

    assert (info.size, info.channels, info.align, info.has_landmarks) == (48, 1, "none", False)
    assert frames.images.shape == (25, 48, 48, 1) and isinstance(frames.images, np.memmap)
    assert info.statuses == {"ok": 24, "no_label": 1, "left_out": 2, "missing": 1, "unreadable": 1}
    assert [int(row["row"]) for row in rows] == list(range(29))
    assert info.counts["train"]["none"] == 1 and info.counts["validation"]["fear"] == 1
    for at, row in enumerate(frames.rows):
        file = root / rows[row]["file"]
        np.testing.assert_array_equal(frames.images[at, ..., 0], cv2.imread(str(file), 0))
        label = frames.labels[at]
        assert rows[row]["expression"] == (EXPRESSIONS[label] if label >= 0 else "")
        assert rows[row]["split"] == frames.splits[at]
    told = {Path(row["file"]).name: row["reason"] for row in rows if row["status"] != "ok"}
    assert "no majority" in told["tie.png"] and "unknown" in told["odd.png"]
    assert "no such file" in told["gone.png"] and "is not a picture" in told["half.png"]
    assert not list(info.folder.rglob("*.partial")) and not (info.folder / "parts").exists()
    assert prepared_kind(info.folder) == "expressions"


def test_votes_are_shares_and_all_ten_are_kept(make_ferplus: Make) -> None:
    votes = dict(zip(FERPLUS, [6, 0, 0, 3, 1, 0, 0, 0, 0, 0], strict=True))
    root = make_ferplus(["Training", "two.png", *votes.values()])
    write_picture(root / "data" / "FER2013Train" / "two.png", 30, 48)
    frames = load_expressions(prepare_expressions(config(root)).folder)
    at = int(np.flatnonzero(frames.rows == 16)[0])
    expected = np.zeros(8)
    expected[[EXPRESSIONS.index("neutral"), EXPRESSIONS.index("sadness")]] = 2 / 3, 1 / 3
    np.testing.assert_allclose(frames.votes[at], expected, rtol=1e-6)
    assert frames.annotations is not None
    found = dict(zip((*EXPRESSIONS, "unknown", "NF"), frames.annotations[at], strict=True))
    assert found == votes
    sums = frames.votes.sum(axis=1)
    np.testing.assert_allclose(sums, 1, rtol=1e-6)


def test_votes_without_annotators() -> None:
    found = votes_of(np.array([2, -1]), np.empty((0, 10), np.uint8))
    np.testing.assert_array_equal(found, [[0, 0, 1, 0, 0, 0, 0, 0], [0] * 8])
    nobody = votes_of(np.array([-1]), np.ones((1, 10), np.uint8))
    np.testing.assert_array_equal(nobody, np.zeros((1, 8)))


def test_splits_lie_together_and_stay_on_disk(make_folders: Make) -> None:
    info = prepare_expressions(config(make_folders(("train", "val", "test")), dataset="folders"))
    frames = load_expressions(info.folder)
    for split in ("train", "validation", "test"):
        part = frames.of(split)
        assert set(part.splits) == {split} and len(part.labels) == 32
        assert part.images.base is not None and isinstance(part.images, np.memmap)
    with pytest.raises(ValueError, match="split 'dev' is not one of"):
        frames.of("dev")
    some = frames.take(np.array([3, 0]))
    np.testing.assert_array_equal(some.labels, frames.labels[[3, 0]])
    assert some.landmarks is None


def test_colour_is_kept_as_red_green_blue_or_made_grey(make_folders: Make) -> None:
    root = make_folders()
    colour = prepare_expressions(config(root, dataset="folders"))
    assert (colour.size, colour.channels) == (32, 3)
    frames = load_expressions(colour.folder)
    first = frames.images[int(np.flatnonzero(frames.labels == 0)[0])]
    np.testing.assert_array_equal(first[0, 0], [250, level_of(0), level_of(0)])
    grey = prepare_expressions(
        config(root, dataset="folders", channels=1, size=20, output_dir=root.parent / "grey")
    )
    frames = load_expressions(grey.folder)
    image = frames.images[int(np.flatnonzero(frames.labels == 0)[0])]
    assert image.shape == (20, 20, 1)
    assert np.ptp(image) == 0 and level_of(0) < image[0, 0, 0] < 250


def test_affectnet_boxes_are_cut_and_other_codes_counted(make_affectnet: Make) -> None:
    info = prepare_expressions(config(make_affectnet(), dataset="affectnet", store_landmarks=True))
    frames = load_expressions(info.folder)
    assert (info.size, info.align, len(frames.labels)) == (32, "box", 32)
    for at, row in enumerate(frames.rows):
        # Without the box the mean would lie near 200, the picture around the face.
        inner = frames.images[at, 2:-2, 2:-2].astype(float)
        assert abs(inner.mean() - level_of(int(row))) < 3
    assert info.statuses == {"ok": 32, "left_out": 6}
    assert info.reasons["AffectNet 9: uncertain"] == 2
    assert rows_of(info)[0]["x"] == "32" and rows_of(info)[16]["status"] == "left_out"
    assert frames.landmarks is not None
    np.testing.assert_allclose(frames.landmarks[0, 0], 17 / 4)  # the box begins at 32


def test_the_newer_affectnet(make_newer_affectnet: Make) -> None:
    info = prepare_expressions(config(make_newer_affectnet(), dataset="affectnet"))
    assert (info.size, info.align, info.channels) == (160, "none", 1)
    frames = load_expressions(info.folder)
    assert (
        info.counts["train"]
        == info.counts["validation"]
        == {
            **dict.fromkeys(EXPRESSIONS, 2),
            "none": 0,
        }
    )
    assert np.ptp(frames.images[5]) <= 1 and abs(int(frames.images[5, 0, 0, 0]) - level_of(5)) <= 1


def test_ckplus_is_split_by_identity(make_ckplus: Make) -> None:
    info = prepare_expressions(
        config(make_ckplus(6), dataset="ckplus", align="none", allow_missing_classes=True)
    )
    frames = load_expressions(info.folder)
    split_of = {}
    for subject, split in zip(frames.subjects, frames.splits, strict=True):
        assert split_of.setdefault(subject, split) == split
    assert sorted(split_of) == [f"S{k:03d}" for k in range(5, 11)]
    assert sorted(split_of.values()) == ["test", *["train"] * 4, "validation"]
    assert info.counts["train"]["none"] == 8


# Alignment and landmarks --------------------------------------------------------------------------


@pytest.fixture
def photos(make_folders: Make) -> Path:
    """A real face, turned and scaled, in every class, and a wall."""
    root = make_folders(("train", "val"))
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        if path.name == "0.png":
            matrix = cv2.getRotationMatrix2D((127, 127), 12.0 * (number % 3 - 1), 0.95)
            face = cv2.warpAffine(photograph(), matrix, (256, 256), borderMode=cv2.BORDER_REFLECT)
            cv2.imwrite(str(path), face)
        elif path.parent.name != "neutral":
            path.unlink()
    return root


def test_faces_are_turned_upright_and_walls_are_rows(photos: Path) -> None:
    info = prepare_expressions(
        config(photos, dataset="folders", align="dlib", size=96, store_landmarks=True)
    )
    frames = load_expressions(info.folder)
    assert info.statuses == {"ok": 16, "no_face": 6}
    assert {row["reason"] for row in rows_of(info) if row["status"] == "no_face"} == {
        "dlib found no face"
    }
    assert frames.landmarks is not None
    left, right = (frames.landmarks[:, part].mean(axis=1) for part in (np.s_[19:25], np.s_[25:31]))
    # The pictures were turned by 12 degrees both ways: 6 pixels between the eyes.
    assert np.abs(left[:, 1] - right[:, 1]).max() < 1.5
    np.testing.assert_allclose((left + right) / 2, np.full((16, 2), (48, 38)), atol=2.5)
    assert np.abs(right[:, 0] - left[:, 0] - 0.3 * 96).max() < 2
    inner = frames.images[:, 16:80, 24:72].reshape(16, -1).astype(float)
    assert np.corrcoef(inner).min() > 0.9
    row = rows_of(info)[0]
    assert float(row["score"]) > 0 and int(row["width"]) > 60


def test_landmarks_of_uncut_pictures_are_as_those_of_the_source(photos: Path) -> None:
    info = prepare_expressions(config(photos, dataset="folders", size=128, store_landmarks=True))
    frames = load_expressions(info.folder)
    assert frames.landmarks is not None and len(frames.labels) == 22
    found = np.isfinite(frames.landmarks).all(axis=(1, 2))
    assert 12 <= found.sum() <= 16
    names = [Path(row["file"]).name for row in rows_of(info)]
    assert not any(found[at] for at, row in enumerate(frames.rows) if names[row] != "0.png")
    big = prepare_expressions(
        config(
            photos, dataset="folders", size=256, store_landmarks=True,
            output_dir=photos.parent / "big",
        )
    )  # fmt: skip
    fine = load_expressions(big.folder).landmarks
    assert fine is not None
    both = found & np.isfinite(fine).all(axis=(1, 2))
    scaled = (fine[both] + 0.5) / 2 - 0.5
    assert both.sum() >= 12
    assert np.abs(frames.landmarks[both] - scaled).mean() < 1


# Resumption ---------------------------------------------------------------------------------------


def test_the_folder_tells_where_eyes_and_nose_lie(
    photos: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(**changes: object) -> ExpressionInfo:
        return prepare_expressions(
            config(photos, dataset="folders", size=96, overwrite=True, **changes)
        )

    by_dlib = prepare(align="dlib")
    np.testing.assert_array_equal(by_dlib.anchors, ANCHORS)

    few = prepare(align="none")
    assert few.anchors == by_dlib.anchors and "fewer than 20" in caplog.text

    monkeypatch.setattr(anchors, "ENOUGH", 1)
    seen = prepare(align="none", store_landmarks=True)
    points = np.array(load_expressions(seen.folder).landmarks)
    found = [anchors_in(p, 96) for p in points if np.isfinite(p).all()]
    np.testing.assert_allclose(seen.anchors, np.median(found, axis=0), atol=1e-3)
    assert np.abs(np.array(seen.anchors) - ANCHORS).max() > 0.02

    # Bringing a face to where it is leaves it there.
    face = points[np.isfinite(points).all(axis=(1, 2))][0]
    matrix = face_matrix(face, 96, anchors_in(face, 96))
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-3)


def test_a_folder_of_an_older_version_has_the_usual_anchors(
    make_folders: Make, caplog: pytest.LogCaptureFixture
) -> None:
    info = prepare_expressions(config(make_folders(), dataset="folders"))
    file = info.folder / "dataset.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    del content["anchors"]
    for align, warned in (("dlib", False), ("none", True)):
        caplog.clear()
        file.write_text(json.dumps({**content, "align": align}), encoding="utf-8")
        np.testing.assert_array_equal(expression_info(info.folder).anchors, ANCHORS)
        assert ("does not say where eyes and nose lie" in caplog.text) == warned
    file.write_text(json.dumps({**content, "anchors": [[0.3, 0.4]]}), encoding="utf-8")
    with pytest.raises(UserError, match="anchors"):
        expression_info(info.folder)


def test_goes_on_without_redoing_what_is_finished(
    make_folders: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folders()
    monkeypatch.setattr(pictures, "CHUNK", 10)
    whole = prepare_expressions(config(root, dataset="folders", output_dir=root.parent / "whole"))
    cut, lock, done = pictures.Cutter.cut, threading.Lock(), []

    def until_the_power_fails(self, sample: Sample):
        with lock:
            done.append(sample.file)
            if len(done) == 35:
                raise KeyboardInterrupt
        return cut(self, sample)

    monkeypatch.setattr(pictures.Cutter, "cut", until_the_power_fails)
    with pytest.raises(KeyboardInterrupt):
        prepare_expressions(config(root, dataset="folders", workers=1))
    folder = root.parent / "prepared"
    with pytest.raises(UserError, match="the preparation is not finished; run the same"):
        load_expressions(folder)
    assert len(list((folder / "parts").iterdir())) == 3
    (folder / "parts" / "00000010.npz").write_bytes(b"half")
    changed = root / "train" / "neutral" / "0.png"
    write_picture(changed, 0, colour=True)

    def again(self, sample: Sample):
        done.append(sample.file)
        return cut(self, sample)

    done.clear()
    monkeypatch.setattr(pictures.Cutter, "cut", again)
    prepare_expressions(config(root, dataset="folders", workers=3))
    assert len(done) == 64 - 10 and changed in done
    second = snapshot(folder)
    first = snapshot(whole.folder)
    for name in ("images.npy", "frames.csv"):
        assert first[name] == second[name], "neither the kill nor the workers change a byte"

    done.clear()
    prepare_expressions(config(root, dataset="folders"))
    assert done == [] and snapshot(folder) == second, "a finished folder is left alone"
    (root / "train" / "neutral" / "0.png").rename(root / "train" / "fear" / "new.png")
    info = prepare_expressions(config(root, dataset="folders"))
    assert info.counts["train"]["fear"] == 5 and info.counts["train"]["neutral"] == 3


def test_other_settings_need_overwrite(make_folders: Make) -> None:
    root = make_folders()
    info = prepare_expressions(config(root, dataset="folders"))
    with pytest.raises(UserError, match=r"other settings \(size was 32 and is 24\).*--overwrite"):
        prepare_expressions(config(root, dataset="folders", size=24))
    (info.folder / "mine.txt").write_text("stays")
    again = prepare_expressions(config(root, dataset="folders", size=24, overwrite=True))
    assert again.size == 24 and (info.folder / "mine.txt").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_keeps_what_is_finished(
    make_folders: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folders()
    monkeypatch.setattr(pictures, "CHUNK", 32)
    folder = root.parent / "prepared"
    prepare_expressions(config(root, dataset="folders"))
    whole = snapshot(folder)
    for name in ("dataset.json", "images.npy", "frames.csv", "samples.npz"):
        (folder / name).unlink()
    (folder / "images.npy.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"the disk is full while writing .*images.*is kept"):
        prepare_expressions(config(root, dataset="folders"))
    assert len(list((folder / "parts").iterdir())) == 2
    prepare_expressions(config(root, dataset="folders"))
    assert snapshot(folder) == whole


# Refusals -----------------------------------------------------------------------------------------


def test_a_class_without_a_sample(make_folders: Make, caplog: pytest.LogCaptureFixture) -> None:
    root = make_folders()
    for split in ("train", "val"):
        for path in (root / split / "contempt").iterdir():
            path.unlink()
        (root / split / "contempt").rmdir()
    told = "no training picture shows contempt; add some, or pass --allow_missing_classes"
    with pytest.raises(UserError, match=told):
        prepare_expressions(config(root, dataset="folders"))
    assert not (root.parent / "prepared").exists(), "before any work"
    caplog.set_level("INFO")
    info = prepare_expressions(config(root, dataset="folders", allow_missing_classes=True))
    assert info.counts["train"]["contempt"] == 0
    assert "no train picture shows contempt" in caplog.text


def test_a_class_whose_pictures_cannot_be_read(make_folders: Make) -> None:
    root = make_folders()
    for path in (root / "train" / "fear").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(UserError, match="after cutting: no training picture shows fear"):
        prepare_expressions(config(root, dataset="folders"))


def test_boxes_that_are_not_there(make_folders: Make) -> None:
    with pytest.raises(UserError, match=r"has no face box \(64 of 64 pictures.*--align=dlib"):
        prepare_expressions(config(make_folders(), dataset="folders", align="box"))


def test_nothing_that_can_be_read(make_folders: Make) -> None:
    root = make_folders()
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(
        UserError, match=r"none of the first pictures looked at can be read: .*0 by"
    ):
        prepare_expressions(config(root, dataset="folders"))
    with pytest.raises(
        UserError, match=r"no picture is left \(64 unreadable\); the first: .*0 byt"
    ):
        prepare_expressions(config(root, dataset="folders", size=32, channels=1))


def test_damaged_folders(make_folders: Make) -> None:
    info = prepare_expressions(config(make_folders(), dataset="folders"))
    with pytest.raises(UserError, match="was prepared for expressions, not for action units"):
        dataset_info(info.folder)
    images, content = info.folder / "images.npy", info.folder / "dataset.json"
    whole = images.read_bytes()
    images.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"images\.npy: cannot be read .*; prepare the folder again"
    ):
        load_expressions(info.folder)
    np.save(images, np.zeros((3, 32, 32, 3), np.uint8))
    with pytest.raises(
        UserError, match=r"images are uint8 \(3, 32, 32, 3\) and should be uint8 \(64"
    ):
        load_expressions(info.folder)
    images.write_bytes(whole)
    (info.folder / "samples.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"samples\.npz: cannot be read"):
        load_expressions(info.folder)
    original = json.loads(content.read_text())
    for change, told in (
        ({"format": 99}, "format 99, this version reads 1"),
        ({"kind": "action_units"}, "was prepared for action units, not for expressions"),
        ({"counts": 3}, "damaged"),
        ({"expressions": ["fear"]}, "holds other classes than neutral"),
    ):
        content.write_text(json.dumps({**original, **change}))
        with pytest.raises(UserError, match=told):
            expression_info(info.folder)
    content.write_text("{")
    with pytest.raises(UserError, match=r"dataset\.json: damaged"):
        expression_info(info.folder)


# Splits -------------------------------------------------------------------------------------------


def people(count: int, pictures_each: int) -> list[Sample]:
    return [
        Sample(Path(f"{k}_{j}.png"), subject=f"p{k}")
        for k in range(count)
        for j in range(pictures_each)
    ]


def test_identities_stay_whole_and_shares_are_kept() -> None:
    samples = assign_splits(people(40, 5), 0.15, 0.2, seed=3)
    splits = {
        split: [s for s in samples if s.split == split] for split in ("train", "validation", "test")
    }
    assert {split: len(found) for split, found in splits.items()} == {
        "train": 130,
        "validation": 30,
        "test": 40,
    }
    owners = [{s.subject for s in found} for found in splits.values()]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 40
    assert samples == assign_splits(people(40, 5), 0.15, 0.2, seed=3)
    assert samples != assign_splits(people(40, 5), 0.15, 0.2, seed=4)


def test_validation_is_taken_from_training_where_it_is_not_given() -> None:
    samples = [s._replace(split="test" if s.subject == "p0" else "train") for s in people(10, 2)]
    found = assign_splits(samples, 0.2, 0.5, seed=0)
    assert [s.split for s in found] == ["train"] * 14 + ["validation"] * 4 + ["test"] * 2
    assert {s.subject for s in found if s.split == "test"} == {"p0"}
    given = [s._replace(split="validation" if s.subject == "p1" else s.split) for s in samples]
    assert sorted(assign_splits(given, 0.2, 0.5, seed=0)) == sorted(given)


def test_pictures_of_nobody_in_particular_are_drawn_one_by_one() -> None:
    samples = [s._replace(subject="") for s in people(10, 10)]
    found = [s.split for s in assign_splits(samples, 0.1, 0.2, seed=0)]
    assert found == ["train"] * 70 + ["validation"] * 10 + ["test"] * 20
    assert {s.split for s in assign_splits(samples, 0.1, 0, seed=0)} == {"train", "validation"}


def test_a_subject_on_both_sides_of_the_users_split(make_manifest: Callable[[str], Path]) -> None:
    path = make_manifest(
        "path,expression,subject,split\n0.png,fear,ann,train\n1.png,fear,ann,validation\n"
    )
    with pytest.raises(UserError, match="subject 'ann' is in validation here"):
        prepare_expressions(config(path, dataset="expression_manifest"))


# The command --------------------------------------------------------------------------------------


def test_the_command(make_folders: Make, capsys: pytest.CaptureFixture) -> None:
    root = make_folders()
    arguments = ["--dataset=folders", f"--input_dir={root}", f"--output_dir={root.parent / 'out'}"]
    assert main(["deepcoder-prepare", *arguments, "--size=24", "--channels=1", "--workers=1"]) == 0
    told = capsys.readouterr()
    assert "out: 64 faces of 24x24x1 (32 train, 32 validation, 0 test)" in told.out
    assert "64/64" in told.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--dataset=affectnet"], 1, "--dataset=affectnet needs --input_dir=..."),
        (["--dataset=expression_manifest"], 1, "needs --manifest=..."),
        (["--dataset=ferplus", "--input_dir=x"], 1, "--output_dir=... is missing"),
        (["--dataset=ckplus", "--input_dir=none", "--output_dir=y"], 1, "none: no such folder"),
        (["--dataset=folders", "--input_dir=x", "--output_dir=y", "--size=8"], 2, "size=8 must be"),
        (["--align=mtcnn"], 2, "mtcnn"),
        (["--channels=4"], 2, "4"),
        (["--test_share=0.9"], 2, "test_share"),
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
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [{"dataset": "x"}, {"align": "x"}, {"size": 8}, {"channels": 2}, {"workers": 0},
     {"face": "all"}, {"validation_share": 0.6}, {"test_share": -0.1}],
)  # fmt: skip
def test_config_is_checked(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        config(Path(), **change)
