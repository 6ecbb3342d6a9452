"""The silicon of the fake: one thread that takes frames in order, computes the device graph and calls back.

It computes in onnxruntime on the CPU. Nothing it does is a measurement of a Hailo device.
"""

from __future__ import annotations

import math
import os
import queue
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fsq_edge_runtime.arrays import AnyArray, Float32Array
from fsq_edge_runtime.backends.onnx import OnnxBackend
from fsq_edge_runtime.hef import HefReport, QuantInfo
from fsq_edge_runtime.hef.outputs import in_order
from fsq_edge_runtime.onnx_graph import read_cut_outputs
from fsq_edge_runtime.testing.fake_errors import FakeDeadlockError, FakeErrors, FakeFatalError
from fsq_edge_runtime.testing.faults import Fault, FaultScript, hold_interpreter_lock

Callback = Callable[[int], None]
TIMEOUT = 4


@dataclass(slots=True)
class Job:
    """One frame under way. The buffers are referenced, not copied, as the device's DMA does.

    ``under_way`` is held until the callback has returned.
    """

    frame: AnyArray
    out: Sequence[AnyArray]
    report: HefReport
    fault: Fault | None
    callback: Callback
    under_way: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.under_way.acquire()

    def wait(self, timeout_s: float) -> bool:
        """Return whether the callback has returned in time."""
        if not self.under_way.acquire(timeout=timeout_s):
            return False
        self.under_way.release()
        return True


class FakeChip:
    """State of one fake device, shared by every object of the fake binding.

    Args:
        graph: bytes of encoder.onnx; None when no inference is needed.
        script: what goes wrong and when.
        errors: the exceptions of the generation.
        quantized: round inputs and outputs to the integers that the HEF's numbers give.
        present: whether a device is there at all.

    Attributes:
        fatal: what would have killed or hung the process; see :meth:`check`.
        lethal: whether that really happens: in a child process nobody could look at ``fatal``.
        compute_ns: nanoseconds of the last 100,000 computations, without any hand-off.
    """

    def __init__(
        self, graph: bytes | None, script: FaultScript, errors: FakeErrors, *, quantized: bool, present: bool
    ) -> None:
        self.script = script
        self.errors = errors
        self.quantized = quantized
        self.fatal: list[BaseException] = []
        self.lethal = False
        self.compute_ns: deque[int] = deque(maxlen=100_000)
        self.open_groups: list[str] = []
        self.outstanding = 0
        self._present = present
        self._graph = graph
        self._infer: Callable[[Float32Array], Float32Array] | None = None
        self._lost: Fault | None = None
        self._reopens_left = 0
        self._damaged = 0
        self._rng = np.random.default_rng(0)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._computing = threading.Lock()  # one at a time: late results are computed on threads of their own
        self.lock = threading.Condition()

    def check(self) -> None:
        """Raise the first thing that would have killed or hung the process.

        Raises:
            FakeFatalError: the process would have been killed.
            FakeDeadlockError: the process would have hung.
        """
        if self.fatal:
            raise self.fatal[0]

    def kill(self, what: str) -> BaseException:
        """Record that the real binding would have killed the process here; return the exception to raise."""
        if self.lethal:
            print(f"[HailoRT] [critical] {what}", file=sys.stderr, flush=True)
            os.abort()
        self.fatal.append(FakeFatalError(what))
        return self.fatal[-1]

    def hang(self, what: str) -> BaseException:
        """Record that the real binding would have hung here; return the exception to raise."""
        if self.lethal:
            while True:
                hold_interpreter_lock(3600.0)
        self.fatal.append(FakeDeadlockError(what))
        return self.fatal[-1]

    @property
    def lost(self) -> bool:
        """Whether the device is gone."""
        return self._lost is not None

    def visible(self) -> bool:
        """Return whether a scan finds the device."""
        return self._present and not self.lost

    def open(self, group_id: str) -> int:
        """Try to open the device and return a status."""
        if not self.script.ask("open", self.script.open_seconds):
            return TIMEOUT
        with self.lock:
            if self._lost is not None:
                if self._reopens_left > 0:
                    self._reopens_left -= 1
                    return 74
                self._lost = None
            status = self.script.next_open() if self._present else 74
            if status == 0 and self.open_groups and (group_id == "UNIQUE" or group_id not in self.open_groups):
                status = 74  # one VDevice per process, unless the group is shared
            if status == 0:
                self._damaged = max(0, self._damaged - 1)
                self.open_groups.append(group_id)
            return status

    def close(self, group_id: str) -> None:
        """Give the device back."""
        with self.lock:
            self.open_groups.remove(group_id)

    def submit(self, job: Job) -> None:
        """Queue a frame; the callback comes from the chip's own thread."""
        with self.lock:
            self.outstanding += 1
            if self._thread is None:
                # The thread must not keep the fake alive: it holds the queue and asks for the chip frame by frame.
                self._thread = threading.Thread(
                    target=_serve, args=(self._jobs, weakref.ref(self)), name="fake-hailo", daemon=True
                )
                self._thread.start()
                weakref.finalize(self, self._jobs.put, None)
        self._jobs.put(job)

    def serve(self, job: Job) -> None:
        """Compute one frame and report it, as its fault demands."""
        fault = job.fault
        if fault is not None and fault.kind == "never":
            return
        if fault is not None and fault.kind == "late":
            timer = threading.Timer(fault.seconds, self._finish, (job, 0))
            timer.daemon = True
            timer.start()
            return
        if fault is not None and fault.kind == "delay":
            time.sleep(fault.seconds)
        if fault is not None and fault.kind == "throttle":
            self.script.heat(fault.seconds)
        if self.script.slowed_s:
            time.sleep(self.script.slowed_s)
        if fault is not None and fault.kind == "lost":
            self._lost, self._reopens_left = fault, fault.reopens
        if fault is not None and fault.kind == "damage":
            self._damaged = fault.reopens + 1
        if self._lost is not None:
            self._finish(job, self._lost.status or 62)
        else:
            self._finish(job, fault.status if fault is not None and fault.kind == "fail" else 0)

    def _finish(self, job: Job, status: int) -> None:
        if status:
            for out in job.out:
                out[...] = 0  # a failed inference leaves zeros in the output and raises nowhere
        else:
            wrong = self._damaged > 0 or (job.fault is not None and job.fault.kind == "wrong")
            try:
                self._compute(job, wrong)
            except Exception as error:  # noqa: BLE001 - a test's own mistake must not hang the test
                self.fatal.append(error)
                status = 8
        try:
            job.callback(status)
        except BaseException as error:  # noqa: BLE001 - the real binding dies here, whatever the exception
            self.kill(f"an exception escaped the callback, the process would abort: {error!r}")
        job.callback = _nobody  # the real binding lets go of the callback, too, and with it of the network
        with self.lock:
            self.outstanding -= 1
            self.lock.notify_all()
        job.under_way.release()

    def _compute(self, job: Job, wrong: bool) -> None:
        started = time.perf_counter_ns()
        tensor_in = job.report.inputs[0]
        # dtype is never checked: the bytes are taken as float32 whatever they are.
        frame = np.frombuffer(job.frame.tobytes(), dtype=np.float32).reshape(tensor_in.shape)
        if self.quantized:
            frame = _round_trip(frame, tensor_in.quant, tensor_in.dtype)
        with self._computing:  # the network gives a view of its own buffer, which the next call overwrites
            parts = read_cut_outputs(self._graph) if self._graph and len(job.out) > 1 else ()
            features = len(job.out) > 1 and not parts
            row = self._network(features)(np.ascontiguousarray(frame.transpose(2, 0, 1))[None])
            if wrong:
                row = self._rng.uniform(-1.0, 1.0, size=row.shape).astype(np.float32)
            at = 0
            # Without parts of it, the graph's first output, t, is the smallest; a HEF may file them in any order.
            tensors = sorted(job.report.outputs, key=lambda tensor: math.prod(tensor.shape))
            buffers = dict(zip((tensor.name for tensor in job.report.outputs), job.out, strict=True))
            for tensor in in_order(tensors, parts) if parts else tensors:
                out = buffers[tensor.name]
                values = row[at : at + out.size]
                at += out.size
                if self.quantized:
                    values = _round_trip(values, tensor.quant, tensor.dtype)
                height, width, channels = tensor.shape
                if tensor.order != "NC":
                    values = values.reshape(channels, height, width).transpose(1, 2, 0).ravel()
                out.reshape(-1)[...] = values
        self.compute_ns.append(time.perf_counter_ns() - started)

    def compute_with(self, infer: Callable[[Float32Array], Float32Array]) -> None:
        """Put a function in the place of the device graph: frame (1, C', H, W) float32 -> t (D,), features behind."""
        self._infer = infer

    def _network(self, features: bool) -> Callable[[Float32Array], Float32Array]:
        if self._infer is None:
            if self._graph is None:
                raise RuntimeError("the fake was made without a graph, so it cannot infer")
            self._infer = OnnxBackend(self._graph, features=features).infer
        return self._infer


def _nobody(status: int) -> None:
    """Stand where a callback was."""


def _serve(jobs: queue.SimpleQueue[Job | None], chip: weakref.ref[FakeChip]) -> None:
    while (job := jobs.get()) is not None:
        alive = chip()
        if alive is None:
            return
        alive.serve(job)
        del alive, job


def _round_trip(values: AnyArray, quant: QuantInfo, dtype: str) -> Float32Array:
    """Round to the device's integers and back, with saturation."""
    top = 65535 if dtype == "uint16" else 255
    steps = np.clip(np.rint(values / quant.scale + quant.zero_point), 0, top)
    return np.asarray((steps - quant.zero_point) * quant.scale, dtype=np.float32)
