"""What the inspector reads is what the writer wrote, and nothing damaged gets through."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.hef import HefTensor, check_load, inspect_hef
from fsq_edge_runtime.hef.architecture import NET_FLOW, STRICT_VERSIONING, code_of
from fsq_edge_runtime.testing.hef_writer import Layout, TensorSpec, hef_bytes, seal, write_hef

INPUT = TensorSpec(
    "input_layer1", (2, 50, 12), limit_min=-4.75, limit_max=5.25, original_names=("/conv1/Conv", "/relu1/Relu")
)
OUTPUT = TensorSpec("fc1", (3,), limit_min=-1.0, limit_max=1.0, dtype="uint16", original_names=("/tanh/Tanh",))
LAYOUTS: tuple[tuple[str, Layout], ...] = (
    ("hailo8", "classic"),
    ("hailo8r", "net-flow"),
    ("hailo8l", "partial"),
    ("hailo15m", "net-flow-partial"),
    ("hailo10h", "net-flow"),
)


def sample(version: int = 2, arch: str = "hailo8", layout: Layout | None = None, **changes: object) -> bytes:
    values: dict[str, object] = {
        "network": "dog_1234",
        "inputs": (INPUT,),
        "outputs": (OUTPUT,),
        "sdk": "3.32.0",
        "payload": bytes(range(200)) if version else b"",
        "additional": b"more" if version == 3 else b"",
    }
    return hef_bytes(version=version, arch=arch, layout=layout, **{**values, **changes})  # type: ignore[arg-type]


def assert_same(tensor: HefTensor, spec: TensorSpec, shape: tuple[int, ...], order: str) -> None:
    scale, zero_point = spec.quant
    assert tensor.name == f"dog_1234/{spec.name}"
    assert (tensor.shape, tensor.order, tensor.dtype) == (shape, order, spec.dtype)
    assert tensor.padded_shape == (*shape[:2], -(-shape[2] // 8) * 8)
    assert tensor.original_names == spec.original_names
    expected = [float(np.float32(value)) for value in (scale, zero_point, spec.limit_min, spec.limit_max)]
    assert [tensor.quant.scale, tensor.quant.zero_point, tensor.quant.limit_min, tensor.quant.limit_max] == expected


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize(("arch", "layout"), LAYOUTS)
def test_every_version_and_layout_reads_back_exactly(version: int, arch: str, layout: Layout, tmp_path: Path) -> None:
    data = sample(version, arch, layout, contexts=3)
    path = tmp_path / "x.hef"
    path.write_bytes(data)
    report = inspect_hef(path)
    group = report.groups[0]
    assert report == inspect_hef(data)
    assert (report.header.version, report.file_bytes) == (version, len(data))
    assert report.header.additional_bytes == (4 if version == 3 else 0)
    assert report.header.ccws_bytes - report.header.padding_bytes == (200 if version else 0)
    assert (report.architecture.code, arch in report.architecture.targets) == (code_of(arch), True)
    assert (report.dfc_version, report.timestamp_ms) == ("3.32.0", 1_700_000_000_000)
    assert (group.name, group.networks, group.layout, group.contexts) == ("dog_1234", ("dog_1234",), layout, 3)
    assert group.layouts == (2 if layout.endswith("partial") else 0)
    assert (group.estimated_fps, group.estimated_latency_s) == (10_000.0, 1e-4)
    assert group.output_order == ("dog_1234/fc1",)
    assert_same(report.inputs[0], INPUT, (2, 50, 12), "NHWC")
    assert_same(report.outputs[0], OUTPUT, (1, 1, 3), "NC")
    assert report.warnings == ()


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize("layout", ["classic", "net-flow"])
def test_any_flipped_byte_is_found(version: int, layout: Layout) -> None:
    data = sample(version, layout=layout, payload=b"weights!" if version else b"")
    reserved = {0: {12, 13, 14, 15}, 1: {24, 25, 26, 27}, 2: set(range(28, 44)), 3: set(range(48, 56))}[version]
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        if place in reserved:
            assert "reserved header words" in inspect_hef(bytes(damaged)).warnings[0]
        else:
            with pytest.raises(DataError):
                inspect_hef(bytes(damaged))


@pytest.mark.parametrize("version", range(4))
def test_truncation_at_any_length_is_one_clear_error(version: int) -> None:
    data = sample(version)
    for length in range(len(data)):
        with pytest.raises(DataError) as caught:
            inspect_hef(data[:length])
        assert "\n" not in caught.value.message
        assert any(word in caught.value.message for word in ("too short", "cut off"))
    with pytest.raises(DataError, match="bytes after the end"):
        inspect_hef(data + b"\0")


def test_what_crashes_hailort_is_refused() -> None:
    for data, why in (
        (b"", "too short"),
        (seal(b""), "no network groups"),
        (sample(arch="hailo8l", layout="classic"), "no partial network groups"),
        (sample(arch="hailo8l", layout="net-flow"), "no partial network groups"),
        (sample(layout="partial"), "no contexts"),
    ):
        with pytest.raises(DataError, match=why):
            inspect_hef(data)


def test_a_net_flow_layout_that_is_not_declared_is_read_and_kept_from_hailort() -> None:
    declared = sample(arch="hailo8", layout="net-flow", payload=b"")
    proto = declared[44:]
    feature = next(
        proto[at : at + 2 + proto[at + 1]] for at in range(len(proto)) if proto[at : at + 4 : 2] == b"\x2a\x08"
        and proto[at + 3] == NET_FLOW
    )  # fmt: skip
    report = inspect_hef(seal(proto.replace(feature, b"")))
    assert report.groups == inspect_hef(declared).groups
    assert "does not declare the feature" in report.fault
    verdict = check_load(report, "hailo8")
    assert (verdict.loads, verdict.status) == (False, 26)
    assert check_load(inspect_hef(declared), "hailo8").loads


def test_a_foreign_file_and_an_unknown_version_are_named() -> None:
    with pytest.raises(DataError, match="not a HEF: it starts with 504b0304"):
        inspect_hef(b"PK\x03\x04" + bytes(60))
    with pytest.raises(DataError, match="header version 4 is not known"):
        inspect_hef(struct.pack(">III", 0x01484546, 4, 0) + bytes(60))


def test_sizes_beyond_the_limits_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too large"):
        inspect_hef(struct.pack(">III", 0x01484546, 2, 1 << 31) + bytes(60))
    path = tmp_path / "sparse.hef"
    with path.open("wb") as file:
        file.write(sample()[:44])
        file.truncate(3 << 30)
    with pytest.raises(DataError, match="too large"):
        inspect_hef(path)


def test_missing_folder_and_pipe_are_missing_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.hef", tmp_path, tmp_path / "pipe"):
        with pytest.raises(MissingInputError):
            inspect_hef(path)


def test_names_with_control_characters_are_refused() -> None:
    with pytest.raises(DataError, match="control characters"):
        inspect_hef(sample(network="dog\x1b[2J"))


def test_two_streams_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="same name"):
        inspect_hef(sample(outputs=(OUTPUT, OUTPUT)))


def test_an_unknown_architecture_is_a_warning() -> None:
    report = inspect_hef(sample(arch_code=77))
    assert (report.devices, report.architecture.name) == ((), "unknown-77")
    assert any("77 is not known" in warning for warning in report.warnings)


@pytest.mark.parametrize(("version", "minimum"), [(0, "4.14"), (1, "4.14"), (2, "4.20"), (3, "4.21")])
def test_oldest_hailort_follows_the_header_version(version: int, minimum: str) -> None:
    assert inspect_hef(sample(version)).minimum_hailort == minimum


def test_report_becomes_json(tmp_path: Path) -> None:
    value = inspect_hef(write_hef(tmp_path / "x.hef", arch="hailo8l", extensions=(STRICT_VERSIONING,))).to_dict()
    assert value["schema_version"] == 1
    assert value["strict_versioning"] is True
    assert value["groups"][0]["inputs"][0]["quant"]["limit_min"] == -5.0
    assert value["devices"] == ("hailo8l", "hailo8", "hailo8r")
