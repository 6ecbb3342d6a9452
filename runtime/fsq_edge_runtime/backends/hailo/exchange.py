"""What the device process and its owner say to each other: short messages over sockets, frames in shared memory.

Two pairs of sockets keep message boundaries: one carries inferences, one at a time; the other carries questions about
temperature and power, so that neither answer can be taken for the other. Each request has a number, and its reply
repeats it, so that a reply that comes late is known as such. Deadlines are on the monotonic clock, which all processes
of a machine share.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.onnx_graph import DeviceOutput

MAX_MESSAGE = 1 << 16
ROWS = 32  # frames that one request may carry; a batch of more is cut
REQUEST = struct.Struct("<BIqQ")  # kind, rows or flag, deadline in ns, number
REPLY = struct.Struct("<BQ")  # 1 good or 0 failed, number; after a failure its message as JSON, else the values as JSON
INFER, ASK, CLOSE = 1, 2, 3


class SharedFrames:
    """Memory that both processes see: frames on their way to the device, and its answers.

    Args:
        descriptor: of an anonymous file, see :meth:`make`; the memory keeps it alive.
        frame_shape: (C', H, W).
        output_size: values of an answer.

    Attributes:
        frames: (ROWS, C', H, W) float32.
        answers: (ROWS, values of an answer) float32.
    """

    def __init__(self, descriptor: int, frame_shape: tuple[int, int, int], output_size: int) -> None:
        size = int(np.prod(frame_shape))
        count = ROWS * (size + output_size)
        self._memory = mmap.mmap(descriptor, 4 * count)
        values = np.frombuffer(self._memory, dtype=np.float32)
        self.frames: Float32Array = values[: ROWS * size].reshape(ROWS, *frame_shape)
        self.answers: Float32Array = values[ROWS * size :].reshape(ROWS, output_size)

    @staticmethod
    def make(frame_shape: tuple[int, int, int], output_size: int) -> int:
        """Return the descriptor of a new anonymous file of the right size; it has no name that could be left behind."""
        descriptor = os.memfd_create("fsq-edge-frames")
        os.ftruncate(descriptor, 4 * ROWS * (int(np.prod(frame_shape)) + output_size))
        return descriptor


@dataclass(frozen=True, slots=True)
class Job:
    """What the device process is started for.

    Attributes:
        hefs: architecture -> size in bytes; their bytes follow one another in the file of ``hef_descriptor``.
        frame_shape: (C', H, W).
        output_size: values of an answer: D, or D + F with the features.
        outputs: that the network has on the device, in the order of an answer.
        depth: requests under way at once in a batch.
        open_timeout_s: the longest that opening and configuring may take each.
        frame_descriptor: of the shared frames.
        hef_descriptor: of the HEFs.
    """

    hefs: dict[str, int]
    frame_shape: tuple[int, int, int]
    output_size: int
    outputs: tuple[DeviceOutput, ...]
    depth: int
    open_timeout_s: float
    frame_descriptor: int
    hef_descriptor: int

    def encode(self) -> bytes:
        """Return the message."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def decode(cls, message: bytes) -> Job:
        """Read the message."""
        values = json.loads(message)
        values["frame_shape"] = tuple(values["frame_shape"])
        values["outputs"] = tuple(DeviceOutput(*output) for output in values["outputs"])
        return cls(**values)


class Line:
    """One end of a pair of sockets that keeps message boundaries."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: bytes) -> bool:
        """Send a message and return whether the other side is there; never waits for it to be read."""
        try:
            self._end.send(message, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
        except OSError:  # gone, or so far behind that the queue is full
            return False
        return True

    def receive(self, deadline_ns: int | None = None) -> bytes | None:
        """Return the next message, empty when the other side is gone, or None when the deadline passed first."""
        while True:
            wait_ms = None if deadline_ns is None else max(0.0, (deadline_ns - time.monotonic_ns()) / 1e6)
            if not self._poll.poll(wait_ms):
                if deadline_ns is None or time.monotonic_ns() < deadline_ns:
                    continue
                return None
            try:
                return self._end.recv(MAX_MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    def close(self) -> None:
        """Close this end; the other side then receives an empty message."""
        self._end.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets that keep message boundaries."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def good(number: int, **values: Any) -> bytes:
    """Return the reply to a request that went well."""
    return REPLY.pack(1, number) + (json.dumps(values).encode() if values else b"")


def failed(number: int, error: BackendError) -> bytes:
    """Return the reply to a request that failed."""
    text = {"message": error.message, "hint": error.hint, "status": error.status}
    return REPLY.pack(0, number) + json.dumps(text).encode()


def outcome_of(reply: bytes) -> dict[str, Any]:
    """Return the values of a reply.

    Raises:
        BackendError: the request failed; as it was raised in the device process.
    """
    went_well, _ = REPLY.unpack_from(reply)
    values: dict[str, Any] = json.loads(reply[REPLY.size :]) if len(reply) > REPLY.size else {}
    if not went_well:
        raise BackendError(values["message"], hint=values["hint"], status=values["status"])
    return values
