"""The SavedModel, run by a small C program against TensorFlow's library: no Python, as a server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_shape_pb2

from tools.parity.program import run_program
from tools.parity.route import Limit, Outputs, Question, Route, UnavailableError
from tools.parity.signature_def import signature_def

__all__ = ["ROUTE", "ask", "build"]

SOURCE = Path(__file__).parents[1] / "c_api.c"
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
"""Of TensorFlow's wheel."""

TYPES = {"uint8": "uint8", "int32": "int32", "float32": "float", "object": "string"}
"""The C program's names of types, by NumPy's."""


def build(folder: Path) -> Path:
    """Compiles the C program.

    Args:
      folder: where it shall lie.

    Returns:
      The program.

    Raises:
      UnavailableError: no compiler, or not the libraries, are here.
      RuntimeError: it does not compile.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise UnavailableError("no C compiler here")
    folder_of_libraries = Path(tf.sysconfig.get_lib())
    libraries = [folder_of_libraries / name for name in LIBRARIES]
    absent = [path.name for path in libraries if not path.is_file()]
    if absent:
        raise UnavailableError(f"{', '.join(absent)} does not come with this TensorFlow")
    program = folder / "c_api"
    run_program(
        [
            *(compiler, "-std=gnu11", "-O2", "-Wall", "-Werror", str(SOURCE), "-o", str(program)),
            # System headers: their warnings are not ours.
            *("-isystem", tf.sysconfig.get_include(), *map(str, libraries)),
            f"-Wl,-rpath,{folder_of_libraries}",
        ]
    )
    return program


def write_tensor(value: np.ndarray, path: Path) -> None:
    """Writes what the C program reads: plain numbers, or each string behind its length."""
    if value.dtype == object:
        parts = [np.uint64(len(text)).tobytes() + text for text in value.ravel()]
        path.write_bytes(b"".join(parts))
    else:
        path.write_bytes(np.ascontiguousarray(value).tobytes())


def ask(question: Question) -> Outputs:
    """Writes the inputs to files, runs the program, and reads the files that it writes."""
    program = build(question.folder)
    signature = signature_def(question.export, question.signature)
    arguments = []
    for name, value in question.inputs.items():
        path = question.folder / f"{name}.in"
        write_tensor(value, path)
        dims = ",".join(map(str, value.shape))
        tensor = signature.inputs[name].name
        arguments.append(f"in:{tensor}:{TYPES[value.dtype.name]}:{dims}:{path}")
    files = {name: question.folder / f"{name}.out" for name in signature.outputs}
    arguments += [f"out:{signature.outputs[name].name}:{path}" for name, path in files.items()]
    run_program([str(program), str(question.export), *arguments])
    return {
        name: read_tensor(path, signature.outputs[name].dtype, signature.outputs[name].tensor_shape)
        for name, path in files.items()
    }


def read_tensor(path: Path, dtype: int, shape: tensor_shape_pb2.TensorShapeProto) -> np.ndarray:
    """Reads what the C program wrote; the batch is what remains."""
    numbers = np.fromfile(path, tf.as_dtype(dtype).as_numpy_dtype)
    return numbers.reshape([-1, *(side.size for side in shape.dim[1:])])


ROUTE = Route("c_api", "TensorFlow's C API, no Python", Limit(1e-5), ask, every_signature=True)
