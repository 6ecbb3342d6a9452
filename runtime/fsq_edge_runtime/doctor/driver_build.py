"""What there is of the driver's module on disk: which kernels DKMS built it for, and why a build failed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fsq_edge_runtime.doctor.hardware import MODULES
from fsq_edge_runtime.doctor.system import System

MODULE_FOLDERS = ("updates/dkms", "updates", "extra", "kernel/drivers/misc", "kernel/drivers/media/pci/hailo")
FIRMWARE_FOLDER = "/lib/firmware/hailo"
MAX_KERNELS = 50
_STATUS = re.compile(r"^(hailo\w*)[/,]\s*([\w.+~-]+)(?:,\s*([^,:]+))?(?:,\s*[^:]+)?:\s*(.+)$")
_FAULT = re.compile(r"(?:fatal )?error: .+|Error! .+|\*\*\* .+")


@dataclass(frozen=True, slots=True)
class DkmsEntry:
    """One line of ``dkms status``: module, version, kernel (empty: built for none) and state, such as installed."""

    module: str
    version: str
    kernel: str
    state: str


@dataclass(frozen=True, slots=True)
class DriverBuild:
    """What is known of the driver's module for the running kernel.

    Attributes:
        dkms: lines of ``dkms status`` about Hailo's modules.
        sources: ``NAME-VERSION`` of the module sources in /usr/src.
        kernels: kernels that have a Hailo module on disk.
        here: whether the running kernel has one; None when that cannot be known.
        headers: whether the running kernel's headers are installed; None when that cannot be known.
        fault: first error of a DKMS build log, empty when there is none.
        fault_kernel: kernel of that build log.
        firmware: names of the files in /lib/firmware/hailo.
    """

    dkms: tuple[DkmsEntry, ...] = ()
    sources: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    here: bool | None = None
    headers: bool | None = None
    fault: str = ""
    fault_kernel: str = ""
    firmware: tuple[str, ...] = ()


def driver_build(system: System, kernel: str) -> DriverBuild:
    """Read DKMS, /lib/modules, /usr/src and /lib/firmware; works unprivileged and without DKMS."""
    status = system.run("dkms", "status")
    matches = (_STATUS.match(line.strip()) for line in (status.stdout if status else "").splitlines())
    dkms = tuple(DkmsEntry(*(part or "" for part in match.groups())) for match in matches if match)
    sources = tuple(name for name in system.entries("/usr/src") if name.startswith(MODULES))
    on_disk = tuple(name for name in system.entries("/lib/modules")[:MAX_KERNELS] if _has_module(system, name))
    fault, fault_kernel = _build_fault(system, dkms, sources)
    folder = system.entries(f"/lib/modules/{kernel}") if kernel else []
    here: bool | None = kernel in on_disk if folder else None
    if here is False and any(_found(system, module) for module in MODULES):
        here = True  # in a folder that is not among the usual ones
    return DriverBuild(
        dkms=dkms,
        sources=sources,
        kernels=tuple(sorted({*on_disk, *(entry.kernel for entry in dkms if entry.state.startswith("installed"))})),
        here=here,
        headers="build" in folder if folder else None,
        fault=fault,
        fault_kernel=fault_kernel,
        firmware=tuple(system.entries(FIRMWARE_FOLDER)),
    )


def _found(system: System, module: str) -> bool:
    answer = system.run("modinfo", "-n", module)
    return answer is not None and answer.exit_code == 0 and ".ko" in answer.stdout


def _has_module(system: System, kernel: str) -> bool:
    names = (name for folder in MODULE_FOLDERS for name in system.entries(f"/lib/modules/{kernel}/{folder}"))
    if any(name.startswith(f"{module}.ko") for name in names for module in MODULES):
        return True
    known = system.read(f"/lib/modules/{kernel}/modules.dep") or ""
    return any(f"/{module}.ko" in known for module in MODULES)


def _build_fault(system: System, dkms: tuple[DkmsEntry, ...], sources: tuple[str, ...]) -> tuple[str, str]:
    """Return the first error of a build log and its kernel; a log that names no error is no fault."""
    wanted = [(entry.module, entry.version) for entry in dkms]
    wanted += [(name, version) for name, _, version in (source.partition("-") for source in sources)]
    for module, version in dict.fromkeys(wanted):
        text = system.read(f"/var/lib/dkms/{module}/{version}/build/make.log") or ""
        found = _FAULT.search(text)
        if found:
            kernel = re.search(r"for kernel (\S+)", text)
            return found.group(0).strip()[:200], kernel[1] if kernel else ""
    return "", ""
