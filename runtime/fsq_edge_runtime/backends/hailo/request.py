"""One request to the Hailo device: the memory it is read from and written to, and how it ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from fsq_edge_runtime.arrays import Float32Array

NOT_CALLED = RuntimeError("the callback has not been called")


@dataclass(eq=False, slots=True)
class Slot:
    """Buffers of one request: C-contiguous, writeable, float32, one frame, no batch axis.

    Attributes:
        x: (H, W, C) as HailoRT wants it.
        x_as_chw: the same memory seen as (C, H, W), so that one copy does the transposition.
        y: as each output stream is shaped, one behind the other in memory.
        t: the same memory seen channels first: (D,), (C, H, W) of a map; of several outputs (D + F,) as they lie in y.
        bindings: of the configured model, with x attached.
        outputs: the binding's output slots, to which y is attached before each launch.
    """

    x: Float32Array
    x_as_chw: Float32Array
    y: tuple[Float32Array, ...]
    t: Float32Array
    bindings: Any
    outputs: tuple[Any, ...]


class Ticket:
    """One request: the callback that the binding calls, and the only source of truth about success.

    ``run`` and ``job.wait`` do not raise when an inference fails, and an exception that leaves the callback aborts the
    process. The ticket keeps the buffers alive until it was called, however late; they serve again once it was called
    and nobody will read them any more (``settled``).
    """

    __slots__ = ("_done", "exception", "job", "returned", "settled", "slot")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.job: Any = None
        self.settled = False
        self.returned = False  # whether the callback was called
        self.exception: BaseException | None = NOT_CALLED
        self._done = threading.Lock()  # a bare lock wakes a waiter sooner than an Event does
        self._done.acquire()

    def __call__(self, completion_info: Any = None, **_: Any) -> None:
        """Take the result; never raise. A second call changes nothing."""
        if self.returned:
            return
        try:
            self.exception = completion_info.exception
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            self.exception = error
        self.returned = True
        self._done.release()

    def wait(self, timeout_s: float) -> bool:
        """Return whether the callback was called in time."""
        if not self.returned and self._done.acquire(timeout=max(0.0, timeout_s)):
            self._done.release()
        return self.returned
