"""Reading the protobuf of a HEF: network groups, contexts, streams, quantisation.

Field numbers are written beside each read; the classic layout, the net-flow layout and both partial layouts end in the
same values. What leaves nothing to read (a group without contexts, a Hailo-8L without partial groups, a net-flow group
without a core op) is refused here; what can be read, but crashes HailoRT, is found in :mod:`.hazards`.

Source: HailoRT's MIT-licensed hef.proto and hef.cpp.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from fsq_edge_runtime.hef.report import HefTensor, HostOp, NetworkGroup, QuantInfo
from fsq_edge_runtime.protobuf import Message, WireError

MAX_STREAMS = 256  # per group; a classifier has two
FORMATS = {1: "NHWC", 2: "NC", 6: "NMS"}
PAD_ORDERS = {1: "NHWC", 5: "NHW", 6: "NC", 9: "NMS"}
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 0, 1
_BOUNDARY = 0
_LAYOUTS = {
    (False, False): "classic",
    (True, False): "net-flow",
    (False, True): "partial",
    (True, True): "net-flow-partial",
}
_UNQUANTISED = QuantInfo(scale=1.0, zero_point=0.0, limit_min=0.0, limit_max=0.0)


@dataclass(frozen=True, slots=True)
class _Edge:
    direction: int
    tensor: HefTensor


def read_group(group: Message, *, net_flow: bool, partial: bool) -> NetworkGroup:
    """Read one network group.

    Args:
        group: field 2 of the root.
        net_flow: the file declares the net-flow feature: the core op stands among ``ops``.
        partial: the architecture keeps its contexts in partial groups.

    Raises:
        WireError: the structure is not what the layout says, or HailoRT would crash on it.
    """
    core, host_ops, pads = _read_ops(group) if net_flow else (group, (), {})
    cores = _read_partials(core, net_flow) if partial else [core]
    streams = [_read_streams(one, pads) for one in cores]
    if any(other[:2] != streams[0][:2] for other in streams[1:]):
        raise WireError(f"{group.path}: its partial layouts do not have the same streams")
    inputs, outputs, contexts = streams[0]
    metadata = [one.message(1, "metadata") for one in (core, cores[0])]
    # HailoRT names a net-flow group after its own metadata; field 10 is only shown where that is missing.
    name = group.message(1, "metadata").text(1) or metadata[0].text(1) or metadata[1].text(1) or group.text(10)
    if not name:
        raise WireError(f"{group.path}: the network group has no name")
    return NetworkGroup(
        name=name,
        layout=_LAYOUTS[net_flow, partial],
        networks=group.texts(6) or core.texts(6) or cores[0].texts(6),
        contexts=contexts,
        layouts=len(cores) if partial else 0,
        inputs=inputs,
        outputs=outputs,
        output_order=group.texts(4) or core.texts(4) or cores[0].texts(4),
        host_ops=host_ops,
        estimated_fps=metadata[1].float64(4) or metadata[0].float64(4),
        estimated_latency_s=metadata[1].float64(6) or metadata[0].float64(6),
    )


def _read_ops(group: Message) -> tuple[Message, tuple[HostOp, ...], dict[int, Message]]:
    """Return the core op, the host ops and the core op's pads by index."""
    core_ops: list[Message] = []
    host_ops: list[HostOp] = []
    pads: dict[int, Message] = {}
    for op in group.messages(8, "op"):
        kind = op.only_one_of(4, 5, 6)
        if kind == 4:
            core_ops.append(op.message(4, "core_op"))
            for number in (2, 3):
                for pad in op.messages(number, "pad"):
                    pads[pad.uint(1)] = pad
            continue
        name = {5: "nms", 0: "none"}.get(kind)
        if name is None:
            name = "softmax" if op.message(6, "logits_op").uint(1) else "argmax"
        host_ops.append(HostOp(op.text(1), name, tuple(pad.text(2) for pad in op.messages(3, "pad"))))
    if len(core_ops) != 1:
        raise WireError(f"{group.path}: net-flow layout with {len(core_ops)} core ops, expected 1")
    return core_ops[0], tuple(host_ops), pads


def _read_partials(core: Message, net_flow: bool) -> list[Message]:
    """Return the network of each partial layout; all are the same network for different free clusters."""
    partials = [
        partial.message(1, "core_op" if net_flow else "network_group") for partial in core.messages(7, "partial")
    ]
    if not partials:
        raise WireError(
            f"{core.path}: no partial network groups, which this architecture needs: HailoRT would crash on this file"
        )
    return partials


def _read_streams(core: Message, pads: dict[int, Message]) -> tuple[tuple[HefTensor, ...], tuple[HefTensor, ...], int]:
    """Return inputs, outputs and the number of contexts."""
    inputs: list[HefTensor] = []
    outputs: list[HefTensor] = []
    contexts = 0
    for context in core.messages(3, "context"):
        contexts += 1
        for edge in _read_edges(context.message(3, "metadata"), pads):
            (outputs if edge.direction == _DEVICE_TO_HOST else inputs).append(edge.tensor)
    if contexts == 0:
        raise WireError(f"{core.path}: no contexts: HailoRT would crash on this file")
    if not inputs or not outputs:
        raise WireError(f"{core.path}: {len(inputs)} inputs and {len(outputs)} outputs, expected at least one of each")
    names = [tensor.name for tensor in (*inputs, *outputs)]
    if len(set(names)) != len(names):
        raise WireError(f"{core.path}: two streams have the same name")
    if len(names) > MAX_STREAMS:
        raise WireError(f"{core.path}: {len(names)} streams, more than {MAX_STREAMS}")
    return tuple(inputs), tuple(outputs), contexts


def _read_edges(metadata: Message, pads: dict[int, Message]) -> Iterator[_Edge]:
    for edge in metadata.messages(2, "edge_layer"):
        if edge.message(5, "switch").uint(3) != _BOUNDARY:
            continue  # a stream between contexts never reaches the host
        direction = edge.uint(1)
        if direction not in (_HOST_TO_DEVICE, _DEVICE_TO_HOST):
            raise WireError(f"{edge.path}: direction {direction} is neither 0 (in) nor 1 (out)")
        kind = edge.only_one_of(3, 4, 8)
        if kind == 0:
            raise WireError(f"{edge.path}: an edge without a layer")
        layer = edge.message(kind, {3: "layer", 4: "mux", 8: "planes"}[kind])
        pad = pads.get(edge.uint(7)) if 7 in edge else None
        yield _Edge(direction, _read_tensor(layer, kind, edge.uint(6), pad))


def _read_tensor(layer: Message, kind: int, network: int, pad: Message | None) -> HefTensor:
    name = layer.text(1)
    if not name:
        raise WireError(f"{layer.path}: a stream without a name")
    if kind == 8:  # planes of a picture: the shape stands on the layer itself, the quantisation on its parts
        shape = (layer.uint(4), layer.uint(5), layer.uint(6))
        return HefTensor(name, shape, shape, "planes", "uint8", _UNQUANTISED, (), network)
    base = layer.message(2, "base")
    code = base.uint(7)
    data_bytes = base.uint(12)
    if data_bytes not in (0, 1, 2):
        raise WireError(f"{layer.path}: {data_bytes} bytes per value, expected 1 or 2")
    tensor = HefTensor(
        name=name,
        shape=(base.uint(1), base.uint(3), base.uint(5)),
        padded_shape=(base.uint(2), base.uint(4), base.uint(6)),
        order=FORMATS.get(code, f"format-{code}"),
        dtype="uint16" if data_bytes == 2 else "uint8",
        quant=_read_quant(layer.message(3, "numeric")) if kind == 3 else _UNQUANTISED,
        original_names=layer.texts(5 if kind == 3 else 6),
        network=network,
    )
    return tensor if pad is None else _with_pad(tensor, pad)


def _with_pad(tensor: HefTensor, pad: Message) -> HefTensor:
    """Return the tensor as the net-flow pad describes it: the pad is what the user's buffers are checked against."""
    if pad.only_one_of(6, 7) == 7:
        return dataclasses.replace(tensor, order="NMS")
    order = PAD_ORDERS.get(pad.uint(3), tensor.order)
    dtype = {0: tensor.dtype, 1: "uint8", 2: "uint16"}.get(pad.uint(8))
    if dtype is None:
        raise WireError(f"{pad.path}: format type {pad.uint(8)}, expected 1 or 2")
    quant = _read_quant(pad.message(5, "numeric")) if 5 in pad else tensor.quant
    shape, padded = tensor.shape, tensor.padded_shape
    if 6 in pad:
        given = pad.message(6, "shape")
        shape = (given.uint(1), given.uint(3), given.uint(5))
        padded = (given.uint(2), given.uint(4), given.uint(6))
    return dataclasses.replace(tensor, order=order, dtype=dtype, quant=quant, shape=shape, padded_shape=padded)


def _read_quant(numeric: Message) -> QuantInfo:
    """Read quantisation numbers: 1 zero point, 2 scale, 3 and 4 limits, 5 zero points and 6 scales per feature."""
    return QuantInfo(
        scale=numeric.float32(2),
        zero_point=numeric.float32(1),
        limit_min=numeric.float32(3),
        limit_max=numeric.float32(4),
        scales=numeric.float64s(6),
        zero_points=numeric.float64s(5),
    )
