"""The thread that owns the device: every call that opens, configures or releases it runs there, one after another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from fsq_edge_runtime.backends.hailo.errors import backend_error, forget_frames, from_status
from fsq_edge_runtime.errors import BackendError

T = TypeVar("T")


def outcome(future: Future[T], action: str, timeout_s: float) -> T:
    """Return what a call on the owner thread gave.

    Raises:
        BackendError: it failed, or did not end in time; then it goes on, and may be asked again.
    """
    if not wait([future], timeout_s).done:
        raise from_status(f"{action} in {timeout_s:.3g} s", 4)
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BackendError) or not isinstance(error, Exception):
        raise error
    raise backend_error(action, error) from error


class OwnerThread:
    """Runs calls one after another on a thread of its own; daemon, so a hanging call cannot keep the process."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, args=(self._work,), name="hailo-owner", daemon=True).start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Queue a call."""
        future: Future[T] = Future()
        self._work.put((call, future))
        return future

    def stop(self) -> None:
        """End the thread after what is queued."""
        self._work.put(None)

    @staticmethod
    def _serve(work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]) -> None:
        while (item := work.get()) is not None:
            call, future = item
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the result
                forget_frames(error)
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
            del item, call, future  # the last reference to a device object must not linger in this frame
