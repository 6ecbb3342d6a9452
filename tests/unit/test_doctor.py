"""``doctor`` on recorded trees: a Raspberry Pi 5 with an 8L, a 10H, nothing, and each way it can be broken."""

from __future__ import annotations

import copy
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fsq_edge_runtime.doctor import Checkup, LiveSystem, RecordedSystem, examine, gather
from fsq_edge_runtime.doctor.facts import PROBE_MODULE
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.hef import inspect_hef
from fsq_edge_runtime.testing.hef_writer import hef_bytes

Tree = tuple[dict[str, str], dict[str, Any]]
PCI = "sys/bus/pci/devices/0001:01:00.0"
DPKG = (
    "dpkg-query -W -f=${Package} ${Version} ${db:Status-Status}\n hailo-all hailo-h10-all hailort h10-hailort "
    "hailort-pcie-driver h10-hailort-pcie-driver hailo-dkms python3-hailort python3-h10-hailort hailofw"
)
PROBE = f"/usr/bin/python3 -m {PROBE_MODULE}"


def bare() -> Tree:
    """Return a Raspberry Pi 5 without a device and without Hailo's software."""
    files = {
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\n',
        "proc/sys/kernel/osrelease": "6.6.51+rpt-rpi-2712\n",
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0",
        "proc/modules": "bluetooth 622592 1 - Live 0x0\n",
        "proc/1/cmdline": "/sbin/init",
        "sys/bus/pci/devices/0002:00:00.0/vendor": "0x14e4\n",
        "sys/bus/pci/devices/0002:00:00.0/device": "0x2712\n",
    }
    record = {"machine": "aarch64", "packages": {"numpy": "1.26.4", "onnxruntime": "1.31.1"}, "nodes": {}, "links": {}}
    return files, record | {"commands": {}, "package_files": {}, "interpreter": {}}


def with_stack(chip: str, version: str, module: str, architecture: str, node: str, debian: list[str]) -> Tree:
    files, record = bare()
    files |= {
        f"{PCI}/vendor": "0x1e60\n",
        f"{PCI}/device": f"{chip}\n",
        f"{PCI}/current_link_speed": "8.0 GT/s PCIe\n",
        "proc/modules": f"{module} 131072 0 - Live 0x0\nbluetooth 622592 1 - Live 0x0\n",
        f"sys/module/{module}/version": f"{version}\n",
        f"usr/lib/libhailort.so.{version}": "",
    }
    record["links"][f"/{PCI}/driver"] = "../../../../bus/pci/drivers/hailo"
    record["nodes"][node] = {"mode": "0666"}
    record["package_files"]["hailo_platform/__init__.py"] = f'import os\n__version__ = "{version}"\n'
    installed = "".join(f"{name} {version} installed\n" for name in debian)
    device = {"architecture": architecture, "firmware": version, "temperature_c": 51.5}
    record["commands"] = {
        "hailortcli --version": {"stdout": f"HailoRT-CLI version {version}\n"},
        f"modinfo -n {module}": {"stdout": f"/lib/modules/6.6.51+rpt-rpi-2712/updates/dkms/{module}.ko.xz\n"},
        DPKG: {"exit_code": 1, "stdout": installed, "stderr": "no packages found matching h10-hailort\n"},
        PROBE: {"stdout": json.dumps({"binding": version, "devices": ["0001:01:00.0"], "device": device})},
        "dmesg --color=never": {"stdout": "[ 2.6] hailo 0001:01:00.0: Firmware was loaded successfully\n"},
    }
    return files, record


def pi_8l() -> Tree:
    debian = ["hailo-all", "hailort", "hailort-pcie-driver", "python3-hailort"]
    return with_stack("0x2864", "4.23.0", "hailo_pci", "hailo8l", "/dev/hailo0", debian)


def pi_10h() -> Tree:
    debian = ["hailo-h10-all", "h10-hailort", "h10-hailort-pcie-driver", "python3-h10-hailort"]
    return with_stack("0x45c4", "5.2.0", "hailo1x_pci", "hailo10h", "/dev/h1x-0", debian)


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Checkup]:
    def run(tree: Tree, hefs: list[bytes] | None = None) -> Checkup:
        root = tmp_path / f"tree{len(list(tmp_path.iterdir()))}"
        write(root, tree)
        reports = None if hefs is None else [inspect_hef(data) for data in hefs]
        return examine(gather(RecordedSystem(root)), reports)

    return run


def write(root: Path, tree: Tree) -> None:
    files, record = tree
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "system.json").write_text(json.dumps(record))


def rules(checkup: Checkup) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in checkup.findings}


def fix(checkup: Checkup, rule: str) -> str:
    return next(finding.fix for finding in checkup.findings if finding.rule == rule)


def message(checkup: Checkup, rule: str) -> str:
    return next(finding.message for finding in checkup.findings if finding.rule == rule)


@pytest.mark.parametrize(
    ("tree", "architecture", "version"), [(pi_8l(), "hailo8l", "4.23.0"), (pi_10h(), "hailo10h", "5.2.0")]
)
def test_a_healthy_pi_has_nothing_to_mend(
    check: Callable[..., Checkup], tree: Tree, architecture: str, version: str
) -> None:
    checkup = check(tree)
    assert checkup.healthy
    assert rules(checkup) == {}
    facts = checkup.facts
    assert facts.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert facts.identity.architecture == architecture
    assert facts.identity.temperature_c == 51.5
    assert (facts.library_version, facts.binding, facts.identity.firmware) == (version, version, version)
    assert facts.files[0].open_errno == 0


def test_a_pi_without_device_and_software_is_a_cpu_machine(check: Callable[..., Checkup]) -> None:
    checkup = check(bare())
    assert checkup.healthy
    assert rules(checkup) == {"device-absent": "info"}


def test_software_without_a_device_is_an_error(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    files = {name: text for name, text in files.items() if not name.startswith(PCI)}
    record["nodes"], record["links"] = {}, {}
    del record["commands"][PROBE]
    checkup = check((files, record))
    assert rules(checkup) == {"device-absent": "error"}
    assert "lspci" in fix(checkup, "device-absent")


def test_the_binding_alone_does_not_make_a_device_expected(check: Callable[..., Checkup]) -> None:
    files, record = bare()
    record["package_files"]["hailo_platform/__init__.py"] = '__version__ = "4.23.0"'
    assert rules(check((files, record))) == {"device-absent": "warning"}


def test_driver_mismatch_names_the_pair_and_the_line(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    files["sys/module/hailo_pci/version"] = "4.20.0\n"
    record["commands"]["modinfo -n hailo_pci"]["stdout"] = "/lib/modules/6.6.51/kernel/drivers/media/hailo_pci.ko\n"
    checkup = check((files, record))
    assert not checkup.healthy
    assert rules(checkup) == {"driver-version": "error", "driver-shadowed": "warning"}
    assert "4.20.0" in message(checkup, "driver-version")
    assert "4.23.0" in message(checkup, "driver-version")
    wanted = "apt install --reinstall hailo-all hailort hailort-pcie-driver python3-hailort  # then"
    assert wanted in fix(checkup, "driver-version"), "the meta package alone would leave the others as they are"


@pytest.mark.parametrize(("firmware", "severity"), [("4.20.0", "error"), ("4.23.1", "warning")])
def test_firmware_mismatch(check: Callable[..., Checkup], firmware: str, severity: str) -> None:
    files, record = pi_8l()
    record["commands"][PROBE]["stdout"] = record["commands"][PROBE]["stdout"].replace(
        '"firmware": "4.23.0"', f'"firmware": "{firmware}"'
    )
    checkup = check((files, record))
    assert rules(checkup) == {"firmware-version": severity}
    assert "powered off and on" in fix(checkup, "firmware-version")


def test_permission_denied(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    record["nodes"]["/dev/hailo0"] = {"mode": "0600", "open_errno": errno.EACCES}
    answer = {"device": {"error": "HailoRTPCIeDriverException: ...", "status": 36}}
    record["commands"][PROBE]["stdout"] = json.dumps(answer)
    checkup = check((files, record))
    assert rules(checkup) == {"device-permission": "error"}, "status 36 is the same fault seen from further away"
    assert "51-hailo-udev.rules" in fix(checkup, "device-permission")
    assert "(mode 0600, owner 0, group 0)" in message(checkup, "device-permission")


def test_a_holder_is_named(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    files["proc/812/cmdline"] = "/usr/bin/python3 /opt/frigate/run.py"
    record["links"]["/proc/812/fd/7"] = "/dev/hailo0"
    record["commands"][PROBE]["stdout"] = json.dumps({"device": {"error": "HailoRTException: ...", "status": 74}})
    checkup = check((files, record))
    assert rules(checkup) == {"device-busy": "error"}
    assert len(checkup.findings) == 1, "status 74 is the same fault"
    assert "812" in message(checkup, "device-busy")
    assert "frigate" in message(checkup, "device-busy")
    assert "kill 812" in fix(checkup, "device-busy")


def test_busy_with_a_hidden_holder_says_that_it_cannot_see(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    record["commands"][PROBE]["stdout"] = json.dumps({"device": {"error": "HailoRTException: ...", "status": 74}})
    checkup = check((files, record))
    assert rules(checkup) == {"device-busy": "error"}
    assert "1 processes of other users" in message(checkup, "device-busy")
    assert "fuser" in fix(checkup, "device-busy")


def test_the_command_line_tool_answers_when_there_is_no_binding(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    record["package_files"] = {}
    record["commands"]["hailortcli fw-control identify"] = {
        "stdout": "Executing on device: 0001:01:00.0\nIdentifying board\nFirmware Version: 4.23.0 (release,app)\n"
        "Board Name: Hailo-8\nDevice Architecture: HAILO8L\n"
    }
    checkup = check((files, record))
    assert checkup.facts.identity.architecture == "hailo8l"
    assert rules(checkup) == {"binding-missing": "error"}


def test_a_venv_without_system_packages(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    record["package_files"] = {}
    record["interpreter"] = {"in_venv": True, "system_packages": False}
    checkup = check((files, record))
    assert rules(checkup) == {"venv-isolated": "error"}
    assert "--system-site-packages" in fix(checkup, "venv-isolated")


def test_numpy_2_under_the_4x_binding_only(check: Callable[..., Checkup]) -> None:
    for tree, expected in ((pi_8l(), {"numpy-pin": "warning"}), (pi_10h(), {})):
        tree[1]["packages"]["numpy"] = "2.3.5"
        assert rules(check(tree)) == expected


@pytest.mark.parametrize(("version", "expected"), [("4.18.0", {"binding-idle": "warning"}), ("4.20.0", {})])
def test_a_binding_that_may_die_of_a_pause(
    check: Callable[..., Checkup], version: str, expected: dict[str, str]
) -> None:
    tree = with_stack("0x2864", version, "hailo_pci", "hailo8l", "/dev/hailo0", ["hailo-all", "hailort"])
    assert rules(check(tree)) == expected


def test_the_wrong_stack_for_the_device(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    files[f"{PCI}/device"] = "0x45c4\n"
    record["links"], record["nodes"] = {}, {}
    del record["commands"][PROBE]
    checkup = check((files, record))
    assert rules(checkup) == {"driver-generation": "error", "stack-generation": "error"}
    assert "hailo-h10-all" in fix(checkup, "stack-generation")


def test_driver_not_loaded(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    files["proc/modules"] = "bluetooth 622592 1 - Live 0x0\n"
    del files["sys/module/hailo_pci/version"]
    record["links"], record["nodes"] = {}, {}
    record["commands"][PROBE]["stdout"] = json.dumps({"devices": [], "device": None})
    checkup = check((files, record))
    assert rules(checkup) == {"driver-missing": "error"}
    assert "modprobe hailo_pci" in fix(checkup, "driver-missing")


def test_both_drivers_loaded(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    files["proc/modules"] += "hailo1x_pci 131072 0 - Live 0x0\n"
    checkup = check((files, record))
    assert rules(checkup) == {"driver-conflict": "warning"}
    assert "blacklist hailo1x_pci" in fix(checkup, "driver-conflict")


def test_heat_power_and_kernel_log(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    record["commands"][PROBE]["stdout"] = record["commands"][PROBE]["stdout"].replace("51.5", "106.0")
    files["sys/devices/platform/soc/soc:firmware/get_throttled"] = "50005\n"
    log = "[ 2.6] hailo 0001:01:00.0: Probing: Setting max_desc_page_size to 16384, (page_size=16384)\n"
    record["commands"]["dmesg --color=never"]["stdout"] = log
    expected = {"device-hot": "error", "power-supply": "error", "cpu-throttled": "warning", "page-size": "warning"}
    assert rules(check((files, record))) == expected


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["hailo8l"], {}),
        (["hailo8"], {"bundle-architecture": "warning"}),
        (["hailo8", "hailo8l"], {}),
        ([], {"bundle-architecture": "warning"}),
    ],
)
def test_bundle_against_an_8l(check: Callable[..., Checkup], targets: list[str], expected: dict[str, str]) -> None:
    checkup = check(pi_8l(), [hef_bytes(arch=target, sdk="3.33.0") for target in targets])
    assert rules(checkup) == expected


def test_bundle_whose_8l_hef_runs_slower_on_an_8(check: Callable[..., Checkup]) -> None:
    files, record = pi_8l()
    record["commands"][PROBE]["stdout"] = record["commands"][PROBE]["stdout"].replace("hailo8l", "hailo8")
    checkup = check((files, record), [hef_bytes(arch="hailo8l", sdk="3.33.0")])
    assert rules(checkup) == {"bundle-doubtful": "warning"}
    assert "lower performance" in message(checkup, "bundle-doubtful")


def test_bundle_compiled_by_an_unpaired_compiler(check: Callable[..., Checkup]) -> None:
    old = with_stack("0x2864", "4.21.0", "hailo_pci", "hailo8l", "/dev/hailo0", ["hailo-all", "hailort"])
    assert rules(check(old, [hef_bytes(arch="hailo8l", sdk="3.33.0")])) == {"bundle-doubtful": "warning"}
    strict = hef_bytes(arch="hailo10h", sdk="5.1.0", extensions=(35,))
    assert rules(check(pi_10h(), [strict])) == {"bundle-refused": "error"}


def test_bundle_that_needs_a_newer_hailort(check: Callable[..., Checkup]) -> None:
    tree = with_stack("0x2864", "4.18.0", "hailo_pci", "hailo8l", "/dev/hailo0", ["hailo-all", "hailort"])
    found = rules(check(tree, [hef_bytes(arch="hailo8l", version=3, sdk="3.30.0")]))
    assert found == {"bundle-refused": "error", "binding-idle": "warning"}


def test_every_error_and_warning_has_a_line_that_mends_it(check: Callable[..., Checkup]) -> None:
    files, record = copy.deepcopy(pi_8l())
    files["sys/module/hailo_pci/version"] = "4.20.0\n"
    record["nodes"]["/dev/hailo0"] = {"mode": "0600", "open_errno": errno.EACCES}
    record["packages"]["numpy"] = "2.3.5"
    checkup = check((files, record))
    assert len(checkup.findings) == 3
    assert all(finding.fix for finding in checkup.findings)
    assert json.loads(json.dumps(checkup.to_dict()))["schema_version"] == 1


def test_this_machine_can_be_examined() -> None:
    checkup = examine(gather(LiveSystem()))
    assert checkup.facts.packages["numpy"]
    assert checkup.facts.interpreter.version.startswith("3.")


def test_a_tree_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no recorded system"):
        RecordedSystem(tmp_path)
    (tmp_path / "system.json").write_text('{"schema_version": 1, "nodes": 3}')
    with pytest.raises(DataError, match="nodes"):
        RecordedSystem(tmp_path)
