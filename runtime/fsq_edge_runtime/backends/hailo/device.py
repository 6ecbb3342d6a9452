"""The one Hailo device of this process: its vendor binding, its owner thread, and when it may be let go.

HailoRT allows one VDevice per process, must not be used across a fork, and hangs the whole interpreter when the device
is released while a request is under way. So one daemon thread makes every call that opens, configures or releases;
sessions share the device by counting users; and what cannot be released safely is kept until the process ends.

Source: observed with the 4.23 and 5.2 bindings.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from fsq_edge_runtime.backends.hailo.binding import Binding
from fsq_edge_runtime.backends.hailo.owner_thread import OwnerThread, outcome
from fsq_edge_runtime.backends.temperature import Telemetry
from fsq_edge_runtime.errors import BackendError

T = TypeVar("T")
LET_GO_S = 0.002
CLOSE_S = 2.0  # what takes longer hangs inside the binding; it goes on there, nobody waits for it


def architecture_name(value: object) -> str:
    """Return ``hailo8l`` for the binding's ``DeviceArchitectureTypes.HAILO8L``, whatever its string form."""
    return str(getattr(value, "name", value)).rsplit(".", 1)[-1].lower()


def keep_forever(thing: object) -> None:
    """Never let an object be destroyed, not even when the interpreter ends: its destructor would hang."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


class HailoDevice:
    """The opened device, shared by all networks of this process. Use :func:`acquire` and :meth:`release`.

    Attributes:
        architecture: such as ``hailo8l``; None when the device does not say.
        generation: major version of the binding.
    """

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.owner = OwnerThread()
        self.users = 0
        self.pid = os.getpid()
        major = str(getattr(binding, "__version__", "")).split(".")[0]
        self.generation = int(major) if major.isdigit() else 0
        self.architecture: str | None = None
        self._vdevice: Any = None
        self._control: Any = None
        self._waiting: Callable[[], bool] = lambda: True  # whether every request has come back

    def open(self, timeout_s: float) -> None:
        """Open the device on the owner thread.

        Raises:
            BackendError: it cannot be opened, or not in time.
        """
        outcome(self.owner.submit(self._open), "opening the Hailo device", timeout_s)

    def _open(self) -> None:
        params = self.binding.VDevice.create_params()
        params.scheduling_algorithm = self.binding.HailoSchedulingAlgorithm.ROUND_ROBIN  # 4.x defaults to NONE
        params.group_id = "SHARED"  # lets other networks and processes use the device where the stack allows it
        self._vdevice = self.binding.VDevice(params)
        try:
            self._control = self._vdevice.get_physical_devices()[0]
            board = self._control.control.identify()
            self.architecture = architecture_name(board.device_architecture)
        except Exception:  # noqa: BLE001 - a device that does not say what it is may still run; HailoRT judges the HEF
            self.architecture = None

    def build(self, work: Callable[[Any], T]) -> Future[T]:
        """Call ``work`` with the VDevice on the owner thread, where all that belongs to a network is made."""
        return self.owner.submit(lambda: work(self._vdevice))

    def telemetry(self, *, power: bool = False) -> Future[Telemetry]:
        """Ask for the state on the owner thread; the caller need not wait.

        Args:
            power: measure that, too. The binding holds Python's interpreter lock for as long as it takes, so it is
                left out where windows are due.
        """
        return self.owner.submit(lambda: self._telemetry(power))

    def _telemetry(self, power: bool) -> Telemetry:
        heat = watts = None
        try:
            sensors = self._control.control.get_chip_temperature()
            heat = max(float(sensors.ts0_temperature), float(sensors.ts1_temperature))
            if power:
                watts = float(self._control.control.power_measurement())
        except Exception:  # noqa: BLE001 - most boards cannot measure power (status 18); a lost device shows elsewhere
            return Telemetry(heat, watts)
        return Telemetry(heat, watts)

    def drop(self, things: list[Any], timeout_s: float) -> None:
        """Destroy objects of the binding on the owner thread, the last first; the list is emptied there.

        Args:
            things: not to be used any more.
            timeout_s: the longest wait; what takes longer is destroyed when the thread gets to it.
        """

        def work() -> None:
            # The binding's callback thread wakes us before it lets go of the last callback, for which it needs the
            # interpreter's lock; a destructor that waits for that thread with the lock held would never end.
            time.sleep(LET_GO_S)
            things.clear()

        try:
            self.owner.submit(work).result(timeout_s)
        except FutureTimeoutError:
            keep_forever(things)  # the thread may hang inside the binding; destroying them elsewhere would, too

    def release(self, orphans: Callable[[], bool] | None = None) -> None:
        """Give back one use; the last one closes the device.

        Args:
            orphans: says whether requests are still under way; such a device is kept open, since releasing it would
                hang, and :func:`acquire` closes it once they have come back.
        """
        with _lock:
            self.users -= 1
            if orphans is not None:
                before = self._waiting
                self._waiting = lambda: before() and not orphans()
            if self.users > 0:
                return
            if self._waiting():
                self._shut()
            else:
                self._keep()

    def _keep(self) -> None:
        """Never destroy the device, nor the control handle: without that, destroying the rest waits for the device."""
        for thing in (self._vdevice, self._control):
            keep_forever(thing)

    def _shut(self) -> None:
        _devices.pop(id(self.binding), None)
        try:
            self.owner.submit(self._close).result(CLOSE_S)
        except FutureTimeoutError:
            self._keep()
        self.owner.stop()

    def _close(self) -> None:
        control, self._control = self._control, None
        vdevice, self._vdevice = self._vdevice, None
        for thing in (control, vdevice):
            try:
                if thing is not None:
                    thing.release()
            except Exception:  # noqa: BLE001, S110 - 4.x lets raw errors of a lost device escape here; it is gone anyway
                pass

    def settled(self) -> bool:
        """Whether no request of earlier users is under way."""
        return self._waiting()


_lock = threading.Lock()
_devices: dict[int, HailoDevice] = {}


def acquire(binding: Binding, timeout_s: float = 10.0) -> HailoDevice:
    """Return the process's device, opened, and count one more user.

    Raises:
        BackendError: it cannot be opened, or an earlier request on it never came back.
    """
    with _lock:
        device = _devices.get(id(binding))
        if device is not None and device.users == 0:
            if not device.settled():
                raise BackendError(
                    "an earlier request to the Hailo device has not come back, so it cannot be opened again in this "
                    "process: it needs a restart",
                    hint="start the program again; with the device in a process of its own (Linux) that is not needed",
                    status=4,
                )
            device._shut()
            device = None
        if device is None:
            device = HailoDevice(binding)
            try:
                device.open(timeout_s)
            except BackendError:
                device.owner.submit(device._close)  # an opening that ends after its time is undone
                device.owner.stop()
                raise
            _devices[id(binding)] = device
        device.users += 1
        return device


def _after_fork_in_child() -> None:
    """Let go of the parent's device without touching it: its threads do not exist here."""
    global _lock
    _lock = threading.Lock()  # the old one may be held by a thread that does not exist in the child
    for device in _devices.values():
        keep_forever(device)
        device._keep()
    _devices.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
