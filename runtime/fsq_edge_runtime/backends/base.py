"""The seam between the stream engine and whatever runs the device graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.errors import BackendError

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


@dataclass(frozen=True, slots=True)
class BackendSwitch:
    """The choice of the backend, a switch to another, or a change of the device's state (then both names are equal).

    Attributes:
        from_backend: name of the backend before; None for the choice when the session was opened.
        to_backend: name of the backend after.
        cause: one sentence.
        code: HailoRT's status code, where there is one.
        t_monotonic: seconds on the monotonic clock; None for the choice at the opening.
    """

    kind: ClassVar[str] = "backend"
    stream: ClassVar[str] = ""

    from_backend: str | None
    to_backend: str
    cause: str
    code: int | None = None
    t_monotonic: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the JSON line."""
        return {
            "type": self.kind,
            "from": self.from_backend,
            "to": self.to_backend,
            "cause": self.cause,
            "code": self.code,
            "t_monotonic": self.t_monotonic,
        }


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


class RunsWindow(Protocol):
    """A graph that prepares its window itself, in the network's own run.

    Attributes:
        windows: (K, C, T) float32, C-contiguous, raw units: where a window is put K times (once more for z-copies).
        squares: (C,) float32, sums of squares of the window's channels.
        measure: writes ``squares``, and what :meth:`infer` needs beside ``windows``; to be called before.
    """

    windows: Float32Array
    squares: Float32Array
    measure: Callable[[], object]

    def infer(self) -> Float32Array:
        """Return ``t`` (D,) as :meth:`Backend.infer` would, up to its last bits; a view that the next call overwrites.

        Raises:
            BackendError: as there.
        """

    def infer_batch(self, windows: Float32Array) -> Float32Array:
        """Return ``t`` (N, D), a copy, for sound windows (N, C, T) float32, C-contiguous, raw units."""


@runtime_checkable
class HasWindowGraph(Protocol):
    """A backend that may have such a graph.

    Attributes:
        window_graph: proven against the backend; None where there is none.
    """

    window_graph: RunsWindow | None
