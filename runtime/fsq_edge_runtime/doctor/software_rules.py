"""Rules about the software: one release everywhere, the right generation, reachable from this Python."""

from __future__ import annotations

from collections.abc import Iterator

from fsq_edge_runtime.doctor.facts import Facts, major
from fsq_edge_runtime.doctor.hardware import Chip
from fsq_edge_runtime.doctor.repairs import repair
from fsq_edge_runtime.findings import Finding, error, finding, warning


def software_findings(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the installed stack and with this Python."""
    chip = next((device.chip for device in facts.pci if device.chip), None)
    yield from _generation(facts, chip)
    yield from _versions(facts)
    yield from _shadow(facts)
    yield from _firmware(facts)
    yield from _binding(facts, chip)
    yield from _idle_binding(facts)
    yield from _numpy(facts)


def _generation(facts: Facts, chip: Chip | None) -> Iterator[Finding]:
    library = facts.library_version
    if chip is not None and major(library) not in (None, chip.generation):
        yield error(
            "stack-generation",
            f"{chip.name} needs HailoRT {chip.generation}.x, but {library} is installed",
            fix=repair(facts, "replace-stack"),
        )
    four = {"hailo-all", "hailort", "python3-hailort"} & set(facts.debian)
    five = {"hailo-h10-all", "h10-hailort", "python3-h10-hailort"} & set(facts.debian)
    if four and five:
        yield error(
            "stack-both",
            f"packages of both stacks are installed: {', '.join(sorted(four | five))}",
            fix=repair(facts, "replace-stack"),
        )


def _versions(facts: Facts) -> Iterator[Finding]:
    """Driver, library and binding must agree to the last number; name the pair that does not."""
    library = facts.library_version
    bound = {device.driver for device in facts.pci if device.driver}
    for module in facts.modules:
        in_use = module.name in bound or len(facts.modules) == 1
        if in_use and module.version and library and module.version != library:
            yield error(
                "driver-version",
                f"the driver {module.name} is {module.version}, the library is {library}: they must be equal",
                fix=repair(facts, "same-release"),
                source="HailoRT status 76",
            )
    if facts.binding not in (None, "unknown") and library and facts.binding != library:
        yield error(
            "binding-version",
            f"the Python binding is {facts.binding}, the library is {library}: the import fails or calls do",
            fix=repair(facts, "same-release-library"),
        )
    other = next((module.version for module in facts.modules if module.version in facts.library), None)
    if len(facts.library) > 1 and library and other not in (None, library):
        yield error(
            "library-mixed",
            f"programs load libhailort {library}, while {other}, the driver's release, is installed as well",
            fix="which -a hailortcli; ls /usr/local/lib/libhailort* /usr/local/bin/hailort*  # remove what was "
            "installed by hand, often there; then: sudo ldconfig",
            source="HailoRT status 76 or 86",
        )
    elif len(facts.library) > 1:
        yield warning(
            "library-twice",
            f"several libhailort versions are installed: {', '.join(facts.library)}",
            fix="ls /usr/local/lib/libhailort*  # remove the one installed by hand, often there; then: sudo ldconfig",
        )


def _shadow(facts: Facts) -> Iterator[Finding]:
    """Bookworm's kernel brings a hailo_pci of its own, which may win over the one that DKMS built."""
    for module in facts.modules:
        in_kernel = module.path is not None and "/kernel/drivers/" in module.path
        if in_kernel and module.version and facts.library_version and module.version != facts.library_version:
            yield warning(
                "driver-shadowed",
                f"{module.name} comes from the kernel's own tree ({module.path}), not from the package's build",
                fix=repair(facts, "shadowed"),
                source=f"Raspberry Pi OS {facts.codename or ''}".strip(),
            )


def _firmware(facts: Facts) -> Iterator[Finding]:
    firmware, library = facts.identity.firmware, facts.library_version
    if not firmware or not library or firmware == library:
        return
    blocking = firmware.split(".")[:2] != library.split(".")[:2]
    yield finding(
        "error" if blocking else "warning",
        "firmware-version",
        f"the firmware is {firmware}, the library is {library}"
        + (": the device can be identified but not used" if blocking else ""),
        fix="hailortcli fw-control identify  # after the board was powered off and on: "
        "a reboot may leave the old firmware",
        source="HailoRT status 16",
    )


def _binding(facts: Facts, chip: Chip | None) -> Iterator[Finding]:
    if facts.binding is not None or not (chip or facts.has_software):
        return
    packaged = next((name for name in ("python3-hailort", "python3-h10-hailort") if name in facts.debian), None)
    python = facts.interpreter
    if packaged and python.in_venv and not python.system_packages:
        yield error(
            "venv-isolated",
            f"{packaged} is installed for the system, but this virtual environment does not see system packages",
            fix=repair(facts, "venv"),
            source="PEP 668",
        )
        return
    driver = next((module.version for module in facts.modules if module.version), None)
    if driver and facts.library_version is None and (chip is None or major(driver) == chip.generation):
        yield error(
            "library-missing",
            f"the driver is {driver}, but neither HailoRT's library nor its Python binding is installed",
            fix=repair(facts, "same-release", library=driver),
            source="HailoRT status 76",
        )
        return
    yield finding(
        "error" if chip else "warning",
        "binding-missing",
        "hailo_platform, HailoRT's Python binding, is not installed for this Python",
        fix=repair(facts, "binding"),
    )


def _idle_binding(facts: Facts) -> Iterator[Finding]:
    """Warn of old bindings whose callback thread takes from an empty queue when it slept for a minute."""
    numbers = [int(part) for part in (facts.binding or "").split(".") if part.isdigit()]
    if numbers and (4, 0) <= tuple(numbers[:2]) < (4, 20):
        yield warning(
            "binding-idle",
            f"the Python binding {facts.binding} may end the process when no inference runs for a minute",
            fix=f"{repair(facts, 'same-release')}  # HailoRT 4.20 or newer",
            source="read in the sources of 4.18.0; corrected in those of 4.20.0",
        )


def _numpy(facts: Facts) -> Iterator[Finding]:
    numpy = facts.packages.get("numpy")
    if major(facts.binding) == 4 and (major(numpy) or 0) >= 2:
        yield warning(
            "numpy-pin",
            f"numpy is {numpy}, and the HailoRT {facts.binding} binding asks for numpy 1.x: if its import or "
            "an inference fails, this is why",
            fix="pip install 'numpy<2'",
            source="the binding's own requirement; a 4.23 binding built with a newer pybind11 was seen to work with "
            "numpy 2.3.5, Hailo's own packages were not tried",
        )
