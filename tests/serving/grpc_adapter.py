"""A test adapter: TF Serving's PredictionService over SavedModels loaded in Python.

    python -m tests.serving.grpc_adapter --model_config_file=models.config --port=8500

The flags are those of `tensorflow_model_server`, as far as they go. Port 0 takes a free one; the
line `READY grpc=PORT rest=PORT` tells which. For tests and for trying a client out where no
container can run; production has the official image, see `deploy/`.
"""

from __future__ import annotations

import argparse
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving import rest_adapter
from tests.serving.servables import (
    Code,
    RefusedError,
    Servables,
    as_constant,
    read_config,
    read_most,
    refuse,
)


def kept(method):
    """Refusals become a gRPC status."""

    def call(self, request, context):
        try:
            return method(self, request)
        except RefusedError as error:
            return context.abort(error.code, error.message)

    return call


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, servables: Servables) -> None:
        self.servables = servables

    @kept
    def Predict(self, request: Any) -> Any:
        """Runs a signature."""
        inputs = {name: as_constant(tensor) for name, tensor in request.inputs.items()}
        version, outputs = self.servables.predict(request.model_spec, inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(request.model_spec)
        response.model_spec.version.value = version
        for name in request.output_filter or outputs:
            if name not in outputs:
                refuse(Code.INVALID_ARGUMENT, f"output tensor alias not found in signature: {name}")
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name].numpy()))
        return response

    @kept
    def GetModelMetadata(self, request: Any) -> Any:
        """The signatures."""
        if list(request.metadata_field) != ["signature_def"]:
            refuse(Code.INVALID_ARGUMENT, "Metadata field is not supported")
        version, servable = self.servables.find(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
        response.metadata["signature_def"].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus, and a new configuration while requests come."""

    def __init__(self, servables: Servables) -> None:
        self.servables = servables

    @kept
    def GetModelStatus(self, request: Any) -> Any:
        """Versions that are there."""
        versions = self.servables.models.get(request.model_spec.name)
        if not versions:
            refuse(
                Code.NOT_FOUND, f"Could not find any versions of model {request.model_spec.name}"
            )
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in versions:
            state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
            response.model_version_status.add(version=version, state=state)
        return response

    @kept
    def HandleReloadConfigRequest(self, request: Any) -> Any:
        """Other versions, other labels."""
        self.servables.configure(request.config)
        return model_management_pb2.ReloadConfigResponse()


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_config_file", type=Path, required=True)
    parser.add_argument("--batching_parameters_file", type=Path)
    parser.add_argument("--enable_model_warmup", choices=["true", "false"], default="true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rest_api_port", type=int, default=0)
    flags = parser.parse_args()
    most = (
        None
        if flags.batching_parameters_file is None
        else read_most(flags.batching_parameters_file)
    )
    servables = Servables(most, flags.enable_model_warmup == "true")
    servables.configure(read_config(flags.model_config_file))
    # As many calls at once as cores would starve the rest of a small machine.
    server = grpc.server(
        futures.ThreadPoolExecutor(4),
        # The official server takes messages up to 2 GiB; less is enough to refuse 10,000 crops.
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(servables), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(servables), server)
    port = server.add_insecure_port(f"127.0.0.1:{flags.port}")
    web = rest_adapter.start(servables, flags.rest_api_port)
    server.start()
    print(f"READY grpc={port} rest={web.server_address[1]}", flush=True)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
