"""The inference half of the fake binding: InferModel, its configured form, bindings and jobs.

Source of signatures and behaviour: the 4.23 and 5.2 bindings, observed without a device, and their MIT sources.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.hef import HefReport, HefTensor
from fsq_edge_runtime.testing.fake_chip import TIMEOUT, FakeChip, Job
from fsq_edge_runtime.testing.fake_errors import FakeErrors

_ITEM_BYTES = {1: 1, 2: 2, 3: 4}  # FormatType -> bytes per element


class InferStream:
    """Format of one stream, to be set before ``configure``."""

    def __init__(self, tensor: HefTensor) -> None:
        self._tensor = tensor
        self.format_type = 1  # what the device itself wants, usually uint8

    @property
    def name(self) -> str:
        """HailoRT's name of the stream."""
        return self._tensor.name

    @property
    def shape(self) -> list[int]:
        """(H, W, C), or (D,) for a flat stream."""
        height, width, features = self._tensor.shape
        return [features] if self._tensor.order == "NC" else [height, width, features]

    def set_format_type(self, type: Any) -> None:
        """Set the element type on the host."""
        self.format_type = int(type)

    @property
    def frame_bytes(self) -> int:
        """Size of one frame on the host."""
        return int(np.prod(self._tensor.shape)) * _ITEM_BYTES[self.format_type]


class BufferSlot:
    """``bindings.input()`` or ``bindings.output()``: holds one array."""

    def __init__(self, errors: FakeErrors) -> None:
        self._errors = errors
        self._buffer: AnyArray | None = None

    def set_buffer(self, buffer: AnyArray) -> None:
        """Attach an array; only contiguity and writeability are looked at, never the type."""
        if not buffer.flags.c_contiguous:
            raise self._errors.base("Buffer must be C_CONTIGUOUS")
        if not buffer.flags.writeable:
            raise ValueError("array is not writeable")
        self._buffer = buffer

    def get_buffer(self, tf_format: bool | None = False) -> AnyArray | None:
        """Return the attached array itself."""
        return self._buffer


class Bindings:
    """The buffers of one request."""

    def __init__(self, model: InferModel) -> None:
        errors = model.chip.errors
        self._inputs = {stream.name: BufferSlot(errors) for stream in model.inputs}
        self._outputs = {stream.name: BufferSlot(errors) for stream in model.outputs}
        self._errors = errors

    def input(self, name: str = "") -> BufferSlot:
        """Return the slot of an input."""
        return self._find(self._inputs, name)

    def output(self, name: str = "") -> BufferSlot:
        """Return the slot of an output."""
        return self._find(self._outputs, name)

    def _find(self, slots: dict[str, BufferSlot], name: str) -> BufferSlot:
        key = next(iter(slots)) if name == "" and len(slots) == 1 else name
        if key not in slots:
            raise self._errors.make(61)
        return slots[key]


class AsyncInferJob:
    """A launched request."""

    def __init__(self, job: Job, errors: FakeErrors) -> None:
        self._job = job
        self._errors = errors

    def wait(self, timeout_ms: int) -> None:
        """Wait for the end; a failed inference does not raise here."""
        if not self._job.wait(timeout_ms / 1000.0):
            raise self._errors.make(4)


class ConfiguredInferModel:
    """A model on the device."""

    def __init__(self, model: InferModel, queue_size: int) -> None:
        self._model = model
        self._chip = model.chip
        self._queue_size = queue_size
        self._shut_down = False
        self._in_size = {stream.name: stream.frame_bytes for stream in model.inputs}
        self._out_size = {stream.name: stream.frame_bytes for stream in model.outputs}
        self._first_in = model.inputs[0].name

    def __enter__(self) -> ConfiguredInferModel:
        return self

    def __exit__(self, *args: object) -> None:
        self._shut_down = True

    def __del__(self) -> None:
        self._chip.script.ask("destroy")

    def create_bindings(
        self,
        input_buffers: dict[str, AnyArray] | None = None,
        output_buffers: dict[str, AnyArray] | None = None,
    ) -> Bindings:
        """Return bindings for one frame, with the given buffers attached."""
        bindings = Bindings(self._model)
        for name, buffer in (input_buffers or {}).items():
            bindings.input(name).set_buffer(buffer)
        for name, buffer in (output_buffers or {}).items():
            bindings.output(name).set_buffer(buffer)
        return bindings

    def get_async_queue_size(self) -> int:
        """Return how many frames may be under way."""
        return self._queue_size

    def wait_for_async_ready(self, timeout_ms: int = 1000, frames_count: int = 1) -> None:
        """Wait until the queue has room for ``frames_count`` frames."""
        if self._shut_down:
            raise self._chip.errors.make(63)
        if self._chip.outstanding + frames_count <= self._queue_size:
            return
        with self._chip.lock:
            room = self._chip.lock.wait_for(
                lambda: self._chip.outstanding + frames_count <= self._queue_size, timeout_ms / 1000.0
            )
        if not room:
            raise self._chip.errors.make(4)

    def run_async(self, bindings: list[Bindings], callback: Any = None) -> AsyncInferJob:
        """Launch one request per binding; any error here shuts the model down."""
        if len(bindings) != 1:
            raise NotImplementedError("the fake takes one binding at a time")
        if self._shut_down:
            raise self._chip.errors.make(63)
        fault = self._chip.script.next_inference()
        status = self._refusal(bindings[0])
        if fault is not None and fault.kind == "launch":
            status = fault.status
        if status:
            self._shut_down = True
            raise self._chip.errors.make(status)
        frame = bindings[0].input(self._first_in).get_buffer()
        out = [bindings[0].output(name).get_buffer() for name in self._out_size]
        buffers = [buffer for buffer in out if buffer is not None]
        assert frame is not None and len(buffers) == len(out)  # noqa: S101, PT018 - _refusal has looked
        job = Job(frame, buffers, self._model.report, fault, self._completion(callback))
        self._chip.submit(job)
        return AsyncInferJob(job, self._chip.errors)

    def run(self, bindings: list[Bindings], timeout: int) -> None:
        """Run synchronously; a failed inference does not raise."""
        self.run_async(bindings).wait(timeout)

    def _refusal(self, bindings: Bindings) -> int:
        if self._model.scheduler_off:
            return 69
        if self._chip.outstanding >= self._queue_size:
            return 82
        for name, size in self._in_size.items():
            buffer = bindings.input(name).get_buffer()
            if buffer is None or buffer.nbytes != size:
                return 6
        for name, size in self._out_size.items():
            buffer = bindings.output(name).get_buffer()
            if buffer is None or buffer.nbytes != size:
                return 6
        return 0

    def _completion(self, callback: Any) -> Any:
        def complete(status: int) -> None:
            if status:
                self._shut_down = True
            # The text of the status is asked for inside the callback: an unknown number raises there.
            error = self._chip.errors.make(status, inside_callback=True) if status else None
            if callback is not None:
                callback(completion_info=SimpleNamespace(exception=error))

        return complete


class InferModel:
    """A parsed HEF, before it is put on the device."""

    def __init__(self, chip: FakeChip, report: HefReport, device: str, queue_size: int, scheduler_off: bool) -> None:
        self.chip = chip
        self.report = report
        self.scheduler_off = scheduler_off
        self.inputs = [InferStream(tensor) for tensor in report.inputs]
        self.outputs = [InferStream(tensor) for tensor in report.outputs]
        self._device = device
        self._queue_size = queue_size

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [stream.name for stream in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return [stream.name for stream in self.outputs]

    def input(self, name: str = "") -> InferStream:
        """Return an input."""
        return self._find(self.inputs, name)

    def output(self, name: str = "") -> InferStream:
        """Return an output."""
        return self._find(self.outputs, name)

    def configure(self) -> ConfiguredInferModel:
        """Put the model on the device."""
        answered = self.chip.script.ask("configure", self.chip.script.configure_seconds)
        status = self.chip.script.next_configure() if answered else TIMEOUT
        if self._device not in self.report.devices:
            status = self.chip.errors.wrong_architecture
        if self.chip.lost:
            status = 96
        if status:
            raise self.chip.errors.make(status)
        return ConfiguredInferModel(self, self._queue_size)

    def _find(self, streams: list[InferStream], name: str) -> InferStream:
        for stream in streams:
            if stream.name == name or (name == "" and len(streams) == 1):
                return stream
        raise self.chip.errors.make(61)
