"""SavedModels under names, versions and labels, for the test adapters: what both of them serve.

Names, status codes and the words of errors are TF Serving's, so that a client meets here what it
would meet there. It is no server for production: that is the official image, see `deploy/`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import model_pb2, prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

Code = grpc.StatusCode
CODES = {code.value[0]: code for code in Code}

PYTHONS_OWN = re.compile(r"^Graph execution error:.*?<stack traces unavailable>\n", re.DOTALL)
"""What TensorFlow in Python, and the official server does not, says before what is wrong."""


class RefusedError(Exception):
    """A request that gets an error status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refuse(code: grpc.StatusCode, message: str) -> NoReturn:
    raise RefusedError(code, message)


class Servable:
    """One version of one model."""

    def __init__(self, folder: Path) -> None:
        self.loaded: Any = tf.saved_model.load(str(folder))
        document = saved_model_pb2.SavedModel()
        document.ParseFromString((folder / "saved_model.pb").read_bytes())
        # The loader adds nothing, but leaves out what is no function, such as the init op.
        self.signatures: dict[str, meta_graph_pb2.SignatureDef] = dict(
            document.meta_graphs[0].signature_def
        )

    def warm_up(self, folder: Path) -> None:
        """Replays the requests that came with the export.

        TensorFlow prepares a graph at its first call, for seconds; many first calls at once would
        each do so, one after the other.
        """
        records = folder / "assets.extra" / "tf_serving_warmup_requests"
        if not records.exists():
            return
        for record in tf.data.TFRecordDataset(str(records)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            request = log.predict_log.request
            inputs = {name: as_constant(tensor) for name, tensor in request.inputs.items()}
            self.predict(request.model_spec.signature_name, inputs)

    def definition(self, name: str) -> meta_graph_pb2.SignatureDef:
        """A signature that can be called."""
        if name not in self.loaded.signatures:
            refuse(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.signatures[name]

    def predict(self, name: str, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Runs a signature; what TensorFlow refuses keeps its code."""
        wanted = self.definition(name).inputs
        if set(inputs) != set(wanted):
            refuse(
                Code.INVALID_ARGUMENT,
                f"input size does not match signature: {len(inputs)}!={len(wanted)} "
                f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(sorted(wanted))}}}).",
            )
        for key, tensor in inputs.items():
            check_fits(key, tensor, wanted[key])
        try:
            return self.loaded.signatures[name](**inputs)
        except tf.errors.OpError as error:
            refuse(CODES.get(error.error_code, Code.UNKNOWN), PYTHONS_OWN.sub("", error.message))
        except (TypeError, ValueError) as error:
            refuse(Code.INVALID_ARGUMENT, str(error))


def as_constant(tensor: Any) -> tf.Tensor:
    """A tensor from its protocol buffer."""
    try:
        return tf.constant(tf.make_ndarray(tensor), tf.dtypes.as_dtype(tensor.dtype))
    except (TypeError, ValueError) as error:
        refuse(Code.INVALID_ARGUMENT, f"tensor parsing error: {error}")


def check_fits(key: str, tensor: tf.Tensor, info: meta_graph_pb2.TensorInfo) -> None:
    """What a session says of a tensor that its placeholder cannot take."""
    if tensor.dtype.as_datatype_enum != info.dtype:
        had, wanted = (
            types_pb2.DataType.Name(d) for d in (tensor.dtype.as_datatype_enum, info.dtype)
        )
        refuse(Code.INVALID_ARGUMENT, f"Expects arg {key} to be {wanted} but {had} is provided")
    if not tensor.shape.is_compatible_with(tf.TensorShape(info.tensor_shape)):
        refuse(
            Code.INVALID_ARGUMENT,
            f"Cannot feed value of shape {tensor.shape} for {key} of shape "
            f"{tf.TensorShape(info.tensor_shape)}",
        )


class Servables:
    """Every model of a `models.config`, in the versions that its policy asks for."""

    def __init__(self, most: int | None = None, warm: bool = True) -> None:
        """Without models.

        Args:
          most: rows in one request, `max_batch_size`; None for no limit but the model's own.
          warm: replay each version's warm-up requests before it is there.
        """
        self.most = most
        self.warm = warm
        self.models: dict[str, dict[int, Servable]] = {}
        self.labels: dict[str, dict[str, int]] = {}

    def configure(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Takes a configuration over, at the start or while requests come."""
        models, labels = {}, {}
        for entry in config.model_config_list.config:
            base = Path(entry.base_path)
            there = sorted(int(p.name) for p in base.iterdir() if p.name.isdigit())
            if not there:
                refuse(Code.NOT_FOUND, f"No versions of servable {entry.name} found under {base}")
            wanted = versions_of(entry.model_version_policy, there)
            known = self.models.get(entry.name, {})
            models[entry.name] = {v: known.get(v) or self.load(base / str(v)) for v in wanted}
            labels[entry.name] = dict(entry.version_labels)
            for label, version in entry.version_labels.items():
                if version not in wanted:
                    refuse(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {entry.name}, "
                        f"which is not currently available for inference ({label})",
                    )
        self.models, self.labels = models, labels

    def load(self, folder: Path) -> Servable:
        """One version, ready to answer."""
        servable = Servable(folder)
        if self.warm:
            servable.warm_up(folder)
        return servable

    def find(self, spec: model_pb2.ModelSpec) -> tuple[int, Servable]:
        """The version that a request means."""
        versions = self.models.get(spec.name, {})
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            labels = self.labels.get(spec.name, {})
            if spec.version_label not in labels:
                refuse(
                    Code.INVALID_ARGUMENT,
                    f"Unrecognized servable version label: {spec.version_label}",
                )
            version = labels[spec.version_label]
        elif choice == "version":
            version = spec.version.value
        else:
            version = max(versions, default=0)
        if version not in versions:
            which = f"Specific({spec.name}, {version})" if choice else f"Latest({spec.name})"
            refuse(Code.NOT_FOUND, f"Servable not found for request: {which}")
        return version, versions[version]

    def predict(
        self, spec: model_pb2.ModelSpec, inputs: dict[str, tf.Tensor]
    ) -> tuple[int, dict[str, tf.Tensor]]:
        """Runs a request; gives the version that answered and its outputs."""
        version, servable = self.find(spec)
        for tensor in inputs.values():
            if self.most is None:
                break
            if not tensor.shape.rank:
                refuse(
                    Code.INVALID_ARGUMENT,
                    "Batching Run() input tensors must have at least one dimension",
                )
            if tensor.shape[0] > self.most:
                refuse(
                    Code.INVALID_ARGUMENT,
                    f"Task size {tensor.shape[0]} is larger than maximum input batch size "
                    f"{self.most}",
                )
        return version, servable.predict(spec.signature_name or "serving_default", inputs)


def versions_of(policy: Any, there: list[int]) -> list[int]:
    """The versions that a policy asks for; only the newest without one."""
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return there
    if choice == "specific":
        return [version for version in policy.specific.versions if version in there]
    return there[-max(policy.latest.num_versions, 1) :]


def read_config(path: Path) -> model_server_config_pb2.ModelServerConfig:
    """Reads a `models.config`."""
    return text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())


def read_most(path: Path) -> int:
    """The `max_batch_size` of a `batching.config`."""
    found = re.search(r"^max_batch_size\s*{\s*value:\s*(\d+)\s*}", path.read_text(), re.M)
    assert found, f"{path} has no max_batch_size"
    return int(found[1])


def as_tensor(values: Any, info: meta_graph_pb2.TensorInfo) -> tf.Tensor:
    """A tensor from JSON, as TF Serving reads it: whole numbers only for integers."""
    dtype = tf.dtypes.as_dtype(info.dtype)
    try:
        array = np.array(values, object if dtype == tf.string else None)
        if dtype == tf.string:
            return tf.constant(array.tolist(), dtype)
        if array.dtype.kind not in ("iu" if dtype.is_integer else "iuf"):
            raise ValueError(f"{array.dtype} is not of expected type: {dtype.name}")
        if (
            dtype.is_integer
            and array.size
            and not dtype.min <= array.min() <= array.max() <= dtype.max
        ):
            raise ValueError(f"a number is out of the range of {dtype.name}")
        return tf.constant(array.astype(dtype.as_numpy_dtype))
    except (TypeError, ValueError) as error:
        refuse(Code.INVALID_ARGUMENT, f"JSON Value: {error}")
