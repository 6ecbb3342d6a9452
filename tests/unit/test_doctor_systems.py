"""Public reports as recorded trees: which root cause, and repairs that exist on the system at hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fsq_edge_runtime.doctor import Checkup, RecordedSystem, examine, gather
from fsq_edge_runtime.doctor.facts import DEBIAN_PACKAGES
from fsq_edge_runtime.doctor.repairs import causes

KERNEL = "6.12.75+rpt-rpi-2712"
DPKG = " ".join(("dpkg-query", "-W", "-f=${Package} ${Version} ${db:Status-Status}\n", *DEBIAN_PACKAGES))
PCI = "sys/bus/pci/devices/0001:01:00.0"
SYSTEMS = {
    "raspberry-pi-os": ("Debian GNU/Linux 12 (bookworm)", KERNEL),
    "debian": ("Debian GNU/Linux 13 (trixie)", "6.12.48+deb13-amd64"),
    "ubuntu": ("Ubuntu 24.04.3 LTS", "6.8.0-1053-raspi"),
    "fedora": ("Fedora Linux 43 (Server Edition)", "6.17.4-300.fc43.x86_64"),
    "proxmox": ("Proxmox VE 9.1 (Debian GNU/Linux 13 trixie)", "6.17.4-2-pve"),
    "home-assistant-os": ("Home Assistant OS 15.0", "6.6.73-haos-raspi"),
    "other": ("Pop!_OS 22.04 LTS", "6.8.0-76060800-generic"),
}


class Machine:
    """A machine with a Hailo-8 or 8L on the bus and nothing else; each method adds what a report shows."""

    def __init__(self, system: str = "raspberry-pi-os") -> None:
        name, self.kernel = SYSTEMS[system]
        self.files = {
            "etc/os-release": f'PRETTY_NAME="{name}"\n',
            "proc/sys/kernel/osrelease": f"{self.kernel}\n",
            "proc/modules": "",
            f"{PCI}/vendor": "0x1e60\n",
            f"{PCI}/device": "0x2864\n",
        }
        self.record: dict[str, dict[str, object]] = {"commands": {}, "links": {}, "nodes": {}, "package_files": {}}

    def stack(self, version: str, module: str = "", packages: str = "") -> Machine:
        self.files[f"usr/lib/libhailort.so.{version}"] = ""
        self.record["package_files"]["hailo_platform/__init__.py"] = f'__version__ = "{version}"'
        if packages:
            self.record["commands"][DPKG] = {"stdout": packages}
        if module:
            self.driver(module, version)
        return self

    def driver(self, module: str, version: str, bound: bool = True) -> Machine:
        self.files["proc/modules"] = f"{module} 131072 0 - Live 0x0\n"
        self.files[f"sys/module/{module}/version"] = version
        if bound:
            self.record["links"][f"/{PCI}/driver"] = f"../../drivers/{module}"
            self.record["nodes"]["/dev/hailo0"] = {}
        return self

    def log(self, *lines: str) -> Machine:
        self.record["commands"]["dmesg --color=never"] = {"stdout": "\n".join(lines)}
        return self

    def dkms(self, text: str) -> Machine:
        self.record["commands"]["dkms status"] = {"stdout": text}
        return self

    def with_file(self, name: str, text: str = "") -> Machine:
        self.files[name] = text
        return self


@pytest.fixture
def check(tmp_path: Path) -> Callable[[Machine], Checkup]:
    def run(machine: Machine) -> Checkup:
        root = tmp_path / f"tree{len(list(tmp_path.iterdir()))}"
        for name, text in machine.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "system.json").write_text(json.dumps(machine.record))
        return examine(gather(RecordedSystem(root)))

    return run


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_system_is_recognised(check: Callable[[Machine], Checkup], system: str) -> None:
    assert check(Machine(system)).facts.system == system


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name != "raspberry-pi-os"])
def test_packages_of_raspberry_pi_os_are_named_there_only(check: Callable[[Machine], Checkup], system: str) -> None:
    broken = Machine(system).stack("5.2.0").driver("hailo1x_pci", "5.1.0", bound=False)
    fixes = " ".join(finding.fix for finding in check(broken).findings)
    assert "hailo-all" not in fixes
    assert "hailo-h10-all" not in fixes
    assert "python3-hailort" not in fixes
    assert "full-upgrade" not in fixes


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_in_a_container_the_repair_says_which_side_must_change(check: Callable[[Machine], Checkup], mark: str) -> None:
    # Source: github.com/roflcoopter/viseron, issue 1490: driver 4.23.0 on the host, library 4.22.0 in the image.
    checkup = check(Machine("debian").stack("4.22.0").driver("hailo_pci", "4.23.0").with_file(mark))
    root = checkup.findings[0]
    assert root.rule == "driver-version"
    assert "use an image whose HailoRT is 4.23.0" in root.fix
    assert "on the host" in root.fix
    assert checkup.facts.container


def test_a_container_is_seen_by_its_control_group(check: Callable[[Machine], Checkup]) -> None:
    assert check(Machine("ubuntu").with_file("proc/1/cgroup", "0::/lxc/101/ns\n")).facts.system == "container"


def test_a_kernel_update_without_a_build_names_the_headers(check: Callable[[Machine], Checkup]) -> None:
    # Source: a public incident note: kernel 6.8.0-1053-raspi on Ubuntu, hailo_pci built for the kernel before it.
    machine = Machine("ubuntu").stack("4.20.0").dkms("hailo_pci/4.20.0, 6.8.0-1051-raspi, aarch64: installed\n")
    machine.with_file("lib/modules/6.8.0-1053-raspi/modules.dep", "kernel/net/wireless/cfg80211.ko:\n")
    checkup = check(machine)
    root = checkup.findings[0]
    assert root.rule == "driver-kernel"
    assert "6.8.0-1051-raspi" in root.message
    assert "linux-headers-6.8.0-1053-raspi" in root.fix
    assert "dkms autoinstall -k 6.8.0-1053-raspi" in root.fix
    assert checkup.because == {"driver-missing": "driver-kernel"}


def test_a_module_for_this_kernel_is_no_fault_of_the_build(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine().stack("4.20.0").with_file(f"lib/modules/{KERNEL}/updates/dkms/hailo_pci.ko.xz")
    assert [finding.rule for finding in check(machine).findings] == ["driver-missing"]


@pytest.mark.parametrize("system", ["debian", "fedora", "proxmox"])
def test_a_failed_build_is_not_tried_again(check: Callable[[Machine], Checkup], system: str) -> None:
    # Source: github.com/hailo-ai/hailort-drivers, pull request 50.
    machine = Machine(system).stack("5.3.0").dkms("hailo1x_pci/5.3.0: added\n")
    machine.with_file(f"{PCI}/device", "0x45c4").with_file(
        "var/lib/dkms/hailo1x_pci/5.3.0/build/make.log",
        f"DKMS make.log for hailo1x_pci-5.3.0 for kernel {machine.kernel} (x86_64)\n"
        "linux/vdma/monitor.c:71:5: error: implicit declaration of function 'del_timer_sync'\n",
    )
    root = check(machine).findings[0]
    assert root.rule == "driver-build"
    assert "del_timer_sync" in root.message
    assert "newest" in root.fix
    assert "autoinstall" not in root.fix


def test_an_old_build_log_of_a_driver_that_works_is_no_finding(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine().stack("4.23.0", "hailo_pci").dkms(f"hailo_pci/4.23.0, {KERNEL}, aarch64: installed\n")
    machine.with_file("var/lib/dkms/hailo_pci/4.23.0/build/make.log", "a.c:1:1: error: gone\n")
    assert check(machine).findings == ()


def test_missing_firmware_comes_before_the_missing_device_file(check: Callable[[Machine], Checkup]) -> None:
    # Source: github.com/nerves-project/nerves_system_rpi5, pull request 39.
    machine = Machine("debian").stack("4.18.0").driver("hailo_pci", "4.18.0", bound=False)
    machine.record["links"][f"/{PCI}/driver"] = "../../drivers/hailo"
    machine.log("[ 2.25] hailo 0000:01:00.0: Firmware file not found (/lib/firmware/hailo/hailo8_fw.bin)")
    checkup = check(machine)
    assert checkup.findings[0].rule == "firmware-missing"
    assert checkup.because["device-file"] == "firmware-missing"
    assert "/lib/firmware/hailo" in checkup.findings[0].fix


def test_the_wrong_generation_on_another_distribution(check: Callable[[Machine], Checkup]) -> None:
    # Source: github.com/hailo-ai/hailo-rpi5-examples, issue 192: Pop!_OS, Hailo-8 with hailo1x 5.3.0.
    checkup = check(Machine("other").stack("5.3.0").driver("hailo1x_pci", "5.3.0", bound=False))
    root = checkup.findings[0]
    assert root.rule == "driver-generation"
    assert "hailo8" in root.fix
    assert "4.x" in root.fix
    assert checkup.because["stack-generation"] == "driver-generation"


@pytest.mark.parametrize(
    ("system", "word"),
    [("raspberry-pi-os", "update-initramfs -u"), ("fedora", "dracut -f"), ("other", "update-initramfs")],
)
def test_a_module_option_includes_the_boot_image(check: Callable[[Machine], Checkup], system: str, word: str) -> None:
    machine = Machine(system).stack("4.23.0", "hailo_pci")
    machine.log("[ 3.06] hailo 0001:01:00.0: Probing: Setting max_desc_page_size to 16384, (page_size=16384)")
    (finding,) = check(machine).findings
    assert finding.rule == "page-size"
    assert word in finding.fix
    assert "force_desc_page_size=4096" in finding.fix


def test_pages_that_fit_are_no_finding(check: Callable[[Machine], Checkup]) -> None:
    machine = (
        Machine().stack("4.23.0", "hailo_pci").log("[ 2.2] hailo 0001:01:00.0: Setting max_desc_page_size to 4096")
    )
    assert check(machine).findings == ()


def test_secure_boot_comes_before_the_missing_driver(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine("ubuntu").stack("4.23.0").log("[ 4.1] Loading of unsigned module is rejected: hailo_pci")
    checkup = check(machine)
    assert [finding.rule for finding in checkup.findings] == ["driver-signature", "driver-missing"]
    assert "mokutil" in checkup.findings[0].fix


def test_a_half_configured_package_alone(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine().stack("4.23.0", "hailo_pci", packages="hailort 4.23.0 unpacked\nhailo-all 4.23.0 installed\n")
    (finding,) = check(machine).findings
    assert finding.rule == "packages-half"
    assert "dpkg --configure -a" in finding.fix


def test_a_physical_cause_stands_above_its_consequences(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine().stack("4.20.0", "hailo_pci").log("[ 9.1] hailo 0001:01:00.0: Device disconnected while opening")
    machine.record["nodes"]["/dev/hailo0"] = {"open_errno": 5}
    machine.with_file("sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n")
    checkup = check(machine)
    assert [finding.rule for finding in checkup.findings] == ["power-supply", "device-gone", "device-lost"]
    assert checkup.findings[0].severity == "warning", "it happened before, and what followed are the errors"
    assert checkup.to_dict()["findings"][1]["because"] == "power-supply"


def test_no_rule_is_its_own_cause() -> None:
    assert all(rule not in follows for rule, follows in causes())


# Sources of what follows: incident notes in public repositories, github.com/hailo-ai/hailo-rpi5-examples, issue 193.


def test_a_module_of_a_one_off_build_is_left_behind_by_a_new_kernel(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine("ubuntu").stack("4.23.0")
    machine.with_file("lib/modules/6.8.0-1051-raspi/kernel/drivers/misc/hailo_pci.ko")
    machine.with_file(f"lib/modules/{machine.kernel}/modules.dep", "a.ko:")
    assert check(machine).findings[0].rule == "driver-kernel"


def test_the_kernels_own_driver_is_the_cause_of_the_mismatch(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine().stack("4.23.0").driver("hailo_pci", "4.20.0")
    path = f"/lib/modules/{KERNEL}/kernel/drivers/media/pci/hailo/hailo_pci.ko.xz\n"
    machine.record["commands"]["modinfo -n hailo_pci"] = {"stdout": path}
    assert check(machine).because == {"driver-version": "driver-shadowed"}


def test_a_second_library_is_the_cause_of_the_mismatch(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine().stack("4.20.0", "hailo_pci").with_file("usr/local/lib/libhailort.so.5.2.0")
    machine.record["commands"]["hailortcli --version"] = {"stdout": "HailoRT-CLI version 5.2.0"}
    checkup = check(machine)
    assert checkup.findings[0].rule == "library-mixed"
    assert "/usr/local" in checkup.findings[0].fix
    assert set(checkup.because) == {"stack-generation", "driver-version", "binding-version"}


@pytest.mark.parametrize(("code", "rule"), [("-5", "driver-unbound"), ("-2", "firmware-missing")])
def test_why_the_driver_refused_the_device(check: Callable[[Machine], Checkup], code: str, rule: str) -> None:
    machine = Machine().stack("4.20.0").driver("hailo_pci", "4.20.0", bound=False)
    machine.log(f"[ 3.1] hailo 0001:01:00.0: probe with driver hailo failed with error {code}")
    found = check(machine).findings
    assert found[0].rule == rule
    assert any(f"failed with error {code}" in finding.message for finding in found)


def test_under_voltage_in_the_kernel_log_alone(check: Callable[[Machine], Checkup]) -> None:
    machine = Machine().stack("4.20.0", "hailo_pci")
    machine.log("[  510.0] hwmon hwmon2: Undervoltage detected!", "[  942.1] hailo 0001:01:00.0: Device disconnected")
    assert [finding.rule for finding in check(machine).findings] == ["power-supply", "device-lost"]


def test_a_link_that_is_down_is_named_where_no_device_is_found(check: Callable[[Machine], Checkup]) -> None:
    # Source: github.com/raspberrypi/linux, issue 6511; github.com/geerlingguy/raspberry-pi-pcie-devices, issue 674.
    machine = Machine().stack("4.23.0")
    machine.files = {name: text for name, text in machine.files.items() if not name.startswith(PCI)}
    machine.log("[ 0.25] brcm-pcie 1000110000.pcie: Forcing gen 2", "[ 0.36] brcm-pcie 1000110000.pcie: link down")
    (finding,) = check(machine).findings
    assert finding.rule == "device-absent"
    assert "link down" in finding.message
    assert "ribbon cable" in finding.fix


def test_an_optional_board_configuration_is_no_missing_firmware(check: Callable[[Machine], Checkup]) -> None:
    # Source: github.com/blakeblackshear/frigate, pull request 17805: an add-on with 4.21.0, driver 4.20.1.
    machine = Machine("home-assistant-os").stack("4.21.0").driver("hailo_pci", "4.20.1").with_file(".dockerenv")
    machine.log("[ 5.20] hailo 0000:01:00.0: Writing file hailo/hailo8_board_cfg.bin")
    machine.log("[ 5.24] Failed to write file hailo/hailo8_board_cfg.bin")
    (finding,) = check(machine).findings
    assert finding.rule == "driver-version"
    assert "4.20.1" in finding.fix


def test_two_stacks_at_once(check: Callable[[Machine], Checkup]) -> None:
    packages = "hailo-all 4.20.0+1 installed\nh10-hailort 5.1.1 installed\npython3-hailort 4.20.0-1 installed\n"
    machine = Machine().stack("5.1.1", packages=packages).driver("hailo1x_pci", "5.1.1")
    machine.with_file(f"{PCI}/device", "0x45c4")
    (finding,) = check(machine).findings
    assert finding.rule == "stack-both"
    assert "hailo-h10-all" in finding.fix
