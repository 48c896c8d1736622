"""The routes, each in a module of its own, in the order of the table."""

from tools.parity.route import Route
from tools.parity.routes import (
    c_api,
    memory,
    onnx_runtime,
    open_vino,
    saved_model,
    saved_model_program,
    servers,
    tflite,
    xla,
)

__all__ = ["REFERENCE", "ROUTES"]

REFERENCE = memory.ROUTE
"""What all others are compared with."""

ROUTES: tuple[Route, ...] = (
    saved_model.ROUTE,
    saved_model_program.ROUTE,
    c_api.ROUTE,
    servers.GRPC,
    servers.REST,
    servers.KSERVE,
    tflite.ROUTES[0],
    xla.ROUTE,
    open_vino.ROUTE,
    onnx_runtime.ROUTE,
    *tflite.ROUTES[1:],
)
"""All others."""
