"""Requests that TF Serving replays before it answers the first client.

The first request of each signature otherwise pays for graph optimisation and memory: seconds, in
which a server that rolls over to a new version would not answer.

Source: TensorFlow Serving, SavedModel Warmup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from deepcoder_tf.export.answers import Signature
from deepcoder_tf.export.parity import faces_for, inputs_of

__all__ = ["WARMUP", "read_warmup", "write_warmup"]

WARMUP = "assets.extra/tf_serving_warmup_requests"
"""Where a server looks for them, inside a version's folder."""


def write_warmup(
    path: Path, name: str, signatures: Sequence[Signature], card: Mapping[str, Any]
) -> None:
    """Writes one request of one face for every signature.

    Args:
      path: of a version.
      name: by which the model is served; a server reads no more of it than the signature.
      signatures: of the export.
      card: of the export.
    """
    faces = faces_for(card)
    file = path / WARMUP
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature in signatures:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = signature.name
            for key, value in inputs_of(signature, faces).items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value[:1]))
            writer.write(log.SerializeToString())


def read_warmup(path: Path) -> list[tuple[str, dict[str, tf.Tensor]]]:
    """Signature and inputs of every request of a version's folder, as a server takes them."""
    requests = []
    for record in tf.data.TFRecordDataset(str(path / WARMUP)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {key: tf.constant(tf.make_ndarray(t)) for key, t in request.inputs.items()}
        requests.append((request.model_spec.signature_name, inputs))
    return requests
