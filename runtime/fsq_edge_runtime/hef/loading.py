"""Will this device, under this HailoRT, load this HEF?

Source: HailoRT's MIT-licensed sources and public reports of each refusal. Judged from documents: nothing was loaded on
a device here.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.hef.architecture import DEVICES, version_key
from fsq_edge_runtime.hef.report import HefReport

STATUS_INVALID, STATUS_NOT_SUPPORTED, STATUS_WRONG_DEVICE = 26, 92, 93
_TYPED_SINCE = (4, 21)  # before, every refusal was status 26


@dataclass(frozen=True, slots=True)
class LoadVerdict:
    """Whether a HEF will be loaded.

    Attributes:
        loads: no reason against it is known.
        status: the status code HailoRT would refuse with, None when it loads.
        reasons: why not, each with its remedy.
        warnings: what may go wrong though it loads.
    """

    loads: bool
    status: int | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def check_load(report: HefReport, device: str, hailort: str = "") -> LoadVerdict:
    """Judge a HEF against a device and a HailoRT.

    Args:
        report: what the HEF says.
        device: e.g. ``hailo8l``.
        hailort: installed version, e.g. ``4.23.0``; empty when not known.

    Raises:
        UsageError: an unknown device, or not a version.
    """
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}", hint="one of " + ", ".join(DEVICES))
    library = version_key(hailort)
    if hailort and library == (0, 0):
        raise UsageError(f"{hailort!r} is not a HailoRT version", hint="for example 4.23.0")
    refusals = [*_device_refusals(report, device)]
    if report.fault:
        refusals.insert(0, (STATUS_INVALID, f"{report.fault}: compile again"))
    if hailort:
        refusals += _library_refusals(report, library)
    status = refusals[0][0] if refusals else None
    if refusals and hailort and library < _TYPED_SINCE:
        status = STATUS_INVALID
    reasons = tuple(reason for _, reason in refusals)
    return LoadVerdict(not refusals, status, reasons, tuple(_load_warnings(report, device, library)))


def _device_refusals(report: HefReport, device: str) -> list[tuple[int, str]]:
    if device in report.devices:
        return []
    loads_on = ", ".join(report.devices) or "no device this release knows"
    return [
        (
            STATUS_WRONG_DEVICE,
            f"compiled for {report.architecture.name}, which loads on {loads_on}, not on {device}: "
            f"compile again with --arch {device}",
        )
    ]


def _library_refusals(report: HefReport, library: tuple[int, int]) -> list[tuple[int, str]]:
    refusals = []
    shown = f"{library[0]}.{library[1]}"
    if report.generation and library[0] != report.generation:
        refusals.append(
            (
                STATUS_NOT_SUPPORTED,
                f"{report.architecture.name} runs under HailoRT {report.generation}.x, {shown} is installed: "
                f"install the stack of that device (hailo-all for 8 and 8L, hailo-h10-all for 10H)",
            )
        )
    elif library < version_key(report.minimum_hailort):
        refusals.append(
            (
                STATUS_NOT_SUPPORTED,
                f"needs HailoRT {report.minimum_hailort} or newer (header version {report.header.version}), "
                f"{shown} is installed: update HailoRT, driver and firmware together",
            )
        )
    if report.strict_versioning and version_key(report.dfc_version) != library:
        refusals.append(
            (
                STATUS_NOT_SUPPORTED,
                f"the DFC version {report.dfc_version} differs from library version {shown}, which this model forbids: "
                f"use HailoRT {report.paired_hailort or 'of the same release'} or compile again",
            )
        )
    return refusals


def _load_warnings(report: HefReport, device: str, library: tuple[int, int]) -> list[str]:
    warnings = []
    if report.architecture.name == "hailo8l" and device in ("hailo8", "hailo8r"):
        warnings.append("built for Hailo-8L: runs on Hailo-8 with lower performance than a build for hailo8")
    if report.paired_hailort and library != (0, 0) and library < version_key(report.paired_hailort):
        warnings.append(
            f"DFC {report.dfc_version} pairs with HailoRT {report.paired_hailort}, {library[0]}.{library[1]} is older: "
            "wrong results without an error were reported for such a pair"
        )
    return warnings
