"""Synthetic HEFs: files with a HEF's structure and no program, for tests and for the fake device.

They read back exactly in :func:`fsq_edge_runtime.hef.inspect_hef`. No device runs them: where a HEF has its weights,
these have whatever bytes the test wants.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xxhash

from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.hef.architecture import EXTENSIONS, NET_FLOW, PERIPHERY, code_of, known_architecture
from fsq_edge_runtime.hef.header import COMMON, DISTINCT, MAGIC, PAGE_BYTES
from fsq_edge_runtime.protobuf_writer import double_field, float_field, nested_field, number_field, text_field, varint

Layout = Literal["classic", "net-flow", "partial", "net-flow-partial"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One stream of a synthetic HEF.

    Attributes:
        name: stream name without the network's, e.g. ``input_layer1``.
        shape: (H, W, F) for frames, (F,) for a flat vector.
        limit_min: smallest real the quantisation holds.
        limit_max: largest real the quantisation holds.
        scale: reals per step; None = the limits over the steps of ``dtype``.
        zero_point: the integer that means 0; None = from ``limit_min`` and ``scale``.
        dtype: ``uint8`` or ``uint16``.
        original_names: ONNX node names.
    """

    name: str
    shape: tuple[int, ...]
    limit_min: float = -5.0
    limit_max: float = 5.0
    scale: float | None = None
    zero_point: float | None = None
    dtype: Literal["uint8", "uint16"] = "uint8"
    original_names: tuple[str, ...] = ()

    @property
    def quant(self) -> tuple[float, float]:
        """(scale, zero point) as written, float64."""
        steps = 65535 if self.dtype == "uint16" else 255
        scale = (self.limit_max - self.limit_min) / steps if self.scale is None else self.scale
        zero_point = float(round(-self.limit_min / scale)) if self.zero_point is None else self.zero_point
        return scale, zero_point


DEFAULT_INPUTS = (TensorSpec("input_layer1", (2, 50, 12), original_names=("conv1",)),)
DEFAULT_OUTPUTS = (TensorSpec("fc1", (4,), limit_min=-1.0, limit_max=1.0, original_names=("tanh",)),)


def hef_bytes(
    *,
    arch: str = "hailo8",
    version: int = 2,
    layout: Layout | None = None,
    network: str = "fsq",
    inputs: Sequence[TensorSpec] = DEFAULT_INPUTS,
    outputs: Sequence[TensorSpec] = DEFAULT_OUTPUTS,
    sdk: str = "3.32.0",
    timestamp_ms: int = 1_700_000_000_000,
    fps: float = 10_000.0,
    latency_s: float = 1e-4,
    contexts: int = 1,
    extensions: Sequence[int] = (),
    payload: bytes = b"",
    additional: bytes = b"",
    arch_code: int | None = None,
    format_version: int = 1,
) -> bytes:
    """Return the bytes of a synthetic HEF; equal arguments give equal bytes.

    Args:
        arch: compile target, e.g. ``hailo8l``.
        version: header version, 0 to 3.
        layout: None takes the one the architecture needs (partial for hailo8l and hailo15m); a wrong one on purpose
            gives a file that the inspector must refuse.
        network: network group name; streams are called ``network/name``.
        inputs: host-to-device streams, in the first context.
        outputs: device-to-host streams, in the last context.
        sdk: version of the Dataflow Compiler to claim.
        timestamp_ms: milliseconds since 1970.
        fps: the compiler's estimate to claim.
        latency_s: the compiler's simulated latency to claim.
        contexts: number of contexts.
        extensions: further feature numbers, e.g. 35 for strict versioning.
        payload: bytes where a HEF has its weights (header versions 1 to 3).
        additional: bytes of the additional information (header version 3).
        arch_code: architecture number to write instead of that of ``arch``.
        format_version: of the protobuf; HailoRT ignores all extensions when it is 0.

    Raises:
        ValueError: a payload for version 0, or additional bytes for another version than 3.
    """
    code = code_of(arch) if arch_code is None else arch_code
    layout = layout or ("partial" if known_architecture(code).partial else "classic")
    features = [PERIPHERY, *([NET_FLOW] if layout.startswith("net-flow") else []), *extensions]
    proto = b"".join(
        (
            nested_field(
                1,
                number_field(1, code),
                number_field(2, timestamp_ms),
                text_field(3, sdk),
                number_field(4, format_version),
            ),
            nested_field(2, _group(layout, network, inputs, outputs, fps, latency_s, contexts)),
            *(
                nested_field(5, number_field(1, number), text_field(2, EXTENSIONS.get(number, ("test", ""))[0]))
                for number in features
            ),
        )
    )
    return seal(proto, payload, version=version, additional=additional)


def write_hef(path: str | Path, **arguments: object) -> Path:
    """Write a synthetic HEF whole; arguments as :func:`hef_bytes`.

    Args:
        path: where to; replaced when it exists.
        **arguments: passed on.

    Returns:
        The path.
    """
    target = Path(path)
    write_file(target, hef_bytes(**arguments))  # type: ignore[arg-type]  # the same keywords, checked by the call
    return target


def seal(proto: bytes, ccws: bytes = b"", *, version: int = 2, additional: bytes = b"", reserved: int = 0) -> bytes:
    """Return a HEF around a protobuf, with the right length and checksums for the header version.

    Args:
        proto: the protobuf.
        ccws: the weights after it.
        version: header version, 0 to 3.
        additional: version 3: additional information at the end.
        reserved: value of the first reserved word.

    Raises:
        ValueError: the version cannot hold ``ccws`` or ``additional``.
    """
    if (version == 0 and ccws) or (version != 3 and additional):
        raise ValueError(f"header version {version} has no room for them")
    layout, _ = DISTINCT[version]
    padding = -(COMMON.size + layout.size + len(proto)) % PAGE_BYTES if version == 3 and ccws else 0
    body = proto + bytes(padding) + ccws + additional
    if version == 0:
        rest = layout.pack(reserved, hashlib.md5(body, usedforsecurity=False).digest())
    elif version == 1:
        rest = layout.pack(zlib.crc32(body), len(ccws), reserved)
    elif version == 2:
        rest = layout.pack(xxhash.xxh3_64_intdigest(body), len(ccws), reserved, 0)
    else:
        sizes = (len(ccws) + padding, padding, len(additional))
        rest = layout.pack(xxhash.xxh3_64_intdigest(body), *sizes, xxhash.xxh3_64_intdigest(proto), reserved)
    return COMMON.pack(MAGIC, version, len(proto)) + rest + body


def reseal(data: bytes) -> bytes:
    """Return a mutated HEF with its length and checksums made right again, so that the parser behind them is reached.

    Args:
        data: a HEF whose bytes were changed; the magic and the version are read from it, the sizes are not.

    Returns:
        The file re-wrapped; all bytes after the header belong to the protobuf, less the weights where the header's
        size of them still fits.
    """
    if len(data) < COMMON.size:
        return data
    _, version, proto_bytes = COMMON.unpack_from(data)
    if version not in DISTINCT:
        return data
    body = data[COMMON.size + DISTINCT[version][0].size :]
    if version in (1, 2) and proto_bytes <= len(body):
        return seal(body[:proto_bytes], body[proto_bytes:], version=version)
    return seal(body, version=version)


def _group(
    layout: Layout,
    network: str,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    fps: float,
    latency_s: float,
    contexts: int,
) -> bytes:
    net_flow = layout.startswith("net-flow")
    metadata = nested_field(
        1, text_field(1, network), double_field(4, fps), number_field(5, 1), double_field(6, latency_s)
    )
    names = b"".join(text_field(4, f"{network}/{spec.name}") for spec in outputs) + text_field(6, network)
    core = metadata + _contexts(network, inputs, outputs, contexts) + names
    if layout.endswith("partial"):
        layouts = b"".join(
            nested_field(7, nested_field(1, core), nested_field(2, number_field(1, bitmap))) for bitmap in (12, 15)
        )
        core = metadata + layouts + names
    if not net_flow:
        return core
    pads = b"".join(
        nested_field(2 if index < len(inputs) else 3, _pad(network, spec, index))
        for index, spec in enumerate([*inputs, *outputs])
    )
    named = nested_field(1, text_field(1, network))  # HailoRT takes the group's name from here, not from field 10
    if layout.endswith("partial"):  # these architectures take it from the first partial group, which must be there
        named += nested_field(7, nested_field(1, named + names))
    return named + names + nested_field(8, text_field(1, "core"), pads, nested_field(4, core)) + text_field(10, network)


def _contexts(network: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], count: int) -> bytes:
    edges: list[list[bytes]] = [[] for _ in range(count)]
    for index, spec in enumerate(inputs):
        edges[0].append(_edge(network, spec, 0) + _pad_index(index))
    for index, spec in enumerate(outputs, start=len(inputs)):
        edges[-1].append(_edge(network, spec, 1) + nested_field(5, number_field(1, count - 1)) + _pad_index(index))
    for index in range(count - 1):  # what one context leaves for the next never reaches the host
        between = TensorSpec(f"between{index}", (1, 8, 16))
        edges[index].append(_edge(network, between, 1) + _switch(index, index + 1))
        edges[index + 1].append(_edge(network, between, 0) + _switch(index + 1, index))
    return b"".join(
        nested_field(
            3,
            number_field(1, index),
            nested_field(3, text_field(1, f"context_{index}"), *(nested_field(2, edge) for edge in layers)),
        )
        for index, layers in enumerate(edges)
    )


def _switch(context: int, other: int) -> bytes:
    """What a stream between contexts says of its other end; HailoRT asks for at least one."""
    return nested_field(5, number_field(1, context), number_field(3, 1), nested_field(8, number_field(1, other)))


def _edge(network: str, spec: TensorSpec, direction: int) -> bytes:
    layer = nested_field(
        3,
        text_field(1, f"{network}/{spec.name}"),
        nested_field(
            2,
            _shape(spec),
            number_field(7, 2 if len(spec.shape) == 1 else 1),
            _buffers(spec),
            number_field(12, _data_bytes(spec)),
            nested_field(13),  # buffer indices, both 0; HailoRT takes the first without looking whether there is one
        ),
        _numeric(3, spec),
        *(text_field(5, name) for name in spec.original_names),
    )
    return number_field(1, direction) + layer


def _buffers(spec: TensorSpec) -> bytes:
    """Bytes per buffer of the core and buffers per frame: a row, and as many as there are rows."""
    height, width, features = (1, 1, *spec.shape)[-3:]
    return number_field(9, min(width * (-(-features // 8) * 8) * _data_bytes(spec), 65535)) + number_field(10, height)


def _pad_index(index: int) -> bytes:
    """The field is optional in the schema: an explicit 0 differs from an absent one."""
    return varint(7 << 3) + varint(index)


def _pad(network: str, spec: TensorSpec, index: int) -> bytes:
    return b"".join(
        (
            number_field(1, index),
            text_field(2, f"{network}/{spec.name}"),
            number_field(3, 6 if len(spec.shape) == 1 else 1),
            _numeric(5, spec),
            nested_field(6, _shape(spec)),
            number_field(8, _data_bytes(spec)),
        )
    )


def _data_bytes(spec: TensorSpec) -> int:
    return 2 if spec.dtype == "uint16" else 1


def _shape(spec: TensorSpec) -> bytes:
    height, width, features = (1, 1, *spec.shape)[-3:]
    padded = -(-features // 8) * 8  # the hardware holds features in eights
    sizes = (height, height, width, width, features, padded)
    return b"".join(number_field(number, size) for number, size in enumerate(sizes, start=1))


def _numeric(number: int, spec: TensorSpec) -> bytes:
    scale, zero_point = spec.quant
    floats = (zero_point, scale, spec.limit_min, spec.limit_max)
    return nested_field(number, *(float_field(index, value) for index, value in enumerate(floats, start=1)))
