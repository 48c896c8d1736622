"""Signatures of exported models: whoever holds the public key knows that no file was changed.

A signature is a Sigstore bundle in the version's folder: the SHA-256 of every file in it, signed
with a private key on an elliptic curve. It needs the optional package `model-signing`.

    openssl ecparam -name prime256v1 -genkey -noout -out private.pem
    openssl ec -in private.pem -pubout -out public.pem
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from deepcoder_tf.errors import UserError

__all__ = ["SIGNATURE", "sign", "verify"]

SIGNATURE = "assets.extra/model.sig"
"""Where the signature lies, inside a version's folder; the one file that it cannot cover."""

INSTALL = "pip install 'deepcoder-tf[sign]'"


def sign(path: Path, key: Path) -> None:
    """Signs every file of a version's folder.

    Args:
      path: of the version.
      key: PEM file with a private key on NIST's curve P-256, P-384 or P-521, without password.

    Raises:
      UserError: `model-signing` is not installed, or the key cannot be read or used.
    """
    signing = package("signing")
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=key)
        signer.set_hashing_config(hashing())
    except OSError as error:
        raise UserError(f"--signing_key={key}: {error.strerror}; check the path") from error
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--signing_key={key} is no private key on an elliptic curve without password "
            f"({first_line(error)}); make one with openssl ecparam -name prime256v1 -genkey -noout"
        ) from error
    signer.sign(path, path / SIGNATURE)


def verify(path: Path, key: Path) -> None:
    """Checks every file of a version's folder against its signature.

    Args:
      path: of the version.
      key: PEM file with the signer's public key.

    Raises:
      UserError: no signature, another signer, or a file that was changed, added or taken away: the
        message names it.
    """
    verifying = package("verifying")
    signature = path / SIGNATURE
    if not signature.is_file():
        raise UserError(f"{path} has no signature ({SIGNATURE}); export it with --signing_key")
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=key)
        verifier.set_hashing_config(hashing())
    except OSError as error:
        raise UserError(f"--key={key}: {error.strerror}; check the path") from error
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--key={key} is no public key on an elliptic curve ({first_line(error)}); "
            "make it from the private one with openssl ec -pubout"
        ) from error
    try:
        verifier.verify(path, signature)
    except Exception as error:  # the bundle's readers raise many kinds, without a common base
        raise UserError(f"{path}: {reason(error)}; do not use this model") from error


def hashing() -> Any:
    """How files are read, for signing and for verifying: all of them but the signature itself."""
    return package("hashing").Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def package(module: str) -> Any:
    """A module of `model-signing`.

    Raises:
      UserError: it is not installed.
    """
    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise UserError(f"signatures need model-signing ({error}); {INSTALL}") from error


def reason(error: Exception) -> str:
    """Why a model does not agree with its signature, with the names of files."""
    text = str(error)
    if "Signature mismatch" not in text:
        detail = first_line(error) or type(error).__name__
        return f"{SIGNATURE} is not that of this key, or damaged ({detail})"
    # The text is that of a list: its quotes may be escaped.
    changed = re.findall(r"Hash mismatch for \\?'([^'\\]+)\\?'", text)
    told = [f"{name} was changed" for name in changed]
    for what, said in (("Extra", "added"), ("Missing", "taken away")):
        for names in re.findall(rf"{what} files[^:]*: ([^'\"\\\]]+)", text):
            told.append(f"{names.strip()} was {said} after signing")
    return ", ".join(told) or first_line(error)


def first_line(error: Exception) -> str:
    """The first line of an exception's text."""
    return (str(error).strip().splitlines() or [""])[0][:160]
