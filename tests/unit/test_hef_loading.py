"""Which device and which HailoRT load a HEF."""

from __future__ import annotations

import pytest

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.hef import DEVICES, HefReport, check_load, inspect_hef
from fsq_edge_runtime.hef.architecture import STRICT_VERSIONING
from fsq_edge_runtime.testing.hef_writer import hef_bytes

LOADS_ON = {
    "hailo8": {"hailo8", "hailo8r"},
    "hailo8r": {"hailo8", "hailo8r"},
    "hailo8l": {"hailo8", "hailo8r", "hailo8l"},
    "hailo10h": {"hailo10h", "hailo15h"},
    "hailo15h": {"hailo10h", "hailo15h"},
    "hailo15m": {"hailo15m", "hailo15h", "hailo10h"},
    "hailo15l": {"hailo15l"},
}


def report(arch: str = "hailo8", **changes: object) -> HefReport:
    return inspect_hef(hef_bytes(arch=arch, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("arch", LOADS_ON)
def test_devices_of_each_target(arch: str) -> None:
    assert {device for device in DEVICES if check_load(report(arch), device).loads} == LOADS_ON[arch]


def test_a_hailo8_file_on_a_hailo8l_is_status_93_and_26_before_4_21() -> None:
    """Case F78."""
    verdict = check_load(report("hailo8"), "hailo8l", "4.23.0")
    assert (verdict.loads, verdict.status) == (False, 93)
    assert "--arch hailo8l" in verdict.reasons[0]
    assert check_load(report("hailo8", version=1), "hailo8l", "4.20.0").status == 26


def test_strict_versioning_refuses_another_release() -> None:
    """Case F82."""
    strict = report("hailo10h", sdk="5.1.0", extensions=(STRICT_VERSIONING,))
    verdict = check_load(strict, "hailo10h", "5.2.0")
    assert not verdict.loads
    assert "5.1.0 differs from library version 5.2" in verdict.reasons[0]
    assert check_load(strict, "hailo10h", "5.1.3").loads
    assert check_load(report("hailo10h", sdk="5.1.0"), "hailo10h", "5.2.0").loads


def test_an_older_library_than_the_pair_is_a_warning() -> None:
    """Case F88: a DFC 3.31 file on HailoRT 4.19 gave wrong classes; its pair is 4.21."""
    verdict = check_load(report("hailo8", sdk="3.31.0", version=1), "hailo8", "4.19.0")
    assert verdict.loads
    assert "pairs with HailoRT 4.21" in verdict.warnings[0]
    assert check_load(report("hailo8", sdk="3.31.0", version=1), "hailo8", "4.21.0").warnings == ()


def test_a_newer_header_needs_a_newer_library() -> None:
    verdict = check_load(report("hailo8", version=3), "hailo8", "4.20.0")
    assert (verdict.loads, verdict.status) == (False, 26)
    assert "4.21 or newer" in verdict.reasons[0]


def test_generations_do_not_mix() -> None:
    for arch, device, library in (("hailo10h", "hailo10h", "4.23.0"), ("hailo8", "hailo8", "5.2.0")):
        assert check_load(report(arch), device, library).status == 92


def test_a_smaller_build_on_a_larger_chip_is_a_warning() -> None:
    assert "lower performance" in check_load(report("hailo8l"), "hailo8").warnings[0]


@pytest.mark.parametrize(("device", "hailort"), [("hailo9", ""), ("hailo8", "newest"), ("hailo8", "4")])
def test_unknown_device_or_version_is_a_usage_error(device: str, hailort: str) -> None:
    with pytest.raises(UsageError):
        check_load(report(), device, hailort)
