"""What all tests share: quiet libraries, one seed for each test, and slow tests last."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SHARED = ("tests/serving/", "tests/export/")
"""Rooms whose files share what takes long to make: servers, trained systems."""

SEED = int(os.environ.get("DEEPCODER_TEST_SEED", "0"))


@pytest.fixture(autouse=True)
def _the_same_weights_each_time() -> None:
    """Initial weights are drawn from Keras's global seed: without this, each run tests others."""
    import keras

    keras.utils.set_random_seed(SEED)


@pytest.fixture(scope="session", autouse=True)
def _landmarks_stay_loaded():
    """dlib's model is loaded once in a session, not once for each test that wants it."""
    from deepcoder_tf.faces import landmarks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landmarks, "_in_use", {})
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: most mistakes show within seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """As `--dist loadfile`, but one process for all files of a room of `SHARED`."""
    from xdist.scheduler import LoadFileScheduling

    class Rooms(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            room = next((room for room in SHARED if nodeid.startswith(room)), None)
            return room or super()._split_scope(nodeid)

    return Rooms(config, log) if config.getvalue("dist") == "loadfile" else None
