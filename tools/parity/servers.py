"""Servers that routes ask: those of the environment, or test servers that are started here."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from tools.parity.route import UnavailableError

__all__ = ["NAME", "OUTSIDE", "Addresses", "kserve", "tf_serving"]

NAME = os.environ.get("TF_SERVING_MODEL", "deepcoder")
"""Of the served model."""

ROOT = Path(__file__).parents[2]

START = 180.0
"""Seconds for a server to load its libraries and the model on a busy machine."""

CONFIG = """model_config_list {{
  config {{
    name: "{name}"
    base_path: "{folder}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {version} }} }}
  }}
}}
"""


OUTSIDE = ("TF_SERVING_ADDR", "TF_SERVING_REST")
"""Variables with the addresses of a server that is there already, for gRPC and for REST."""


class Addresses(NamedTuple):
    """Where a server of TF Serving's interfaces listens; None for what it does not speak."""

    grpc: str | None
    rest: str | None


@functools.cache
def tf_serving(export: Path) -> Addresses:
    """A server of the export: that of `TF_SERVING_ADDR` and `TF_SERVING_REST`, or the test adapter.

    A server of the environment must serve this very version under the name `TF_SERVING_MODEL`.

    Args:
      export: one version.

    Returns:
      Its addresses.

    Raises:
      UnavailableError: the adapter is not here.
      RuntimeError: it did not start.
    """
    outside = Addresses(*map(os.environ.get, OUTSIDE))
    if any(outside):
        return outside
    if not export.name.isdigit():
        raise UnavailableError(f"a server wants a version number, the folder is {export.name}")
    folder, version = export.resolve().parent, int(export.name)
    config = CONFIG.format(name=NAME, folder=folder, version=version)
    with tempfile.NamedTemporaryFile("w", suffix=".config") as stream:
        stream.write(config)
        stream.flush()
        process = start("tests.serving.grpc_adapter", f"--model_config_file={stream.name}")
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("READY"):
                ports = dict(part.split("=") for part in line.split()[1:])
                return Addresses(f"127.0.0.1:{ports['grpc']}", f"http://127.0.0.1:{ports['rest']}")
    raise RuntimeError(f"the test adapter ended with exit code {process.wait()}")


@functools.cache
def kserve(export: Path) -> str:
    """KServe's model server around the export.

    Args:
      export: one version.

    Returns:
      Its address.

    Raises:
      UnavailableError: KServe is not installed.
      RuntimeError: it did not start.
    """
    if importlib.util.find_spec("kserve") is None:
        raise UnavailableError("kserve is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("tests.serving.kserve_server", NAME, str(export), str(port))
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + START
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/v1/models/{NAME}", timeout=5):
                return address
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"KServe did not start (exit code {process.poll()})")


def start(module: str, *arguments: str) -> subprocess.Popen:
    """A server in a process of its own, which ends with this one."""
    if not ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file():
        raise UnavailableError("the test servers lie in tests/ of the source, which is not here")
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    atexit.register(process.kill)
    return process
