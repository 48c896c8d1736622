"""What all tests share: quiet libraries, and slow tests last."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: most mistakes show within seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
