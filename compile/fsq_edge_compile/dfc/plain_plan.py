"""A plan for any ONNX network and arrays in its own layout, without a BUILD folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx

from fsq_edge_calibration.array_rules import LEAST_COUNT
from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_compile.checker.rewrites.fixing import load_whole
from fsq_edge_compile.checker.targets import Target, target_for
from fsq_edge_compile.dfc.plan import (
    EMULATED,
    Plan,
    PlannedNetwork,
    PlanOptions,
    held_out_bytes,
    network_name,
    write_network_plan,
)
from fsq_edge_compile.foreign.reading import ForeignNetwork, read_network
from fsq_edge_compile.int8.plain import frames_for
from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.onnx_graph import read_graph_end

MAX_MODEL_BYTES: Final = 512 << 20


def check_plain(path: Path, arch: str, dfc: str | None = None) -> tuple[CheckReport, Target]:
    """Check an ONNX file for a target; the report's ``end_nodes`` are where the compiler's network ends.

    Raises:
        MissingInputError, DataError: no such file, or no model.
        UsageError: an unknown target.
    """
    return check(path, arch, dfc), target_for(arch, dfc)


def write_plain_plan(
    path: Path, windows: AnyArray, report: CheckReport, target: Target, folder: Path, options: PlanOptions
) -> Plan:
    """Write a plan folder for an ONNX file.

    Args:
        path: the file: one float32 input (1, C, H, W) or (1, C, T), one output.
        windows: (N, ...) as the network takes them, at least 64.
        report: of :func:`check_plain`, with a device part.
        target: of it.
        folder: made when it does not exist.
        options: choices.

    Raises:
        MissingInputError, DataError: the file or the windows do not fit.
        UsageError: the model script is refused by the linter.
    """
    network = read_network(path)
    shape = _frame_shape(network, path.name)
    frames = frames_for(network, windows)
    if len(frames) < LEAST_COUNT:
        raise DataError(f"{len(frames)} calibration windows, at least {LEAST_COUNT} are needed")
    data = _inline(path)
    maps = frames if frames.ndim == 4 else frames[:, :, None]  # a series is a map of one row
    nhwc: Float32Array = np.ascontiguousarray(maps.transpose(0, 2, 3, 1))
    rows = np.linspace(0, len(nhwc) - 1, min(EMULATED, len(nhwc))).astype(np.int64)
    planned = PlannedNetwork(
        name=network_name(path.stem, "", data),
        model=data,
        frames_nhwc=nhwc,
        windows=held_out_bytes(nhwc[rows], rows),
        input_name=network.source,
        input_shape=shape,
        end_nodes=report.end_nodes or (read_graph_end(data).node,),  # forced: as if the chip took all of it
        preprocess_sha256="",
    )
    return write_network_plan(planned, target, folder, options)


def _inline(path: Path) -> bytes:
    """Return the file as it is, or with its weights inside where they lie beside it."""
    data = read_bounded(path, MAX_MODEL_BYTES, what="the network")
    model = onnx.load_from_string(data)
    if not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return data
    whole: bytes = load_whole(path).SerializeToString()
    return whole


def _frame_shape(network: ForeignNetwork, name: str) -> tuple[int, ...]:
    shape = network.source_shape
    if len(shape) not in (3, 4):
        raise DataError(f"{name} takes {shape}, the compiler wants (1, C, H, W), or (1, C, T)")
    return shape
