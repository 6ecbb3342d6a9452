"""Which chips there are, and which compiler generation serves each."""

from __future__ import annotations

from dataclasses import dataclass

from fsq_edge_runtime.errors import UsageError

# Source: the release notes' target tables; hailo15l joined with DFC 5.2.
GENERATION_OF: dict[str, str] = {
    "hailo8": "3.x",
    "hailo8l": "3.x",
    "hailo8r": "3.x",
    "hailo10h": "5.x",
    "hailo15h": "5.x",
    "hailo15m": "5.x",
    "hailo15l": "5.x",
}
ARCHES: tuple[str, ...] = tuple(GENERATION_OF)
FIRST_DFC: dict[str, tuple[int, int]] = {"hailo15l": (5, 2)}


@dataclass(frozen=True, slots=True)
class Target:
    """One chip and the compiler that is to serve it.

    Attributes:
        arch: a name of ``ARCHES``.
        generation: ``"3.x"`` or ``"5.x"``.
        version: (major, minor) of the compiler when the caller named one.
    """

    arch: str
    generation: str
    version: tuple[int, int] | None = None

    @property
    def dfc(self) -> str:
        """The compiler as text: the version named, else the generation."""
        return self.generation if self.version is None else f"{self.version[0]}.{self.version[1]}"


def target_for(arch: str, dfc: str | None = None) -> Target:
    """Resolve an architecture and an optional compiler version.

    Args:
        arch: a name of ``ARCHES``.
        dfc: ``"3.33"``, ``"5.3.0"``, ``"3.x"`` or None for the generation that serves the chip.

    Raises:
        UsageError: unknown chip, unreadable version, or a compiler that does not serve the chip.
    """
    if arch not in GENERATION_OF:
        raise UsageError(f"unknown architecture {arch!r}", hint=f"one of: {', '.join(ARCHES)}")
    generation = GENERATION_OF[arch]
    if dfc is None:
        return Target(arch, generation)
    version = _version(dfc)
    if f"{version[0]}.x" != generation:
        raise UsageError(
            f"DFC {dfc} does not serve {arch}: {arch} is compiled by DFC {generation}",
            hint=f"--dfc {generation}, or another --arch",
        )
    first = FIRST_DFC.get(arch)
    if first and version[1] >= 0 and version < first:
        raise UsageError(f"DFC {dfc} does not serve {arch}: the first that does is {first[0]}.{first[1]}")
    return Target(arch, generation, version if version[1] >= 0 else None)


def _version(text: str) -> tuple[int, int]:
    """Return (major, minor); minor is -1 for ``"3.x"`` and ``"3"``."""
    parts = text.strip().lower().removeprefix("v").split(".")
    try:
        major = int(parts[0])
        minor = -1 if len(parts) < 2 or parts[1] == "x" else int(parts[1])
    except ValueError:
        raise UsageError(f"cannot read the DFC version {text!r}", hint="for example --dfc 3.33 or --dfc 5.3") from None
    return major, minor
