"""Signatures: the holder of the key is known, and every change of every file is found."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from deepcoder_tf.cli import export
from deepcoder_tf.cli import verify as command
from deepcoder_tf.errors import UserError
from deepcoder_tf.export import signing
from deepcoder_tf.prediction.model import ServingModel
from tests.experiment.tiny_recogniser import write_run

FILES = ("saved_model.pb", "variables/variables.index", "assets.extra/deepcoder.json")


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from cryptography.hazmat.primitives.asymmetric import ec

    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture(scope="module")
def signed(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A signed folder, the signer's public key and another one."""
    pytest.importorskip("model_signing", reason="needs the extra deepcoder-tf[sign]")
    folder = tmp_path_factory.mktemp("signed")
    private, public = keys(folder, "signer")
    partial = folder / ".1.partial"
    for name in FILES:
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).write_bytes(name.encode())
    signing.sign(partial, private)
    return partial.rename(folder / "1"), public, keys(folder, "other")[1]


@pytest.fixture
def copied(signed, tmp_path) -> tuple[Path, Path]:
    """A copy to tamper with, and the key."""
    path, public, _ = signed
    return Path(shutil.copytree(path, tmp_path / "copy")), public


def test_what_was_signed_is_verified_under_any_name(signed, copied, capsys):
    path, public, _ = signed
    signing.verify(path, public)
    signing.verify(*copied)
    assert command.main(["verify", f"--model={path}", f"--key={public}"]) == 0
    assert "every file is as it was signed" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(copied, name, capsys):
    path, public = copied
    file = path / name
    file.write_bytes(file.read_bytes()[:-1] + b"X")
    with pytest.raises(UserError, match=f"{name} was changed; do not use"):
        signing.verify(path, public)
    assert command.main(["verify", f"--model={path}", f"--key={public}"]) == 1
    error = capsys.readouterr().err
    assert name in error and error.count("\n") == 1


def test_a_file_more_or_less_is_named(copied):
    path, public = copied
    (path / "more.so").write_bytes(b"x")
    (path / ".gitignore").write_bytes(b"x")
    (path / FILES[0]).unlink()
    with pytest.raises(UserError) as caught:
        signing.verify(path, public)
    assert ".gitignore, more.so was added" in str(caught.value)
    assert f"{FILES[0]} was taken away" in str(caught.value)


def test_another_key_another_signature_and_none(signed, copied):
    path, public = copied
    with pytest.raises(UserError, match="not that of this key, or damaged"):
        signing.verify(path, signed[2])
    bundle = path / signing.SIGNATURE
    text = bundle.read_text()
    for changed in ("", "{}", text[:-30], text.replace('"sig"', '"gis"')):
        bundle.write_text(changed)
        with pytest.raises(UserError, match="not that of this key, or damaged") as caught:
            signing.verify(path, public)
        assert "\n" not in str(caught.value)
    bundle.unlink()
    with pytest.raises(UserError, match="has no signature"):
        signing.verify(path, public)


# A recogniser of expressions ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory) -> tuple[Path, Path]:
    """A recogniser that deepcoder-export signed, and the signer's public key."""
    pytest.importorskip("model_signing", reason="needs the extra deepcoder-tf[sign]")
    folder = tmp_path_factory.mktemp("recogniser")
    private, public = keys(folder, "signer")
    run = write_run(folder / "run", system="baseline", trunk_endpoint="Block35")
    where = [f"--model_dir={run}", f"--output_dir={folder / 'served'}"]
    assert export.main(["export", *where, f"--signing_key={private}"]) == 0
    return folder / "served" / "1", public


def test_a_signed_recogniser_is_verified_and_can_be_loaded(recogniser, capsys):
    path, public = recogniser
    assert command.main(["verify", f"--model={path}", f"--key={public}"]) == 0
    assert "every file is as it was signed" in capsys.readouterr().out
    assert ServingModel(path).description.parts.names == "expressions"


@pytest.mark.parametrize(
    "name", ["deepcoder.json", "model_card.md", "tf_serving_warmup_requests", "saved_model.pb"]
)
def test_a_recogniser_that_was_tampered_with_is_refused(recogniser, tmp_path, capsys, name):
    """Also in what lies beside the graph: anchors decide the numbers as weights do."""
    path = Path(shutil.copytree(recogniser[0], tmp_path / "1"))
    (file,) = path.rglob(name)
    file.write_bytes(file.read_bytes().replace(b"e", b"a", 1))
    assert command.main(["verify", f"--model={path}", f"--key={recogniser[1]}"]) == 1
    error = capsys.readouterr().err
    assert f"{file.relative_to(path)} was changed; do not use" in error and error.count("\n") == 1


def test_a_recogniser_is_not_signed_with_what_is_no_key(tmp_path, capsys):
    """Nothing is published."""
    pytest.importorskip("model_signing", reason="needs the extra deepcoder-tf[sign]")
    key = tmp_path / "key.pem"
    key.write_text("no key")
    run = write_run(tmp_path / "run", system="baseline", trunk_endpoint="Block35")
    where = [f"--model_dir={run}", f"--output_dir={tmp_path / 'served'}"]
    assert export.main(["export", *where, f"--signing_key={key}"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and f"--signing_key={key} is no private key" in lines[0]
    assert not list((tmp_path / "served").iterdir())


# Mistakes -----------------------------------------------------------------------------------------


def test_keys_that_are_none_are_told(signed, tmp_path):
    path = signed[0]
    wrong = tmp_path / "key.pem"
    wrong.write_text("no key")
    with pytest.raises(UserError, match="is no private key on an elliptic curve"):
        signing.sign(path, wrong)
    with pytest.raises(UserError, match="is no public key on an elliptic curve"):
        signing.verify(path, wrong)
    for do in (signing.sign, signing.verify):
        with pytest.raises(UserError, match=r"gone\.pem: No such file"):
            do(path, tmp_path / "gone.pem")


def test_without_the_package_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "model_signing.signing", raising=False)
    with pytest.raises(UserError, match=r"pip install 'deepcoder-tf\[sign\]'"):
        signing.sign(tmp_path, tmp_path / "key.pem")
