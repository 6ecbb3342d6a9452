"""The device graph on a Hailo device, through HailoRT's InferModel interface of 4.18 to 5.x, in this process.

Several calls of the vendor's binding hold the interpreter lock while a device is silent, so a stream uses
:class:`~fsq_edge_runtime.backends.hailo.process.HailoProcess`, which runs this class in a process of its own.

Never ran on silicon: it was tested against the fakes of :mod:`fsq_edge_runtime.testing`, which behave as the real
bindings were observed to.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.hailo.binding import Binding, guard_status_texts, load_binding
from fsq_edge_runtime.backends.hailo.device import acquire
from fsq_edge_runtime.backends.hailo.hefs import choose_hef, inspect_hefs
from fsq_edge_runtime.backends.hailo.network import HailoLink
from fsq_edge_runtime.backends.hailo.request import Ticket
from fsq_edge_runtime.backends.temperature import Telemetry
from fsq_edge_runtime.hef import HefReport
from fsq_edge_runtime.onnx_graph import DeviceOutput

if TYPE_CHECKING:
    from fsq_edge_runtime.backends.base import Backend

LONGEST_DRAIN_S = 1.5  # a service that is told to stop has two seconds


class HailoBackend:
    """Runs a HEF on the Hailo device of this machine.

    Args:
        hefs: architecture -> bytes of the HEF; the one that fits the device is taken.
        frame_shape: (C', H, W) of the bundle's frames.
        output_size: values of an answer: D, or D + F with the features.
        binding: the module to use; None imports the installed ``hailo_platform``.
        timeout_s: the longest that one inference may take when no deadline is given.
        depth: requests under way at once in :meth:`infer_batch`.
        open_timeout_s: the longest that opening and configuring may take each.
        drain_s: longest wait of :meth:`close` for requests under way, seconds.
        outputs: that the network has on the device, in the order of an answer; empty is one of ``output_size``.

    Attributes:
        name: ``hailo``; ``hailo-fake`` on a fake, so that no record can be mistaken for a measurement.
        architecture: of the HEF in use.
        device_architecture: of the device; None when it does not say.
        generation: major version of the binding.
        report: what our inspector says of that HEF.

    Raises:
        BackendError: no binding, no device, no HEF for it, a HEF that is damaged or does not fit the bundle, or
            HailoRT refuses; ``status`` has HailoRT's code.
    """

    def __init__(
        self,
        hefs: Mapping[str, bytes],
        frame_shape: tuple[int, int, int],
        output_size: int,
        *,
        binding: Binding = None,
        timeout_s: float = 1.0,
        depth: int = 4,
        open_timeout_s: float = 10.0,
        drain_s: float = LONGEST_DRAIN_S,
        outputs: tuple[DeviceOutput, ...] = (),
    ) -> None:
        outputs = outputs or (DeviceOutput(output_size),)
        reports = inspect_hefs(hefs, frame_shape, outputs)
        module = load_binding() if binding is None else binding
        guard_status_texts(module)
        self.name = "hailo-fake" if getattr(module, "fake", False) else "hailo"
        self._timeout_ns = int(timeout_s * 1e9)
        self._output_size = output_size
        self._asked: Future[Telemetry] | None = None
        self._heat_c: float | None = None
        self._device = acquire(module, open_timeout_s)
        try:
            self.architecture = choose_hef(reports, self._device.architecture, self._device.generation)
            self.report: HefReport = reports[self.architecture]
            hef = hefs[self.architecture]
            drain_s = min(open_timeout_s, drain_s)
            self._link = HailoLink(self._device, hef, self.report, outputs, output_size, depth, open_timeout_s, drain_s)
        except BaseException:
            self._device.release()
            raise
        self.device_architecture = self._device.architecture
        self.generation = self._device.generation
        _live.add(self._link)
        self._finalizer = weakref.finalize(self, _close_later, self._link)
        self._finalizer.atexit = False  # at exit _close_all does it, on the thread that waits for it

    def infer(self, frame: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """Return ``t`` (D,), a view that a later call overwrites, for one frame (1, C', H, W) float32.

        Args:
            frame: NCHW; it is copied once, transposed, into the buffer that the device reads.
            deadline_ns: on ``time.monotonic_ns()``; None allows ``timeout_s``.

        Raises:
            BackendError: the inference failed or did not end in time; nothing was returned in its place.
        """
        limit = self._limit(deadline_ns)
        try:
            return self._link.collect(self._link.launch(frame[0], limit), limit)
        except BaseException:  # an interrupt, too
            self._link.abandon()
            raise

    def infer_batch(self, frames: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """Return ``t`` (N, D), a copy, for frames (N, C', H, W), with up to ``depth`` requests under way.

        Args:
            frames: NCHW.
            deadline_ns: for the whole batch, on ``time.monotonic_ns()``; None allows each frame ``timeout_s``.

        Raises:
            BackendError: one of them failed; what the others give is thrown away.
        """
        out = np.empty((len(frames), self._output_size), dtype=np.float32)
        pending: deque[tuple[int, Ticket]] = deque()
        try:
            for row, frame in enumerate(frames):
                while pending and not self._link.has_room:
                    self._gather(pending, out, deadline_ns)
                pending.append((row, self._link.launch(frame, self._limit(deadline_ns))))
            while pending:
                self._gather(pending, out, deadline_ns)
        except BaseException:  # an interrupt, too
            self._link.abandon()
            raise
        return out

    def _gather(self, pending: deque[tuple[int, Ticket]], out: Float32Array, deadline_ns: int | None) -> None:
        row, ticket = pending.popleft()
        out[row] = self._link.collect(ticket, self._limit(deadline_ns))

    @property
    def requests_under_way(self) -> int:
        """Requests that the device has not answered yet, or whose answer nobody has read."""
        return sum(not (ticket.settled and ticket.returned) for ticket in self._link.under_way)

    def telemetry(self, *, power: bool = False) -> Future[Telemetry]:
        """Ask the device for its temperature and, if wanted, power; the answer comes from its owner thread."""
        return self._device.telemetry(power=power)

    def state(self) -> dict[str, float | int | str | None]:
        """Return the device's temperature as it was when last asked, degrees Celsius, and ask again."""
        asked = self._asked
        if asked is None or asked.done():
            if asked is not None and asked.exception() is None:
                self._heat_c = asked.result().temperature_c
            self._asked = self._device.telemetry()
        return {"temperature_c": self._heat_c, "serving": self.name}

    def close(self) -> None:
        """Wait for what is under way, then release the device; never hangs. A second call does nothing."""
        self._finalizer.detach()
        self._link.close()

    def _limit(self, deadline_ns: int | None) -> int:
        return time.monotonic_ns() + self._timeout_ns if deadline_ns is None else deadline_ns


_live: weakref.WeakSet[HailoLink] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for link in list(_live):
        link.close()


def _close_later(link: HailoLink) -> None:
    """Close on a thread of its own: the garbage collector may run anywhere, also where waiting would hang."""
    threading.Thread(target=link.close, name="hailo-close", daemon=True).start()


if TYPE_CHECKING:
    _: type[Backend] = HailoBackend
