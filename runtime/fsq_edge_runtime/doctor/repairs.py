"""What fixes a finding on the system at hand: a table by system, and which findings follow from which."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any

from fsq_edge_runtime.doctor.facts import Facts
from fsq_edge_runtime.doctor.hardware import CHIPS, Chip

# What the kernels of a system's own archive are called; another name is the board maker's kernel.
_KERNELS = {"ubuntu": r"-\d+-[a-z]", "debian": r"-(amd64|arm64|cloud|rt)|deb\d|rpt"}
_VIRTUAL = re.compile(r"QEMU|KVM|VMware|VirtualBox|Xen|Virtual Machine|Parallels|Bochs")
STACK_PACKAGES = ("hailo-all", "hailo-h10-all")


@cache
def _table() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("data", "repairs.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def causes() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the rules that are root causes, most fundamental first, with the rules that follow from each."""
    return tuple((rule, tuple(follows)) for rule, follows in _table()["causes"])


def repair(facts: Facts, name: str, **values: str) -> str:
    """Return the repair of that name on the system that was found.

    Args:
        facts: the machine.
        name: of the repair, such as ``rebuild``.
        values: what the rule knows beyond the facts; they fill ``{name}`` in the text.
    """
    systems, names = _table()["systems"], (f"{name}.{chip_of(facts).generation}", f"{name}.{_host(facts)}", name)
    rows = (systems.get(place, {}) for place in _places(facts))
    text: str = next(row[variant] for row in rows for variant in names if variant in row)
    known = {**_values(facts), **values}
    return re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], "?"), text)


def _places(facts: Facts) -> tuple[str, ...]:
    """Return where a repair is looked up: the kernel's maker, the release of the system, the system, any."""
    own = _KERNELS.get(facts.system)
    maker = ("vendor-kernel",) if own and not re.search(own, facts.kernel) else ()
    return (*maker, f"{facts.system}/{facts.codename}", facts.system, "any")


def _host(facts: Facts) -> str:
    if "Raspberry" in facts.board or facts.system == "raspberry-pi-os":
        return "raspberry"
    return "virtual" if _VIRTUAL.search(facts.board) else "board"


def _values(facts: Facts) -> dict[str, str]:
    chip = chip_of(facts)
    modules = [module.name for module in facts.modules]
    others = [known.module for known in CHIPS.values() if known.module != chip.module]
    four = chip.generation == 4
    packages = (chip.meta_package, *(package for package in sorted(facts.debian) if package not in STACK_PACKAGES))
    return {
        "chip": chip.name,
        "generation": str(chip.generation),
        "meta": chip.meta_package,
        "module": chip.module if chip.module in modules or not modules else modules[0],
        "other_module": next((name for name in modules if name != chip.module), others[0]),
        "branch": "git checkout hailo8, " if four else "",
        "binding": "python3-hailort" if four else "python3-h10-hailort",
        "firmware_package": "hailofw" if "hailofw" in facts.debian else "",
        "packages": " ".join(packages),
        "kernel": facts.kernel,
        "driver": next((module.version for module in facts.modules if module.version), None) or "VERSION",
        "library": facts.library_version or f"{chip.generation}.x",
    }


def chip_of(facts: Facts) -> Chip:
    """Return the chip that is on the bus; without one, the chip that the installed software is for."""
    found = next((device.chip for device in facts.pci if device.chip), None)
    if found is not None:
        return found
    generation = 5 if (facts.library_version or "").startswith("5.") else 4
    return next(chip for chip in CHIPS.values() if chip.generation == generation)
