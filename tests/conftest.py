"""What all tests share: quiet libraries, one seed for each test, and slow tests last."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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
