"""Where a chip does not take all of a network: the device graph, and the host graph that runs behind it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.checker.splitting import split
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.onnx_graph import JOIN, ROW_PREFIX


@dataclass(frozen=True, slots=True)
class CutGraph:
    """A network as a bundle runs it.

    Attributes:
        device: ONNX bytes, ``input`` (1, C', 1, T) to ``t`` (1, D).
        host: ONNX bytes, ``t`` (1, D) to ``scores`` (1, K); None where the device graph makes the scores.
        report: the check of the whole.
        refusal: why the cut cannot be bundled; empty where it can, or where nothing is cut.
        host_operators: operators of the host graph, each once, in order.
    """

    device: bytes
    host: bytes | None
    report: CheckReport
    refusal: str = ""
    host_operators: tuple[str, ...] = ()


def cut_graph(graph: bytes, arch: str) -> CutGraph:
    """Check a graph from ``input`` to ``t`` and cut it where the check says.

    Args:
        graph: ONNX bytes.
        arch: target architecture.

    Raises:
        DataError: the parts do not compute what the whole does, or a part that is cut away has a loop.
        UsageError: an unknown target.
    """
    model = onnx.load_from_string(graph)
    report = check(model, arch)
    if report.verdict != "cut":
        return CutGraph(graph, None, report)
    looping = [node.op_type for node in model.graph.node if node.op_type in ("Loop", "Scan", "If")]
    if looping:
        raise DataError(
            f"the network has a {looping[0]}, and nobody can bound its time before it runs",
            hint="export an LSTM with an open batch, then it is one operator, or give the recurrent layer unroll=True",
        )
    parts = split(model, arch)
    if parts.front is not None:
        first = parts.front.graph.node[-1].op_type
        return CutGraph(graph, None, report, f"the host would have to run {first} before the device, a bundle cannot")
    if parts.host is None:
        return CutGraph(graph, None, report, "the part that is cut away gives nothing to the output")
    leaving = [(value.name, _sizes(value)) for value in parts.device.graph.output]
    known = {name for name, _ in leaving}
    beside = [value.name for value in parts.host.graph.input if value.name not in known]
    if beside:
        return CutGraph(graph, None, report, "the part behind the cut reads the network's input, a bundle cannot")
    if any(value.type.tensor_type.elem_type != TensorProto.FLOAT for value in parts.device.graph.output):
        return CutGraph(graph, None, report, "the device would have to give other numbers than float32")
    operators = tuple(dict.fromkeys(node.op_type for node in parts.host.graph.node))
    device, host = _joined(parts.device, leaving), _divided(parts.host, leaving)
    return CutGraph(device, host, report, "", operators)


def without_rows(device: bytes) -> Any:
    """Return a device graph (a ``ModelProto``) as the compiler sees it: it ends where the host graph takes over."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(device))
    graph = model.graph
    known = {value.name: value for value in graph.value_info}
    rows = [node for node in graph.node if node.name.startswith(ROW_PREFIX) or node.name == JOIN]
    leaving = [node.input[0] for node in rows if node.name != JOIN]
    for node in rows:
        graph.node.remove(node)
    del graph.output[:]
    graph.output.extend(known[name] for name in leaving)
    return model


def _joined(device: Any, leaving: list[tuple[str, tuple[int, ...]]]) -> bytes:
    """Return the device part with all that leaves it as one row ``t``."""
    graph = device.graph
    rows = []
    for place, (name, shape) in enumerate(leaving):
        target = "t" if len(leaving) == 1 else f"fsq_row_{place}"
        size = numpy_helper.from_array(np.asarray((1, prod(shape)), dtype=np.int64), f"fsq_row_shape_{place}")
        graph.initializer.append(size)
        graph.node.append(helper.make_node("Reshape", [name, size.name], [target], f"{ROW_PREFIX}_{place}"))
        rows.append(target)
    if len(rows) > 1:
        graph.node.append(helper.make_node("Concat", rows, ["t"], JOIN, axis=1))
    del graph.output[:]
    width = sum(prod(shape) for _, shape in leaving)
    graph.output.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, width]))
    return _checked(device, "device part")


def _divided(host: Any, leaving: list[tuple[str, tuple[int, ...]]]) -> bytes:
    """Return the host part, which takes the row ``t`` apart and gives ``scores``."""
    graph = host.graph
    outputs = [value.name for value in graph.output]
    if outputs != ["t"]:
        raise DataError(f"the part behind the cut gives {outputs}, expected t")
    width_out = _sizes(graph.output[0])[-1]
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == "t":
                node.output[place] = "scores"
        for place, name in enumerate(node.input):
            if name == "t":
                node.input[place] = "scores"
    before: list[Any] = []
    start = 0
    for place, (name, shape) in enumerate(leaving):
        end = start + prod(shape)
        piece = "t"
        if len(leaving) > 1:
            piece = f"fsq_piece_{place}"
            ends = [
                numpy_helper.from_array(np.asarray([value], dtype=np.int64), f"fsq_{word}_{place}")
                for word, value in (("start", start), ("end", end), ("axis", 1))
            ]
            graph.initializer.extend(ends)
            inputs = ["t", *(item.name for item in ends)]
            before.append(helper.make_node("Slice", inputs, [piece], f"fsq_slice_{place}"))
        size = numpy_helper.from_array(np.asarray(shape, dtype=np.int64), f"fsq_shape_{place}")
        graph.initializer.append(size)
        before.append(helper.make_node("Reshape", [piece, size.name], [name], f"fsq_unrow_{place}"))
        start = end
    nodes = list(graph.node)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend([*before, *nodes])
    graph.input.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, start]))
    graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, width_out]))
    return _checked(host, "host part")


def _checked(model: Any, what: str) -> bytes:
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise DataError(f"the {what} is not a valid model: {error}") from error
    data: bytes = model.SerializeToString()
    return data


def _sizes(value: Any) -> tuple[int, ...]:
    sizes = tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)
    if not sizes or min(sizes) < 1:
        raise DataError(f"the tensor {value.name!r} at the cut has no fixed size")
    return sizes
