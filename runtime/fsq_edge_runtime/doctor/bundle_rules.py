"""Rules about a bundle's HEFs against the device that is here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.doctor.finding import Finding
from fsq_edge_runtime.hef import HefReport


def bundle_findings(facts: Facts, hefs: Sequence[HefReport]) -> Iterator[Finding]:
    """Yield whether one of the HEFs runs here, and if not, why and what to do."""
    chip = next((device.chip for device in facts.pci if device.chip), None)
    built = ", ".join(hef.architecture.name for hef in hefs) or "none"
    if chip is None:
        yield Finding("bundle-cpu", "info", f"the bundle has HEFs for: {built}; without a device it runs on the CPU")
        return
    exact = facts.identity.architecture
    devices = (exact,) if exact else chip.architectures
    fitting = [hef for hef in hefs if set(hef.devices) & set(devices)]
    if not fitting:
        target = exact or " or ".join(chip.architectures[:2])
        yield Finding(
            "bundle-architecture",
            "warning",
            f"the bundle has HEFs for: {built}; none runs on the {target} that is here, so the CPU is used",
            f"compile one for {exact or chip.architectures[0]} and add it: fsq-edge bundle add-hef BUNDLE FILE",
            "HailoRT status 93",
        )
        return
    for hef in fitting:
        yield from _versions(facts, hef)
        if exact and not any(exact in other.architecture.targets for other in fitting):
            yield Finding(
                "bundle-slower",
                "warning",
                f"the HEF for {hef.architecture.name} runs on this {exact}, but slower than one compiled for it",
                f"compile one for {exact} and add it: fsq-edge bundle add-hef BUNDLE FILE",
            )
    if not exact:
        yield Finding(
            "bundle-unsure",
            "info",
            f"the device did not say whether it is {' or '.join(chip.architectures[:2])}; the bundle has: {built}",
            "hailortcli fw-control identify",
        )


def _versions(facts: Facts, hef: HefReport) -> Iterator[Finding]:
    library = facts.library_version
    if library is None:
        return
    have = tuple(int(part) for part in library.split(".")[:2])
    need = tuple(int(part) for part in hef.minimum_hailort.split(".")[:2])
    paired = tuple(int(part) for part in hef.paired_hailort.split(".")[:2]) if hef.paired_hailort else None
    if have < need or have[0] != hef.generation:
        yield Finding(
            "bundle-hailort",
            "error",
            f"the HEF for {hef.architecture.name} needs HailoRT {hef.minimum_hailort} or newer of generation "
            f"{hef.generation}, the library is {library}",
            "update the stack with apt, or compile with the DFC release that pairs with this library",
            "HailoRT status 92",
        )
    elif paired is not None and paired != have:
        strict = hef.strict_versioning
        yield Finding(
            "bundle-pairing",
            "error" if strict else "warning",
            f"the HEF was compiled by DFC {hef.dfc_version}, which pairs with HailoRT {hef.paired_hailort}; "
            f"the library is {library}" + (" and this HEF insists on its own" if strict else ""),
            f"install HailoRT {hef.paired_hailort}, or compile again with the DFC that pairs with {library}",
        )
