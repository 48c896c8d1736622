"""Requests to TF Serving's PredictionService."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from deepcoder_tf.export.retries import Metadata, ServerError

__all__ = ["GrpcCalls"]

MOST_BYTES = 256 * 2**20
"""Of one message: gRPC's own 4 MiB hold 100 crops, these all that `--batch_size` allows."""

CHANNEL = (
    ("grpc.max_send_message_length", MOST_BYTES),
    ("grpc.max_receive_message_length", MOST_BYTES),
    # Left alone, a channel waits up to two minutes before it looks again for a server that came
    # back; when to try is decided by `with_retries`.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class GrpcCalls:
    """One model of one server; bytes go as they are, 38 kB for a crop."""

    sends_pictures = False

    def __init__(
        self, address: str, name: str, version: int | None, label: str | None, timeout: float
    ) -> None:
        """Opens a channel; whether there is a server shows at the first call.

        Args:
          address: `HOST:PORT`, or `grpcs://HOST:PORT` for TLS with the system's certificates.
          name: of the model.
          version: a number, or None.
          label: such as `stable`, or None; without both the server takes the newest version.
          timeout: seconds for one request.
        """
        host = address.removeprefix("grpc://").removeprefix("grpcs://")
        if address.startswith("grpcs://"):
            self._channel = grpc.secure_channel(host, grpc.ssl_channel_credentials(), CHANNEL)
        else:
            self._channel = grpc.insecure_channel(host, CHANNEL)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._spec = predict_pb2.PredictRequest().model_spec
        self._spec.name = name
        if version is not None:
            self._spec.version.value = version
        if label is not None:
            self._spec.version_label = label
        self.timeout = timeout

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """One request.

        Args:
          signature: its name.
          inputs: by name; bytes as an array of objects.
          outputs: the only ones that are sent back.

        Returns:
          The outputs by name.

        Raises:
          ServerError: no answer, or a refusal.
        """
        request = predict_pb2.PredictRequest(model_spec=self._spec, output_filter=outputs)
        request.model_spec.signature_name = signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        response = self._call(self._stub.Predict, request)
        missing = set(outputs) - set(response.outputs)
        if missing:
            raise ServerError(grpc.StatusCode.INTERNAL, f"no output {', '.join(sorted(missing))}")
        return {name: tf.make_ndarray(response.outputs[name]) for name in outputs}

    def metadata(self) -> Metadata:
        """What the server knows of the model.

        Raises:
          ServerError: no answer, or a refusal.
        """
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec, metadata_field=["signature_def"]
        )
        response = self._call(self._stub.GetModelMetadata, request)
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        return Metadata(
            response.model_spec.version.value,
            {name: tuple(sorted(s.inputs)) for name, s in found.signature_def.items()},
        )

    def pin(self, version: int) -> None:
        """Asks for this version from now on."""
        self._spec.version.value = version

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise ServerError(error.code(), error.details() or "") from error

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()
