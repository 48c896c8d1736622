"""What the tests of all kinds of export share."""

from __future__ import annotations

import functools

import pytest

from tests.export.test_systems import trained


@pytest.fixture(scope="session")
def systems(tmp_path_factory):
    """The system of a row of Table 1, each trained once for a moment."""
    return functools.cache(lambda row: trained(row, tmp_path_factory.mktemp("run")))
