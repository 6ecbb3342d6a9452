"""The device graph with a symbolic batch: one network for many windows at once, on the CPU only."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.onnx_graph import read_graph_ports

BATCH = "N"
PROBES = 8  # frames on which the two graphs are compared
TOLERANCE = 1e-5  # on t: rounding in another order, never another network


def symbolic_batch(model: bytes) -> bytes:
    """Return a batch-1 device graph with its batch made symbolic, proven to compute equal outputs.

    Args:
        model: ``encoder.onnx``: input ``input`` (1, C', H, W), output ``t`` (1, D), static.

    Returns:
        Equal nodes and weights, with input (N, C', H, W) and output (N, D).

    Raises:
        DataError: the graph mixes the frames of a batch, or has its batch written into a node that is not a Reshape.
    """
    batched = onnx.load_from_string(model)
    graph = batched.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]  # recorded for a batch of 1
    _free_reshapes(graph)
    made: bytes = batched.SerializeToString()
    _prove(model, made)
    return made


def _free_reshapes(graph: onnx.GraphProto) -> None:
    """Let every Reshape to (1, ...) keep the batch of its input: 0 copies a dimension."""
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for initializer in graph.initializer:
        if initializer.name in shapes:
            shape = numpy_helper.to_array(initializer).copy()
            if shape.size and shape[0] == 1:
                shape[0] = 0
                initializer.CopyFrom(numpy_helper.from_array(shape, initializer.name))


def _prove(single: bytes, batched: bytes) -> None:
    features = len(read_graph_ports(single)[1]) > 1
    one = OnnxBackend(single, features=features)
    together = OnnxBackend(single, batched=batched, features=features)
    frames = np.random.default_rng(0).normal(0.0, 1.0, (PROBES, *one.input_shape[1:])).astype(np.float32)
    try:
        worst = float(np.abs(one.infer_batch(frames) - together.infer_batch(frames)).max())
    except Exception as error:
        raise DataError(f"the device graph cannot take a batch: {error}") from error
    if not worst <= TOLERANCE:
        raise DataError(f"the device graph mixes the frames of a batch: t differs by {worst:.2g}")
