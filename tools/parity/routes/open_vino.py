"""The SavedModel, read and run by OpenVINO: another runtime with kernels of its own.

Its processor plugin computes in single precision throughout, also where the graph says double: the
mean of a Gaussian process, a small difference of large sums, then keeps three digits behind the
point, and so do the intensities. Of two things it has to be told here:

- it does not know the operation `DenseBincount`;
- it (2026.4) loses the bias of a dense layer whose output is turned to double precision and then
  shifted, as a Gaussian process standardises its inputs. It does not where that output is asked
  for, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tools.parity.route import Limit, Outputs, Question, Route, UnavailableError

__all__ = ["ROUTE", "ask"]


def ask(question: Question) -> Outputs:
    """Converts the SavedModel in memory and runs it on the processor."""
    try:
        import openvino as ov
        from openvino.frontend.tensorflow import ConversionExtension
    except ImportError as error:
        raise UnavailableError("openvino is not installed") from error
    bincount = ConversionExtension("DenseBincount", dense_bincount)
    model = ov.convert_model(str(question.export), extension=[bincount])
    model.add_outputs([op.input_value(0) for op in model.get_ops() if widens(op)])
    # On some processors it would choose bfloat16 by itself.
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer = compiled(dict(question.inputs))
    return {name: answer[port] for port in compiled.outputs for name in port.names}


def widens(operation: Any) -> bool:
    """Whether it turns single precision to double."""
    if operation.get_type_name() != "Convert":
        return False
    types = (operation.get_input_element_type(0), operation.get_output_element_type(0))
    return tuple(kind.get_type_name() for kind in types) == ("f32", "f64")


def dense_bincount(node: Any) -> list[Any]:
    """How often each number below `size` occurs in each row: a sum of ones, scattered."""
    from openvino import opset12 as op

    zero, one = (op.constant(np.array(number, np.int32)) for number in (0, 1))
    values, size = node.get_input(0), node.get_input(1)
    shape = op.shape_of(values, "i32")
    rows = op.unsqueeze(op.gather(shape, zero, zero), zero)
    none = op.broadcast(zero, op.concat([rows, op.unsqueeze(size, zero)], 0))
    ones = op.broadcast(one, shape)
    counts = op.scatter_elements_update(none, values, ones, one, reduction="sum")
    return counts.outputs()


ROUTE = Route("openvino", "OpenVINO, single precision", Limit(1e-3), ask)
