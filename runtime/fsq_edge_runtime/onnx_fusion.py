"""The device graph with its preprocessing before it: one ONNX file from the raw window to ``t``.

numpy stays the one truth of the preprocessing (:mod:`fsq_edge_runtime.preprocess`). What is made here computes the same
formula in the network's own run, so that a window costs one call instead of a dozen; whoever uses it proves it against
the truth and asks the truth where a code might depend on the last bits.

A subtraction of two nearly equal numbers is where float32 loses digits, so the means of the windows are not computed
here: they are an input, made by the one truth. What follows has relative errors of a few units in the last place.

Source: onnx.proto3 (Apache-2.0); field numbers as in :mod:`fsq_edge_runtime.onnx_graph`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.onnx_graph import read_graph_ports
from fsq_edge_runtime.onnx_writer import INPUT, OUTPUT, GraphWriter
from fsq_edge_runtime.preprocess import PreprocessConfig, Preprocessor
from fsq_edge_runtime.protobuf import FieldBudget, Message, WireError
from fsq_edge_runtime.protobuf_writer import nested_field

WINDOW: Final = "window"
CENTER: Final = "center"
PREFIX: Final = "fsq_preprocess_"  # of all names that are added
OPSETS: Final = range(11, 22)  # Clip takes tensors from 11 on; beyond 21 nothing was tried
AXES_INPUT: Final = 18  # from this opset on a reduction's axes are an input
HUGE: Final = 2.0**100  # beside it the norm of any sound window vanishes in float32
MAX_SCALE: Final = 2.0**20  # HUGE times this is still far from what float32 holds
NEGLIGIBLE: Final = 1e-6  # standard deviations: a shift of the z-copies by less takes no node


def fuse_preprocess(encoder: bytes, config: PreprocessConfig) -> bytes:
    """Return the device graph with the preprocessing before it.

    Args:
        encoder: the ONNX file: input ``input`` (N, C', H, W) float32 with N = 1 or symbolic, output ``t`` (N, D), and
            any others.
        config: its preprocessing.

    Returns:
        An ONNX file with the inputs ``window`` (N, C', H, W) float32, raw units, finite, below 1e15, folded, the C
        channels once more where a frame has z-copies; and ``center`` (N, C', 1, 1) float32, as :func:`centers` gives
        it with the means filled in; output ``t`` alone, as before.

    Raises:
        DataError: the graph or the preprocessing has a form for which this is not written; the message says which.
    """
    if config.zscore_only is not None:
        raise DataError("z-scores alone, without a head that has codes, are not fused")
    inputs, _ = read_graph_ports(encoder)
    batch = inputs[0].shape[0] if inputs else 0
    if [(port.name, port.shape[1:]) for port in inputs] != [("input", config.frame_shape)] or batch not in (1, None):
        raise DataError("the device graph's input is not that of its preprocessing")
    try:
        root = Message(memoryview(encoder), "onnx", FieldBudget())
        graph = root.message(7, "graph")
        opset = max(
            (one.uint(2) for one in root.messages(8, "opset_import") if one.text(1) in ("", "ai.onnx")), default=0
        )
        names = {name for node in graph.messages(1, "node") for name in (*node.texts(2), node.text(3))}
        names |= {tensor.text(8) for tensor in graph.messages(5, "initializer")}
        answer = [port.encoded() for port in graph.messages(OUTPUT, "output") if port.text(1) == "t"]
    except WireError as error:
        raise DataError(f"the device graph cannot be read: {error}") from error
    if opset not in OPSETS:
        raise DataError(f"the device graph has opset {opset}, tried are {OPSETS[0]} to {OPSETS[-1]}")
    if any(name.startswith(PREFIX) or name in (WINDOW, CENTER) for name in names):
        raise DataError(f"the device graph uses names that begin with {PREFIX}")
    added = _added_nodes(config, opset)
    added.port(INPUT, WINDOW, (batch, *config.frame_shape))
    added.port(INPUT, CENTER, (batch, config.graph_channels, 1, 1))
    # An output that nobody reads would keep the runtime from fusing the nodes around it.
    outputs = [nested_field(OUTPUT, port) for port in answer]
    whole = nested_field(7, added.encoded, graph.encoded(without=(INPUT, OUTPUT)), *outputs)
    return root.encoded(without=(7,)) + whole


def centers(config: PreprocessConfig) -> Float32Array:
    """Return (1, C', 1, 1) float32: what is subtracted from each channel; zero for the z-copies, to be filled in."""
    found = np.zeros((1, config.graph_channels, 1, 1), dtype=np.float32)
    channels = len(config.channels)
    found[0, :channels, 0, 0] = np.asarray(config.mean[:channels], dtype=np.float32)
    return found


def _added_nodes(config: PreprocessConfig, opset: int) -> GraphWriter:
    """Return what turns window and center into the frame, which is called ``input``."""
    made, constants = GraphWriter(PREFIX), Preprocessor(config).constants
    channels = len(config.channels)
    shape = (1, config.graph_channels, 1, 1)
    scale, high = constants.scale, np.float32(config.clip_sigma)
    if float(scale.max()) > MAX_SCALE:
        raise DataError(f"a standard deviation of {min(config.std):g} is too small for the fused graph")
    value = made.node("Sub", [WINDOW, CENTER], "centered")
    if config.window_zscore:
        # A channel itself takes its own scale: beside HUGE its norm vanishes, and (HUGE scale) / HUGE is exact.
        least = np.concatenate([np.full(channels, HUGE, np.float32), constants.floor])
        wanted = scale * np.concatenate([np.full(channels, HUGE, np.float32), np.full(channels, constants.root)])
        if opset >= AXES_INPUT:
            axes = made.constant("axes", np.asarray([2, 3], np.int64))
            norm = made.node("ReduceL2", [value, axes], "norm", keepdims=1)
        else:
            norm = made.node("ReduceL2", [value], "norm", axes=[2, 3], keepdims=1)
        spread = made.node("Add", [norm, made.constant("floor", least.reshape(shape))], "spread")
        factor = made.node("Div", [made.constant("scale", wanted.reshape(shape).astype(np.float32)), spread], "factor")
        shift = np.concatenate([np.zeros(channels, np.float32), (constants.mean * scale)[channels:]]).reshape(shape)
    else:
        factor = made.constant("scale", scale.reshape(shape))
        shift = np.zeros(shape, np.float32)
    value = made.node("Mul", [value, factor], "scaled")
    if np.abs(shift).max() > NEGLIGIBLE:
        value = made.node("Sub", [value, made.constant("shift", shift)], "shifted")
    limits = [made.constant("low", np.asarray(-high)), made.constant("high", np.asarray(high))]
    made.node("Clip", [value, *limits], "input", end=True)
    return made
