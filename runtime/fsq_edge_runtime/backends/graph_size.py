"""How much memory and arithmetic a device graph asks for, told before it is run.

A file of a few kilobytes can ask for terabytes: a constant of any shape, a product of two of them, a padding. Sizes are
those that onnxruntime itself infers from the shapes, with nothing optimised and nothing computed.
"""

from __future__ import annotations

import math
from typing import Any

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.onnx_graph import GraphNode, read_graph_ports, read_nodes
from fsq_edge_runtime.protobuf_writer import nested_field, text_field

MAX_VALUES = 64 << 20  # of all tensors together: 256 MiB of float32
MAX_PRODUCTS = 4_000_000_000  # multiply-adds of one window: seconds on a small board, and no window lasts longer
MAX_SHAPE_VALUES = 4096  # onnxruntime follows the values of shape arithmetic while it infers, and these can double
# Operators of one product per output value and weight of one output channel: where their weights stand.
_WEIGHTS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1, "FusedConv": 1}
_PRODUCTS = frozenset({"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "FusedGemm", "QGemm"})
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
# One output value of these takes a kernel that an attribute names, and onnxruntime walks one with gaps to its end.
_POOLS = frozenset({"AveragePool", "QLinearAveragePool", "MaxPool", "LpPool"})
# One output value of these may take every input value.
_DEAR = frozenset({
    "Attention", "Col2Im", "DFT", "Det", "GridSample", "LRN", "MaxRoiPool", "MaxUnpool", "NonMaxSuppression",
    "RoiAlign", "STFT",
})  # fmt: skip
_CHEAP_CONTRIB = (
    *("QLinear", "Quantize", "Dequantize", "DynamicQuantize"),
    *("Gelu", "FastGelu", "BiasGelu", "QuickGelu"),
)


def check_size(model: bytes, what: str, *, batch: int = 1) -> None:
    """Refuse a graph that asks for more memory or arithmetic than a device has for a window.

    Args:
        model: an ONNX file that :func:`fsq_edge_runtime.onnx_graph.check_plain_graph` takes.
        what: its name for the message.
        batch: what a size with a name stands for.

    Raises:
        DataError: too large, a size that is known only when it runs, or a graph that onnxruntime refuses.
    """
    nodes, constants = read_nodes(model)
    _check_shape_values(nodes, what)
    made = _shapes(model, nodes, what, batch)
    values = sum(math.prod(shape) for shape in made.values())
    if values > MAX_VALUES * batch:
        raise DataError(f"{what} makes {values} values for a window, at most {MAX_VALUES} are allowed")
    shapes = {**constants, **made}
    products = sum(_products(node, shapes) for node in nodes)
    if products > MAX_PRODUCTS * batch:
        raise DataError(f"{what} takes up to {products:.3g} products a window, at most {MAX_PRODUCTS:.3g} are allowed")


def _check_shape_values(nodes: list[GraphNode], what: str) -> None:
    """Refuse a chain of Concats that doubles a shape until it fills the memory of whoever follows it."""
    counts: dict[str, int] = {}
    for node in nodes:
        known = [counts.get(name, 1) for name in node.inputs] or [1]
        count = sum(known) if node.operator == "Concat" and node.axis in (0, -1) else max(known)
        if count > MAX_SHAPE_VALUES:
            raise DataError(f"{what} joins more than {MAX_SHAPE_VALUES} values of shapes at {node.outputs[:1]}")
        counts.update(dict.fromkeys(node.outputs, count))


def _shapes(model: bytes, nodes: list[GraphNode], what: str, batch: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that a node makes or an input brings."""
    ends = {port.name for port in read_graph_ports(model)[1]}
    inner = dict.fromkeys(name for node in nodes for name in node.outputs if name and name not in ends)
    try:
        session = _session(model + _as_outputs(inner))
    except Exception as error:
        raise DataError(f"{what} cannot be loaded by onnxruntime: {first_line(error)}") from error
    shapes: dict[str, tuple[int, ...]] = {}
    for port in (*session.get_inputs(), *session.get_outputs()):
        sizes = [batch if isinstance(size, str) and batch > 1 else size for size in port.shape]
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise DataError(f"{what}: the size of {port.name[:80]!r} is known only when it runs: {port.shape}")
        shapes[port.name] = tuple(sizes)
    return shapes


def _session(model: bytes) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _products(node: GraphNode, shapes: dict[str, tuple[int, ...]]) -> int:
    """Return an upper bound of the multiply-adds of one node."""
    made = sum(math.prod(shapes[name]) for name in node.outputs if name in shapes)
    taken = [shapes.get(name, ()) for name in node.inputs]
    sizes = [math.prod(shape) for shape in taken]
    if node.operator in _WEIGHTS and len(taken) > _WEIGHTS[node.operator]:
        weights = taken[_WEIGHTS[node.operator]]
        each = math.prod(weights[1:])
        return (sizes[0] if node.operator == "ConvTranspose" else made) * each
    if node.operator in _PRODUCTS and taken:
        return made * max(1, *(taken[0][-2:]))
    if node.operator in _RECURRENT and len(taken) > 2 and len(taken[0]) == 3:
        return taken[0][0] * taken[0][1] * (sizes[1] + sizes[2])
    if node.operator in _POOLS:
        return made * max(1, node.kernel)
    if node.operator == "Einsum":
        return math.prod(sizes)  # every combination of values
    foreign = node.domain == "com.microsoft" and not node.operator.startswith(_CHEAP_CONTRIB)
    if node.operator in _DEAR or foreign:
        return made * max(*sizes, node.kernel, 1)
    return made + sum(sizes)


def _as_outputs(names: dict[str, None]) -> bytes:
    """Return what, put after a model's bytes, makes tensors its outputs too: protobuf merges the two graphs."""
    return nested_field(7, *(nested_field(12, text_field(1, name)) for name in names))
