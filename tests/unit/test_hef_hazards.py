"""Files that read well here and crash HailoRT: each is named in ``fault`` and never reaches it."""

from __future__ import annotations

import pytest

from fsq_edge_runtime.backends.hailo.backend import HailoBackend
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.hef import check_load, inspect_hef
from fsq_edge_runtime.hef.architecture import SCALE_PER_FEATURE
from fsq_edge_runtime.testing.hef_writer import Layout, TensorSpec, hef_bytes
from tests.factories.hef_surgery import having, proto_of, read, varint, without, write

LAYOUTS: tuple[tuple[str, Layout], ...] = (
    ("hailo8", "classic"),
    ("hailo8r", "net-flow"),
    ("hailo8l", "partial"),
    ("hailo15m", "net-flow-partial"),
)
CORE = {"classic": (2,), "net-flow": (2, 8, 4), "partial": (2, 7, 1), "net-flow-partial": (2, 8, 4, 7, 1)}
EDGE = (3, 3, 2)  # inside a core: context, metadata, edge layer
BASE = (*EDGE, 3, 2)
FRAME = TensorSpec("input_layer1", (2, 50, 12))


@pytest.fixture(params=LAYOUTS, ids=[layout for _, layout in LAYOUTS])
def sound(request: pytest.FixtureRequest) -> tuple[bytes, tuple[int, ...]]:
    """A sound file, and the path to its core."""
    arch, layout = request.param
    return hef_bytes(arch=arch, layout=layout), CORE[layout]


def test_a_sound_file_has_no_hazard(sound: tuple[bytes, tuple[int, ...]]) -> None:
    assert inspect_hef(sound[0]).fault == ""


HAZARDS: dict[str, tuple[tuple[int, ...], int | bytes | None, str]] = {
    "no buffer indices": ((*BASE, 13), None, "no buffer indices"),
    "buffer indices that are a number": ((*BASE, 13), 7, "has wire type 0"),
    "no bytes per value": ((*BASE, 12), None, "0 bytes per value"),
    "four billion features": ((*BASE, 5), 0xFFFFFFFF, "features"),
    "declared as a mux": ((*EDGE, 2), 1, "declared as layer type 1"),
    "declared as planes": ((*EDGE, 2), 2, "declared as layer type 2"),
    "declared as a cache": ((*EDGE, 2), 7, "declared as layer type 7"),
    "weights beyond the end": (
        (3, 2),
        write([(1, 2, write([(9, 2, b"")])), (2, 2, write([(16, 2, write([(1, 0, varint(8)), (2, 0, varint(1))]))]))]),
        "past its end",
    ),
    "weights beyond the end, before the first context": (
        (2,),
        write([(1, 2, write([(2, 2, write([(16, 2, write([(2, 0, varint(4097))]))]))]))]),
        "past its end",
    ),
}


@pytest.mark.parametrize("what", HAZARDS)
def test_what_hailort_reads_unchecked_is_a_fault(sound: tuple[bytes, tuple[int, ...]], what: str) -> None:
    data, core = sound
    path, value, expected = HAZARDS[what]
    damaged = without(data, core + path) if value is None else having(data, core + path, value)
    fault = inspect_hef(damaged).fault
    assert expected in fault
    verdict = check_load(inspect_hef(damaged), inspect_hef(damaged).devices[0])
    assert not verdict.loads
    with pytest.raises(BackendError, match="not given to HailoRT") as caught:
        HailoBackend({"any": damaged}, (12, 2, 50), 4, binding=object())
    assert caught.value.status == 91


def test_format_version_0_makes_hailort_ignore_every_extension(sound: tuple[bytes, tuple[int, ...]]) -> None:
    data, _ = sound
    assert "format version (header field 4) is 0" in inspect_hef(without(data, (1, 4))).fault


@pytest.mark.parametrize(("arch", "layout"), LAYOUTS)
def test_hailort_looks_the_name_of_the_group_up_among_those_of_its_cores(arch: str, layout: Layout) -> None:
    data = hef_bytes(arch=arch, layout=layout)
    outer = having(data, (2, 1), write([(1, 2, b"other")]))
    inner = having(data, (*CORE[layout], 1), write([(1, 2, b"other")]))
    # In the classic layouts the group is its core, or named after the partial group that is its core.
    assert ("looks the one up" in inspect_hef(outer).fault) == (layout == "net-flow")
    assert ("looks the one up" in inspect_hef(inner).fault) == layout.startswith("net-flow")


def test_a_net_flow_group_of_partial_layouts_needs_a_partial_group_beside_its_core() -> None:
    data = hef_bytes(arch="hailo8l", layout="net-flow-partial")
    assert inspect_hef(data).fault == ""
    assert "no partial network groups beside its core op" in inspect_hef(without(data, (2, 7))).fault


def test_a_net_flow_group_is_named_by_its_metadata() -> None:
    data = hef_bytes(arch="hailo10h", layout="net-flow", network="dog")
    renamed = having(data, (2, 10), b"cat")
    assert inspect_hef(renamed).groups[0].name == "dog"
    assert inspect_hef(renamed).fault == ""
    unnamed = inspect_hef(without(data, (2, 1)))
    assert unnamed.groups[0].name == "dog"
    assert "fails (IndexError)" in unnamed.fault


def test_no_order_of_the_outputs_and_no_contexts_outside_the_partial_groups() -> None:
    data = hef_bytes(arch="hailo8l", layout="partial")
    inner = without(without(data, (2, 4)), (2, 7, 1, 4))
    assert "neither an order of the outputs" in inspect_hef(inner).fault
    assert inspect_hef(without(data, (2, 4))).fault == "", "the first partial group has it"
    classic = hef_bytes(arch="hailo8", layout="classic")
    assert "outputs" not in inspect_hef(without(classic, (2, 4))).fault, (
        "its last context may have it: status 26 if not"
    )


def mux(announced: int, held: int, *, depth: int = 1, data: bytes = b"") -> bytes:
    """A multiplexed stream of two layers, of which so many are announced and so many there; or one within another."""
    data = data or hef_bytes(arch="hailo8", layout="classic", inputs=(FRAME,))
    made = next(value for number, _, value in read(_edges(data)[0]) if number == 3)
    base = next(value for number, _, value in read(made) if number == 2)
    for level in range(depth):
        parts = [(5, 2, write([(1 if level == 0 else 2, 2, made)]))] * held
        made = write([(1, 2, b"fsq/mux"), (2, 2, base), (3, 2, write([(1, 0, varint(announced))])), *parts])
    edges = [write([(1, 0, b"\0"), (2, 0, b"\1"), (4, 2, made)]), *_edges(data)[1:]]
    return having(data, (2, 3, 3), write([(2, 2, edge) for edge in edges]))


def planes(held: int) -> bytes:
    """A picture of so many planes."""
    data = hef_bytes(arch="hailo8", layout="classic", inputs=(FRAME,))
    layer = next(value for number, _, value in read(_edges(data)[0]) if number == 3)
    parts = [(3, 2, write([(1, 2, layer)]))] * held
    made = write([(1, 2, b"fsq/nv12"), *parts, (4, 0, varint(4)), (5, 0, varint(4)), (6, 0, varint(3))])
    edges = [write([(1, 0, b"\0"), (2, 0, b"\2"), (8, 2, made)]), *_edges(data)[1:]]
    return having(data, (2, 3, 3), write([(2, 2, edge) for edge in edges]))


def _edges(data: bytes) -> list[bytes]:
    proto = proto_of(data)
    for number in (2, 3, 3):
        proto = next(value for field, _, value in read(proto) if field == number)
    return [value for number, _, value in read(proto) if number == 2]


def test_a_mux_must_hold_the_predecessors_that_it_announces() -> None:
    assert inspect_hef(mux(2, 2)).fault == ""
    assert "4294967295 predecessors announced, 2 are there" in inspect_hef(mux(0xFFFFFFFF, 2)).fault
    assert "1 predecessors announced, 0 are there" in inspect_hef(mux(1, 0)).fault


@pytest.mark.parametrize("depth", [1, 2])
def test_a_layer_within_a_mux_is_looked_at_as_any_other(depth: int) -> None:
    data = hef_bytes(arch="hailo8", layout="classic", inputs=(FRAME,), extensions=(SCALE_PER_FEATURE,))
    assert inspect_hef(mux(2, 2, depth=depth, data=data)).fault == ""
    few = having(data, (2, 3, 3, 2, 3, 3, 6), bytes(8 * 11))
    assert "11 scales for 12 features" in inspect_hef(mux(2, 2, depth=depth, data=few)).fault


def test_a_picture_must_have_planes() -> None:
    assert inspect_hef(planes(2)).fault == ""
    assert "without planes" in inspect_hef(planes(0)).fault


def test_scales_per_feature_of_an_input_must_be_one_for_each() -> None:
    data = hef_bytes(arch="hailo8", layout="classic", inputs=(FRAME,), extensions=(SCALE_PER_FEATURE,))
    assert inspect_hef(data).fault == ""
    numeric = (2, 3, 3, 2, 3, 3)
    enough, few = bytes(8 * 12), bytes(8 * 11)
    assert inspect_hef(having(data, (*numeric, 6), enough)).fault == ""
    assert "11 scales for 12 features" in inspect_hef(having(data, (*numeric, 6), few)).fault
    without_extension = hef_bytes(arch="hailo8", layout="classic", inputs=(FRAME,))
    assert inspect_hef(having(without_extension, (*numeric, 6), few)).fault == "", "HailoRT does not read them then"


def test_a_host_operation_must_have_pads() -> None:
    data = hef_bytes(arch="hailo10h", layout="net-flow")
    group = next(value for number, _, value in read(proto_of(data)) if number == 2)
    pad = write([(1, 0, varint(7)), (2, 2, b"pad")])
    for pads, expected in (([(2, 2, pad), (3, 2, pad)], ""), ([(2, 2, pad)], "without input or output pads")):
        op = write([(1, 2, b"softmax"), *pads, (6, 2, write([(1, 0, b"\1")]))])
        damaged = having(data, (2,), group + write([(8, 2, op)]))
        assert expected in inspect_hef(damaged).fault
        assert bool(expected) == bool(inspect_hef(damaged).fault)


def test_weights_that_end_with_the_file_are_no_hazard() -> None:
    data = hef_bytes(arch="hailo8", layout="classic", payload=bytes(9))
    pointer = write([(1, 0, varint(8)), (2, 0, varint(1))])
    operation = write([(2, 2, write([(16, 2, pointer)]))])
    assert inspect_hef(having(data, (2, 3, 2), operation)).fault == ""
