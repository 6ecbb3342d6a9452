"""What HailoRT reads in a HEF without looking whether it is there: such a file must never reach it.

HailoRT's parser takes the first element of lists that it has not counted and follows offsets that it has not compared
with the file. A file that lacks those crashes the process, so :func:`find_hazard` looks first.

Source: HailoRT's MIT-licensed hef.proto, hef.cpp, file_utils.cpp and context_switch_actions.cpp of 4.23 and 5.2; the
missing buffer indices, the unnamed net-flow group, format version 0 and a net-flow group of partial layouts without a
partial group of its own were also seen to crash the genuine parser of 4.23.
"""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_runtime.hef.architecture import SCALE_PER_FEATURE
from fsq_edge_runtime.protobuf import FieldBudget, Message, WireError

MAX_FEATURES = 1 << 20  # HailoRT makes one 16-byte record per feature before it compares the number with anything
MAX_PROGRAM_FIELDS = 1_000_000  # a second of reading; the HEF of a large vision network has about a tenth of that
_CRASH = "HailoRT would crash on this file"
_LAYER_OF_TYPE = {0: 3, 1: 4, 2: 8}  # edge_layer_type -> the member of the oneof that HailoRT then reads
_LAYER_NAME = {3: "layer", 4: "mux", 8: "planes"}


class _HazardError(Exception):
    """The first hazard found; its text is the report's ``fault``."""


def find_hazard(proto: bytes, ccws_bytes: int, *, net_flow: bool, partial: bool, undeclared: bool) -> str:
    """Return why HailoRT must not be given a file that could be read here, or an empty string.

    Args:
        proto: the file's protobuf, already read once without an error.
        ccws_bytes: bytes of weights after the protobuf and its padding.
        net_flow: the file declares the net-flow layout.
        partial: its architecture keeps the contexts in partial groups.
        undeclared: a group has the net-flow layout although the file does not declare it.
    """
    root = Message(memoryview(proto), "hef", FieldBudget(MAX_PROGRAM_FIELDS))
    if root.message(1, "header").uint(4, bits=64) == 0:
        return (
            "the file's format version (header field 4) is 0: HailoRT then ignores every feature that it declares and "
            "refuses the file (status 92) or crashes"
        )
    if undeclared:
        return "the file has the net-flow layout and does not declare the feature: HailoRT would find no contexts in it"
    try:
        per_feature = any(item.uint(1) == SCALE_PER_FEATURE for item in root.messages(5, "extension"))
        for group in root.messages(2, "network_group"):
            _check_group(group, ccws_bytes, net_flow=net_flow, partial=partial, per_feature=per_feature)
    except _HazardError as hazard:
        return str(hazard)
    except WireError as error:
        return f"what HailoRT would read in it cannot be checked: {error}"
    return ""


def _check_group(group: Message, ccws_bytes: int, *, net_flow: bool, partial: bool, per_feature: bool) -> None:
    outer = _core_op(group) if net_flow else group
    inner = "core_op" if net_flow else "network_group"
    partials = [one.message(1, inner) for one in outer.messages(7, "partial")]
    cores = partials if partial else [outer]
    if partial and not list(group.messages(7, "partial")):
        raise _HazardError(
            f"{group.path}: no partial network groups beside its core op, of which the first is read: {_CRASH}"
        )
    # HailoRT names the group after its first partial group, else after its own metadata, and looks that name up among
    # the names of the cores; a net-flow group has partial groups of its own and others inside the core op.
    named = next((one.message(1, "network_group") for one in group.messages(7, "partial")), group)
    name = _name(named)
    names = [_name(core) for core in cores]
    if not name or name not in names:
        raise _HazardError(
            f"{group.path}: the metadata of the network group names it {name!r}, that of its core {names[0]!r}: "
            "HailoRT looks the one up among the others and fails (IndexError)"
        )
    if not group.texts(4) and not (partials and not net_flow and partials[0].texts(4)):
        contexts = list(outer.messages(3, "context"))
        if not contexts:
            raise _HazardError(f"{group.path}: neither an order of the outputs nor contexts to take it from: {_CRASH}")
    for core in cores:
        for program in _programs(core):
            _check_program(program, ccws_bytes)
        for context in core.messages(3, "context"):
            for edge in context.message(3, "metadata").messages(2, "edge_layer"):
                _check_edge(edge, per_feature=per_feature)


def _core_op(group: Message) -> Message:
    """Return the core op of a net-flow group; every other op must have the pads whose first HailoRT takes."""
    core: Message | None = None
    for op in group.messages(8, "op"):
        if op.only_one_of(4, 5, 6) == 4:
            core = op.message(4, "core_op")
        elif not list(op.messages(2, "pad")) or not list(op.messages(3, "pad")):
            raise _HazardError(f"{op.path}: a host operation without input or output pads: {_CRASH}")
    if core is None:
        raise _HazardError(f"{group.path}: net-flow layout without a core op: {_CRASH}")
    return core


def _name(core: Message) -> str:
    return core.message(1, "metadata").text(1)


def _programs(core: Message) -> Iterator[Message]:
    yield from core.message(2, "preliminary_config").messages(1, "operation")
    for context in core.messages(3, "context"):
        yield from context.messages(2, "operation")


def _check_program(operation: Message, ccws_bytes: int) -> None:
    """Weights that stand after the protobuf are copied from memory at an offset that nobody compares with the size."""
    for action in operation.messages(2, "action"):
        if 16 not in action:
            continue
        pointer = action.message(16, "write_data_ccw_ptr")
        end = pointer.uint(1, bits=64) + pointer.uint(2)
        if end > ccws_bytes:
            raise _HazardError(
                f"{action.path}: weights up to byte {end}, the file has {ccws_bytes}: HailoRT would read past its end"
            )


def _check_edge(edge: Message, *, per_feature: bool) -> None:
    if edge.message(5, "switch").uint(3):
        return  # between contexts: HailoRT counts what it reads there
    kind = edge.uint(2)
    member = _LAYER_OF_TYPE.get(kind)
    if member is None or member not in edge:
        raise _HazardError(f"{edge.path}: declared as layer type {kind}, which is not the layer it holds: {_CRASH}")
    layer = edge.message(member, _LAYER_NAME[member])
    _check_layer(layer, member, to_device=edge.uint(1) == 0, per_feature=per_feature)


def _check_layer(layer: Message, member: int, *, to_device: bool, per_feature: bool) -> None:
    if member == 8:
        planes = list(layer.messages(3, "plane"))
        if not planes:
            raise _HazardError(f"{layer.path}: a picture without planes: {_CRASH}")
        for plane in planes:
            _check_layer(plane.message(1, "layer"), 3, to_device=to_device, per_feature=per_feature)
        return
    base = layer.message(2, "base")
    if not list(base.messages(13, "indices")):  # read, not only found: of another wire type HailoRT sees none
        raise _HazardError(
            f"{layer.path}: no buffer indices (base field 13), of which HailoRT takes the first: {_CRASH}"
        )
    if base.uint(12) not in (1, 2):
        raise _HazardError(f"{layer.path}: {base.uint(12)} bytes per value: HailoRT refuses the file (status 2)")
    if base.uint(5) > MAX_FEATURES:
        raise _HazardError(
            f"{layer.path}: {base.uint(5)} features, more than {MAX_FEATURES}: HailoRT would allocate them"
        )
    if member == 4:
        _check_mux(layer, to_device=to_device, per_feature=per_feature)
    elif to_device and per_feature:
        _check_scales(layer, base.uint(5))


def _check_mux(layer: Message, *, to_device: bool, per_feature: bool) -> None:
    wanted = layer.message(3, "mux_data").uint(1)
    held = layer.count(5)
    if wanted > held:
        raise _HazardError(f"{layer.path}: {wanted} predecessors announced, {held} are there: {_CRASH}")
    for part in layer.messages(5, "predecessor"):
        kind = part.only_one_of(1, 2)
        if kind:
            inner = part.message(kind, {1: "layer", 2: "mux"}[kind])
            _check_layer(inner, {1: 3, 2: 4}[kind], to_device=to_device, per_feature=per_feature)


def _check_scales(layer: Message, features: int) -> None:
    """For inputs HailoRT reads one scale and zero point per feature where there are any; for outputs it counts them."""
    numeric = layer.message(3, "numeric")
    for number, what in ((5, "zero points"), (6, "scales")):
        given = len(numeric.float64s(number))
        if 0 < given < features:
            raise _HazardError(f"{layer.path}: {given} {what} for {features} features of an input: {_CRASH}")
