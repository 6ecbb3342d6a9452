"""The machine that figures come from, so that nobody compares two without knowing."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from pydantic import Field

from fsq_edge_runtime.artefact import StrictModel
from fsq_edge_runtime.made import installed_version

# What decides how fast small convolutions are, in float and in int8.
FLAGS: Final = (
    "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8",
    "asimd", "asimdhp", "asimddp", "i8mm", "sve", "bf16",
)  # fmt: skip
INT8_DOT_FLAGS: Final = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})
PACKAGES: Final = ("fsq-edge", "numpy", "onnxruntime", "pydantic", "click", "rich", "torch")
_CPU: Final = Path("/sys/devices/system/cpu/cpu0")


class Machine(StrictModel):
    """What a latency depends on besides the code.

    Attributes:
        cpu: model name, or the board where the kernel names no CPU.
        board: from the device tree; empty on a PC.
        architecture: such as ``x86_64`` or ``aarch64``.
        flags: instruction sets that matter for small networks.
        cores: that this process may use.
        memory_mb: of the machine.
        virtual: a hypervisor is under it, whose other guests are out of sight.
        governor: frequency governor; empty where the kernel shows none.
        max_mhz: highest clock; None where the kernel shows none.
        kernel: release.
        system: distribution.
        python: version.
        versions: of the packages that decide speed.
    """

    cpu: str
    board: str = ""
    architecture: str
    flags: tuple[str, ...] = ()
    cores: int = Field(ge=1)
    memory_mb: int = Field(ge=0)
    virtual: bool = False
    governor: str = ""
    max_mhz: int | None = None
    kernel: str
    system: str = ""
    python: str
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def has_int8_dot(self) -> bool:
        """Whether the CPU multiplies int8 four at a time (VNNI, dot-product): the point of int8 on a CPU."""
        return bool(INT8_DOT_FLAGS & set(self.flags))

    def same_as(self, other: Machine) -> bool:
        """Return whether absolute times of the two may be compared: same processor, cores and clock policy."""
        mine, theirs = (
            (m.cpu, m.board, m.architecture, m.flags, m.cores, m.governor, m.max_mhz) for m in (self, other)
        )
        return mine == theirs

    def text(self) -> str:
        """Return one line."""
        place = f"{self.board}, {self.cpu}" if self.board and self.board != self.cpu else self.cpu
        flags = ", ".join(flag for flag in self.flags if flag in INT8_DOT_FLAGS) or "no int8 dot product"
        parts = [f"{place} ({self.architecture}, {flags})", f"{self.cores} cores"]
        parts += [f"governor {self.governor}"] if self.governor else []
        parts += ["virtual"] if self.virtual else []
        return ", ".join([*parts, f"Linux {self.kernel}", f"Python {self.python}"])


def describe_machine() -> Machine:
    """Describe the machine that this process runs on; what the kernel does not show is left empty."""
    cpuinfo = fields(Path("/proc/cpuinfo"))
    flags = set(cpuinfo.get("flags", cpuinfo.get("Features", "")).split())
    board = text(Path("/proc/device-tree/model")).rstrip("\x00")
    frequency = number(_CPU / "cpufreq/cpuinfo_max_freq")
    return Machine(
        cpu=cpuinfo.get("model name") or board or platform.processor() or "unknown",
        board=board,
        architecture=platform.machine(),
        flags=tuple(flag for flag in FLAGS if flag in flags),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        virtual="hypervisor" in flags,
        governor=text(_CPU / "cpufreq/scaling_governor"),
        max_mhz=None if frequency is None else frequency // 1000,
        kernel=platform.release(),
        system=_distribution(),
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := installed_version(name))},
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def text(path: Path) -> str:
    """Return a file's content without surrounding blanks, empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """Return the whole number in a file, None where there is none."""
    try:
        return int(text(path))
    except ValueError:
        return None


def fields(path: Path) -> dict[str, str]:
    """Return the ``name: value`` lines of a file; the first of a name counts."""
    found: dict[str, str] = {}
    for line in text(path).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found
