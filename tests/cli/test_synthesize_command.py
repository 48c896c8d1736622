"""deepcoder-synthesize: flags, exit codes, one-line errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcoder_tf.cli.synthesize import main

SMALL = ["--subjects=1", "--frames=2", "--size=64x64", "--workers=1", "--noprogress"]


def test_it_writes_the_layout_and_says_where(tmp_path: Path, capsys):
    assert main(["synthesize", f"--output_dir={tmp_path / 'out'}", *SMALL]) == 0
    assert (tmp_path / "out" / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi").is_file()
    assert "out: 1 subjects, 2 frames each" in capsys.readouterr().out


def test_the_progress_bar_is_on_stderr(tmp_path: Path, capsys):
    arguments = [*SMALL[:-1], f"--output_dir={tmp_path / 'out'}"]
    assert main(["synthesize", *arguments]) == 0
    assert "2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 1, "error: --output_dir=... is missing"),
        (["--output_dir=x", "--size=big"], 2, "--size=big: wanted WIDTHxHEIGHT"),
        (["--output_dir=x", "--size=63x64"], 2, "size 63x64: both sides must be even"),
        (
            ["--output_dir=x", "--layout=fera2015", "--subjects=42"],
            2,
            "subjects 42 is outside 1 to 41",
        ),
        (["--output_dir=x", "--subjects=0"], 2, "flag --subjects=0"),
        (["--output_dir=x", "--layout=affectnet"], 2, "flag --layout=affectnet"),
        (["--output_dir=x", "--colour=red"], 2, "colour"),
        (["x"], 1, "'x' is no flag"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    assert main(["synthesize", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.iterdir()), "nothing was made"


def test_another_data_set_in_the_folder(tmp_path: Path, capsys):
    (tmp_path / "photo.jpg").write_bytes(b"")
    assert main(["synthesize", f"--output_dir={tmp_path}", *SMALL]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is not empty" in error


def test_help_tells_every_flag(capsys):
    assert main(["synthesize", "--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("output_dir", "layout", "subjects", "frames", "size", "seed", "workers", "tasks"):
        assert f"--{flag}" in text or f"--[no]{flag}" in text
