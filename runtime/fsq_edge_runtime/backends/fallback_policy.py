"""What the fallback is given and counts: its policy, its device, its counters."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.temperature import Telemetry
from fsq_edge_runtime.errors import BackendError


class DeviceBackend(Protocol):
    """What the fallback needs of a device: a backend that keeps deadlines and says how hot it is."""

    name: str

    def infer(self, frame: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """As :meth:`Backend.infer`, ended by the deadline on the monotonic clock."""

    def infer_batch(self, frames: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """As :meth:`Backend.infer_batch`, ended by the deadline."""

    def telemetry(self) -> Future[Telemetry]:
        """The temperature, when the device gets to it."""

    def close(self) -> None:
        """As :meth:`Backend.close`."""


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """When to leave the device and when to trust it again.

    Attributes:
        deadline_s: the longest that a window may take when the caller gives no deadline; one hop is sensible.
        first_retry_s: how long after a failure the device is opened again.
        retry_factor: each further failure multiplies that by this.
        longest_retry_s: but it never gets longer than this.
        parity_windows: K, the latest windows that the device must repeat before it is trusted again.
        parity_agreement: share of them whose codes must equal the CPU's. Quantisation alone flips about 3 %.
        shadow_every: one window in this many also runs on the CPU to catch a device that answers wrongly without an
            error; 0 never. Where the two differ, the CPU's answer is given. After an odd answer (a jump, repeats, codes
            that training never had) the next ``parity_windows`` are all compared.
        hot_c: from this temperature on the CPU takes over; in a public log a Hailo-8 lowers its clock from 104 C on.
        cool_c: below this the device may come back.
        poll_s: how often the temperature is asked for; 0 never. After a question without an answer the next one
            waits for half a minute, then twice as long each time, at most an hour.
    """

    deadline_s: float = 1.0
    first_retry_s: float = 0.5
    retry_factor: float = 2.0
    longest_retry_s: float = 60.0
    parity_windows: int = 8
    parity_agreement: float = 0.75
    shadow_every: int = 32
    hot_c: float = 100.0
    cool_c: float = 90.0
    poll_s: float = 5.0


@dataclass(slots=True)
class FallbackCounters:
    """What happened so far, for metrics.

    Attributes:
        windows: windows asked for.
        on_device: windows that the device answered.
        missed: windows that nobody answered in time.
        switches: changes from one backend to the other.
        reopen_attempts: how often the device was opened again.
        shadow_runs: windows that the CPU answered, too, for comparison.
        shadow_differences: how many of those comparisons found another code.
        doubts: answers that looked odd.
    """

    windows: int = 0
    on_device: int = 0
    missed: int = 0
    switches: int = 0
    reopen_attempts: int = 0
    shadow_runs: int = 0
    shadow_differences: int = 0
    doubts: int = 0


class ParityError(BackendError):
    """The device answers, but not what the CPU answers."""
