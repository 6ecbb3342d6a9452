"""Rules about the driver's module: built for this kernel, signed, whole, and what the kernel log says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.doctor.repairs import chip_of, repair
from fsq_edge_runtime.findings import Finding, error, warning

_SIGNATURE = re.compile(r"required key not available|unsigned module is rejected|lockdown: .*unsigned module", re.I)
_FIRMWARE = re.compile(
    r"firmware file not found|direct firmware load for \S*hailo\S* failed|hailo.*(fw\S*\.bin.*|failed with error )-2\b",
    re.I,
)
_FAULT = re.compile(r"find_vma|BUG: |Oops|\+0x[0-9a-f]+/0x[0-9a-f]+ \[hailo", re.I)
_LOST = re.compile(r"hailo.*(device disconnected|device inaccessible)", re.I)
_REFUSED = re.compile(r"hailo\S* .*(failed with error (?P<code>-\d+)|failed init pcie resources)", re.I)
_TIMEOUT = re.compile(r"hailo.*(timeout|timed out).*firmware|hailo.*firmware.*(timeout|timed out)", re.I)
_PAGES = re.compile(r"max_desc_page_size to (\d+)", re.I)
PAGE_LIMIT = 4096
LOG = "kernel log"


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
    lines = facts.kernel_log or ()
    text = "\n".join(lines)
    if _SIGNATURE.search(text):
        yield error(
            "driver-signature", "Secure Boot refuses the unsigned driver", fix=repair(facts, "signature"), source=LOG
        )
    if _FIRMWARE.search(text):
        message = "the driver did not find the device's firmware in /lib/firmware/hailo"
        if facts.build.firmware:
            message += f" (there: {', '.join(facts.build.firmware[:4])})"
        yield error("firmware-missing", message, fix=repair(facts, "firmware"), source=LOG)
    fault = next((line for line in lines if _FAULT.search(line)), None)
    if fault is not None:
        yield error("driver-fault", _fault_message(facts, text), fix=repair(facts, "newer-driver"), source=LOG)
    if _LOST.search(text):
        yield error(
            "device-lost",
            "the device vanished from the PCIe bus while it was in use",
            fix="check the supply and the ribbon cable, then power the board off and on",
            source=LOG,
        )
    yield from _pages(facts, text)
    lowered = text.lower()
    if "failed to enable msi" in lowered or ("msi" in lowered and "no space left" in lowered):
        message = "the driver could not get an interrupt (MSI); PCIe switches on a Raspberry Pi 5 do this"
        yield error("pcie-interrupt", message, fix=repair(facts, "interrupt"), source=LOG)
    if any(_TIMEOUT.search(line) for line in lines):
        message = "the kernel log has a firmware timeout of the device"
        fix = "power the board off and on (a reboot may not reset the device)"
        yield warning("firmware-load", message, fix=fix, source=LOG)


def _fault_message(facts: Facts, text: str) -> str:
    driver = " ".join(f"{module.name} {module.version or ''}".strip() for module in facts.modules) or "the Hailo driver"
    where = "find_vma without the lock that this kernel asks for" if "find_vma" in text else "a fault in its own code"
    return f"the kernel reports a fault of {driver} on {facts.kernel} ({where}): the device may be lost under load"


def _pages(facts: Facts, text: str) -> Iterator[Finding]:
    sizes = [int(size) for size in _PAGES.findall(text)]
    if sizes and sizes[-1] > PAGE_LIMIT:
        message = f"the driver chose descriptor pages of {sizes[-1]} bytes; a Hailo-8 takes at most {PAGE_LIMIT} and "
        yield warning("page-size", message + "fails with status 8", fix=repair(facts, "page-size"), source=LOG)


def refusal_in(lines: tuple[str, ...] | None) -> str:
    """Return the kernel's words on why the driver did not take the device, empty when the log has none."""
    found = [line for line in lines or () if _REFUSED.search(line)]
    return re.sub(r"^\[\s*[\d.]+\]\s*", "", found[-1]).strip() if found else ""
