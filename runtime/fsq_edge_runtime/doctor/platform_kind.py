"""Which system a machine runs, as far as it decides what can be installed and by whom."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fsq_edge_runtime.doctor.system import System

CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
_IN_CONTAINER = re.compile(r"docker|containerd|kubepods|libpod|podman|/lxc|garden")


def system_kind(system: System, release: Mapping[str, str], kernel: str) -> str:
    """Return ``raspberry-pi-os``, ``debian``, ``ubuntu``, ``fedora``, ``proxmox``, ``home-assistant-os`` or ``other``.

    A container counts as ``container``, except on Home Assistant OS, where the host's driver cannot be changed either.

    Args:
        system: the machine.
        release: of ``/etc/os-release``.
        kernel: release of the running kernel; in a container it is the host's.
    """
    name, ident = release.get("PRETTY_NAME", "").lower(), release.get("ID", "").lower()
    if "-haos" in kernel or "home assistant" in name or ident in ("haos", "hassos"):
        return "home-assistant-os"
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
