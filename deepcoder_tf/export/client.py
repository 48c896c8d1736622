"""A model behind TF Serving, used as if it lay here: the faces stay, their crops go.

from deepcoder_tf.export.client import RemoteModel
from deepcoder_tf.prediction import Predictor

for row in Predictor(RemoteModel("localhost:8500", "demo")).predict("photo.jpg"):
    print(row)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import grpc
import numpy as np

from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.export.grpc_calls import GrpcCalls
from deepcoder_tf.export.rest_calls import RestCalls
from deepcoder_tf.export.retries import Metadata, ServerError, with_retries
from deepcoder_tf.face_model import FaceModel, ModelDescription

__all__ = ["RETRIES", "TIMEOUT", "RemoteModel"]

TIMEOUT = 30.0
"""Seconds for one request: a batch of 8 faces takes one on two cores, loading a model some more."""

RETRIES = 6
"""Tries after the first; with growing waits they bridge a restart of ten to twenty seconds."""

CROPS, PICTURES, DESCRIBE = "serving_default", "from_jpeg", "describe"
"""The signatures that are asked: for crops, for the same as picture files, for the description."""

Status = grpc.StatusCode
Answer = TypeVar("Answer")


class Calls(Protocol):
    """Requests to one model, by gRPC or REST."""

    sends_pictures: bool

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """One request; raises `ServerError`."""

    def metadata(self) -> Metadata:
        """What the server knows of the model; raises `ServerError`."""

    def pin(self, version: int) -> None:
        """Asks for this version from now on."""

    def close(self) -> None:
        """Closes the connections."""


class RemoteModel(FaceModel):
    """A model that a server answers for.

    Which version that is, is asked once: what is predicted with one `RemoteModel` comes from one
    version, also while labels move or newer versions appear.

    Attributes:
      server: its address.
      name: of the model.
    """

    def __init__(
        self,
        server: str,
        name: str,
        *,
        version: int | None = None,
        label: str | None = None,
        model_card: str | Path | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        """Asks the server what the model is.

        Args:
          server: `HOST:PORT` or `grpcs://HOST:PORT` (TLS) for gRPC, `http://HOST:PORT` or
            `https://HOST` for REST.
          name: of the model, as the server knows it.
          version: a number; without it and a label, the newest.
          label: such as `stable`, in place of a version.
          model_card: the model's `assets.extra/deepcoder.json`, for a server that cannot be asked.
          timeout: seconds for one request.
          retries: tries after the first while the server is unavailable.

        Raises:
          UserError: no server, no such model, or one that does not say what it is.
          ValueError: both a version and a label, or a number out of range.
        """
        if version is not None and label is not None:
            raise ValueError(f"version {version} and label {label!r} are two answers; give one")
        if timeout <= 0 or retries < 0:
            raise ValueError(f"timeout {timeout} must be above 0, retries {retries} at least 0")
        check_address(server)
        self.server, self.name, self.retries, self.timeout = server, name, retries, timeout
        self._version, self._label, self._model_card = version, label, model_card
        kind = RestCalls if server.startswith(("http://", "https://")) else GrpcCalls
        self._calls: Calls = kind(server, name, version, label, timeout)
        if model_card is None:
            version, signatures = self._try(self._calls.metadata, DESCRIBE)
            self._calls.pin(version)
            self._version, self._label = version, None
            self.description = self._ask(signatures)
        else:
            self.description = read_card(Path(model_card))
            signatures = dict(self.description.signatures)
        self.needs_landmarks = "landmarks" in signatures.get(CROPS, ())
        self._sends_pictures = self._calls.sends_pictures and PICTURES in signatures

    @property
    def identity(self) -> str:
        """What the model says of itself, and by which name and version it is asked."""
        return f"{self.description.digest} {self.name} {self._version} {self._label}"

    def answer(self, faces: dict[str, np.ndarray]) -> np.ndarray:
        """One request; see `FaceModel.answer`.

        Raises:
          UserError: no answer after all tries, or a refusal.
        """
        crops, answer = self.description.parts.faces, self.description.parts.answer
        if not self._sends_pictures:
            return self._request(CROPS, faces, (answer,))[answer]
        given = {"pictures": as_png(faces[crops]), **faces}
        del given[crops]
        return self._request(PICTURES, given, (answer,))[answer]

    def close(self) -> None:
        """Closes the connections."""
        self._calls.close()

    def _ask(self, signatures: Mapping[str, Sequence[str]]) -> ModelDescription:
        """The description, from the model itself."""
        for wanted in (CROPS, DESCRIBE):
            if wanted not in signatures:
                names = ", ".join(sorted(name for name in signatures if name[:2] != "__"))
                reason = f"signature {wanted} is not among {names}"
                error = ServerError(Status.FAILED_PRECONDITION, reason)
                raise UserError(self._explain(error, wanted))
        one = {"faces": np.zeros(1, np.int32)}
        card = self._request(DESCRIBE, one, ("card",))["card"].ravel()[0]
        text = card.decode("utf-8") if isinstance(card, bytes) else str(card)
        return ModelDescription.from_json(text, f"{self.server}: the description of {self.name}")

    def _request(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        return self._try(lambda: self._calls.predict(signature, inputs, outputs), signature)

    def _try(self, call: Callable[[], Answer], signature: str) -> Answer:
        try:
            return with_retries(call, self.retries)
        except ServerError as error:
            raise UserError(self._explain(error, signature)) from error

    def _explain(self, error: ServerError, signature: str) -> str:
        """One line with its cure."""
        which = "" if self._version is None else f" version {self._version}"
        which = which if self._label is None else f" label {self._label}"
        if error.status is Status.UNAVAILABLE:
            return (
                f"{self.server} cannot be reached ({error.reason}; {self.retries + 1} tries); "
                "check --server, start the server, or raise --retries"
            )
        if error.status is Status.DEADLINE_EXCEEDED:
            return (
                f"{self.server} gave no answer within {self.timeout:g} s; raise --timeout or lower "
                "--batch_size"
            )
        if "signature" in error.reason.lower() and signature in error.reason:
            cure = "give --model_card=.../deepcoder.json, or " if signature == DESCRIBE else ""
            return (
                f"{self.server}: {self.name}{which} has no signature {signature} ({error.reason}); "
                f"{cure}export the model again with deepcoder-export"
            )
        if error.status is Status.NOT_FOUND or "version label" in error.reason:
            return (
                f"{self.server} serves no {self.name}{which} ({error.reason}); "
                "check --model_name, --version and --label"
            )
        if error.status is Status.UNIMPLEMENTED:
            return (
                f"{self.server} is no TF Serving ({error.reason}); give the gRPC port as "
                "--server=HOST:8500 or the REST port as --server=http://HOST:8501"
            )
        cure = "is it a model of deepcoder-export?"
        if self._model_card is not None:
            cure = f"is --model_card={self._model_card} that of this model?"
        return (
            f"{self.server} refused {signature} of {self.name}{which}: {error.status.name} "
            f"{error.reason}; {cure}"
        )


def check_address(server: str) -> None:
    """Refuses what is no address before minutes are spent on finding it.

    Raises:
      UserError: with the two forms that there are.
    """
    scheme, _, rest = server.rpartition("://")
    port = rest.rpartition(":")[2]
    web = scheme in ("http", "https") and bool(rest)
    if web or (scheme in ("", "grpc", "grpcs") and ":" in rest and port.isdigit()):
        return
    raise UserError(
        f"--server={server} is no address; give HOST:8500 for gRPC or http://HOST:8501 for REST"
    )


def read_card(path: Path) -> ModelDescription:
    """The description from a file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise explain_os_error(error, f"reading {path}") from error
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}); give a deepcoder.json") from error
    return ModelDescription.from_json(text, path)


def as_png(crops: np.ndarray) -> np.ndarray:
    """Picture files of crops `[B, rows, columns, 1 or 3]`, as an array of bytes `[B]`."""
    files = np.empty(len(crops), object)
    for row, crop in enumerate(crops):
        # OpenCV takes colours as blue, green, red; of one channel the order is the same.
        files[row] = cv2.imencode(".png", np.ascontiguousarray(crop[..., ::-1]))[1].tobytes()
    return files
