"""The device half of the fake binding: VDevice, Device with its control interface, HEF.

Source of signatures and behaviour: the 4.23 and 5.2 bindings, observed without a device, and their MIT sources.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from types import SimpleNamespace
from typing import Any, ClassVar

from fsq_edge_runtime.errors import FsqEdgeError
from fsq_edge_runtime.hef import HefReport, HefTensor, inspect_hef
from fsq_edge_runtime.testing.fake_chip import TIMEOUT, FakeChip
from fsq_edge_runtime.testing.fake_model import InferModel

DEVICE_ID = "0001:01:00.0"


class HailoSchedulingAlgorithm(IntEnum):
    """The scheduler's kinds; the default differs between the generations."""

    NONE = 0
    ROUND_ROBIN = 1


class DeviceArchitectureTypes(IntEnum):
    """Architectures that a device may name."""

    HAILO8_A0 = 0
    HAILO8 = 1
    HAILO8L = 2
    HAILO15H = 3
    HAILO15L = 4
    HAILO15M = 5
    HAILO10H = 6


@dataclass(frozen=True, slots=True)
class FakeMachine:
    """What the device classes of one fake share.

    Attributes:
        chip: the silicon.
        devices: architectures that are there.
        version: release of the binding.
        queue_size: frames that may be under way.
    """

    chip: FakeChip
    devices: tuple[str, ...]
    version: str
    queue_size: int

    @property
    def generation(self) -> int:
        """4 or 5."""
        return int(self.version.split(".")[0])

    def parse(self, source: object) -> HefReport:
        """Read a HEF as HailoRT does: some malformed ones kill the process."""
        if not isinstance(source, str | bytes):
            raise ValueError("HEF can only be created from a file path (str) or a buffer (bytes)")  # noqa: TRY004
        if source == b"":
            raise self.chip.kill("HailoRT crashes on an empty HEF: SIGSEGV")
        try:
            report = inspect_hef(source)
        except FsqEdgeError as error:
            text = str(error)
            if "crash" in text:
                raise self.chip.kill(f"HailoRT crashes on this HEF: {text}") from error
            raise self.chip.errors.make(91 if "damaged" in text else 26) from error
        if report.generation != self.generation:
            raise self.chip.errors.make(92)
        return report

    def ask(self, call: str) -> None:
        """Make a control call, which holds the interpreter lock; raise what it raises when nothing answers."""
        if not self.chip.script.ask(call):
            raise self.chip.errors.make(TIMEOUT)
        if self.chip.lost:
            raise self.chip.errors.make(36)


@dataclass
class FakeParams:
    """``VDevice.create_params()``: what a program sets before it opens the device."""

    scheduling_algorithm: HailoSchedulingAlgorithm
    group_id: str = "UNIQUE"
    device_count: int = 1
    multi_process_service: bool = False


class FakeHef:
    """A parsed HEF."""

    machine: ClassVar[FakeMachine]

    def __init__(self, hef_source: str | bytes) -> None:
        self._report = self.machine.parse(hef_source)

    def get_input_vstream_infos(self, name: str | None = None) -> list[Any]:
        """Return name and shape of the inputs."""
        return self._infos(self._report.inputs, name)

    def get_output_vstream_infos(self, name: str | None = None) -> list[Any]:
        """Return name and shape of the outputs."""
        return self._infos(self._report.outputs, name)

    def _infos(self, tensors: tuple[HefTensor, ...], name: str | None) -> list[Any]:
        if name not in (None, self._report.network_name):
            raise self.machine.chip.errors.make_raw(61)  # the public layer does not wrap this call
        return [SimpleNamespace(name=tensor.name, shape=tensor.shape) for tensor in tensors]


class FakeControl:
    """Identity and telemetry of a device."""

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    def identify(self) -> Any:
        """Return the board's information."""
        machine = self._machine
        machine.ask("identify")
        return SimpleNamespace(
            device_architecture=DeviceArchitectureTypes[machine.devices[0].upper()],
            firmware_version=f"{machine.version} (release,app)",
            board_name="Hailo-8" if machine.generation == 4 else "Hailo-10H",
        )

    def get_chip_temperature(self) -> Any:
        """Return both sensors, degrees Celsius."""
        self._machine.ask("temperature")
        heat = self._machine.chip.script.temperature_c
        return SimpleNamespace(ts0_temperature=heat, ts1_temperature=heat - 0.5, sample_count=1)

    def power_measurement(self, dvm: Any = None, measurement_type: Any = None) -> float:
        """Return watts where the board can measure."""
        self._machine.ask("power")
        watts = self._machine.chip.script.power_w
        if watts is None:
            raise self._machine.chip.errors.make(18)
        return watts


class FakeDevice:
    """A device for control, not for inference."""

    machine: ClassVar[FakeMachine]

    def __init__(self, device_id: str | None = None) -> None:
        errors = self.machine.chip.errors
        if not self.machine.chip.visible():
            # With an id the public layer does not wrap the call.
            raise errors.make_raw(96) if device_id else errors.base("HailoRT device not found in the system")
        self.control = FakeControl(self.machine)

    @classmethod
    def scan(cls) -> list[str]:
        """Return the ids of the devices that are there."""
        return [DEVICE_ID] if cls.machine.chip.visible() else []

    def release(self) -> None:
        """Give the control channel back."""


class FakeVDevice:
    """The device as a program holds it."""

    machine: ClassVar[FakeMachine]
    device_class: ClassVar[type[FakeDevice]]

    def __init__(self, params: FakeParams | None = None, *, device_ids: list[str] | None = None) -> None:
        self._group: str | None = None
        self._params = params or self.create_params()
        self._pid = os.getpid()
        status = self.machine.chip.open(self._params.group_id)
        if status:
            raise self.machine.chip.errors.make(status)
        self._group = self._params.group_id

    @classmethod
    def create_params(cls) -> FakeParams:
        """Return the generation's defaults."""
        four = cls.machine.generation == 4
        return FakeParams(HailoSchedulingAlgorithm.NONE if four else HailoSchedulingAlgorithm.ROUND_ROBIN)

    def create_infer_model(self, hef_source: str | bytes, name: str = "") -> InferModel:
        """Parse a HEF for this device."""
        machine = self.machine
        if os.getpid() != self._pid:
            raise machine.chip.errors.base("InferModel can be created only from the process VDevice was created in.")
        off = self._params.scheduling_algorithm == HailoSchedulingAlgorithm.NONE
        return InferModel(machine.chip, machine.parse(hef_source), machine.devices[0], machine.queue_size, off)

    def get_physical_devices_ids(self) -> list[str]:
        """Return the ids of the devices in use."""
        return [DEVICE_ID]

    def get_physical_devices(self) -> list[FakeDevice]:
        """Return the devices in use."""
        return [self.device_class(device_id) for device_id in self.get_physical_devices_ids()]

    def release(self) -> None:
        """Give the device back; with a job under way the real one hangs."""
        if self._group is None:
            return
        chip = self.machine.chip
        chip.script.ask("destroy")
        if chip.outstanding:
            raise chip.hang(f"VDevice released with {chip.outstanding} jobs under way")
        chip.close(self._group)
        self._group = None
        if chip.lost:
            raise chip.errors.make_raw(96)  # the public layer does not wrap this call

    def __enter__(self) -> FakeVDevice:
        return self

    def __exit__(self, *args: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()
