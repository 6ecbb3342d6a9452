"""The device process as its owner sees it: started, asked, heard out when it dies, and ended at will."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from fsq_edge_runtime.backends.hailo.binding import inherited_environment
from fsq_edge_runtime.backends.hailo.errors import from_status
from fsq_edge_runtime.backends.hailo.exchange import (
    ASK,
    CLOSE,
    REPLY,
    REQUEST,
    Job,
    Line,
    SharedFrames,
    outcome_of,
    pair,
)
from fsq_edge_runtime.backends.hailo.owner_thread import OwnerThread
from fsq_edge_runtime.backends.temperature import Telemetry
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.onnx_graph import DeviceOutput

WORKER = "fsq_edge_runtime.backends.hailo.worker"
TIMEOUT = 4
START_S = 20.0  # for starting Python and loading the vendor's library from a slow card, beside opening and configuring
ASK_S = 2.0  # a device that answers says its temperature in milliseconds
GONE_S = 0.1  # a stream waits: a process whose sockets are closed is as good as ended
CLOSE_S = 0.5  # a service that is told to stop has two seconds for everything
SILENT_CLOSE_S = 0.1  # for a device that owes an answer: it will hardly hear that it should close
SAID_BYTES = 1 << 16  # what the pipe holds of the library's own lines; more is thrown away


class DeviceChild:
    """The device process: its sockets, its memory, and its end.

    Args:
        hefs: architecture -> bytes of the HEF.
        frame_shape: (C', H, W).
        output_size: values of an answer.
        outputs: that the network has on the device, in the order of an answer.
        depth: requests under way at once in a batch.
        open_timeout_s: the longest that opening and configuring may take each.

    Attributes:
        line: carries inferences.
        shared: frames and answers.
    """

    def __init__(
        self,
        hefs: Mapping[str, bytes],
        frame_shape: tuple[int, int, int],
        output_size: int,
        outputs: tuple[DeviceOutput, ...],
        depth: int,
        open_timeout_s: float,
    ) -> None:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            line, its_line = pair()
            questions, its_questions = pair()
            for end, stack in ((line, ours), (questions, ours), (its_line, theirs), (its_questions, theirs)):
                stack.callback(end.close)
            frames = SharedFrames.make(frame_shape, output_size)
            theirs.callback(os.close, frames)
            files = os.memfd_create("fsq-edge-hefs")
            theirs.callback(os.close, files)
            said, its_said = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # what does not fit is lost, nobody waits for it
            ours.callback(os.close, said)
            theirs.callback(os.close, its_said)
            for data in hefs.values():
                _write_all(files, data)
            self.shared = SharedFrames(frames, frame_shape, output_size)
            sizes = {name: len(data) for name, data in hefs.items()}
            job = Job(sizes, frame_shape, output_size, outputs, depth, open_timeout_s, frames, files)
            self._process = _start((its_line.fileno(), its_questions.fileno()), (frames, files), its_said)
            ours.pop_all()  # from here on kill() closes them
        self.line, self._questions = Line(line), Line(questions)
        self._said = os.fdopen(said, "rb", buffering=0)
        self._asker: OwnerThread | None = None
        self._question: Future[Telemetry] | None = None
        self._asked = 0
        self._ended = threading.Lock()
        _live.add(self)
        self.line.send(job.encode())

    def opened(self, deadline_ns: int) -> dict[str, Any]:
        """Return what the process says of the device that it opened.

        Raises:
            BackendError: it could not, or not in time, or ended.
        """
        reply = self.line.receive(deadline_ns)
        if reply is None:
            raise from_status("opening the Hailo device and configuring the network", TIMEOUT)
        if not reply:
            raise self.gone()
        return outcome_of(reply)

    def ask(self, *, power: bool) -> Future[Telemetry]:
        """Ask for temperature and power on a thread of its own."""
        if self._asker is None:
            self._asker = OwnerThread()
        self._question = self._asker.submit(lambda: self._put(power))
        return self._question

    def _put(self, power: bool) -> Telemetry:
        self._asked += 1
        if not self._questions.send(REQUEST.pack(ASK, int(power), 0, self._asked)):
            raise self.gone()
        limit = time.monotonic_ns() + int(ASK_S * 1e9)
        while reply := self._questions.receive(limit):
            if REPLY.unpack_from(reply)[1] == self._asked:
                values = outcome_of(reply)
                return Telemetry(values["temperature_c"], values["power_w"])
        if reply is None:
            raise from_status("asking the device for its temperature", TIMEOUT)
        raise self.gone()

    def gone(self) -> BackendError:
        """Return the error for a process that ended: by what, and the library's last words."""
        try:
            code = self._process.wait(GONE_S)
        except subprocess.TimeoutExpired:
            return BackendError("the device process does not answer", hint="run: fsq-edge doctor")
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        words = self._last_words()
        return BackendError(
            f"the device process ended {how}" + (f": {words}" if words else ""),
            hint="the vendor's library ends its process on some errors; run: fsq-edge doctor",
        )

    def _last_words(self) -> str:
        try:
            text = (self._said.read(SAID_BYTES) or b"").decode(errors="replace")
        except (OSError, ValueError):
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "".join(letter for letter in lines[-1] if letter.isprintable())[:300] if lines else ""

    def close(self, *, silent: bool = False) -> None:
        """Ask the process to end and end it when it does not in time.

        Args:
            silent: it owes an answer, so it is given a tenth of a second instead of half a second.
        """
        silent = silent or (self._question is not None and not self._question.done())
        if self._process.poll() is None and self.line.send(REQUEST.pack(CLOSE, 0, 0, 0)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(SILENT_CLOSE_S if silent else CLOSE_S)
        self.kill()

    def kill(self) -> None:
        """End the process at once; the kernel gives its device back. A second call does nothing."""
        with self._ended:
            if self._process.poll() is None:
                self._process.kill()
                try:
                    self._process.wait(CLOSE_S)
                except subprocess.TimeoutExpired:  # it is inside the kernel's driver and ends when that lets go
                    threading.Thread(target=self._process.wait, name="hailo-reaper", daemon=True).start()
            if self._asker is not None:
                self._asker.stop()
            self.line.close()
            self._questions.close()
            self._said.close()
            _live.discard(self)


_live: weakref.WeakSet[DeviceChild] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for child in list(_live):  # what nobody closed, or is still being opened on a silent device
        child.kill()


def _after_fork_in_child() -> None:
    """A forked child must not end its parent's device process when it exits."""
    _live.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _start(ends: tuple[int, int], files: tuple[int, int], said: int) -> subprocess.Popen[bytes]:
    """Start the device process with these descriptors, its output going to the last.

    Raises:
        BackendError: the system does not start it.
    """
    try:
        return subprocess.Popen(
            [sys.executable, "-m", WORKER, *map(str, ends)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(*ends, *files),
            env=_environment(),
        )
    except OSError as error:
        raise BackendError(
            f"the device process cannot be started: {error.strerror or error}", hint="run: fsq-edge doctor"
        ) from error


def _environment() -> dict[str, str]:
    """Return this process's environment with its own import path, and without the current folder on it."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**inherited_environment(), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
