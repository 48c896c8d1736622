"""The frame of every command: exit codes, one-line errors, help."""

from __future__ import annotations

import errno
import importlib
import logging
import runpy
import sys
from pathlib import Path

import pytest
from absl import flags

from deepcoder_tf.cli import command
from deepcoder_tf.errors import UserError

COMMANDS = (
    "benchmark",
    "client",
    "demo",
    "evaluate",
    "export",
    "import_facenet",
    "predict",
    "prepare",
    "report",
    "synthesize",
    "train",
    "verify",
)
REQUIRED = {
    "benchmark": ("output_dir",),
    "client": ("server", "model_name", "output"),
    "evaluate": ("model_dir", "data_dir", "output_dir"),
    "export": ("model_dir", "output_dir"),
    "import_facenet": ("input", "output"),
    "predict": ("model", "output"),
    "report": ("bench_dir",),
    "train": ("data_dir", "model_dir"),
    "verify": ("model", "key"),
}


def values() -> flags.FlagValues:
    """Two flags."""
    found = flags.FlagValues()
    flags.DEFINE_integer("number", 1, "a number, 0-9", 0, 9, flag_values=found)
    flags.DEFINE_string("word", "", "a word", flag_values=found)
    return found


def run(body, *arguments: str) -> int:
    """A command that does `body`."""
    return command.run("what it does", values(), body, ["name", *arguments])


def test_success_is_0_and_the_body_sees_flags_and_the_rest(capsys):
    seen = []

    def body(given, positional):
        seen.append((given.number, given.word, positional))

    assert run(body, "--number=3", "a.png", "--word=x", "b.png") == 0
    assert run(body, "--", "--number") == 0
    assert seen == [(3, "x", ["a.png", "b.png"]), (1, "", ["--number"])]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("a.csv, line 3: mend it"), 1, "error: a.csv, line 3: mend it\n"),
        (OSError(errno.ENOSPC, "full", "b.csv"), 1, "error: the disk is full while using b.csv"),
        (PermissionError(errno.EACCES, "denied", "c"), 1, "error: no permission while using c"),
        (OSError(errno.EIO, "I/O error"), 1, "error: reading or writing failed: I/O error\n"),
        (flags.IllegalFlagValueError("--x=1: no"), 2, "error: --x=1: no\nrun with --help"),
        (KeyboardInterrupt(), 130, "run the same command again"),
        (BrokenPipeError(errno.EPIPE, "pipe"), 0, ""),
    ],
)
def test_what_goes_wrong_decides_the_exit_code(capsys, error, code, message):
    def body(given, positional):
        raise error

    assert run(body) == code
    told = capsys.readouterr().err
    assert told.startswith(message) if message.startswith("error") else message in told
    assert "Traceback" not in told


@pytest.mark.parametrize("error", [ZeroDivisionError(), ValueError("a mistake of ours"), OSError()])
def test_mistakes_of_the_program_are_not_hidden(error):
    def body(given, positional):
        raise error

    with pytest.raises(type(error)):
        run(body)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour=red"], "colour"),
        (["--number=10"], "--number=10"),
        (["--number=few"], "--number=few"),
        (["--flagfile=missing.flags"], "missing.flags"),
    ],
)
def test_wrong_flags_are_2_and_nothing_is_done(capsys, arguments, message):
    def body(given, positional):
        raise AssertionError("it ran")

    assert run(body, *arguments) == 2
    told = capsys.readouterr().err
    assert message in told and "--help" in told and "Traceback" not in told


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_is_0(capsys, flag):
    assert run(None, flag) == 0
    told = capsys.readouterr().out
    assert "what it does" in told and "--number" in told and "a number, 0-9" in told


def test_flags_do_not_stay_from_one_call_to_the_next():
    own, seen = values(), []

    def body(given, positional):
        seen.append(given.number)

    for arguments in (["--number=5"], []):
        command.run("", own, body, ["name", *arguments])
    assert seen == [5, 1]


def test_arguments_come_from_the_shell_by_default(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "argv", ["name", "--number=4"])
    assert command.run("", values(), lambda given, rest: seen.append(given.number)) == 0
    assert seen == [4]


# The commands themselves --------------------------------------------------------------------------


@pytest.fixture(params=COMMANDS)
def name(request) -> str:
    """Each command."""
    return request.param


def main_of(name: str):
    """Its entry point."""
    return importlib.import_module(f"deepcoder_tf.cli.{name}").main


SHARED = {"__init__", "command", "options", "prediction_options"}
"""Modules of the room that are no command."""


def test_every_module_of_the_room_is_a_command_known_to_setup():
    room = Path(command.__file__).parent
    modules = {path.stem for path in room.glob("*.py")} - SHARED
    assert modules == set(COMMANDS)
    setup = (room.parents[1] / "setup.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in setup for name in COMMANDS)


def test_each_command_explains_itself(name, capsys):
    module = importlib.import_module(f"deepcoder_tf.cli.{name}")
    assert main_of(name)([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"deepcoder-{name.replace('_', '-')}" in told
    for flag in module.FLAGS:
        if flag not in ("flagfile", "undefok"):
            assert f"{flag}" in told
            assert len(module.FLAGS[flag].help.split()) >= 2


def test_each_command_runs_as_a_module(name, capsys, monkeypatch):
    module = f"deepcoder_tf.cli.{name}"
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out


def test_each_command_refuses_unknown_flags_and_missing_files(name, capsys):
    assert main_of(name)([name, "--colour=red"]) == 2
    assert "colour" in capsys.readouterr().err
    assert main_of(name)([name, "--flagfile=no/such.flags"]) == 2
    assert "no/such.flags" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(REQUIRED), indirect=False)
def test_required_flags_are_asked_for(name, capsys):
    assert main_of(name)([name]) == 2
    told = capsys.readouterr().err
    assert any(f"--{flag}" in told for flag in REQUIRED[name]) and "Traceback" not in told


@pytest.mark.parametrize("name", ["evaluate", "export", "train"])
def test_a_forgotten_dash_is_told(name, capsys, tmp_path):
    arguments = [f"--{flag}={tmp_path / 'none'}" for flag in REQUIRED[name]]
    assert main_of(name)([name, *arguments, "fold=1"]) == 1
    assert "'fold=1' is no flag" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_messages_are_plain_lines():
    logging.getLogger().handlers.clear()
    run(lambda given, positional: None)
    assert logging.getLogger().handlers[0].formatter._fmt == "%(message)s"
