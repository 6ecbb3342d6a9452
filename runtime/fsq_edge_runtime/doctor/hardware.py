"""Hailo devices as the kernel shows them: PCI bus, modules, device files, who has them open; and the kind of system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fsq_edge_runtime.doctor.system import System

HAILO_VENDOR = "0x1e60"
MODULES = ("hailo_pci", "hailo1x_pci")
NODE_PREFIXES = ("hailo", "h1x")
MAX_PROCESSES = 20_000


@dataclass(frozen=True, slots=True)
class Chip:
    """What a PCI device id stands for.

    Args:
        name: as a person says it.
        architectures: HEF targets that it may be; 8 and 8L share one id.
        generation: major version of the HailoRT stack it needs.
        module: the kernel module of that stack.
        meta_package: the Raspberry Pi OS package that installs it.
    """

    name: str
    architectures: tuple[str, ...]
    generation: int
    module: str
    meta_package: str


# Source: device ids in the GPL-2.0 hailort-drivers; the package names are those of Raspberry Pi OS.
CHIPS: dict[str, Chip] = {
    "0x2864": Chip("Hailo-8 or 8L", ("hailo8", "hailo8l", "hailo8r"), 4, "hailo_pci", "hailo-all"),
    "0x45c4": Chip("Hailo-10H", ("hailo10h",), 5, "hailo1x_pci", "hailo-h10-all"),
    "0x43a2": Chip("Hailo-15L", ("hailo15l",), 5, "hailo1x_pci", "hailo-h10-all"),
}


@dataclass(frozen=True, slots=True)
class PciDevice:
    """A Hailo device on the PCI bus: address, device id, and the driver bound to it (None: no driver)."""

    address: str
    device_id: str
    driver: str | None
    link_speed: str

    @property
    def chip(self) -> Chip | None:
        """What the device id stands for, None for an unknown one."""
        return CHIPS.get(self.device_id)


@dataclass(frozen=True, slots=True)
class KernelModule:
    """A loaded kernel module: its version and the file it came from, where they can be read."""

    name: str
    version: str | None
    path: str | None


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """A device file and whether this user can open it (``open_errno`` 0) or why not."""

    path: str
    mode: str
    uid: int
    gid: int
    open_errno: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a device file open."""

    pid: int
    command: str
    path: str


def pci_devices(system: System) -> tuple[PciDevice, ...]:
    """Return the Hailo devices on the PCI bus."""
    found = []
    for address in system.entries("/sys/bus/pci/devices"):
        folder = f"/sys/bus/pci/devices/{address}"
        if (system.read(f"{folder}/vendor") or "").strip() != HAILO_VENDOR:
            continue
        driver = system.link(f"{folder}/driver")
        speed = (system.read(f"{folder}/current_link_speed") or "").strip()
        device_id = (system.read(f"{folder}/device") or "").strip()
        found.append(PciDevice(address, device_id, driver.rsplit("/", 1)[-1] if driver else None, speed))
    return tuple(found)


def kernel_modules(system: System) -> tuple[KernelModule, ...]:
    """Return the Hailo kernel modules that are loaded."""
    loaded = {line.split()[0] for line in (system.read("/proc/modules") or "").splitlines() if line.strip()}
    found = []
    for name in MODULES:
        if name not in loaded and name not in system.entries("/sys/module"):
            continue
        version = (system.read(f"/sys/module/{name}/version") or "").strip() or None
        path = system.run("modinfo", "-n", name)
        found.append(KernelModule(name, version, path.stdout.strip() or None if path else None))
    return tuple(found)


def device_files(system: System) -> tuple[DeviceFile, ...]:
    """Return the Hailo device files."""
    found = []
    for name in system.entries("/dev"):
        node = system.node(f"/dev/{name}") if name.startswith(NODE_PREFIXES) else None
        if node is not None:
            found.append(DeviceFile(f"/dev/{name}", f"{node.mode:04o}", node.uid, node.gid, node.open_errno))
    return tuple(found)


def file_holders(system: System) -> tuple[tuple[Holder, ...], int]:
    """Look into /proc/PID/fd; folders of other users cannot be read without privileges and are counted."""
    found, hidden = [], 0
    pids = [name for name in system.entries("/proc") if name.isdigit()][:MAX_PROCESSES]
    for pid in pids:
        descriptors = system.entries(f"/proc/{pid}/fd")
        hidden += not descriptors and system.read(f"/proc/{pid}/cmdline") not in (None, "")
        targets = {system.link(f"/proc/{pid}/fd/{descriptor}") or "" for descriptor in descriptors}
        for target in sorted(targets):
            if target.startswith("/dev/") and target[5:].startswith(NODE_PREFIXES):
                command = " ".join((system.read(f"/proc/{pid}/cmdline") or "").split())
                found.append(Holder(int(pid), command or "?", target))
    return tuple(found), int(hidden)


CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
_IN_CONTAINER = re.compile(r"docker|containerd|kubepods|libpod|podman|/lxc|garden")


def system_kind(system: System, release: Mapping[str, str], kernel: str) -> str:
    """Return the kind of system: a name in ``data/repairs.json``, or ``other``.

    A container counts as ``container``, except on Home Assistant OS, where the host's driver cannot be changed either.

    Args:
        system: the machine.
        release: of ``/etc/os-release``.
        kernel: release of the running kernel; in a container it is the host's.
    """
    name, ident = release.get("PRETTY_NAME", "").lower(), release.get("ID", "").lower()
    if "-haos" in kernel or "home assistant" in name or ident in ("haos", "hassos"):
        return "home-assistant-os"
    if "microsoft" in kernel.lower():
        return "wsl"
    if in_container(system):
        return "container"
    if "proxmox" in name or kernel.endswith("-pve"):
        return "proxmox"
    if "ubuntu" in name or ident == "ubuntu":
        return "ubuntu"
    if "fedora" in name or ident in ("fedora", "rhel", "centos", "rocky", "almalinux"):
        return "fedora"
    if "rpt" in kernel or "raspbian" in name or system.read("/etc/rpi-issue") is not None:
        return "raspberry-pi-os"
    return "debian" if "debian" in name or ident == "debian" else "other"


def in_container(system: System) -> bool:
    """Return whether this is a container: its host has the kernel and the drivers."""
    if any(system.read(path) is not None for path in CONTAINER_FILES):
        return True
    groups = (system.read("/proc/1/cgroup") or "") + (system.read("/proc/1/environ") or "")
    return bool(_IN_CONTAINER.search(groups) or "container=" in groups)
