"""Versions of what a run stands on."""

from __future__ import annotations

import importlib.metadata

__all__ = ["library_versions"]

LIBRARIES = ("tensorflow", "tensorflow-probability", "keras", "numpy", "deepcoder-tf")


def library_versions() -> dict[str, str]:
    """Versions by name; an empty text where a library is not installed."""
    return {name: version_of(name) for name in LIBRARIES}


def version_of(name: str) -> str:
    """A library's version, or an empty text."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
