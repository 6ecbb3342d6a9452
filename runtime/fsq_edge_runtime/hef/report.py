"""What a HEF says, as plain values: the tree that :func:`~fsq_edge_runtime.hef.inspect_hef` returns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from fsq_edge_runtime.hef.architecture import Architecture
from fsq_edge_runtime.hef.header import HefHeader


@dataclass(frozen=True, slots=True)
class QuantInfo:
    """How a tensor's integers map to reals: ``real = scale * (integer - zero_point)``.

    Attributes:
        scale: reals per integer step.
        zero_point: the integer that means 0.
        limit_min: smallest real that is not clipped.
        limit_max: largest real that is not clipped.
        scales: one scale per feature where the compiler gave them, else empty.
        zero_points: one zero point per feature where the compiler gave them, else empty.
    """

    scale: float
    zero_point: float
    limit_min: float
    limit_max: float
    scales: tuple[float, ...] = ()
    zero_points: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class HefTensor:
    """One stream between host and device.

    Attributes:
        name: HailoRT's name, e.g. ``fsq/input_layer1``.
        shape: (height, width, features) as the user sees it.
        padded_shape: (height, width, features) as the hardware holds it.
        order: ``NHWC``, ``NC``, ``NMS`` or ``format-N`` for one that is not known.
        dtype: ``uint8`` or ``uint16`` on the wire.
        quant: quantisation, always present.
        original_names: ONNX node names that became this layer.
        network: index into the group's networks.
    """

    name: str
    shape: tuple[int, int, int]
    padded_shape: tuple[int, int, int]
    order: str
    dtype: str
    quant: QuantInfo
    original_names: tuple[str, ...] = ()
    network: int = 0


@dataclass(frozen=True, slots=True)
class HostOp:
    """A post-processing step that HailoRT runs on the host (net-flow layout only).

    Attributes:
        name: its name.
        kind: ``nms``, ``argmax``, ``softmax`` or ``none``.
        outputs: names of its output pads.
    """

    name: str
    kind: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkGroup:
    """One configurable network.

    Attributes:
        name: the group's name, which is the DFC's network name.
        layout: ``classic``, ``net-flow``, ``partial`` or ``net-flow-partial``.
        networks: names of the networks in it, usually one.
        contexts: number of contexts; more than one means the weights are swapped while running.
        layouts: number of partial cluster layouts; 0 when the layout is not partial.
        inputs: host-to-device streams.
        outputs: device-to-host streams.
        output_order: output names in the order HailoRT gives them.
        host_ops: post-processing by HailoRT on the host.
        estimated_fps: the compiler's own estimate of the bottleneck, frames per second; 0 when not given.
        estimated_latency_s: the compiler's own simulated latency in seconds; 0 when not given. Not a measurement.
    """

    name: str
    layout: str
    networks: tuple[str, ...]
    contexts: int
    layouts: int
    inputs: tuple[HefTensor, ...]
    outputs: tuple[HefTensor, ...]
    output_order: tuple[str, ...]
    host_ops: tuple[HostOp, ...]
    estimated_fps: float
    estimated_latency_s: float


@dataclass(frozen=True, slots=True)
class HefReport:
    """Everything an inspection found; the file's length and checksums hold.

    Attributes:
        file_bytes: size of the file.
        sha256: digest of the whole file, as a bundle records it.
        header: the verified header.
        architecture: what it was compiled for.
        dfc_version: version of the Dataflow Compiler, e.g. ``3.32.0``; empty when not given.
        timestamp_ms: when it was compiled, milliseconds since 1970; 0 when not given.
        groups: network groups.
        extensions: names of the features a HailoRT must know to load it, ``number:name``.
        strict_versioning: HailoRT must have the DFC's major and minor number.
        minimum_hailort: oldest HailoRT that can read it, judged by header version and features, e.g. ``4.20``.
        generation: HailoRT generation that drives its devices, 4 or 5.
        paired_hailort: the HailoRT released with this DFC; empty when not known.
        devices: devices that load it.
        warnings: what is odd but not wrong.
        fault: why HailoRT must not be given the file though it can be read here; empty when nothing is known.
    """

    file_bytes: int
    sha256: str
    header: HefHeader
    architecture: Architecture
    dfc_version: str
    timestamp_ms: int
    groups: tuple[NetworkGroup, ...]
    extensions: tuple[str, ...]
    strict_versioning: bool
    minimum_hailort: str
    generation: int
    paired_hailort: str
    devices: tuple[str, ...]
    warnings: tuple[str, ...]
    fault: str = ""

    @property
    def inputs(self) -> tuple[HefTensor, ...]:
        """Input streams of the first (usually the only) network group."""
        return self.groups[0].inputs

    @property
    def outputs(self) -> tuple[HefTensor, ...]:
        """Output streams of the first network group."""
        return self.groups[0].outputs

    @property
    def network_name(self) -> str:
        """Name of the first network group."""
        return self.groups[0].name

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as JSON-ready values (floats may be NaN or infinite if the file says so)."""
        return {"schema_version": 1, **dataclasses.asdict(self)}
