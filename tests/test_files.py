"""A file appears under its name whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcoder_tf.errors import UserError
from deepcoder_tf.files import replacing


def test_the_file_appears_at_the_end_only(tmp_path):
    path = tmp_path / "new" / "a.csv"
    with replacing(path) as stream:
        stream.write("é\n")
        assert not path.exists()
    assert path.read_bytes() == "é\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("keep", [False, True])
def test_a_failure_leaves_the_old_file_whole(tmp_path, keep):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path, keep=keep) as stream:
        stream.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    partial = tmp_path / "a.csv.partial"
    assert (partial.read_text() == "half") if keep else not partial.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("content", ["x", "x" * 1_000_000])
def test_a_full_disk_is_one_line(tmp_path, content):
    path = tmp_path / "a.csv"
    (tmp_path / "a.csv.partial").symlink_to("/dev/full")
    message = r"the disk is full while writing .*a\.csv"
    with pytest.raises(UserError, match=message), replacing(path) as stream:
        stream.write(content)
    assert not path.exists()


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    path = tmp_path / "taken" / "a.csv"
    with pytest.raises(UserError, match=r"writing .*taken/a\.csv failed"), replacing(path):
        raise AssertionError("never reached")


def test_a_read_inside_the_block_keeps_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"), replacing(tmp_path / "a"):
        (tmp_path / "missing.txt").read_text()
