"""onnx's own checker, shape inference, inliner and version converter, kept in a process of their own.

They are C++ and meant for valid models: a negative size aborts, a large index takes all memory. One worker process
serves all requests of this process; when it dies, hangs or is refused memory, the request fails and nothing else.
"""

from __future__ import annotations

import atexit
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from fsq_edge_compile.checker import native_worker
from fsq_edge_compile.checker.native_worker import CHECK, CONVERT, HEADER, INFER, INFER_VALUES, INLINE

# Graphs without their weights are small: 200,000 nodes need 5 s and 400 MB.
TIMEOUT_S = 20.0
MEMORY_BYTES = 512 << 20
# The limit is processor time: a busy machine makes no valid model invalid. The wait ends after so many times the limit.
PATIENCE = 6.0
_LOOK_S = 1.0
_CHUNK = 1 << 20


class NativeError(Exception):
    """onnx refused a model, or its process did not survive it."""


class Worker:
    """One child process that answers requests in order.

    Args:
        timeout_s: most processor time for one answer; the child is killed after it.
        memory_bytes: limit on the child's data.
        patience: the child is killed after so many times that long by the clock, whatever time it got.

    Attributes:
        spent_s: processor time that all answers took so far.
    """

    def __init__(
        self,
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
        patience: float = PATIENCE,
    ) -> None:
        self.timeout_s = timeout_s
        self.patience = patience
        self.memory_bytes = memory_bytes
        self.spent_s = 0.0
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, task: int, payload: bytes) -> bytes:
        """Send one request and return the answer.

        Raises:
            NativeError: refused, or the child died or took too long.
        """
        with self._lock:
            child = self._running()
            deadline = _Deadline(child.pid, self.timeout_s, self.patience)
            try:
                status, body = self._exchange(child, HEADER.pack(task, len(payload)) + payload, deadline)
                self.spent_s += deadline.used_s()
            except (OSError, EOFError, TimeoutError) as error:
                self.spent_s += deadline.used_s()
                code = self._kill(child)
                late = isinstance(error, TimeoutError)
                what = f"took over {self.timeout_s:.0f} s" if late else f"ended its process (code {code})"
                raise NativeError(f"the work on this model {what}") from error
        if status:
            raise NativeError(body.decode("utf-8", "replace"))
        return body

    def close(self) -> None:
        """End the child, if there is one of this process."""
        if self._child is not None and self._owner == os.getpid():
            self._kill(self._child)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._owner != os.getpid() or self._child.poll() is not None:
            self._child = subprocess.Popen(
                # -P: what lies in the working directory must not be imported in place of onnx.
                [sys.executable, "-P", native_worker.__file__, str(self.memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            self._owner = os.getpid()
        return self._child

    @staticmethod
    def _exchange(child: subprocess.Popen[bytes], request: bytes, deadline: _Deadline) -> tuple[int, bytes]:
        if child.stdin is None or child.stdout is None:
            raise EOFError
        view = memoryview(request)
        while view:
            _wait(child.stdin.fileno(), deadline, write=True)
            view = view[os.write(child.stdin.fileno(), view[: select.PIPE_BUF]) :]
        status, length = HEADER.unpack(_read(child.stdout.fileno(), HEADER.size, deadline))
        return status, _read(child.stdout.fileno(), length, deadline)

    def _kill(self, child: subprocess.Popen[bytes]) -> int:
        child.kill()
        code = child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        self._child = None
        return code


class _Deadline:
    """How long a child may still take for one answer."""

    def __init__(self, pid: int, limit_s: float, patience: float) -> None:
        self._pid, self._limit_s, self._patience = pid, limit_s, patience
        self._started, self._before_s = time.monotonic(), _processor_s(pid) or 0.0

    def used_s(self) -> float:
        """Return the processor time since then; the time by the clock where the system does not say."""
        used = _processor_s(self._pid)
        return time.monotonic() - self._started if used is None else used - self._before_s

    def left_s(self) -> float:
        """Return seconds until the child is certainly late; 0 when it is."""
        passed = time.monotonic() - self._started
        return max(0.0, min(self._limit_s - self.used_s(), self._patience * self._limit_s - passed))


def _processor_s(pid: int) -> float | None:
    """Return the processor time of a process so far; None where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _wait(descriptor: int, deadline: _Deadline, *, write: bool = False) -> None:
    while (left := deadline.left_s()) > 0:
        ready = select.select([] if write else [descriptor], [descriptor] if write else [], [], min(left, _LOOK_S))
        if ready[0] or ready[1]:
            return
    raise TimeoutError


def _read(descriptor: int, length: int, deadline: _Deadline) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        _wait(descriptor, deadline)
        part = os.read(descriptor, min(_CHUNK, length - len(parts)))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


_WORKER = Worker()
atexit.register(_WORKER.close)


def check_model(model: onnx.ModelProto) -> None:
    """Run ``onnx.checker.check_model``.

    Raises:
        NativeError: the model is not valid.
    """
    _WORKER.ask(CHECK, model.SerializeToString())


def infer_shapes(model: onnx.ModelProto, *, values: bool) -> onnx.ModelProto:
    """Run shape inference.

    Args:
        model: not changed.
        values: follow the values of shape tensors too.

    Raises:
        NativeError: inference failed.
    """
    return _parse(_WORKER.ask(INFER_VALUES if values else INFER, model.SerializeToString()))


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace calls of the model's own functions by their bodies.

    Raises:
        NativeError: they cannot be inlined.
    """
    return _parse(_WORKER.ask(INLINE, model.SerializeToString()))


def convert_version(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Convert a model to another opset.

    Raises:
        NativeError: onnx has no conversion for some operator.
    """
    return _parse(_WORKER.ask(CONVERT, struct.pack("<Q", opset) + model.SerializeToString()))


def _parse(payload: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(payload)
    except DecodeError as error:
        raise NativeError("onnx returned something that is no model") from error
    return model
