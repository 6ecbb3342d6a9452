"""Rules about the driver's module: built for this kernel, signed, whole, and what the kernel log says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.doctor.repairs import chip_of, repair
from fsq_edge_runtime.findings import Finding, Severity, error, finding, warning

_REFUSED = re.compile(r"hailo\S* .*(failed with error (?P<code>-\d+)|failed init pcie resources)", re.I)
_PAGES = re.compile(r"max_desc_page_size to (\d+)", re.I)
PAGE_LIMIT = 4096
LOG = "kernel log"
POWER_CYCLE = "power the board off and on (a reboot may not reset the device)"
_FAILS = re.compile(r"^.*hailo.*\b(?:fail\w*|error|mismatch|timed? ?out)\b.*$", re.I | re.M)
# Rule, severity, what stands in one line of the log, message, and the fix or "=" with the name of the repair.
_ROWS: tuple[tuple[str, Severity, str, str, str], ...] = (
    (
        "driver-signature",
        "error",
        r"required key not available|unsigned module is rejected|lockdown: .*unsigned module",
        "Secure Boot refuses the unsigned driver",
        "=signature",
    ),
    (
        "firmware-missing",
        "error",
        r"firmware file not found|direct firmware load for \S*hailo\S* failed"
        r"|hailo.*(fw\S*\.bin.*|failed with error )-2\b",
        "the driver did not find the device's firmware in /lib/firmware/hailo{there}",
        "=firmware",
    ),
    (
        "firmware-version",
        "error",
        r"mismatch driver version pcie driver (?P<driver>[\d:]+) pci_ep driver (?P<device>[\d:]+)",
        "the driver is {driver}, and the software that the device started from /lib/firmware/hailo is {device}",
        "=firmware",
    ),
    (
        "driver-fault",
        "error",
        r"find_vma|BUG: |Oops|\+0x[0-9a-f]+/0x[0-9a-f]+ \[hailo",
        "the kernel reports a fault of {driver} on {kernel}{where}: the device may be lost under load",
        "=newer-driver",
    ),
    (
        "device-lost",
        "error",
        r"hailo.*\bD3\w+ to D0|hailo.*unable to change power state",
        "the device does not wake up on the PCIe bus",
        POWER_CYCLE + "; if it comes back: echo on | sudo tee /sys/bus/pci/devices/{address}/power/control",
    ),
    (
        "device-lost",
        "error",
        r"hailo.*device (may be )?(disconnected|inaccessible)",
        "the device vanished from the PCIe bus while it was in use",
        "check the supply and the ribbon cable, then " + POWER_CYCLE,
    ),
    (
        "pcie-interrupt",
        "error",
        r"failed to enable msi|\bmsi\b.*no space left",
        "the driver could not get an interrupt (MSI); PCIe switches on a Raspberry Pi 5 do this",
        "=interrupt",
    ),
    (
        "firmware-load",
        "warning",
        r"hailo.*(timeout|timed out).*(firmware|\bsoc\b)|hailo.*firmware.*(timeout|timed out)",
        "the kernel log has a firmware timeout of the device",
        POWER_CYCLE,
    ),
)


def kernel_findings(facts: Facts) -> Iterator[Finding]:
    """Yield what keeps the driver from being built, loaded or sound."""
    yield from _build(facts)
    yield from _packages(facts)
    yield from _log(facts)


def _build(facts: Facts) -> Iterator[Finding]:
    """Say why there is no module: the build failed, or nobody built it for this kernel."""
    build = facts.build
    if not facts.pci or facts.modules or build.here:
        return
    meant = build.fault and build.fault_kernel in ("", facts.kernel)
    unbuilt = [entry for entry in build.dkms if entry.state.split()[0] in ("added", "built")]
    if meant or (unbuilt and facts.half):
        entry = unbuilt[0] if unbuilt else next(iter(build.dkms), None)
        name = f"{entry.module} {entry.version}" if entry else (build.sources or ("driver",))[0]
        yield error(
            "driver-build",
            f"the DKMS build of {name} fails on kernel {facts.kernel}: "
            f"{build.fault or 'see make.log in /var/lib/dkms'}; the driver is older than the kernel, so building it "
            "again would fail again",
            fix=repair(facts, "newer-driver"),
            source="DKMS build log" if build.fault else "dkms status",
        )
    elif build.here is False and (build.kernels or build.dkms or build.sources):
        others = ", ".join(build.kernels) or "none"
        missing = "" if build.headers else "; the headers of this kernel are not installed"
        yield error(
            "driver-kernel",
            f"there is no Hailo module for the running kernel {facts.kernel} (built for: {others}): the kernel "
            f"was updated and DKMS has not built the driver again{missing}",
            fix=repair(facts, "rebuild", module=chip_of(facts).module),
            source="/lib/modules and dkms status",
        )


def _packages(facts: Facts) -> Iterator[Finding]:
    if facts.half:
        named = ", ".join(f"{name} ({state})" for name, state in sorted(facts.half.items()))
        yield error(
            "packages-half", f"not installed to the end: {named}", fix=repair(facts, "half-configured"), source="dpkg"
        )


def _log(facts: Facts) -> Iterator[Finding]:
    """Yield what the kernel log says; a failure of the driver that no row knows is quoted."""
    text = "\n".join(facts.kernel_log or ())
    rules: set[str] = set()
    for rule, severity, pattern, message, fix in _ROWS:
        found = re.search(pattern, text, re.I)
        if found and rule not in rules:
            rules.add(rule)
            known = _values(facts) | {
                name: value.replace(":", ".") for name, value in found.groupdict().items() if value
            }
            advice = repair(facts, fix[1:]) if fix[0] == "=" else fix.format(**known)
            yield finding(severity, rule, message.format(**known), advice, source=LOG)
    yield from _pages(facts, text)
    quoted = _FAILS.search(text)
    if quoted and not rules:
        message = f"the driver reports a failure: {_unstamped(quoted[0])[:160]}"
        yield warning(
            "driver-log", message, f"sudo dmesg | grep -i hailo  # shows more; then {POWER_CYCLE}", source=LOG
        )


def _values(facts: Facts) -> dict[str, str]:
    drivers = " ".join(f"{module.name} {module.version or ''}".strip() for module in facts.modules)
    address = next((device.address for device in facts.pci), "ADDRESS")
    locked = any("find_vma" in line for line in facts.kernel_log or ())
    there = f" (there: {', '.join(facts.build.firmware[:4])})" if facts.build.firmware else ""
    return {
        "driver": drivers or "the Hailo driver",
        "kernel": facts.kernel,
        "address": address,
        "there": there,
        "where": " (find_vma without the lock that this kernel asks for)" if locked else "",
    }


def _pages(facts: Facts, text: str) -> Iterator[Finding]:
    sizes = [int(size) for size in _PAGES.findall(text)]
    if sizes and sizes[-1] > PAGE_LIMIT:
        message = f"the driver chose descriptor pages of {sizes[-1]} bytes; a Hailo-8 takes at most {PAGE_LIMIT} and "
        yield warning("page-size", message + "fails with status 8", fix=repair(facts, "page-size"), source=LOG)


def refusal_in(lines: tuple[str, ...] | None) -> str:
    """Return the kernel's words on why the driver did not take the device, empty when the log has none."""
    found = [line for line in lines or () if _REFUSED.search(line)]
    return _unstamped(found[-1]) if found else ""


def _unstamped(line: str) -> str:
    return re.sub(r"^\[\s*[\d.]+\]\s*", "", line).strip()
