"""What a SavedModel's file says of a signature, without loading the model."""

from __future__ import annotations

from pathlib import Path

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

__all__ = ["signature_def"]


def signature_def(export: Path, name: str) -> meta_graph_pb2.SignatureDef:
    """The tensors of a signature's inputs and outputs.

    Args:
      export: a SavedModel.
      name: of the signature.

    Returns:
      The definition, empty where there is no such signature.
    """
    content = (export / "saved_model.pb").read_bytes()
    return saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].signature_def[name]
