"""Exports to serve, and servers that serve them: those of the environment, or the test adapter.

    TF_SERVING_ADDR=HOST:8500 TF_SERVING_REST=http://HOST:8501 TF_SERVING_MODEL=deepcoder \
    TF_SERVING_SAVEDMODEL=savedmodels/NAME/1 python -m pytest tests/serving/test_contract.py

runs the contract against a real server; TF_SERVING_SAVEDMODEL is the version that it serves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import pytest
import tensorflow as tf
from google.protobuf import text_format

from deepcoder_tf.config import Config
from deepcoder_tf.experiment.exporting import export
from deepcoder_tf.export import CARD, export_model
from deepcoder_tf.export.grpc_calls import GrpcCalls
from deepcoder_tf.export.rest_calls import RestCalls
from deepcoder_tf.models.registry import build_system
from tests.experiment.tiny_recogniser import write_run
from tests.export.test_systems import OPTIONS, ROWS, trained
from tests.prediction.conftest import astronaut, description, photo, video
from tests.serving.given import parts_of
from tests.serving.servables import read_config

__all__ = ["astronaut", "description", "photo", "video"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

ADDRESS, REST = os.environ.get("TF_SERVING_ADDR"), os.environ.get("TF_SERVING_REST")
OUTSIDE = ADDRESS or REST

KINDS_SERVED = ["deepcoder", "expressions"]
"""Models of both kinds that the contract is about."""

START = 240.0
"""Seconds for an adapter to load TensorFlow and its models on a busy machine."""


class Server(NamedTuple):
    """Where a server listens; None for what it does not speak."""

    grpc: str | None
    rest: str | None

    def calls(self, route: str, name: str, version=None, label=None) -> GrpcCalls | RestCalls:
        """Requests by one of the two routes."""
        address = {"grpc": self.grpc, "rest": self.rest}[route]
        if address is None:
            pytest.skip(f"the server has no address for {route}")
        kind = GrpcCalls if route == "grpc" else RestCalls
        return kind(address, name, version, label, timeout=60.0)


class Adapter:
    """The test adapter in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving.grpc_adapter", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert self.process.stdout is not None
        until = time.monotonic() + START
        line = ""
        while not line.startswith("READY") and time.monotonic() < until:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(self.process.communicate()[1])
        ports = dict(part.split("=") for part in line.split()[1:])
        self.server = Server(f"127.0.0.1:{ports['grpc']}", f"http://127.0.0.1:{ports['rest']}")

    def kill(self) -> None:
        """As a machine that loses power."""
        self.process.kill()
        self.process.communicate()


class Served(NamedTuple):
    """A model of the server, and the SavedModel that it is."""

    name: str
    folder: Path
    card: dict
    loaded: object

    @property
    def version(self) -> int:
        """The name of its folder."""
        return int(self.folder.name)

    @property
    def answer(self) -> str:
        """The output that all its numbers follow from."""
        return parts_of(self.card).answer


def served(name: str, folder: Path) -> Served:
    card = json.loads((folder / CARD).read_text())
    return Served(name, folder, card, tf.saved_model.load(str(folder)))


def chosen(request) -> Served:
    """Version 1 of the model that a fixture is asked for."""
    return served(request.param, request.getfixturevalue("exports") / request.param / "1")


@pytest.fixture(scope="session")
def exports(tmp_path_factory, description) -> Path:
    """Of action units `deepcoder/1` (a stack), `deepcoder/2` (a network) and `points/1` (it wants
    landmarks); of expressions `expressions/1`, which has a decoder, and `patches/1`, which wants
    landmarks.
    """
    base = tmp_path_factory.mktemp("models")
    card = {**description, "format": 1, "action_units": ["AU01", "AU12"]}
    # Weights as they are drawn will do, where they tell faces apart.
    for version, row in enumerate(("dcp", "cnn"), start=1):
        keras.utils.set_random_seed(version)
        system = build_system(Config(**{**OPTIONS, **ROWS[row]}), 2)
        export_model(system, card, base / "deepcoder", version)
    points = trained("mlr-lbp", tmp_path_factory.mktemp("run"))
    export_model(points, card, base / "points", 1)
    runs = tmp_path_factory.mktemp("recognisers")
    for name, channels, options in (
        ("expressions", 3, {"beta_reconstruction": 1.0}),
        ("patches", 1, {"system": "gacnn", "patch_filters": 3}),
    ):
        run = write_run(runs / name, channels, trunk_endpoint="Block35", **options)
        export(run, base / name, 1)
    return base


@pytest.fixture(scope="session")
def models_config(exports, tmp_path_factory) -> Path:
    """The shipped `models.config` on these exports, both versions loaded, and the other models."""
    config = read_config(DEPLOY / "models.config")
    (model,) = config.model_config_list.config
    model.base_path = str(exports / "deepcoder")
    model.model_version_policy.specific.versions[:] = [1, 2]
    model.version_labels["canary"] = 2
    for name in ("points", "expressions", "patches"):
        config.model_config_list.config.add(name=name, base_path=str(exports / name))
    path = tmp_path_factory.mktemp("config") / "models.config"
    path.write_text(text_format.MessageToString(config))
    return path


@pytest.fixture(scope="session")
def adapter(models_config) -> Iterator[Adapter]:
    """The test adapter with the shipped configurations."""
    running = Adapter(
        f"--model_config_file={models_config}",
        f"--batching_parameters_file={DEPLOY / 'batching.config'}",
    )
    yield running
    running.kill()


@pytest.fixture(scope="session")
def server(request) -> Server:
    """The server of the environment, or the test adapter."""
    if OUTSIDE:
        return Server(ADDRESS, REST)
    return request.getfixturevalue("adapter").server


@pytest.fixture(
    scope="session",
    params=[os.environ.get("TF_SERVING_MODEL", "deepcoder")] if OUTSIDE else KINDS_SERVED,
)
def model(request) -> Served:
    """The model that the contract is about: one of each kind, or the environment's."""
    if not OUTSIDE:
        return chosen(request)
    folder = os.environ.get("TF_SERVING_SAVEDMODEL")
    if folder is None:
        pytest.skip("TF_SERVING_SAVEDMODEL must name the version that the server has")
    return served(request.param, Path(folder))


@pytest.fixture(scope="session", params=["points", "patches"])
def points_model(request) -> Served:
    """A model that wants landmarks."""
    if OUTSIDE:
        pytest.skip("the server of the environment has one model")
    return chosen(request)
