"""The SavedModel behind a server, asked as `deepcoder-client` asks it: gRPC, REST and KServe."""

from __future__ import annotations

import os

from deepcoder_tf.export.grpc_calls import GrpcCalls
from deepcoder_tf.export.rest_calls import RestCalls
from tools.parity.route import Limit, Outputs, Question, Route, UnavailableError
from tools.parity.servers import NAME, OUTSIDE, kserve, tf_serving
from tools.parity.signature_def import signature_def

__all__ = ["GRPC", "KSERVE", "REST", "ask_grpc", "ask_kserve", "ask_rest"]

TIMEOUT = 120.0
"""Seconds for one answer."""


def ask_grpc(question: Question) -> Outputs:
    """Sends the inputs as they are to TF Serving's PredictionService."""
    address = tf_serving(question.export).grpc
    if address is None:
        raise UnavailableError("TF_SERVING_ADDR is not set")
    return answer(GrpcCalls(address, NAME, None, None, TIMEOUT), question)


def ask_rest(question: Question) -> Outputs:
    """Sends the inputs as JSON to TF Serving's REST interface."""
    address = tf_serving(question.export).rest
    if address is None:
        raise UnavailableError("TF_SERVING_REST is not set")
    return answer(RestCalls(address, NAME, None, None, TIMEOUT), question)


def ask_kserve(question: Question) -> Outputs:
    """Sends the inputs as JSON to KServe's own model server."""
    return answer(RestCalls(kserve(question.export), NAME, None, None, TIMEOUT), question)


def answer(calls: GrpcCalls | RestCalls, question: Question) -> Outputs:
    """One request for all outputs."""
    names = sorted(signature_def(question.export, question.signature).outputs)
    try:
        return calls.predict(question.signature, question.inputs, names)
    finally:
        calls.close()


ADAPTER = "a server" if os.environ.keys() & set(OUTSIDE) else "a test adapter"
SAME = Limit(1e-5)

GRPC = Route("grpc", f"PredictionService, {ADAPTER}", SAME, ask_grpc, every_signature=True)
REST = Route("rest", f"TF Serving's REST, {ADAPTER}", SAME, ask_rest, every_signature=True)
KSERVE = Route("kserve", "KServe's own REST server", SAME, ask_kserve, every_signature=True)
