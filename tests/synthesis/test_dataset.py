"""Whole data sets: layouts, bytes, going on after an interruption, refusals."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.errors import UserError
from deepcoder_tf.synthesis import SynthesisConfig, draw_subject, layouts, synthesize
from deepcoder_tf.synthesis.dataset import RECORD
from deepcoder_tf.synthesis.layouts import UNFINISHED
from deepcoder_tf.synthesis.performance import levels, perform

SMALL = {"subjects": 2, "frames": 6, "size": (96, 80), "progress": False}


def digest(root: Path) -> dict[str, str]:
    """Relative path -> checksum of every file."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def disfa(tmp_path_factory) -> Path:
    """Two subjects of six frames in DISFA's layout."""
    root = tmp_path_factory.mktemp("synthetic") / "disfa"
    synthesize(SynthesisConfig(root, **SMALL))
    return root


def test_disfa_layout(disfa: Path):
    found = set(digest(disfa))
    expected = {RECORD}
    for subject in ("SN001", "SN006"):
        expected.add(f"Videos_LeftCamera/LeftVideo{subject}_comp.avi")
        expected |= {f"ActionUnit_Labels/{subject}/{subject}_au{int(u[2:])}.txt" for u in DISFA}
    assert found == expected


def test_disfa_contents(disfa: Path):
    plan = list(perform(0, 6, 2, DISFA))
    for subject, performance in zip(("SN001", "SN006"), plan, strict=True):
        reader = cv2.VideoCapture(str(disfa / f"Videos_LeftCamera/LeftVideo{subject}_comp.avi"))
        assert reader.get(cv2.CAP_PROP_FPS) == 20
        frames = [reader.read()[1] for _ in range(6)]
        assert not reader.read()[0]
        assert {frame.shape for frame in frames} == {(80, 96, 3)}
        for name in DISFA:
            text = (
                disfa / f"ActionUnit_Labels/{subject}/{subject}_au{int(name[2:])}.txt"
            ).read_text()
            column = performance.intensities[:, performance.action_units.index(name)]
            expected = [f"{k},{level}" for k, level in enumerate(levels(column), 1)]
            assert text == "\n".join(expected) + "\n"


def test_same_seed_same_bytes_in_two_processes_and_another_seed_other_bytes(
    disfa: Path, tmp_path: Path
):
    synthesize(SynthesisConfig(tmp_path / "two", workers=2, **SMALL))
    assert digest(tmp_path / "two") == digest(disfa)
    synthesize(SynthesisConfig(tmp_path / "seed", seed=1, **(SMALL | {"subjects": 1})))
    video = "Videos_LeftCamera/LeftVideoSN001_comp.avi"
    assert digest(tmp_path / "seed")[video] != digest(disfa)[video]


def test_a_smaller_set_goes_on_to_a_larger_one_and_keeps_what_is_finished(
    disfa: Path, tmp_path: Path
):
    root = tmp_path / "grown"
    synthesize(SynthesisConfig(root, **(SMALL | {"subjects": 1})))
    video = root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi"
    before = video.stat().st_mtime_ns
    # As after a kill in the middle of the second subject:
    (root / UNFINISHED).mkdir()
    (root / UNFINISHED / "LeftVideoSN006_comp.avi").write_bytes(b"RIFF")
    synthesize(SynthesisConfig(root, **SMALL))
    assert digest(root) == digest(disfa)
    assert video.stat().st_mtime_ns == before


def test_fera2015_layout(tmp_path: Path):
    config = SynthesisConfig(
        tmp_path, layout="fera2015", subjects=2, frames=5, size=(96, 80), progress=False
    )
    synthesize(config)
    expected = {RECORD}
    for subject, (task, count) in itertools.product(("F001", "F002"), ((1, 3), (2, 2))):
        expected |= {f"BP4D-training/{subject}/T{task}/{k:04d}.jpg" for k in range(1, count + 1)}
        expected |= {f"AU Intensity Codes3.0/{u}/{subject}_T{task}_{u}.csv" for u in FERA2015}
        expected.add(f"AUCoding/{subject}_T{task}.csv")
    assert set(digest(tmp_path)) == expected
    image = cv2.imread(str(tmp_path / "BP4D-training" / "F001" / "T2" / "0002.jpg"))
    assert image.shape == (80, 96, 3)
    codes = tmp_path / "AU Intensity Codes3.0" / "AU12"
    text = (codes / "F001_T1_AU12.csv").read_text() + (codes / "F001_T2_AU12.csv").read_text()
    frames = [int(line.split(",")[0]) for line in text.splitlines()]
    assert frames == [1, 2, 3, 1, 2]
    shown = next(perform(0, 5, 1, FERA2015))
    column = levels(shown.intensities[:, shown.action_units.index("AU12")])
    assert [int(line.split(",")[1]) for line in text.splitlines()] == column.tolist()
    occurrence = (tmp_path / "AUCoding" / "F001_T1.csv").read_text().splitlines()
    assert occurrence[0] == "0,6,10,12,14,17"
    assert [row.split(",")[3] for row in occurrence[1:]] == [str(int(x > 0)) for x in column[:3]]


def test_subjects_are_the_real_ones_and_fill_folds_evenly():
    folds = (
        "001 002 009 010 016 026 027 030 032",
        "006 011 012 013 018 021 024 028 031",
        "003 004 005 007 008 017 023 025 029",
    )
    names = layouts.DisfaLayout().subjects
    assert len(set(names)) == 99
    assert sorted(names[:27]) == sorted(" ".join(folds).split())
    for size in (3, 12, 24, 27):
        assert {sum(name in fold.split() for name in names[:size]) for fold in folds} == {size // 3}
    people = layouts.Fera2015Layout().subjects
    assert len(set(people)) == 41
    odd = [name for name in people if int(name[1:]) % 2]
    assert len(odd) == 21
    assert {name[0] for name in people[:4]} == {"F", "M"}
    assert sum(name in odd for name in people[:12]) == 6


def test_another_data_set_is_not_mixed_in(disfa: Path, tmp_path: Path):
    root = tmp_path / "copy"
    shutil.copytree(disfa, root)
    with pytest.raises(UserError, match=r"another synthetic data set: seed is 0 there and 3 here"):
        synthesize(SynthesisConfig(root, seed=3, **SMALL))
    (root / RECORD).write_text("{")
    with pytest.raises(UserError, match=r"synthesis\.json is damaged .*--output_dir"):
        synthesize(SynthesisConfig(root, **SMALL))
    (root / RECORD).write_text("[]")
    with pytest.raises(UserError, match=r"synthesis\.json is damaged"):
        synthesize(SynthesisConfig(root, **SMALL))
    (root / RECORD).unlink()
    with pytest.raises(UserError, match=r"is not empty and has no synthesis\.json"):
        synthesize(SynthesisConfig(root, **SMALL))


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file is a file; give another --output_dir"):
        synthesize(SynthesisConfig(tmp_path / "file", **SMALL))


def test_a_video_that_came_out_short_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch):
    """A full disk: OpenCV says nothing and the file ends early."""
    encode = layouts.encode_video

    def cut(path: Path, images, quality: int) -> None:
        encode(path, images, quality)
        with path.open("r+b") as stream:
            stream.truncate(path.stat().st_size // 2)

    monkeypatch.setattr(layouts, "encode_video", cut)
    with pytest.raises(UserError, match=r"SN001_comp\.avi: the video's 6 frames could not"):
        synthesize(SynthesisConfig(tmp_path, **SMALL))
    assert set(digest(tmp_path)) == {RECORD}


def test_a_full_disk_while_writing_labels_is_told_in_one_line(tmp_path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(layouts, "write_image", full)
    config = SynthesisConfig(tmp_path, **(SMALL | {"layout": "fera2015"}))
    with pytest.raises(UserError, match=r"^the disk is full while writing subject F001 to [^\n]*$"):
        synthesize(config)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layout": "ck"}, "layout 'ck' is none of disfa, fera2015, expressions"),
        ({"subjects": 100}, "subjects 100 is outside 1 to 99"),
        ({"frames": 0}, "frames 0 is outside 1 to 20000"),
        ({"size": (321, 240)}, "size 321x240: both sides must be even and from 64 to 2048"),
        ({"size": (320, 16)}, "size 320x16: both sides must be even"),
        ({"seed": -1}, "seed -1 is outside"),
        ({"workers": 0}, "workers 0 is outside 1 to 256"),
        ({"image_quality": 101}, "image_quality 101 is outside 1 to 100"),
        ({"layout": "fera2015", "frames": 1}, "frames 1 are fewer than the 2 tasks"),
    ],
)
def test_configurations_out_of_bounds(tmp_path: Path, wrong: dict, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        SynthesisConfig(tmp_path, **wrong)


def test_people_differ_and_gender_is_taken_from_the_name(person):
    everybody = [person(k) for k in range(8)]
    assert len({p.skin for p in everybody}) == 8
    assert len({p.scene.light for p in everybody}) == 8
    for k in range(4):
        seed = np.random.SeedSequence(k)
        woman, man = draw_subject(seed, "female"), draw_subject(seed, "male")
        assert woman.beard == 0
        male_share = [sum(w for n, w in p.macro.items() if "-male-" in n) for p in (woman, man)]
        assert male_share[0] < male_share[1]
    with pytest.raises(ValueError, match="gender 'other' is neither"):
        draw_subject(np.random.SeedSequence(0), "other")
