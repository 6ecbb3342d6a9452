"""One configured network on the Hailo device: buffers, requests under way, and how each of them ends."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.hailo.device import CLOSE_S, HailoDevice, keep_forever
from fsq_edge_runtime.backends.hailo.errors import backend_error, from_status
from fsq_edge_runtime.backends.hailo.owner_thread import outcome
from fsq_edge_runtime.backends.hailo.request import Slot, Ticket
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.hef import HefReport, HefTensor
from fsq_edge_runtime.hef.outputs import in_order
from fsq_edge_runtime.onnx_graph import DeviceOutput

OVERSHOOT = 0.05  # of the range that the HEF names: quantisation may overshoot a step, more is not a result
FLOAT32_MAX = float(np.finfo(np.float32).max)
TIMEOUT = 4


@dataclass(eq=False, slots=True)
class Network:
    """What configuring gives: the vendor's model, its configured form, and the buffers bound to it."""

    model: Any
    configured: Any
    slots: list[Slot]


class HailoLink:
    """A network on the device, for one thread at a time; closing is safe from any thread.

    Args:
        device: acquired for this link; given back by :meth:`close`.
        hef: bytes of the HEF.
        report: what our inspector says of it.
        outputs: that the network has on the device, in the order of an answer.
        wanted: how many of them an answer has, from the first on.
        depth: requests that may be under way at once.
        configure_s: the longest that configuring may take at first.
        drain_s: how long closing waits for what is under way.

    Raises:
        BackendError: HailoRT refuses the network.
    """

    def __init__(
        self,
        device: HailoDevice,
        hef: bytes,
        report: HefReport,
        outputs: tuple[DeviceOutput, ...],
        wanted: int,
        depth: int,
        configure_s: float,
        drain_s: float,
    ) -> None:
        self._device = device
        self._hef = hef
        self._report = report
        self._sinks = in_order(report.outputs, outputs)
        # One output is t, with features beside it or not; several in front of a host graph are its parts.
        self._parts = outputs if outputs[0].node else outputs[:1]
        self._wanted = wanted
        self._depth = depth
        self._drain_s = drain_s
        self._lock = threading.Lock()
        self._held: list[Any] = []  # objects of the binding, to be dropped on the owner thread, the last first
        self._free: deque[Slot] = deque()
        self.under_way: deque[Ticket] = deque()
        self._limits = [_limits(tensor) for tensor, _ in zip(self._sinks, self._parts, strict=False)]
        self._configured: Any = None
        self._pending: Future[Network] | None = None  # a configuration under way
        self._broken = False
        self._closed = False
        self._pid = os.getpid()
        self._configure(configure_s)

    def _configure(self, timeout_s: float) -> None:
        """Put the network on the device; what outlasts ``timeout_s`` is taken up by the next call."""
        if self._pending is None:
            self._pending = self._device.build(self._build)
        pending = self._pending
        try:
            network = outcome(pending, "configuring the network", timeout_s)
        except BackendError:
            if pending.done():
                self._pending = None
            raise
        self._pending = None
        self._held = [network.configured, network.model]
        self._configured = network.configured
        self._free = deque(network.slots)
        self._broken = False

    def _build(self, vdevice: Any) -> Network:
        model = vdevice.create_infer_model(self._hef)
        source, sinks = self._prepare(model)
        configured = model.configure()
        return Network(model, configured, [self._slot(configured, source, sinks) for _ in range(self._depth)])

    def _prepare(self, model: Any) -> tuple[str, list[str]]:
        """Set FLOAT32 on both sides; HailoRT's names are used, its shapes must be those of the inspected HEF."""
        float32 = self._device.binding.FormatType.FLOAT32
        inputs, outputs = list(model.input_names), list(model.output_names)
        if len(inputs) != 1 or len(outputs) != len(self._sinks):
            expected = "one of each" if len(self._sinks) == 1 else f"1 and {len(self._sinks)}"
            raise BackendError(f"HailoRT sees the inputs {inputs} and outputs {outputs}, expected {expected}")
        if len(outputs) > 1:
            named = {tensor.name for tensor in self._sinks}
            if set(outputs) != named:
                raise BackendError(f"HailoRT sees the outputs {outputs}, the HEF says {sorted(named)}")
            outputs = [tensor.name for tensor in self._sinks]
        for stream, tensor in (
            (model.input(inputs[0]), self._report.inputs[0]),
            *((model.output(name), tensor) for name, tensor in zip(outputs, self._sinks, strict=True)),
        ):
            stream.set_format_type(float32)
            shape = tuple(int(size) for size in stream.shape)
            if _without_ones(shape) != _without_ones(tensor.shape):  # (D,) and (1, 1, D) are the same memory
                raise BackendError(f"HailoRT sees {tensor.name!r} as {shape}, the HEF says {tensor.shape}")
        return inputs[0], outputs

    def _slot(self, configured: Any, source: str, sinks: list[str]) -> Slot:
        x = np.zeros(self._report.inputs[0].shape, dtype=np.float32)
        ends = np.cumsum([int(np.prod(tensor.shape)) for tensor in self._sinks]).tolist()
        row = np.zeros(ends[-1], dtype=np.float32)
        parts = np.split(row, ends[:-1])
        y = tuple(
            part.reshape(tensor.shape[2] if tensor.order == "NC" else tensor.shape)
            for part, tensor in zip(parts, self._sinks, strict=True)
        )
        buffers = dict(zip(sinks, y, strict=True))
        bindings = configured.create_bindings(input_buffers={source: x}, output_buffers=buffers)
        t = row if len(y) > 1 or y[0].ndim == 1 else y[0].transpose(2, 0, 1)
        return Slot(x, x.transpose(2, 0, 1), y, t, bindings, tuple(bindings.output(sink) for sink in sinks))

    def launch(self, frame: Float32Array, deadline_ns: int) -> Ticket:
        """Start one request.

        Args:
            frame: (C, H, W) float32.
            deadline_ns: on the monotonic clock; nothing here waits longer.

        Raises:
            BackendError: no room in time, or HailoRT refuses; the network is configured again before the next one.
        """
        if os.getpid() != self._pid:
            raise BackendError("the Hailo device was opened before a fork", hint="open it in the process that uses it")
        with self._lock:
            if self._closed:
                raise BackendError("the Hailo backend is closed")
            if self._broken:
                self._renew(deadline_ns)
            self._reclaim()
            if not self._free:
                raise from_status(f"{self._depth} earlier requests have not come back: launching one more", TIMEOUT)
            np.copyto(self._free[0].x_as_chw, frame)
            ticket = Ticket(self._free.popleft())
            try:
                self._start(ticket, deadline_ns)
            except Exception as error:
                self._refused(ticket)
                raise backend_error("launching an inference", error) from error
            return ticket

    def _start(self, ticket: Ticket, deadline_ns: int) -> None:
        slot = ticket.slot
        slot.t.fill(np.nan)  # what the device does not write must not look like an answer, least of all the last one
        # Waiting and launching belong together: two threads that both waited would overfill the queue.
        self._configured.wait_for_async_ready(timeout_ms=_milliseconds(deadline_ns), frames_count=1)
        for output, y in zip(slot.outputs, slot.y, strict=True):
            output.set_buffer(y)  # the binding puts a buffer of its own there at every run (seen in its sources)
        self.under_way.append(ticket)  # first: an interrupt right after the launch must not lose the request
        ticket.job = self._configured.run_async([slot.bindings], ticket)

    def _refused(self, ticket: Ticket) -> None:
        """Keep the buffers of a refused launch as long as the model, which may still write to them."""
        self._broken = True  # it is shut down now
        if ticket in self.under_way:
            self.under_way.remove(ticket)
        self._held.insert(0, ticket)

    def collect(self, ticket: Ticket, deadline_ns: int) -> Float32Array:
        """Wait for one request and return ``t`` (D,), a view that a later launch overwrites.

        Raises:
            BackendError: it failed, or did not come back in time; a late result is thrown away when it comes.
        """
        ticket.settled = True
        if not ticket.wait(_seconds(deadline_ns)):
            raise from_status("waiting for the device", TIMEOUT)
        if ticket.exception is not None:
            self._broken = True  # HailoRT shuts the pipeline down after a failed inference
            raise backend_error("the inference", ticket.exception) from ticket.exception
        slot, end = ticket.slot, 0
        if len(self._parts) == 1:
            row = slot.t.reshape(-1)  # a view where the output is one row, as that of an FSQ network is
        else:
            row = np.concatenate([(y if y.ndim == 1 else y.transpose(2, 0, 1)).reshape(-1) for y in slot.y])
        for part, (least, most) in zip(self._parts, self._limits, strict=True):
            start, end = end, end + part.values
            t = row[start:end]
            if not all(least <= value <= most for value in t.tolist()):  # NaN compares false; D is a handful
                raise BackendError(
                    f"the device returned values outside [{least:.4g}, {most:.4g}], the HEF's range: {t[:8].tolist()}"
                )
        if self._wanted > end and not np.isfinite(row).all():
            raise BackendError("the device returned features that are not numbers")
        return row[: self._wanted]

    def abandon(self) -> None:
        """Throw away whatever is under way: nobody will read it, so its buffers serve again once it came back."""
        with self._lock:
            for ticket in self.under_way:
                ticket.settled = True

    @property
    def has_room(self) -> bool:
        """Whether one more request can be launched now."""
        with self._lock:
            self._reclaim()
            return bool(self._free)

    def _reclaim(self) -> None:
        """Take back the buffers of every request that has come back and was read or given up, in order of launch."""
        for _ in range(len(self.under_way)):
            ticket = self.under_way.popleft()
            if ticket.settled and ticket.returned:
                self._free.append(ticket.slot)
            else:
                self.under_way.append(ticket)

    def _renew(self, deadline_ns: int) -> None:
        if self._pending is None:
            if not self._drain(deadline_ns):
                raise from_status("an earlier request has not come back: configuring again", TIMEOUT)
            self._forget(_seconds(deadline_ns))
        self._configure(_seconds(deadline_ns))

    def _forget(self, timeout_s: float) -> None:
        """Drop everything of the configured model, on the owner thread, in an order that cannot hang."""
        held, self._held = self._held, []
        held[:0] = [*self._free, *self.under_way]
        if self._pending is not None:
            held.append(self._pending)  # what it gives is dropped there, too
        self._free.clear()
        self.under_way.clear()
        self._configured = self._pending = None
        if held:
            self._device.drop(held, timeout_s)

    def _drain(self, deadline_ns: int) -> bool:
        """Wait for every callback, and for HailoRT to have left it; return whether all came."""
        for ticket in self.under_way:
            if not ticket.wait(_seconds(deadline_ns)):
                return False
        for ticket in self.under_way:
            try:
                if ticket.job is not None:
                    ticket.job.wait(1000)
            except Exception:  # noqa: BLE001, S110 - the callback was called; this only lets its thread finish
                pass
        return True

    def close(self) -> None:
        """Drain, drop the network and give the device back; never hangs. A second call does nothing."""
        if os.getpid() != self._pid:  # a child must not touch the parent's device
            keep_forever(self.__dict__)
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._drain(time.monotonic_ns() + int(self._drain_s * 1e9)):
                self._forget(CLOSE_S)
                self._device.release()
                return
            # Releasing now would hang: keep model, buffers and device until the late callbacks have come.
            orphans = tuple(self.under_way)
            for thing in (*self._held, *orphans):
                keep_forever(thing)
            self._device.release(lambda: not all(ticket.returned for ticket in orphans))


def _limits(t: HefTensor) -> tuple[float, float]:
    """Return the least and the greatest value that t can have, a little overshoot allowed."""
    quant = t.quant
    span = quant.limit_max - quant.limit_min
    if not 0 < span < math.inf:
        return -FLOAT32_MAX, FLOAT32_MAX  # the HEF does not say; what is no number is still refused
    return quant.limit_min - OVERSHOOT * span, quant.limit_max + OVERSHOOT * span


def _seconds(deadline_ns: int) -> float:
    return max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)


def _milliseconds(deadline_ns: int) -> int:
    return max(1, (deadline_ns - time.monotonic_ns()) // 1_000_000)


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
