"""Requests to TF Serving's REST interface, which KServe and most gateways pass through."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import grpc
import numpy as np
import requests

from deepcoder_tf.export.retries import Metadata, ServerError

__all__ = ["RestCalls"]

Status = grpc.StatusCode

STATUS: dict[int, grpc.StatusCode] = {
    HTTPStatus.BAD_REQUEST: Status.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: Status.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: Status.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: Status.NOT_FOUND,
    HTTPStatus.PRECONDITION_FAILED: Status.FAILED_PRECONDITION,
    # A gateway in front of the server says so while the server starts, or has too much to do.
    HTTPStatus.TOO_MANY_REQUESTS: Status.UNAVAILABLE,
    HTTPStatus.BAD_GATEWAY: Status.UNAVAILABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: Status.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: Status.UNAVAILABLE,
}
"""What the HTTP status codes of servers and gateways are in gRPC's terms."""

SHOWN = 200
"""Characters of an error page that are shown."""


class RestCalls:
    """One model of one server, rows of JSON (`instances`): KServe's own servers know no columns.

    Crops go as PNG in base64 where the model has a signature for pictures: lossless, and a quarter
    to a tenth of the same crop as JSON integers, which also cost the server the most time to parse.
    JPEG would be smaller still but would change the numbers.
    """

    sends_pictures = True

    def __init__(
        self, address: str, name: str, version: int | None, label: str | None, timeout: float
    ) -> None:
        """Nothing is sent yet.

        Args:
          address: `http://HOST:PORT` or `https://HOST`, with a path where a gateway wants one.
          name: of the model.
          version: a number, or None.
          label: such as `stable`, or None; without both the server takes the newest version.
          timeout: seconds for connecting, and between two parts of an answer.
        """
        self._model = f"{address.rstrip('/')}/v1/models/{quote(name, safe='')}"
        self.url = self._model
        if version is not None:
            self.pin(version)
        elif label is not None:
            self.url = f"{self._model}/labels/{quote(label, safe='')}"
        self.timeout = timeout
        self._session = requests.Session()

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """One request; see `GrpcCalls.predict`. REST has no filter: all outputs are sent back."""
        body = {
            "signature_name": signature,
            "instances": [
                dict(zip(inputs, row, strict=True))
                for row in zip(*map(as_json, inputs.values()), strict=True)
            ],
        }
        rows = self._call("POST", f"{self.url}:predict", body).get("predictions")
        if not isinstance(rows, list) or len(rows) != len(body["instances"]):
            raise ServerError(Status.INTERNAL, "not one prediction for each instance")
        # A signature with a single output is answered without its name.
        named = [row if isinstance(row, dict) else dict.fromkeys(outputs[:1], row) for row in rows]
        missing = {name for row in named for name in outputs if name not in row}
        if missing:
            raise ServerError(Status.INTERNAL, f"no output {', '.join(sorted(missing))}")
        return {name: np.asarray([row[name] for row in named]) for name in outputs}

    def pin(self, version: int) -> None:
        """Asks for this version from now on."""
        self.url = f"{self._model}/versions/{version}"

    def metadata(self) -> Metadata:
        """What the server knows of the model; see `GrpcCalls.metadata`."""
        answer = self._call("GET", f"{self.url}/metadata")
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            return Metadata(
                int(answer["model_spec"]["version"]),
                {name: tuple(sorted(s.get("inputs", {}))) for name, s in found.items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ServerError(Status.INTERNAL, "the metadata name no signatures") from error

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = self._session.request(method, url, json=body, timeout=self.timeout)
        except requests.Timeout as error:
            if isinstance(error, requests.ConnectTimeout):
                raise ServerError(Status.UNAVAILABLE, "no connection in time") from error
            raise ServerError(Status.DEADLINE_EXCEEDED, "no answer in time") from error
        except requests.ConnectionError as error:
            raise ServerError(Status.UNAVAILABLE, reason_of(error)) from error
        except (requests.RequestException, ValueError) as error:
            raise ServerError(Status.INVALID_ARGUMENT, str(error)) from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not response.ok:
            said = answer.get("error") if isinstance(answer, dict) else response.text
            status = STATUS.get(response.status_code, Status.UNKNOWN)
            raise ServerError(status, f"HTTP {response.status_code}: {str(said).strip()[:SHOWN]}")
        if not isinstance(answer, dict):
            raise ServerError(Status.INTERNAL, "the answer is no JSON object")
        return answer

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


def as_json(values: np.ndarray) -> Any:
    """Numbers as nested lists, bytes in the base64 that TF Serving reads."""
    if values.dtype != object:
        return values.tolist()
    return [{"b64": base64.b64encode(value).decode("ascii")} for value in values]


def reason_of(error: BaseException) -> str:
    """The system's own words, which lie below two libraries' wrappings."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        reason = getattr(inner, "reason", None) or next(
            (part for part in inner.args if isinstance(part, BaseException)), None
        )
        inner = reason if isinstance(reason, BaseException) else inner.__cause__
    return str(error)
