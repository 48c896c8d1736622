"""From a float32 graph for TFLite to one with eight-bit convolutions.

What is quantised is the network, by which a picture becomes features or a code: its convolutions
and poolings work in int8, with ranges that were seen on prepared faces; its dense layers keep
int8 weights and measure the range of each input as it comes. Gaussian processes and the
distribution over levels stay in floating point, their large matrices stored as float16: they are
small differences of large sums, of which eight bits leave nothing. So do the sums and joints of
the blocks of a recogniser: in int8 they cost accuracy and gain no time.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping

import numpy as np

from deepcoder_tf.errors import UserError
from deepcoder_tf.export.lite_graph import NETWORK

__all__ = ["quantised"]


def quantised(
    graph: bytes, signature: str, representative: Iterable[Mapping[str, np.ndarray]]
) -> bytes:
    """The graph with its network in int8.

    Args:
      graph: float32, whose network's operations are called `NETWORK...`.
      signature: that takes the faces.
      representative: inputs by name, one face each, from which ranges are taken.

    Returns:
      The other graph.

    Raises:
      UserError: ai-edge-quantizer is not installed.
    """
    try:
        from ai_edge_quantizer import quantizer
        from ai_edge_quantizer.algorithm_manager import AlgorithmName
        from ai_edge_quantizer.qtyping import TFLOperationName as Operation
    except ImportError as error:
        raise UserError(
            "--tflite=int8 needs ai-edge-quantizer; pip install 'deepcoder-tf[lite]'"
        ) from error
    work = quantizer.Quantizer(bytearray(graph))
    work.add_weight_only_config(
        ".*", Operation.FULLY_CONNECTED, 16, algorithm_key=AlgorithmName.FLOAT_CASTING
    )
    for operation in (Operation.CONV_2D, Operation.DEPTHWISE_CONV_2D, Operation.MAX_POOL_2D):
        work.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8)
    work.add_dynamic_config(NETWORK, Operation.FULLY_CONNECTED, num_bits=8)
    # What it tells of its progress is not for the users of a command.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ranges = work.calibrate({signature: [dict(face) for face in representative]})
        result = work.quantize(ranges, enable_progress_report=False)
    return bytes(result.quantized_model)
