"""The SavedModel, converted to ONNX by tf2onnx and run by onnxruntime.

ONNX has the error function but not its complement, and onnxruntime has it in single precision: the
nodes that compute either are replaced after the conversion. All others run as they are, those in
double precision too.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from tools.parity.program import run_program
from tools.parity.route import Limit, Outputs, Question, Route, UnavailableError

__all__ = ["ROUTE", "ask"]

OPSET = "18"
"""Version of the ONNX operators; the newest that tf2onnx 1.17 writes."""


def ask(question: Question) -> Outputs:
    """Converts in a process of its own, which changes TensorFlow's global state, then runs."""
    missing = [n for n in ("onnx", "onnxruntime", "tf2onnx") if importlib.util.find_spec(n) is None]
    if missing:
        raise UnavailableError(f"{' and '.join(missing)} not installed")
    import onnxruntime

    converted = question.folder / "model.onnx"
    run_program(
        [
            *(sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(question.export)),
            *("--signature_def", question.signature, "--tag", "serve"),
            *("--opset", OPSET, "--output", str(converted)),
        ]
    )
    replace_error_functions(converted)
    session = onnxruntime.InferenceSession(str(converted), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(question.inputs)), strict=True))


def replace_error_functions(path: Path) -> None:
    """Rewrites Erf(x) as a node in single precision between casts, and Erfc(x) as 1 - Erf(x)."""
    import onnx

    model = onnx.load(str(path))
    kept, replaced = [], 0
    for node in model.graph.node:
        if node.op_type in ("Erf", "Erfc"):
            kept += error_function(node)
            replaced += 1
        else:
            kept.append(node)
    if replaced:
        del model.graph.node[:]
        model.graph.node.extend(kept)
        onnx.save(model, str(path))


def error_function(node: Any) -> list[Any]:
    """The nodes that compute what one of double precision does."""
    import onnx
    from onnx import helper

    (x,), (y,) = node.input, node.output
    narrow, erf, wide, one = (f"{y}/{part}" for part in ("narrow", "erf", "wide", "one"))
    nodes = [
        helper.make_node("Cast", [x], [narrow], to=onnx.TensorProto.FLOAT),
        helper.make_node("Erf", [narrow], [erf]),
    ]
    if node.op_type == "Erf":
        return [*nodes, helper.make_node("Cast", [erf], [y], to=onnx.TensorProto.DOUBLE)]
    value = helper.make_tensor(one, onnx.TensorProto.DOUBLE, [], [1.0])
    return [
        *nodes,
        helper.make_node("Cast", [erf], [wide], to=onnx.TensorProto.DOUBLE),
        helper.make_node("Constant", [], [one], value=value),
        helper.make_node("Sub", [one, wide], [y]),
    ]


ROUTE = Route("onnxruntime", "tf2onnx, then onnxruntime", Limit(1e-4), ask)
