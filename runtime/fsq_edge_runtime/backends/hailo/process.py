"""The device graph on a Hailo device whose vendor library runs in a process of its own.

Opening, configuring, destroying and reading the temperature hold Python's interpreter lock inside the vendor's binding
for as long as a device is silent, some errors abort the process, and a device with a lost request cannot be released.
In a process of its own all that costs this one no more than a deadline: the process is ended and another one started.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.hailo.child import START_S, DeviceChild
from fsq_edge_runtime.backends.hailo.errors import from_status
from fsq_edge_runtime.backends.hailo.exchange import INFER, REQUEST, ROWS, outcome_of
from fsq_edge_runtime.backends.hailo.hefs import inspect_hefs
from fsq_edge_runtime.backends.temperature import Telemetry, TemperatureQuestions
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.hef import HefReport
from fsq_edge_runtime.onnx_graph import DeviceOutput

if TYPE_CHECKING:
    from fsq_edge_runtime.backends.base import Backend

TIMEOUT = 4
ASK_EVERY_S = 1.0  # at most, however often the state is asked for


class HailoProcess:
    """Runs a HEF on the Hailo device of this machine, in a child process. One owner thread, like every backend.

    Arguments, attributes and errors are those of :class:`~fsq_edge_runtime.backends.hailo.backend.HailoBackend`; a
    process that ended is a BackendError, too.
    """

    def __init__(
        self,
        hefs: Mapping[str, bytes],
        frame_shape: tuple[int, int, int],
        output_size: int,
        *,
        timeout_s: float = 1.0,
        depth: int = 4,
        open_timeout_s: float = 10.0,
        outputs: tuple[DeviceOutput, ...] = (),
    ) -> None:
        outputs = outputs or (DeviceOutput(output_size),)
        reports = inspect_hefs(hefs, frame_shape, outputs)
        self._timeout_ns = int(timeout_s * 1e9)
        self._output_size = output_size
        self._pid = os.getpid()
        self._number = 0
        self._behind = False  # whether a reply has not come yet
        self._questions = TemperatureQuestions(ASK_EVERY_S)
        self._heat_c: float | None = None
        self._child = DeviceChild(hefs, frame_shape, output_size, outputs, depth, open_timeout_s)
        self._finalizer = weakref.finalize(self, self._child.kill)
        self._finalizer.atexit = False
        try:
            opened = self._child.opened(time.monotonic_ns() + int((START_S + 2 * open_timeout_s) * 1e9))
        except BaseException:
            self._child.kill()
            raise
        self.name: str = opened["name"]
        self.architecture: str = opened["architecture"]
        self.device_architecture: str | None = opened["device"]
        self.generation: int = opened["generation"]
        self.report: HefReport = reports[self.architecture]

    def infer(self, frame: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """Return ``t`` (D,), a view that a later call overwrites, for one frame (1, C', H, W) float32.

        Args:
            frame: NCHW; it is copied once here, and once transposed in the device process.
            deadline_ns: on ``time.monotonic_ns()``; None allows ``timeout_s``.

        Raises:
            BackendError: the inference failed, did not end in time, or the device process is gone.
        """
        limit = time.monotonic_ns() + self._timeout_ns if deadline_ns is None else deadline_ns
        self._run(frame, limit)
        answer: Float32Array = self._child.shared.answers[0]
        return answer

    def infer_batch(self, frames: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """Return ``t`` (N, D), a copy, for frames (N, C', H, W); arguments and errors as ``HailoBackend`` has them."""
        out = np.empty((len(frames), self._output_size), dtype=np.float32)
        for at in range(0, len(frames), ROWS):
            part = frames[at : at + ROWS]
            limit = time.monotonic_ns() + self._timeout_ns * len(part) if deadline_ns is None else deadline_ns
            self._run(part, limit)
            out[at : at + len(part)] = self._child.shared.answers[: len(part)]
        return out

    def _run(self, frames: Float32Array, limit: int) -> None:
        """Send frames, wait for the reply; the memory is not touched while an earlier reply is out."""
        if os.getpid() != self._pid:
            raise BackendError("the Hailo device was opened before a fork", hint="open it in the process that uses it")
        child = self._child
        if self._behind and self._reply(limit) is None:
            raise from_status("waiting for an earlier request", TIMEOUT)
        child.shared.frames[: len(frames)] = frames
        self._number += 1
        if not child.line.send(REQUEST.pack(INFER, len(frames), limit, self._number)):
            raise child.gone()
        self._behind = True
        reply = self._reply(limit)  # after an interrupt or a timeout the next call takes it
        if reply is None:
            raise from_status("waiting for the device", TIMEOUT)
        outcome_of(reply)

    def _reply(self, limit: int) -> bytes | None:
        """Return the next reply, None when the deadline passes first."""
        reply = self._child.line.receive(limit)
        if reply == b"":
            raise self._child.gone()
        if reply is not None:
            self._behind = False
        return reply

    def telemetry(self, *, power: bool = False) -> Future[Telemetry]:
        """Ask the device for its temperature and, if wanted, power; nobody waits for the answer but who asks for it.

        The future ends with a BackendError when the device does not answer within 2 s.
        """
        return self._child.ask(power=power)

    def state(self) -> dict[str, float | int | str | None]:
        """Return the device's temperature as it was when last asked, degrees Celsius, and ask again."""
        now = time.monotonic_ns()
        answered, heat = self._questions.answer(now)
        if answered:
            self._heat_c = heat
        self._questions.ask(self, now)
        return {"temperature_c": self._heat_c, "serving": self.name}

    def close(self) -> None:
        """Let the device process end, and end it when it takes longer than 0.5 s, or 0.1 s while it owes an answer.

        A second call does nothing.
        """
        if os.getpid() != self._pid:  # a forked child must not end its parent's device process
            return
        self._finalizer.detach()
        self._child.close(silent=self._behind)


if TYPE_CHECKING:
    _: type[Backend] = HailoProcess
