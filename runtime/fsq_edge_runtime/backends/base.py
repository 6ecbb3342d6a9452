"""The seam between the stream engine and whatever runs the device graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.errors import BackendError

if TYPE_CHECKING:
    from fsq_edge_runtime.stream.records import BackendSwitch

PROCESSOR_BACKENDS: Final = ("onnx", "onnx-int8")  # names of the backends that run on the CPU


class Missed(BackendError):  # noqa: N818 - an outcome of one window, named like the record it becomes
    """One window was lost (deadline, stalled or lost device); the backend itself goes on.

    The session records the window as ``missed`` and carries on; any other :class:`BackendError` ends the session.

    Args:
        reason: ``deadline`` or ``backend``.
        message: one line: what happened.
        status: the vendor's status code, where there is one.
    """

    def __init__(self, reason: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.reason = reason


@runtime_checkable
class ReportsState(Protocol):
    """A backend with a device behind it; any thread may ask how that is."""

    def state(self) -> dict[str, float | int | str | None]:
        """Return plain values for ``stats`` and metrics: ``temperature_c`` (None: not known) and counters."""


class Backend(Protocol):
    """Runs the device graph. One owner thread; not safe to share."""

    name: str

    def infer(self, frame: Float32Array) -> Float32Array:
        """Return ``t`` (D,) float32 in [-1, 1] for one frame (1, C', H, W) float32 NCHW.

        The result may be a view of a buffer that the next call overwrites.

        Raises:
            Missed: this window is lost; the next call may succeed.
            BackendError: the backend failed for good; nothing was returned in its place.
        """

    def infer_batch(self, frames: Float32Array) -> Float32Array:
        """Return ``t`` (N, D) float32 for frames (N, C', H, W) float32, a copy, row by row as :meth:`infer` would."""

    def close(self) -> None:
        """Release what the backend holds; a second call does nothing."""


@runtime_checkable
class ReportsSwitches(Protocol):
    """A backend that can change under way; the session listens by setting ``on_event``."""

    on_event: Callable[[BackendSwitch], None] | None


@runtime_checkable
class TakesFrame(Protocol):
    """A backend with a buffer of its own for the next frame: one written there is not copied by ``infer``.

    Attributes:
        frame: (1, C', H, W) float32, C-contiguous.
    """

    frame: Float32Array
