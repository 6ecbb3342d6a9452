"""Where int8 loses: the rounding error of every activation and weight, and the codes that each flips by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge_compile.int8.output_layer import rounding_pair
from fsq_edge_compile.int8.probe import ActivationProbe
from fsq_edge_compile.int8.quantize import load_device_graph
from fsq_edge_compile.messages import copied
from fsq_edge_runtime.arrays import AnyArray, Float32Array, Float64Array
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.tail import FsqTail

MAX_FRAMES: Final = 512  # each tensor is one more run of the graph over them


@dataclass(frozen=True, slots=True)
class LayerError:
    """One rounded tensor.

    Attributes:
        tensor: the activation, or the weight.
        layer: the node that makes the activation, or uses the weight; the graph's input has the layer ``input``.
        kind: ``activation`` or ``weight``.
        snr_db: 10 log10 of signal to error power of the whole int8 network up to here, against the float network;
            for a weight that of its own rounding.
        own_snr_db: that ratio where this tensor alone is rounded.
        low: lower end of the quantised range.
        high: upper end.
        flip_rate_alone: share of windows whose code changes when this tensor alone is rounded; None without a tail.
    """

    tensor: str
    layer: str
    kind: str
    snr_db: float
    own_snr_db: float
    low: float
    high: float
    flip_rate_alone: float | None


@dataclass(frozen=True, slots=True)
class _Rounding:
    """Parameters of one QuantizeLinear and DequantizeLinear pair."""

    after: str
    scale: AnyArray
    zero_point: AnyArray
    domain: str

    @property
    def ends(self) -> tuple[float, float]:
        info = np.iinfo(self.zero_point.dtype)
        zero = int(self.zero_point)
        return float(self.scale) * (info.min - zero), float(self.scale) * (info.max - zero)

    def apply(self, values: Float32Array) -> Float64Array:
        """Return ``values`` after rounding."""
        low, high = self.ends
        return np.clip(np.rint(values / np.float64(self.scale)) * np.float64(self.scale), low, high)


def layer_errors(
    encoder: bytes | Path | Any, int8: bytes, frames: Float32Array, tail: FsqTail | None = None
) -> tuple[LayerError, ...]:
    """Compare a device graph with its int8 preview, tensor by tensor.

    Args:
        encoder: the float device graph; a ``ModelProto`` may end in anything.
        int8: its preview, from :func:`fsq_edge_compile.int8.quantize.quantize_preview`.
        frames: (N, C', H, W) float32; 512 of them, spread over N, are used.
        tail: for the codes; None leaves ``flip_rate_alone`` out.

    Returns:
        Activations in order of the graph, then weights.
    """
    rows = np.unique(np.linspace(0, len(frames) - 1, MAX_FRAMES).astype(np.int64))
    frames = np.ascontiguousarray(frames[rows])
    model = load_device_graph(encoder) if isinstance(encoder, bytes | Path) else encoder
    quantized = onnx.load_from_string(int8)
    roundings = _activation_roundings(quantized)
    weights = _rounded_weights(model, quantized)
    reference = None if tail is None else tail.index(OnnxBackend(model.SerializeToString()).infer_batch(frames))

    def flips(altered: Callable[[], Any]) -> float | None:
        if tail is None or reference is None:
            return None
        t = OnnxBackend(altered().SerializeToString()).infer_batch(frames)
        return float((tail.index(t) != reference).mean())

    makers = {name: node.name or node.op_type for node in model.graph.node for name in node.output}
    errors = [
        LayerError(
            tensor=name,
            layer=makers.get(name, name),
            kind="activation",
            snr_db=whole,
            own_snr_db=own,
            low=roundings[name].ends[0],
            high=roundings[name].ends[1],
            flip_rate_alone=flips(partial(_with_rounding, model, name, roundings[name])),
        )
        for name, (whole, own) in _activation_snr(model, quantized, roundings, frames).items()
    ]
    users = {name: node.name or node.op_type for node in model.graph.node for name in node.input}
    for name, (float_weight, rounded) in weights.items():
        own = snr_db(float((float_weight**2).sum()), float(((rounded - float_weight) ** 2).sum()))
        errors.append(
            LayerError(
                tensor=name,
                layer=users[name],
                kind="weight",
                snr_db=own,
                own_snr_db=own,
                low=float(rounded.min()),
                high=float(rounded.max()),
                flip_rate_alone=flips(partial(_with_weight, model, name, rounded)),
            )
        )
    return tuple(errors)


def worst_layers(errors: tuple[LayerError, ...], count: int = 3) -> tuple[LayerError, ...]:
    """Return the tensors whose own rounding costs most: by flipped codes where they are known, then by SNR."""
    return tuple(sorted(errors, key=lambda error: (-(error.flip_rate_alone or 0.0), error.own_snr_db))[:count])


def short_name(layer: str) -> str:
    """Return the end of an exporter's node name: ``/device_part/features/features.0/Conv`` as ``features.0/Conv``."""
    return "/".join(layer.strip("/").split("/")[-2:])


def snr_db(signal: float, error: float) -> float:
    """Return 10 log10(signal / error) of two powers, within -100 to 100 dB."""
    return float(np.clip(10 * np.log10(max(signal, 1e-30) / max(error, 1e-30)), -100.0, 100.0))


def _activation_roundings(quantized: Any) -> dict[str, _Rounding]:
    """Return float tensor name -> its rounding, in order.

    The graph's output keeps its name although it is rounded last. A tensor that only passes on another's integers
    (pooling by maximum, flattening) shares its parameters and is left out.
    """
    constants = {entry.name: numpy_helper.to_array(entry) for entry in quantized.graph.initializer}
    outputs = {value.name for value in quantized.graph.output}
    users = {node.input[0]: node for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
    pairs = [node for node in quantized.graph.node if node.op_type == "QuantizeLinear"]
    first = {node.input[1]: node for node in reversed(pairs)}
    found = {}
    for node in pairs:
        if first[node.input[1]] is node:
            after = users[node.output[0]].output[0]
            name = after if after in outputs else node.input[0]
            found[name] = _Rounding(after, constants[node.input[1]], constants[node.input[2]], node.domain)
    return found


def _rounded_weights(model: Any, quantized: Any) -> dict[str, tuple[AnyArray, AnyArray]]:
    """Return weight name -> (float values, values after int8); biases have 32 bits and are left out."""
    float_values = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    constants = {entry.name: numpy_helper.to_array(entry) for entry in quantized.graph.initializer}
    found = {}
    for node in quantized.graph.node:
        stored = constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        name = node.input[0].removesuffix("_quantized") if stored is not None else ""
        if stored is None or stored.dtype != np.int8 or name not in float_values:
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        scale = constants[node.input[1]]
        shape = [-1 if position == axis % stored.ndim else 1 for position in range(stored.ndim)]
        scale = scale.reshape(shape) if scale.ndim else scale
        found[name] = (float_values[name], (stored * scale).astype(np.float32))
    return found


def _activation_snr(
    model: Any, quantized: Any, roundings: Mapping[str, _Rounding], frames: Float32Array
) -> dict[str, tuple[float, float]]:
    float_probe = ActivationProbe(model, list(roundings))
    int8_probe = ActivationProbe(quantized, [rounding.after for rounding in roundings.values()])
    power, whole, own = (dict.fromkeys(roundings, 0.0) for _ in range(3))
    for wanted, got in zip(float_probe.observe(frames), int8_probe.observe(frames), strict=True):
        for name, rounding in roundings.items():
            exact = wanted[name].astype(np.float64)
            power[name] += float((exact**2).sum())
            whole[name] += float(((got[rounding.after] - exact) ** 2).sum())
            own[name] += float(((rounding.apply(wanted[name]) - exact) ** 2).sum())
    return {name: (snr_db(power[name], whole[name]), snr_db(power[name], own[name])) for name in roundings}


def _with_rounding(model: Any, name: str, rounding: _Rounding) -> Any:
    """Return the float graph with one tensor rounded."""
    altered = copied(model)
    graph = altered.graph
    source = name
    if name == "t":
        source = graph.node[-1].output[0] = "t_wide"
    else:
        for node in graph.node:
            for position, used in enumerate(node.input):
                if used == name:
                    node.input[position] = f"{name}_rounded"
    result = "t" if name == "t" else f"{name}_rounded"
    pair = rounding_pair(altered, source, result, (rounding.scale, rounding.zero_point), rounding.domain)
    place = next((at + 1 for at, node in enumerate(graph.node) if source in node.output), 0)
    for offset, node in enumerate(pair):
        graph.node.insert(place + offset, node)
    return altered


def _with_weight(model: Any, name: str, value: AnyArray) -> Any:
    """Return the float graph with one weight replaced."""
    altered = copied(model)
    entry = next(entry for entry in altered.graph.initializer if entry.name == name)
    entry.CopyFrom(numpy_helper.from_array(value, name))
    return altered
