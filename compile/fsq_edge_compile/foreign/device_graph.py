"""The device graph of a network that was trained elsewhere: frames in, scores out, its own nodes between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.checker.rewrites.fixing import fix, load_whole
from fsq_edge_compile.checker.rewrites.proving import Prover
from fsq_edge_compile.checker.rewrites.workbench import Workbench
from fsq_edge_compile.foreign.heads import HeadKind
from fsq_edge_compile.foreign.network_input import LAYOUTS, NetworkInput, layout_text
from fsq_edge_runtime.errors import DataError

SOFTMAXES: Final = ("Softmax", "LogSoftmax")
SQUASHING: Final = (*SOFTMAXES, "Sigmoid")
DROPPED: Final = {"softmax": SOFTMAXES, "sigmoid": ("Sigmoid",), "anomaly": ()}  # last nodes that the head computes
MAX_INPUT_VALUES: Final = 1 << 22  # of one window: more than any sensor gives
STATIC: Final = "export it with a fixed window, batch 1: only the batch may be left open"


@dataclass(frozen=True, slots=True)
class ForeignNetwork:
    """An ONNX network with one float input and one float output, batch 1.

    Attributes:
        model: whole, a ``ModelProto``.
        source: name of its input.
        sink: name of its output.
        source_shape: sizes of the input, the batch set to 1.
        sink_shape: sizes of the output.
        ending: operator of its last node where that is a softmax or a sigmoid, else empty.
    """

    model: Any
    source: str
    sink: str
    source_shape: tuple[int, ...]
    sink_shape: tuple[int, ...]
    ending: str


def read_network(path: Path) -> ForeignNetwork:
    """Read an ONNX file and refuse what cannot become a device graph.

    Raises:
        MissingInputError: no such file.
        DataError: no valid model; several inputs or outputs; not float32; open sizes other than the batch; two
            softmaxes or sigmoids at its end.
    """
    model = load_whole(path)
    constants = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in constants]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise DataError(
            f"{path.name} has {len(inputs)} inputs and {len(model.graph.output)} outputs, expected one of each",
            hint="export the part of the network that maps one window to scores",
        )
    source = inputs[0]
    _require_float32(source, path.name)
    dims = source.type.tensor_type.shape.dim
    if dims and not dims[0].dim_value:
        dims[0].dim_value = 1  # an open batch
    shape = tuple(int(dim.dim_value) for dim in dims)
    if not shape or min(shape) < 1:
        raise DataError(f"{path.name}: the input {source.name!r} has open sizes {_sizes(source)}", hint=STATIC)
    del model.graph.value_info[:]
    sink = model.graph.output[0]
    sink.type.tensor_type.ClearField("shape")
    try:
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        raise DataError(f"{path.name}: the sizes of its tensors do not agree for one window: {error}") from error
    sink = model.graph.output[0]
    _require_float32(sink, path.name)
    out = _sink_shape(model, source.name, shape, path.name)
    sink.type.tensor_type.ClearField("shape")
    for size in out:
        sink.type.tensor_type.shape.dim.add().dim_value = size
    return ForeignNetwork(model, source.name, sink.name, shape, out, _ending_operator(model, path.name))


def _sink_shape(model: Any, source: str, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Run one window of zeros: exporters often leave the output's size open although it is known.

    In a child process with limits on memory and time: the file is a stranger's, and may ask for terabytes.
    """
    if prod(shape) > MAX_INPUT_VALUES:
        raise DataError(f"{name}: a window of {prod(shape)} values, at most {MAX_INPUT_VALUES} are taken")
    try:
        with Prover(model) as prover:
            (answer,) = prover.run(model, [{source: np.zeros(shape, np.float32)}])[0].values()
    except DataError as error:
        reason = error.message.removeprefix("onnxruntime cannot run the model: ")
        raise DataError(f"{name}: onnxruntime cannot run it on one window: {reason}") from error
    if not answer.size:
        raise DataError(f"{name}: its output is empty")
    return tuple(answer.shape)


def require_layout(network: ForeignNetwork, given: NetworkInput, channels: int) -> None:
    """Raise where the network's input is not in the layout that the preprocess file names.

    Args:
        network: the network.
        given: the preprocess file.
        channels: what the network sees, C, or 2C with z-copies.

    Raises:
        DataError: another shape; the hint names the layout that fits, where exactly one does.
    """
    fitting = [layout for layout in LAYOUTS if _takes(network.source_shape, layout, channels, given.window_samples)]
    if given.layout in fitting:
        return
    batched = [layout for layout in fitting if len(layout) == len(network.source_shape) - 1]
    fitting = batched or fitting  # (1, T, C) is a batch of one [T, C] before it is one [1, T, C] without a batch
    hint = "check channels, window_samples and layout of the preprocess file"
    if len(fitting) == 1:
        hint = f"write layout: {layout_text(fitting[0])}, the only order of axes that fits"
    elif fitting:
        hint = "these layouts fit: " + " or ".join(layout_text(layout) for layout in fitting)
    asked = _window(given.layout, channels, given.window_samples)
    raise DataError(
        f"the network takes {network.source_shape}, layout {layout_text(given.layout)} with {channels} channels and "
        f"{given.window_samples} samples is {asked}",
        hint=hint,
    )


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
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
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


def _require_float32(value: Any, name: str) -> None:
    kind = value.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        raise DataError(
            f"{name}: {value.name!r} is {TensorProto.DataType.Name(kind).lower()}, expected float (32 bits)",
            hint="convert the network to float32 before it is exported",
        )


def _ending_operator(model: Any, name: str) -> str:
    makers = {output: node for node in model.graph.node for output in node.output}
    last = makers.get(model.graph.output[0].name)
    if last is None:
        raise DataError(f"{name} has no node that makes its output")
    ending: str = last.op_type
    if ending not in SQUASHING:
        return ""
    before = makers.get(last.input[0])
    if before is not None and before.op_type in SQUASHING:
        words = ["sigmoid" if node.op_type == "Sigmoid" else "softmax" for node in (before, last)]
        what = f"a {words[0]} twice" if words[0] == words[1] else f"a {words[1]} to what a {words[0]} gives"
        raise DataError(f"{name} applies {what} at its end", hint="export the network without its last node")
    return ending


def _window(layout: Sequence[str], channels: int, samples: int) -> tuple[int, ...]:
    return tuple({"C": channels, "T": samples, "1": 1}[axis] for axis in layout)


def _takes(shape: tuple[int, ...], layout: Sequence[str], channels: int, samples: int) -> bool:
    window = _window(layout, channels, samples)
    return shape in (window, (1, *window))


def _sizes(value: Any) -> str:
    return str([dim.dim_param or dim.dim_value or "?" for dim in value.type.tensor_type.shape.dim])
