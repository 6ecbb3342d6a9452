"""An ONNX network that was trained elsewhere, read and held against the layout of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto

from fsq_edge_compile.checker.rewrites.fixing import load_whole
from fsq_edge_compile.checker.rewrites.proving import Prover
from fsq_edge_compile.foreign.network_input import LAYOUTS, NetworkInput, layout_text
from fsq_edge_runtime.errors import DataError

SOFTMAXES: Final = ("Softmax", "LogSoftmax")
SQUASHING: Final = (*SOFTMAXES, "Sigmoid")
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
