"""Rules about a bundle's HEFs against the device that is here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.findings import Finding, error, info, warning
from fsq_edge_runtime.hef import HefReport, check_load

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
