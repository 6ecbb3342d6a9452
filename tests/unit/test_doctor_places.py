"""Machines of public reports on which the usual repair does not exist: which root cause, and what can be done there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fsq_edge_runtime.doctor import Checkup, RecordedSystem, examine, gather
from tests.unit.test_doctor_systems import PCI, Machine

FOUR = "hailo-all 4.20.0 installed\nhailort 4.20.0-1 installed\n"


def machine(name: str, kernel: str, device: str = "0x2864", codename: str = "") -> Machine:
    made = Machine()
    made.files["etc/os-release"] = f'PRETTY_NAME="{name}"\nVERSION_CODENAME={codename}\n'
    made.files["proc/sys/kernel/osrelease"] = kernel
    if device:
        return made.with_file(f"{PCI}/device", device)
    made.files = {path: text for path, text in made.files.items() if not path.startswith(PCI)}
    return made


def in_lxc() -> Machine:
    made = machine("Debian GNU/Linux 13 (trixie)", "6.17.4-2-pve").stack("4.21.0").driver("hailo_pci", "4.21.0")
    made.record["nodes"].clear()
    return made.with_file("proc/1/cgroup", "0::/lxc/101/ns\n")


def ten(kernel: str = "6.12.75+rpt-rpi-2712", codename: str = "trixie") -> Machine:
    return machine("Debian GNU/Linux", kernel, "0x45c4", codename)


# name: (the machine, rule of the root cause, what message and repair must match, what they may not match).
# Sources: notes in public repositories, except github.com/home-assistant/operating-system, issue 3663 (haos), and
# https://community.hailo.ai/t/17377 (m2-slot).
MACHINES: dict[str, tuple[Callable[[], Machine], str, str, str]] = {
    "lxc-without-the-device": (in_lxc, "device-file", "this container.*lxc.mount.entry", "firmware"),
    "wsl": (
        lambda: machine("Ubuntu 24.04.1 LTS", "5.15.153.1-microsoft-standard-WSL2", "").stack("4.23.0"),
        "device-absent",
        "WSL hands no PCIe device",
        "ribbon|modprobe",
    ),
    "haos": (
        lambda: (
            machine("Home Assistant OS 13.2", "6.6.51-haos-raspi")
            .stack("4.21.0", "hailo_pci")
            .log(
                "[ 1.4] hailo 0000:04:00.0: Firmware file not found (/lib/firmware/hailo/hailo8_fw.bin), please upload"
            )
        ),
        "firmware-missing",
        "ha os update",
        "apt",
    ),
    "software-on-the-device-is-older": (
        lambda: (
            ten()
            .stack("5.4.0", "hailo1x_pci")
            .log("[ 7.1] hailo1x 0001:01:00.0: Mismatch Driver version pcie driver 5:4:0 pci_ep driver 5:3:0")
        ),
        "firmware-version",
        "driver is 5.4.0.*device.* 5.3.0.*hailo-h10-all",
        "WSL",
    ),
    "asleep": (
        lambda: (
            ten()
            .stack("5.2.0")
            .driver("hailo1x_pci", "5.2.0", bound=False)
            .log(
                "[101.2] hailo1x_pci: Failed reading device BARs", "[101.3] hailo1x_pci: D3cold to D0 transition failed"
            )
        ),
        "device-lost",
        "does not wake up.*devices/0001:01:00.0/power/control",
        "cable",
    ),
    "10h-on-bookworm": (
        lambda: ten(codename="bookworm").stack("4.20.0", packages=FOUR).driver("hailo_pci", "4.20.0", bound=False),
        "driver-generation",
        "bookworm has no packages for a Hailo-10H.*trixie",
        "WSL",
    ),
    "kernel-of-the-maker": (
        lambda: machine("Ubuntu 20.04.5 LTS", "4.19.232").stack("4.17.0"),
        "driver-missing",
        "the board maker's.*git checkout hailo8",
        "apt install",
    ),
    "virtual-machine": (
        lambda: (
            machine("Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64", "")
            .stack("4.20.0")
            .with_file("sys/class/dmi/id/sys_vendor", "QEMU\n")
        ),
        "device-absent",
        "passthrough",
        "ribbon",
    ),
    "m2-slot": (
        lambda: machine("Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64", "").stack("4.20.0"),
        "device-absent",
        "M.2 slot must carry PCIe",
        "ribbon",
    ),
    "both-drivers": (
        lambda: (
            ten()
            .stack("5.2.0")
            .driver("hailo1x_pci", "5.2.0", bound=False)
            .with_file("proc/modules", "hailo_pci 131072 0 - Live 0x0\nhailo1x_pci 147456 0 - Live 0x0\n")
            .log("[ 5.3] hailo1x 0001:01:00.0: Failed reading device BARs, device may be disconnected")
        ),
        "driver-claimed",
        "blacklist hailo_pci",
        "ribbon",
    ),
    "driver-alone": (
        lambda: machine("Ubuntu 22.04.5 LTS", "6.1.141").driver("hailo_pci", "4.21.0"),
        "library-missing",
        "the driver is 4.21.0.*library.*4.21.0 from Hailo's Developer Zone",
        "dkms",
    ),
    "driver-of-another-generation-alone": (
        lambda: ten().driver("hailo_pci", "4.20.0", bound=False),
        "driver-generation",
        "needs hailo1x_pci",
        "4.20.0 from",
    ),
}


def examined(made: Machine, root: Path) -> Checkup:
    for name, text in made.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "system.json").write_text(json.dumps(made.record))
    return examine(gather(RecordedSystem(root)))


@pytest.mark.parametrize("name", MACHINES)
def test_the_repair_exists_there(tmp_path: Path, name: str) -> None:
    make, rule, words, never = MACHINES[name]
    root = examined(make(), tmp_path).findings[0]
    said = f"{root.message} {root.fix}"
    assert root.rule == rule
    assert re.search(words, said, re.DOTALL), said
    assert not re.search(never, said), said


def test_a_failure_that_no_row_knows_is_quoted(tmp_path: Path) -> None:
    log = "[ 9.1] hailo 0001:01:00.0: frobnication failed"
    (found,) = examined(Machine().stack("4.21.0", "hailo_pci").log("[ 9.0] hailo: Init module", log), tmp_path).findings
    assert (found.rule, found.severity) == ("driver-log", "warning")
    assert "hailo 0001:01:00.0: frobnication failed" in found.message
