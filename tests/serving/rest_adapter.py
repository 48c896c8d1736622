"""TF Serving's REST interface over the same servables: a test adapter, not a server."""

from __future__ import annotations

import base64
import binascii
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from tests.serving.servables import RefusedError, Servables, as_tensor, refuse

Code = grpc.StatusCode

HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.FAILED_PRECONDITION: 412,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}

PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(?::(predict)|/(metadata))?"
)


class RestAdapter(BaseHTTPRequestHandler):
    """`/v1/models/NAME[/versions/N|/labels/L][:predict|/metadata]`."""

    protocol_version = "HTTP/1.1"
    servables: Servables

    def do_GET(self) -> None:
        """Status and metadata."""
        self.reply(self.get)

    def do_POST(self) -> None:
        """Prediction."""
        self.reply(self.post)

    def reply(self, answer) -> None:
        """Runs and sends JSON, with the status of an error."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, document = 200, answer(body)
        except RefusedError as error:
            status, document = HTTP.get(error.code, 500), {"error": error.message}
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def match(self, verb: str) -> tuple[model_pb2.ModelSpec, re.Match[str]]:
        """The model that the path means."""
        found = PATH.fullmatch(self.path)
        if found is None or (verb == "POST") != bool(found[4]):
            refuse(Code.INVALID_ARGUMENT, f"Malformed request: {verb} {self.path}")
        spec = model_pb2.ModelSpec(name=found[1])
        if found[2]:
            spec.version.value = int(found[2])
        elif found[3]:
            spec.version_label = found[3]
        return spec, found

    def get(self, body: bytes) -> dict[str, Any]:
        """Status of the versions, or the signatures of one."""
        del body
        spec, found = self.match("GET")
        if not found[5]:
            versions = self.servables.models.get(spec.name)
            if not versions:
                refuse(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
            ok = {"error_code": "OK", "error_message": ""}
            return {
                "model_version_status": [
                    {"version": str(v), "state": "AVAILABLE", "status": ok} for v in versions
                ]
            }
        version, servable = self.servables.find(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
        described = json_format.MessageToDict(signatures, preserving_proto_field_name=True)
        return {
            "model_spec": {"name": spec.name, "signature_name": "", "version": str(version)},
            "metadata": {"signature_def": described},
        }

    def post(self, body: bytes) -> dict[str, Any]:
        """Rows (`instances`) or columns (`inputs`)."""
        spec, _ = self.match("POST")
        try:
            document = json.loads(body)
            spec.signature_name = document.get("signature_name", "serving_default")
        except (AttributeError, TypeError, ValueError) as error:
            refuse(Code.INVALID_ARGUMENT, f"JSON Parse error: {error}")
        _, servable = self.servables.find(spec)
        if spec.signature_name not in servable.loaded.signatures:
            refuse(
                Code.INVALID_ARGUMENT,
                f'Serving signature name: "{spec.signature_name}" not found in signature def',
            )
        wanted = servable.definition(spec.signature_name).inputs
        if ("inputs" in document) == ("instances" in document):
            refuse(Code.INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key")
        if "inputs" in document:
            columns = document["inputs"]
            if not isinstance(columns, dict):
                columns = dict.fromkeys(wanted, columns)
        else:
            rows = document["instances"]
            if not isinstance(rows, list) or not rows:
                refuse(Code.INVALID_ARGUMENT, "'instances' must be a list with an element")
            named = all(isinstance(row, dict) and set(row) != {"b64"} for row in rows)
            rows = rows if named else [dict.fromkeys(wanted, row) for row in rows]
            if len({frozenset(row) for row in rows}) > 1:
                refuse(Code.INVALID_ARGUMENT, "instances with different names")
            columns = {name: [row[name] for row in rows] for name in rows[0]}
        unknown = set(columns) - set(wanted)
        if unknown:
            refuse(Code.INVALID_ARGUMENT, f"no inputs of these names: {sorted(unknown)}")
        inputs = {name: as_tensor(unpacked(v), wanted[name]) for name, v in columns.items()}
        _, outputs = self.servables.predict(spec, inputs)
        answer = {name: plain(tensor) for name, tensor in outputs.items()}
        if "inputs" in document:
            return {"outputs": answer if len(answer) > 1 else next(iter(answer.values()))}
        rows = [dict(zip(answer, row, strict=True)) for row in zip(*answer.values(), strict=True)]
        return {"predictions": rows if len(answer) > 1 else next(iter(answer.values()))}

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def unpacked(values: Any) -> Any:
    """Nested lists with `{"b64": ...}` decoded."""
    if isinstance(values, list):
        return [unpacked(value) for value in values]
    if isinstance(values, dict):
        try:
            return base64.b64decode(values["b64"], validate=True)
        except (KeyError, TypeError, binascii.Error) as error:
            refuse(Code.INVALID_ARGUMENT, f"Unable to base64 decode: {error}")
    return values


def plain(tensor: tf.Tensor) -> Any:
    """Nested lists; floats in the shortest digits that read back as the same number."""
    values = tensor.numpy()
    if tensor.dtype == tf.string:
        return np.vectorize(lambda text: text.decode("utf-8"), [object])(values).tolist()
    if tensor.dtype == tf.float32:
        return np.vectorize(lambda x: float(str(x)), [object])(values).tolist()
    return values.tolist()


def start(servables: Servables, port: int) -> ThreadingHTTPServer:
    """Binds the port, 0 for a free one; whoever calls runs `serve_forever`."""
    handler = type("Handler", (RestAdapter,), {"servables": servables})
    ThreadingHTTPServer.request_queue_size = 128
    return ThreadingHTTPServer(("127.0.0.1", port), handler)
