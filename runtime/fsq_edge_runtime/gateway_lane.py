"""The way to one worker of a gateway: its process, the pipe to it, and what it says when it fails."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Final, cast

from fsq_edge_runtime.errors import BackendError, DataError, FsqEdgeError, InternalError, MissingInputError, UsageError
from fsq_edge_runtime.systemd import SOCKET_VARIABLE, WATCHDOG_VARIABLE

PIPE_BYTES: Final = 1 << 20  # half a minute of a hundred sensors at 50 Hz: a worker that starts loses nothing
POLL_S: Final = 0.05
LINE_BYTES: Final = 4096
FAILING_S: Final = 5.0  # a worker that closed its pipe before it was ready is about to end
NOT_THEIRS: Final = (SOCKET_VARIABLE, WATCHDOG_VARIABLE)  # the service is this process, which speaks for all
BY_CODE: Final = {error.exit_code: error for error in (UsageError, DataError, MissingInputError, InternalError)}


class Lane:
    """One worker; whoever writes holds ``lock``.

    Args:
        number: of the worker.
        command: its command line, from its number, the descriptor that it reads, and the one to which it writes when
            it can answer.
        tell: hears what it writes to standard error, line by line, except the error that it ends with.

    Attributes:
        started: it said that it can answer.
        deadline: monotonic seconds at which it is waited for no longer; None while nobody is in a hurry.
        waiting: encoded chunks that are not yet in the pipe.
        samples: in them.
        lost: samples that it did not get, since it had ended.
        process: the worker.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(
        self, number: int, command: Callable[[int, int, int], Sequence[str]], tell: Callable[[str], object]
    ) -> None:
        self.lock = threading.Lock()
        self.waiting, self.samples, self.lost = bytearray(), 0, 0
        self.started = False
        self.deadline: float | None = None
        self._number, self._tell, self._said = number, tell, ["", ""]
        self._overdue = False
        reading, writing = os.pipe()
        self._pipe: int | None = writing
        self._ready, tells = os.pipe()
        _widen(writing)
        os.set_blocking(writing, False)
        try:
            # A group of its own: Ctrl-C ends this process, which closes the pipes, and nothing is answered half.
            self.process = subprocess.Popen(
                command(number, reading, tells),
                pass_fds=(reading, tells),
                env={name: value for name, value in os.environ.items() if name not in NOT_THEIRS},
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        finally:
            os.close(reading)
            os.close(tells)
        self._listener = threading.Thread(target=self._listen, name="worker", daemon=True)
        self._listener.start()

    def wait_ready(self, stop: threading.Event) -> None:
        """Wait until the worker can answer, has ended, or ``stop`` is set."""
        while not (self.started or stop.is_set()):
            if select.select([self._ready], [], [], POLL_S)[0]:
                self.started = bool(os.read(self._ready, 1))
                if not self.started:
                    self._wait(FAILING_S)
                    return

    def write(self, *, wait: bool = True) -> None:
        """Write what waits; it is lost where that is impossible for good, or until the deadline."""
        at, data = 0, memoryview(self.waiting)
        while self._pipe is not None and at < len(data):
            try:
                at += os.write(self._pipe, data[at:])
            except BlockingIOError:
                if not wait:
                    self.waiting = self.waiting[at:]
                    return
                if self.deadline is not None and time.monotonic() > self.deadline:
                    break
                select.select([], [self._pipe], [], POLL_S)
            except BrokenPipeError:
                self.close()
        self.lost += self.samples if at < len(data) else 0
        self.waiting, self.samples = bytearray(), 0

    def close(self) -> None:
        """Let the worker see the end of its samples."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)

    def end(self) -> None:
        """Wait until the worker has ended; kill it at the deadline."""
        if not self._wait(None if self.deadline is None else max(0.0, self.deadline - time.monotonic())):
            self._overdue = True
            self.process.kill()
            self.process.wait()
        self._listener.join(POLL_S)
        os.close(self._ready)

    def failure(self, lost: int) -> FsqEdgeError | None:
        """Return what the worker ended with as an error, if it was one.

        Args:
            lost: samples that no worker had.
        """
        code, (message, hint) = self.process.returncode, self._said
        if not code:
            return None
        kind = BY_CODE.get(code, BackendError)
        if message and not self.started:
            return kind(message, hint=hint)
        tail = f"; {lost:,} samples were lost" if lost else ""
        if message:
            return kind(f"worker {self._number}: {message}{tail}", hint=hint)
        if self._overdue:
            what, hint = (
                "had not answered all when its time was over",
                "it was stopped while it had more than it can do",
            )
        elif code < 0:
            what = f"was killed by {signal.Signals(-code).name}"
            hint = "was there memory enough? dmesg names what the kernel killed; fewer --workers need less"
        else:
            what, hint = f"ended with exit code {code}", "without --workers the error is shown in full"
        return kind(f"worker {self._number} {what}{tail}", hint=hint)

    def _wait(self, timeout_s: float | None) -> bool:
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _listen(self) -> None:
        stream = cast("IO[bytes]", self.process.stderr)  # a pipe was asked for
        for line in iter(lambda: stream.readline(LINE_BYTES), b""):
            text = line.decode(errors="replace").rstrip("\n")
            kind, _, rest = text.partition(": ")
            if kind in ("error", "hint"):
                self._said[kind == "hint"] = rest
            else:
                with contextlib.suppress(OSError, ValueError):  # nobody hears it, and the worker must not wait for that
                    self._tell(text)
        stream.close()


def _widen(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (AttributeError, OSError):  # not Linux, or above what users may have: a smaller pipe waits more often
        return
