"""The device graph of a network that was trained elsewhere: frames in, scores out, its own nodes between."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.checker.operators import RESHAPES
from fsq_edge_compile.checker.rewrites.fixing import fix
from fsq_edge_compile.checker.rewrites.workbench import Workbench
from fsq_edge_compile.constants import fold_constants
from fsq_edge_compile.foreign.heads import HeadKind
from fsq_edge_compile.foreign.reading import SOFTMAXES, ForeignNetwork
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.errors import DataError

DROPPED: Final = {"softmax": SOFTMAXES, "sigmoid": ("Sigmoid",), "anomaly": ()}  # last nodes that the head computes


def _rename(nodes: Sequence[onnx.NodeProto], initializers: Sequence[onnx.TensorProto], names: dict[str, str]) -> None:
    """Rename tensors: a network may call its own what the device graph calls its input and output."""
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
        for index, name in enumerate(node.output):
            node.output[index] = names.get(name, name)
    for tensor in initializers:
        tensor.name = names.get(tensor.name, tensor.name)


def device_graph(network: ForeignNetwork, layout: Sequence[str], channels: int, head: HeadKind) -> bytes:
    """Return the graph that a bundle runs: ``input`` (1, C', 1, T) to ``t`` (1, D), rewritten as ``check --fix`` does.

    A softmax or sigmoid at the end is left out: the head computes it. Where the output reconstructs the input, ``t``
    is their mean squared difference, in the network's normalised units.

    Args:
        network: the network.
        layout: order of the axes of its input.
        channels: C', what the network sees.
        head: what ``t`` is.

    Raises:
        DataError: the output does not fit the head, or the graph cannot be run.
    """
    model = copied(network.model)
    graph = model.graph
    samples = prod(network.source_shape) // channels
    constants: list[Any] = []
    swapped = list(layout).index("T") < list(layout).index("C")
    nodes = list(graph.node)
    _rename(nodes, graph.initializer, {name: f"fsq_own_{name}" for name in ("input", "t")})
    source, sink = (f"fsq_own_{name}" if name in ("input", "t") else name for name in (network.source, network.sink))
    if network.ending in DROPPED[head]:
        last = next(node for node in nodes if sink in node.output)
        nodes.remove(last)
        sink = last.input[0]
    before = []
    if swapped:  # of rank 3, so that it cancels the network's own first Transpose
        before = [
            _reshape("input", "fsq_window", (1, channels, samples), constants),
            helper.make_node("Transpose", ["fsq_window"], ["fsq_swapped"], "fsq_swap", perm=[0, 2, 1]),
        ]
    if not swapped or network.source_shape != (1, samples, channels):
        before.append(_reshape("fsq_swapped" if swapped else "input", source, network.source_shape, constants))
    else:
        before[-1].output[0] = source
    after = _ending(network, sink, head, channels, swapped, constants)
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend([*before, *nodes, *after])
    graph.initializer.extend(constants)
    width = 1 if head == "anomaly" else prod(network.sink_shape)
    graph.input.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, 1, samples]))
    graph.output.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, width]))
    model = onnx.shape_inference.infer_shapes(model)
    fold_constants(model)
    _join_first_moves(model)
    fixed = fix(model).model
    _drop_plain_reshapes(fixed)
    made: bytes = fixed.SerializeToString()
    return made


def _ending(
    network: ForeignNetwork, sink: str, head: HeadKind, channels: int, swapped: bool, constants: list[Any]
) -> list[Any]:
    size = prod(network.sink_shape)
    if head != "anomaly":
        return [_reshape(sink, "t", (1, size), constants)]
    if size == 1:
        return [_reshape(sink, "t", (1, 1), constants)]
    if network.sink_shape != network.source_shape:
        raise DataError(
            f"an anomaly head takes one score or a reconstruction of the input {network.source_shape}, "
            f"the network gives {network.sink_shape}"
        )
    # The difference is taken in the frame's own shape, where the mean is a pool over time and one over channels.
    frame = (1, channels, 1, size // channels)
    if swapped:
        restored = [
            _reshape(sink, "fsq_back", (1, frame[3], channels), constants),
            helper.make_node("Transpose", ["fsq_back"], ["fsq_turned"], "fsq_swap_back", perm=[0, 2, 1]),
            _reshape("fsq_turned", "fsq_output", frame, constants),
        ]
    else:
        restored = [_reshape(sink, "fsq_output", frame, constants)]
    constants.append(numpy_helper.from_array(np.full((1, channels, 1, 1), 1.0 / channels, np.float32), "fsq_share"))
    return [
        *restored,
        helper.make_node("Sub", ["input", "fsq_output"], ["fsq_difference"], "fsq_subtract"),
        helper.make_node("Mul", ["fsq_difference", "fsq_difference"], ["fsq_square"], "fsq_multiply"),
        helper.make_node("GlobalAveragePool", ["fsq_square"], ["fsq_by_channel"], "fsq_pool"),
        helper.make_node("Conv", ["fsq_by_channel", "fsq_share"], ["fsq_score"], "fsq_mean", kernel_shape=[1, 1]),
        helper.make_node("Flatten", ["fsq_score"], ["t"], "fsq_flatten"),
    ]


def _reshape(source: str, target: str, shape: Sequence[int], constants: list[Any]) -> Any:
    name = f"fsq_shape_{len(constants)}"
    constants.append(numpy_helper.from_array(np.asarray(shape, dtype=np.int64), name))
    return helper.make_node("Reshape", [source, name], [target], f"fsq_reshape_{len(constants)}")


def _join_first_moves(model: Any) -> None:
    """Let one Reshape lead from the frame to what the network makes of it by several moves that keep the order."""
    known = {value.name: _shape_of(value) for value in model.graph.value_info}
    moved = {"input"}
    for node in model.graph.node:
        if node.op_type not in RESHAPES or node.input[0] not in moved or (shape := known.get(node.output[0])) is None:
            continue
        moved.add(node.output[0])
        if node.input[0] != "input":
            size = numpy_helper.from_array(np.asarray(shape, dtype=np.int64), f"{node.output[0]}_first_shape")
            model.graph.initializer.append(size)
            joined = helper.make_node("Reshape", ["input", size.name], [node.output[0]], node.name)
            node.CopyFrom(joined)


def _drop_plain_reshapes(model: Any) -> None:
    """Join Reshapes that follow each other, and take out those that keep the shape: no value changes in either.

    They remain where a network of rank 3, between the frame and its scores, became rank 4.
    """
    graph = model.graph
    known = {value.name: _shape_of(value) for value in (*graph.input, *graph.output)}
    inferred = onnx.shape_inference.infer_shapes(model)
    known |= {value.name: _shape_of(value) for value in inferred.graph.value_info}
    reshapes = {node.output[0]: node for node in graph.node if node.op_type == "Reshape"}
    for node in list(graph.node):
        if node.op_type != "Reshape":
            continue
        source = node.input[0]
        while source in reshapes:
            source = reshapes[source].input[0]
        shape = known.get(node.output[0])
        if shape is None or (source == node.input[0] and known.get(source) != shape):
            continue
        if known.get(source) == shape and node.output[0] != "t":
            for other in graph.node:
                for place, name in enumerate(other.input):
                    if name == node.output[0]:
                        other.input[place] = source
            # A Loop may still read it from inside; where nothing does, cleaning takes it out.
        else:
            target = numpy_helper.from_array(np.asarray(shape, dtype=np.int64), f"{node.output[0]}_shape")
            graph.initializer.append(target)
            node.input[0], node.input[1] = source, target.name
    Workbench(model).clean()


def _shape_of(value: Any) -> tuple[int, ...] | None:
    sizes = tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)
    return sizes if sizes and min(sizes) > 0 else None
