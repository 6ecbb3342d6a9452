"""The int8 preview of any ONNX network with one float input and one output, and arrays in its own layout."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from fsq_edge_compile.foreign.reading import ForeignNetwork, read_network
from fsq_edge_compile.int8.layer_errors import LayerError, layer_errors, snr_db
from fsq_edge_compile.int8.quantize import quantize_scores
from fsq_edge_compile.int8.ranges import RangeMethod
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.backends.onnx import open_onnx
from fsq_edge_runtime.counted_scores import wilson
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.scores import Interval

USUAL_INPUT: Final = "input"  # what probes and quantiser call a graph's input
TRANSPOSE_HINT: Final = "turn the last two axes: numpy.save(FILE, windows.transpose(0, 2, 1))"


@dataclass(frozen=True, slots=True)
class PlainPreview:
    """What :func:`preview_plain` made and found.

    Attributes:
        model: the int8 network, with the names of the original.
        method: how the ranges of activations were chosen.
        windows: that they were read from, and that both networks were compared on.
        snr_db: signal to error power of the output.
        correlation: of all outputs, Pearson; None where they are constant.
        label_agreement: share of windows whose largest output stays; None with one output.
        errors: tensor by tensor.
    """

    model: bytes
    method: RangeMethod
    windows: int
    snr_db: float
    correlation: float | None
    label_agreement: Interval | None
    errors: tuple[LayerError, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the network."""
        document = asdict(self)
        del document["model"], document["errors"]
        return {"schema_version": 1, **document, "layers": [asdict(error) for error in self.errors]}


def preview_plain(path: Path, windows: AnyArray, *, method: RangeMethod = "minmax") -> PlainPreview:
    """Quantise a network with windows in its own layout and normalisation, and compare the two.

    Args:
        path: ONNX file with one float32 input of fixed size (an open batch is 1) and one float32 output.
        windows: (N, ...) numbers, each as the network takes one.
        method: how activation ranges are chosen.

    Raises:
        MissingInputError, DataError: the file or the windows do not fit.
        UsageError: an unknown method.
    """
    network = read_network(path)
    frames = frames_for(network, windows)
    model = _renamed(network.model, network.source, USUAL_INPUT)
    quantized = quantize_scores(model.SerializeToString(), frames, method=method)
    before, after = (_answers(data, frames) for data in (model.SerializeToString(), quantized))
    errors = layer_errors(onnx.shape_inference.infer_shapes(model), quantized, frames)
    given_back = _renamed(onnx.load_from_string(quantized), USUAL_INPUT, network.source)
    a, b = before.ravel().astype(np.float64), after.ravel().astype(np.float64)
    equal = int((before.argmax(axis=1) == after.argmax(axis=1)).sum())
    return PlainPreview(
        model=given_back.SerializeToString(),
        method=method,
        windows=len(frames),
        snr_db=snr_db(float((a**2).sum()), float(((a - b) ** 2).sum())),
        correlation=float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else None,
        label_agreement=wilson(equal, len(frames)) if 1 < before.shape[1] < prod(network.source_shape) else None,
        errors=errors,
    )


def frames_for(network: ForeignNetwork, windows: AnyArray) -> Float32Array:
    """Return windows (N, ...) with a batch axis for a network: (N, *sizes), float32, contiguous.

    Raises:
        DataError: they are of another shape; the hint turns the axes where that is all.
    """
    shape = network.source_shape
    if shape[0] != 1 or len(shape) < 2:
        raise DataError(
            f"the network takes {shape}, which has no batch axis", hint="export it with a batch of 1 in front"
        )
    wanted = shape[1:]
    numbers = windows.dtype.kind in "fiu" and windows.ndim > 1 and len(windows) > 0
    if not numbers or windows.shape[1:] not in (wanted, shape):
        turned = numbers and len(wanted) == 2 and windows.shape[1:] == wanted[::-1]
        raise DataError(
            f"the windows have shape {windows.shape} of {windows.dtype}, the network takes {shape} a window",
            hint=TRANSPOSE_HINT if turned else "save them as the network takes them: numpy.save(FILE, windows)",
        )
    frames = np.ascontiguousarray(windows, dtype=np.float32).reshape(len(windows), *wanted)
    if not np.isfinite(frames).all():
        raise DataError("the windows hold NaN or Inf", hint="leave those windows out")
    return frames


def _answers(model: bytes, frames: Float32Array) -> Float32Array:
    session = open_onnx(model)
    shape = session.get_inputs()[0].shape
    found = [session.run(None, {USUAL_INPUT: frame.reshape(shape)})[0].ravel() for frame in frames]
    return np.stack(found).astype(np.float32)


def _renamed(model: Any, source: str, target: str) -> Any:
    """Return a copy whose input is called otherwise; a tensor that has the name already is moved out of its way."""
    copy = copied(model)
    if source == target:
        return copy
    graph = copy.graph
    names = {source: target, target: f"{target}_of_the_network"}
    for node in graph.node:
        for side in (node.input, node.output):
            for place, name in enumerate(side):
                side[place] = names.get(name, name)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    return copy
