"""What ``doctor`` reads from a machine: plain facts, no judgement."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from fsq_edge_runtime.doctor.driver_build import DriverBuild, driver_build
from fsq_edge_runtime.doctor.hardware import (
    DeviceFile,
    Holder,
    KernelModule,
    PciDevice,
    device_files,
    file_holders,
    in_container,
    kernel_modules,
    pci_devices,
    system_kind,
)
from fsq_edge_runtime.doctor.system import Interpreter, System

PROBE_MODULE = "fsq_edge_runtime.doctor.device_probe"
LIBRARY_FOLDERS = ("/usr/lib", "/usr/lib/aarch64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/local/lib")
DEBIAN_PACKAGES = (
    *("hailo-all", "hailo-h10-all", "hailort", "h10-hailort", "hailort-pcie-driver", "h10-hailort-pcie-driver"),
    *("hailo-dkms", "python3-hailort", "python3-h10-hailort", "hailofw"),
)
THROTTLE_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
HALF_STATES = ("half-configured", "half-installed", "unpacked", "triggers-awaited", "triggers-pending")
# Lines about the accelerator's driver, and about what takes the device away: supply, module signature.
_TOLD = re.compile(
    r"hailo|find_vma|under-?voltage|module verification|unsigned module|Lockdown: modprobe|pcie.*link down",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(\d+\.\d+\.\d+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """What the device says of itself; fields are None where it did not say.

    Args:
        architecture: lower case, such as ``hailo8l`` (the field "Device Architecture", never "Board Name").
        firmware: x.y.z.
        temperature_c: the hotter of the chip's two sensors, degrees Celsius.
        error: why it could not be asked.
        status: HailoRT's status code of that error.
    """

    architecture: str | None = None
    firmware: str | None = None
    temperature_c: float | None = None
    error: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """One machine as read.

    Attributes:
        os_name: such as "Debian GNU/Linux 12 (bookworm)".
        codename: such as "bookworm".
        kernel: release of the running kernel.
        board: the device tree's model, or maker and product that the firmware names; empty where there is neither.
        machine: processor architecture.
        pci: Hailo devices on the PCI bus.
        modules: Hailo kernel modules that are loaded.
        files: Hailo device files.
        holders: processes that have a device file open, as far as this user can see.
        holders_hidden: processes of other users that could not be looked into.
        debian: installed Debian packages of the stack and their versions.
        library: versions of libhailort found, newest last.
        cli: version of hailortcli.
        binding: version of the Python binding, None when it is not installed for this Python.
        identity: what the first device says of itself.
        interpreter: the running Python.
        packages: versions of numpy, onnxruntime, onnx, torch (None: not installed).
        cuda: what is known of CUDA without importing torch, empty without torch.
        throttled: the Raspberry Pi firmware's throttle bits, None elsewhere.
        kernel_log: lines of the kernel log about Hailo, its module's faults and the supply; None when it may not be
            read.
        system: kind of system, see :func:`fsq_edge_runtime.doctor.platform_kind.system_kind`; it decides which repair
            exists.
        container: whether this is a container, whose host has the kernel and the driver.
        half: packages of the stack that are not configured to the end, and their state.
        build: what there is of the driver's module on disk.
    """

    os_name: str
    codename: str
    kernel: str
    board: str
    machine: str
    pci: tuple[PciDevice, ...]
    modules: tuple[KernelModule, ...]
    files: tuple[DeviceFile, ...]
    holders: tuple[Holder, ...]
    holders_hidden: int
    debian: dict[str, str]
    library: tuple[str, ...]
    cli: str | None
    binding: str | None
    identity: Identity
    interpreter: Interpreter
    packages: dict[str, str | None]
    cuda: str
    throttled: int | None
    kernel_log: tuple[str, ...] | None
    system: str = "other"
    container: bool = False
    half: dict[str, str] = field(default_factory=dict)
    build: DriverBuild = field(default_factory=DriverBuild)

    @property
    def has_software(self) -> bool:
        """Whether any part of Hailo's software is installed."""
        return bool(self.debian or self.half or self.library or self.cli or self.binding or self.modules)

    @property
    def library_version(self) -> str | None:
        """The library version that programs load: the command-line tool's own, else the newest file found."""
        return self.cli or (self.library[-1] if self.library else None)


def gather(system: System) -> Facts:
    """Read a machine.

    Cost: about 0.1 s, and up to 15 s for each of two commands when a device hangs.
    """
    release = _pairs(system.read("/etc/os-release") or "")
    pci, files = pci_devices(system), device_files(system)
    holders, hidden = file_holders(system) if files else ((), 0)
    cli = _version(_stdout(system, "hailortcli", "--version"))
    binding = _binding_version(system)
    kernel = (system.read("/proc/sys/kernel/osrelease") or "").strip()
    states = _debian(system)
    return Facts(
        os_name=release.get("PRETTY_NAME", "unknown"),
        codename=release.get("VERSION_CODENAME", ""),
        kernel=kernel,
        board=(system.read("/proc/device-tree/model") or _product(system)).strip(),
        machine=system.machine(),
        pci=pci,
        modules=kernel_modules(system),
        files=files,
        holders=holders,
        holders_hidden=hidden,
        debian={name: version for name, (version, state) in states.items() if state == "installed"},
        library=_libraries(system),
        cli=cli,
        binding=binding,
        identity=_identity(system, cli is not None and bool(pci), binding is not None),
        interpreter=system.interpreter(),
        packages={name: system.package(name) for name in ("numpy", "onnxruntime", "onnx", "torch")},
        cuda=_cuda(system),
        throttled=_throttled(system),
        kernel_log=_kernel_log(system),
        system=system_kind(system, release, kernel),
        container=in_container(system),
        half={name: state for name, (_, state) in states.items() if state in HALF_STATES},
        build=driver_build(system, kernel),
    )


def major(version: str | None) -> int | None:
    """Return the first number of a version; None where it has none."""
    head = (version or "").split(".")[0]
    return int(head) if head.isdigit() else None


def _product(system: System) -> str:
    return " ".join((system.read(f"/sys/class/dmi/id/{name}") or "").strip() for name in ("sys_vendor", "product_name"))


def _pairs(text: str) -> dict[str, str]:
    split = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip().strip('"') for key, _, value in split if value}


def _version(text: str) -> str | None:
    found = _VERSION.search(text)
    return found.group(1) if found else None


def _stdout(system: System, *words: str) -> str:
    result = system.run(*words)
    return result.stdout if result else ""


def _debian(system: System) -> dict[str, tuple[str, str]]:
    """Return version and state of each package of the stack that the package manager knows."""
    # A package that is not installed prints to standard error and makes the exit code 1; the others still print.
    text = _stdout(system, "dpkg-query", "-W", "-f=${Package} ${Version} ${db:Status-Status}\n", *DEBIAN_PACKAGES)
    rows = (line.split() for line in text.splitlines())
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}


def _libraries(system: System) -> tuple[str, ...]:
    names = (name for folder in LIBRARY_FOLDERS for name in system.entries(folder))
    found = {
        name.removeprefix("libhailort.so.") for name in names if re.fullmatch(r"libhailort\.so\.\d+\.\d+\.\d+", name)
    }
    return tuple(sorted(found, key=lambda version: tuple(int(part) for part in version.split("."))))


def _binding_version(system: System) -> str | None:
    source = system.package_file("hailo_platform", "__init__.py")
    if source is None:
        return None
    stated = re.search(r"__version__\s*=\s*[\"'](\d+\.\d+\.\d+)", source)
    return stated.group(1) if stated else (system.package("hailort") or "unknown")


def _identity(system: System, ask_cli: bool, ask_binding: bool) -> Identity:
    """Ask the binding in a process of its own (it may crash), else the command-line tool."""
    if ask_binding:
        answer = _parse_probe(_stdout(system, system.interpreter().executable, "-m", PROBE_MODULE))
        if answer is not None:
            return answer
    if not ask_cli:
        return Identity()
    text = _stdout(system, "hailortcli", "fw-control", "identify")
    fields = dict(line.partition(":")[::2] for line in text.splitlines())
    architecture = fields.get("Device Architecture", "").strip().lower()
    return Identity(architecture or None, _version(fields.get("Firmware Version", "")))


def _parse_probe(text: str) -> Identity | None:
    try:
        answer: Any = json.loads(text.strip().splitlines()[-1]) if text.strip() else None
        return Identity(**answer["device"]) if answer and answer.get("device") else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _cuda(system: System) -> str:
    """Say what can be known cheaply; importing torch takes seconds and is left to ``train``."""
    source = system.package_file("torch", "version.py")
    if source is None:
        return ""
    built = re.search(r"^cuda[^=]*=\s*[\"']([\d.]+)[\"']", source, re.MULTILINE)
    if built is None:
        return "no: this torch is built for the CPU"
    driver = system.read("/proc/driver/nvidia/version")
    if driver is None:
        return f"no: torch is built for CUDA {built.group(1)}, but no NVIDIA driver is loaded"
    return f"likely: torch is built for CUDA {built.group(1)} and an NVIDIA driver is loaded"


def _throttled(system: System) -> int | None:
    text = (system.read(THROTTLE_FILE) or "").strip()
    try:
        return int(text, 16)
    except ValueError:
        return None


def _kernel_log(system: System) -> tuple[str, ...] | None:
    result = system.run("dmesg", "--color=never")
    if result is None or result.exit_code != 0:
        return None
    return tuple(line for line in result.stdout.splitlines() if _TOLD.search(line))[-200:]
