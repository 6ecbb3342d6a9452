"""Rules about the device: on the bus, driven, visible, allowed, free, cool; and about the HEFs of a bundle for it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence

from fsq_edge_runtime.doctor.facts import Facts, major
from fsq_edge_runtime.doctor.hardware import Chip, DeviceFile, PciDevice
from fsq_edge_runtime.doctor.kernel_rules import refusal_in
from fsq_edge_runtime.doctor.repairs import repair
from fsq_edge_runtime.findings import Finding, error, finding, info, warning
from fsq_edge_runtime.hef import HefReport, check_load
from fsq_edge_runtime.status import describe

# Source: a public HailoRT log of a Hailo-8 that lowered its clock from 104 C and closed its streams near 120 C.
HOT_C, THROTTLING_C = 95.0, 104.0
BUSY, FORBIDDEN = (73, 74), (errno.EACCES, errno.EPERM)


def device_findings(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the device and its driver."""
    if not facts.pci:
        yield _absent(facts)
    for device in facts.pci:
        yield from _driver(facts, device)
    yield from _conflict(facts)
    for file in facts.files:
        yield from _permission(facts, file)
    yield from _holders(facts)
    yield from _answers(facts)
    yield from _heat(facts)


def _absent(facts: Facts) -> Finding:
    if not facts.has_software:
        return info(
            "device-absent", "no Hailo device on the PCI bus, so models run on the CPU (lspci -d 1e60: would show one)"
        )
    # The binding alone may sit in an environment for development; driver or library mean that a device was expected.
    expected = bool(facts.debian or facts.library or facts.cli or facts.modules)
    down = any("link down" in line for line in facts.kernel_log or ())
    return finding(
        "error" if expected else "warning",
        "device-absent",
        "Hailo's software is installed, but no Hailo device is on the PCI bus"
        + (": the kernel log says PCIe link down, so a slot is on and nothing in it answers" if down else ""),
        fix=repair(facts, "absent"),
        source="HailoRT status 74",
    )


def _driver(facts: Facts, device: PciDevice) -> Iterator[Finding]:
    chip = device.chip
    if chip is None:
        yield warning(
            "device-unknown",
            f"PCI device {device.device_id} at {device.address} is Hailo's, but this release does not know it",
            fix="update fsq-edge",
        )
        return
    if device.driver is None:
        yield _no_driver(facts, device, chip)
    elif not facts.files and facts.container:
        yield error(
            "device-file",
            f"{device.driver} drives {device.address} on the host, but this container has no /dev/hailo* or /dev/h1x-*",
            fix=repair(facts, "permission", path="/dev/hailo0" if chip.generation == 4 else "/dev/h1x-0"),
        )
    elif not facts.files:
        yield error(
            "device-file",
            f"the driver {device.driver} is bound to {device.address}, but there is no /dev/hailo* or "
            "/dev/h1x-*: it failed to start the device, most often for want of firmware",
            fix=f"sudo dmesg | grep -i hailo  # shows why; then: {repair(facts, 'firmware')}",
            source="HailoRT status 64",
        )


def _no_driver(facts: Facts, device: PciDevice, chip: Chip) -> Finding:
    loaded = [module.name for module in facts.modules]
    where, why = f"{chip.name} at {device.address} has no driver bound", refusal_in(facts.kernel_log)
    if chip.module in loaded or any(major(module.version) == chip.generation for module in facts.modules):
        return error(
            "driver-unbound",
            f"{where} although {' and '.join(loaded)} is loaded: the driver refused it" + (f" ({why})" if why else ""),
            fix="sudo dmesg | grep -i hailo  # shows why; then power off and on",
        )
    if loaded:
        return error(
            "driver-generation",
            f"{where}: {' and '.join(loaded)} is loaded, which drives another generation; it needs {chip.module}",
            fix=repair(facts, "replace-stack"),
        )
    return error(
        "driver-missing",
        f"{where} and no Hailo kernel module is loaded",
        fix=f"sudo modprobe {chip.module}  # when it is not found: {repair(facts, 'install')}",
        source="HailoRT status 64",
    )


def _conflict(facts: Facts) -> Iterator[Finding]:
    if len(facts.modules) < 2:
        return
    needed = {device.chip.module for device in facts.pci if device.chip}
    spare = next((module.name for module in facts.modules if module.name not in needed), None)
    if spare is not None:
        bound = all(device.driver for device in facts.pci)
        yield finding(
            "warning" if bound else "error",
            "driver-conflict" if bound else "driver-claimed",
            f"both hailo_pci and hailo1x_pci are loaded; {spare} is not needed here and may claim the device",
            fix=repair(facts, "blacklist", module=spare),
        )


def _permission(facts: Facts, file: DeviceFile) -> Iterator[Finding]:
    if file.open_errno in FORBIDDEN:
        yield error(
            "device-permission",
            f"this user may not open {file.path} (mode {file.mode}, owner {file.uid}, group {file.gid})",
            fix=repair(facts, "permission", path=file.path),
            source="HailoRT status 36 with errno 13",
        )
    elif file.open_errno == errno.EBUSY:
        yield error("device-busy", f"{file.path} is busy", fix="sudo fuser -v " + file.path, source="HailoRT status 73")
    elif file.open_errno:
        yield error(
            "device-gone",
            f"{file.path} cannot be opened: {errno.errorcode.get(file.open_errno, file.open_errno)}",
            fix="sudo dmesg | grep -i hailo  # and power the board off and on",
            source="HailoRT status 96",
        )


def _holders(facts: Facts) -> Iterator[Finding]:
    for holder in facts.holders:
        yield error(
            "device-busy",
            f"{holder.path} is held by process {holder.pid} ({holder.command[:120]})",
            fix=f"sudo kill {holder.pid}  # or stop its service; or let both open the device with group_id SHARED "
            "through "
            "hailort.service",
            source="HailoRT status 73 or 74",
        )


def _answers(facts: Facts) -> Iterator[Finding]:
    status = facts.identity.status
    if status is None or _explained(facts, status):
        return
    meaning = describe(status)
    # A busy device whose holder is not visible: other users' processes are hidden from an unprivileged caller.
    busy = status in BUSY and bool(facts.pci)
    unseen = (
        f"; {facts.holders_hidden} processes of other users could not be looked into" if facts.holders_hidden else ""
    )
    yield error(
        "device-busy" if busy else "device-error",
        f"the device answered with HailoRT status {meaning}{unseen if busy else ''}",
        fix="sudo fuser -v /dev/hailo* /dev/h1x-*  # names the process that has it; end that" if busy else meaning.fix,
        source=f"HailoRT status {status}",
    )


def _explained(facts: Facts, status: int) -> bool:
    """Whether another finding already says why the device answered so."""
    if status in BUSY:
        return bool(facts.holders)
    return status == 36 and any(file.open_errno in FORBIDDEN for file in facts.files)


def _heat(facts: Facts) -> Iterator[Finding]:
    heat = facts.identity.temperature_c
    if heat is not None and heat >= HOT_C:
        yield finding(
            "error" if heat >= THROTTLING_C else "warning",
            "device-hot",
            f"the chip is at {heat:.0f} C; a Hailo-8 slows down from {THROTTLING_C:.0f} C and stops near 120 C",
            fix="give it a heat sink and moving air",
            source="HailoRT's log in a public report",
        )
    yield from _supply(facts)


def _supply(facts: Facts) -> Iterator[Finding]:
    """Yield under-voltage, from the firmware's bits where there are any, else from the kernel log."""
    bits = facts.throttled or 0
    logged = any("voltage detected" in line.lower() for line in facts.kernel_log or ())
    if bits & 0b0001:
        yield error(
            "power-supply",
            "the Raspberry Pi reports under-voltage right now; PCIe devices fail first",
            fix="use the 27 W (5 V, 5 A) supply",
            source="get_throttled bit 0",
        )
    elif bits & 0x10000 or logged:
        yield warning(
            "power-supply",
            "the board saw under-voltage since boot; PCIe devices fail first",
            fix="use the 27 W (5 V, 5 A) supply of the Raspberry Pi 5, or one as strong",
            source="kernel log" if logged else "get_throttled bit 16",
        )
    if bits & 0b1110:
        yield warning(
            "cpu-throttled", "the Raspberry Pi's CPU is throttled now", fix="cool the board", source="get_throttled"
        )


ADD_LINE = "fsq-edge bundle add-hef BUNDLE FILE"


def bundle_findings(facts: Facts, hefs: Sequence[HefReport]) -> Iterator[Finding]:
    """Yield whether one of the HEFs runs here, and if not, why and what to do."""
    chip = next((device.chip for device in facts.pci if device.chip), None)
    built = ", ".join(hef.architecture.name for hef in hefs) or "none"
    if chip is None:
        yield info("bundle-cpu", f"the bundle has HEFs for: {built}; without a device it runs on the CPU")
        return
    exact = facts.identity.architecture
    candidates = (exact,) if exact else chip.architectures
    fitting = [hef for hef in hefs if set(hef.devices) & set(candidates)]
    if not fitting:
        yield warning(
            "bundle-architecture",
            f"the bundle has HEFs for: {built}; none runs on the {exact or chip.name} that is here, so the CPU is used",
            fix=f"fsq-edge compile BUILD --arch {candidates[0]} && {ADD_LINE}",
            source="HailoRT status 93",
        )
        return
    if not exact:
        yield info(
            "bundle-unsure",
            f"the device did not say whether it is {' or '.join(chip.architectures[:2])}; the bundle has: {built}",
            fix="hailortcli fw-control identify",
        )
        return
    own = [hef for hef in fitting if exact in hef.architecture.targets]
    for hef in own or fitting:
        yield from _loading(facts, hef, exact)


def _loading(facts: Facts, hef: HefReport, device: str) -> Iterator[Finding]:
    verdict = check_load(hef, device, facts.library_version or "")
    for reason in verdict.reasons:
        _, _, remedy = reason.rpartition(": ")
        yield error(
            "bundle-refused",
            f"HailoRT will refuse the HEF for {hef.architecture.name}: {reason}",
            fix=remedy,
            source=f"HailoRT status {verdict.status}",
        )
    for doubt in verdict.warnings:
        yield warning(
            "bundle-doubtful",
            f"the HEF for {hef.architecture.name}: {doubt}",
            fix=f"fsq-edge compile BUILD --arch {device} && {ADD_LINE}  # with the compiler that pairs with this "
            "library",
        )
