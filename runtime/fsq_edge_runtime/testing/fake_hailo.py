"""A stand-in for ``hailo_platform`` of either generation, for tests and for the CI of people without a device.

It has the documented names and signatures and no others, and behaves as the real bindings were observed to: a failed
inference raises nowhere, dtypes are never checked, an exception in a callback kills, a release with a job under way
hangs. What would kill or hang is recorded and raised as :class:`FakeFatalError` or :class:`FakeDeadlockError`.

It is never chosen on its own: pass the module to :class:`~fsq_edge_runtime.backends.hailo.backend.HailoBackend`, or
put it in place with :func:`installed`. Results it made carry the backend name ``hailo-fake``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from fsq_edge_runtime.testing.fake_chip import FakeChip
from fsq_edge_runtime.testing.fake_device import FakeDevice, FakeHef, FakeMachine, FakeVDevice, HailoSchedulingAlgorithm
from fsq_edge_runtime.testing.fake_errors import FakeErrors
from fsq_edge_runtime.testing.faults import FaultScript

VERSIONS = {4: "4.23.0", 5: "5.2.0"}
ARCHITECTURES = {4: "hailo8l", 5: "hailo10h"}


class FormatType(IntEnum):
    """Types of a stream's elements on the host."""

    AUTO = 0
    UINT8 = 1
    UINT16 = 2
    FLOAT32 = 3


class FakePlatform(ModuleType):
    """The fake module itself.

    Attributes:
        chip: the device behind it: its fault script, its computing times, and what would have been fatal.
    """

    fake = True
    chip: FakeChip


def fake_hailo_platform(
    generation: int = 4,
    *,
    graph: bytes | str | Path | None = None,
    devices: Sequence[str] | None = None,
    faults: FaultScript | None = None,
    quantized: bool = False,
    queue_size: int = 4,
    version: str | None = None,
) -> FakePlatform:
    """Return a module with the surface of ``hailo_platform``.

    Args:
        generation: 4 (Hailo-8, 8L) or 5 (Hailo-10H, 15).
        graph: encoder.onnx, as bytes or path: input ``input`` (1, C', H, W), output ``t`` (1, D).
        devices: architectures of the devices that are there, such as ``("hailo8l",)``; () for none. The default is
            one Hailo-8L for generation 4 and one Hailo-10H for generation 5.
        faults: what goes wrong and when.
        quantized: round inputs and outputs to the integers that the HEF's quantisation numbers give.
        queue_size: frames that may be under way at once.
        version: release of the binding; ``4.23.0`` or ``5.2.0`` by default. 4.20 and older lack status 93.

    Raises:
        ValueError: an unknown generation, or a version of another one.
    """
    if generation not in VERSIONS:
        raise ValueError(f"generation {generation} is not 4 or 5")
    version = version or VERSIONS[generation]
    major, minor = (int(part) for part in version.split(".")[:2])
    if major != generation:
        raise ValueError(f"version {version} is not of generation {generation}")
    present = (ARCHITECTURES[generation],) if devices is None else tuple(devices)
    model = Path(graph).read_bytes() if isinstance(graph, str | Path) else graph
    errors = FakeErrors((major, minor))
    chip = FakeChip(model, faults or FaultScript(), errors, quantized=quantized, present=bool(present))
    shared = {"machine": FakeMachine(chip, present, version, queue_size)}
    device_class = type("Device", (FakeDevice,), shared)
    module = FakePlatform("hailo_platform", "A stand-in for hailo_platform; see fsq_edge_runtime.testing.")
    names: dict[str, Any] = {
        "__version__": version,
        "chip": chip,
        "HailoRTException": errors.base,
        "HailoSchedulingAlgorithm": HailoSchedulingAlgorithm,
        "FormatType": FormatType,
        "Device": device_class,
        "VDevice": type("VDevice", (FakeVDevice,), {**shared, "device_class": device_class}),
        "HEF": type("HEF", (FakeHef,), shared),
        "pyhailort": SimpleNamespace(
            pyhailort=errors.namespace(), _pyhailort=SimpleNamespace(HailoRTStatusException=errors.raw)
        ),
    }
    for name, value in names.items():
        setattr(module, name, value)
    return module


@contextmanager
def installed(platform: FakePlatform) -> Iterator[FakePlatform]:
    """Let ``import hailo_platform`` find the fake inside a ``with`` block, and nothing afterwards.

    Args:
        platform: from :func:`fake_hailo_platform`.
    """
    before = sys.modules.get("hailo_platform")
    sys.modules["hailo_platform"] = platform
    try:
        yield platform
    finally:
        if before is None:
            del sys.modules["hailo_platform"]
        else:
            sys.modules["hailo_platform"] = before
