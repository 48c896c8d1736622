"""The export behind KServe's own REST server, and deepcoder-client in front of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import requests

from deepcoder_tf.cli import client, predict
from deepcoder_tf.export import CARD
from deepcoder_tf.export.retries import ServerError
from tests.serving.conftest import OUTSIDE, ROOT, START, Server
from tests.serving.given import inputs_of
from tests.serving.test_contract import BAD, BAD_PHOTOS, BAD_SWAPS, bad_requests, check

pytest.importorskip("kserve", reason="pip install -e '.[kserve]'")
pytestmark = pytest.mark.skipif(bool(OUTSIDE), reason="starts a server of its own")


@pytest.fixture(scope="module")
def kserve_server(model):
    """KServe in a process of its own, with one model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = ["tests.serving.kserve_server", model.name, str(model.folder), str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", *served],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{address}/v1/models/{model.name}", timeout=5).json().get("ready"):
                break
        except (requests.RequestException, ValueError):
            time.sleep(0.2)
    assert process.poll() is None, "KServe ended"
    yield Server(None, address)
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "signature", ["serving_default", "from_jpeg", "from_landmarks", "swap", "describe"]
)
def test_numbers_are_those_of_the_savedmodel(kserve_server, model, signature):
    if signature not in model.card["signatures"]:
        pytest.skip(f"the model has no signature {signature}")
    calls = kserve_server.calls("rest", model.name)
    for count in (1, 3):
        check(model, calls, signature, count, seed=count)


# KServe itself has no limit of 10,000 faces; the model has.
@pytest.mark.parametrize(
    "which", [name for name in [*BAD, *BAD_PHOTOS, *BAD_SWAPS] if name != "10,000 faces"]
)
def test_a_bad_request_gets_an_error_and_the_next_one_its_answer(kserve_server, model, which):
    if which not in bad_requests(model):
        pytest.skip("the model has no signature for it")
    signature, given, _ = bad_requests(model)[which]
    calls = kserve_server.calls("rest", model.name)
    with pytest.raises(ServerError):
        calls.predict(signature, given, [model.answer])
    check(model, calls, "serving_default", 1)


def test_a_model_that_is_not_there(kserve_server, model):
    given = inputs_of("serving_default", model.card, 1)
    with pytest.raises(ServerError, match="404"):
        kserve_server.calls("rest", "gone").predict("serving_default", given, [model.answer])


def test_the_csv_of_the_client(kserve_server, model, photo, tmp_path):
    """KServe's own server tells no signatures: the model's card does."""
    outputs = [tmp_path / "local.csv", tmp_path / "remote.csv"]
    arguments = ["predict", f"--model={model.folder}", f"--output={outputs[0]}", str(photo)]
    assert predict.main(arguments) == 0
    arguments = [
        "client",
        f"--server={kserve_server.rest}",
        f"--model_name={model.name}",
        f"--model_card={model.folder / CARD}",
        f"--output={outputs[1]}",
        str(photo),
    ]
    assert client.main(arguments) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert np.char.count(outputs[0].read_text(), ",ok,") == 1
