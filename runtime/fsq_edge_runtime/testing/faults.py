"""What may go wrong on a fake device, and when: a script that tests write and the fake follows."""

from __future__ import annotations

import ctypes
import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fsq_edge_runtime.files import read_bounded, write_file

MAX_BYTES = 4096


class Silence:
    """Until when each call goes unanswered, on the monotonic clock, which all processes of a machine share.

    Args:
        path: a file that holds it, so that a test can silence the device of a child process; None keeps it in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._until: dict[str, float] = {}

    def begin(self, seconds: float, *calls: str) -> None:
        """Leave these calls unanswered from now on for so many seconds."""
        until = self._read()
        until.update(dict.fromkeys(calls, time.monotonic() + seconds))
        if self._path is None:
            self._until = until
        else:
            write_file(self._path, json.dumps(until).encode())

    def end(self) -> None:
        """Let the device answer everything again; a call that waits already goes on waiting."""
        self._until = {}
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def left_s(self, call: str) -> float:
        """Return for how many seconds this call still goes unanswered, 0 when it does not."""
        return max(0.0, self._read().get(call, 0.0) - time.monotonic())

    def _read(self) -> dict[str, float]:
        if self._path is None:
            return self._until
        if not self._path.exists():
            return {}
        return dict(json.loads(read_bounded(self._path, MAX_BYTES)))


VENDOR_REQUEST_TIMEOUT_S = 10.0
Kind = Literal["delay", "fail", "launch", "lost", "late", "never", "wrong", "damage", "throttle"]
THROTTLING_C = 105.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Kinds:
        delay: the device takes ``seconds`` longer; everything behind it waits.
        fail: the inference fails with ``status``; nothing raises, the output holds zeros, the callback gets the status.
        launch: ``run_async`` raises ``status`` and the configured model is shut down.
        lost: the device is gone: this inference and all later ones fail with ``status``, and opening fails with 74,
            ``reopens`` times; the opening after that finds it again.
        late: the result comes ``seconds`` late while the device serves what follows.
        never: neither result nor callback ever comes.
        wrong: this one result is noise that looks valid.
        damage: every result is noise until the device was opened ``reopens`` more times.
        throttle: the chip is hot, and each inference from this one on takes ``seconds`` longer, until
            :meth:`FaultScript.cool`.

    Attributes:
        kind: as above.
        status: HailoRT's code.
        seconds: for ``delay``, ``late`` and ``throttle``.
        reopens: for ``lost`` and ``damage``.
    """

    kind: Kind
    status: int = 0
    seconds: float = 0.0
    reopens: int = 0


class FaultScript:
    """Faults by number of inference, statuses of successive openings, and the state that is read off the chip.

    Args:
        inferences: number of the inference since the fake was made (from 0) -> fault.
        opens: statuses of the first calls of ``VDevice()``; 0 succeeds, 73 and 74 mean busy.
        open_seconds: how long each opening takes. Opening and configuring hold the interpreter lock, as the binding
            does.
        configures: statuses of the first calls of ``configure()``; 0 succeeds.
        configure_seconds: how long each configuration takes; may be set at any time.
        silence: which calls the device does not answer, and until when.
        temperature_c: what both sensors of the chip say; may be set at any time.
        power_w: what a power measurement gives; None: the board cannot measure (status 18).
    """

    def __init__(
        self,
        inferences: Mapping[int, Fault] | None = None,
        *,
        opens: Iterable[int] = (),
        open_seconds: float = 0.0,
        configures: Iterable[int] = (),
        configure_seconds: float = 0.0,
        temperature_c: float = 45.0,
        power_w: float | None = None,
        silence: Silence | None = None,
    ) -> None:
        self.temperature_c = temperature_c
        self.open_seconds = open_seconds
        self.configure_seconds = configure_seconds
        self.slowed_s = 0.0
        self.power_w = power_w
        self.silence = silence or Silence()
        self._inferences = dict(inferences or {})
        self._opens = deque(opens)
        self._configures = deque(configures)
        self._next: deque[Fault] = deque()
        self._count = 0
        self._lock = threading.Lock()

    def ask(self, call: str, seconds: float = 0.0) -> bool:
        """Wait as a call of the binding waits that holds the interpreter lock; nothing else of this process runs.

        Args:
            call: ``open``, ``identify``, ``temperature``, ``power``, ``configure`` or ``destroy``.
            seconds: how long it takes when the device answers.

        Returns:
            Whether the device answered before the library's request time limit.
        """
        silent = self.silence.left_s(call)
        limit = float(os.environ.get("HAILO_REQUEST_TIMEOUT_SECONDS") or VENDOR_REQUEST_TIMEOUT_S)
        hold_interpreter_lock(min(silent, limit) + seconds)
        return silent <= limit

    def inject(self, fault: Fault) -> None:
        """Let the next inference that has no fault of its own suffer this one."""
        with self._lock:
            self._next.append(fault)

    def heat(self, seconds: float) -> None:
        """Let the chip throttle: hot, and ``seconds`` slower."""
        self.temperature_c, self.slowed_s = THROTTLING_C, seconds

    def cool(self, temperature_c: float = 45.0) -> None:
        """End the throttling."""
        self.temperature_c, self.slowed_s = temperature_c, 0.0

    def next_inference(self) -> Fault | None:
        """Return the fault of the inference that starts now and count it."""
        with self._lock:
            fault = self._inferences.get(self._count)
            self._count += 1
            return fault or (self._next.popleft() if self._next else None)

    def next_open(self) -> int:
        """Return the status of the opening that starts now."""
        with self._lock:
            return self._opens.popleft() if self._opens else 0

    def next_configure(self) -> int:
        """Return the status of the configuration that starts now."""
        with self._lock:
            return self._configures.popleft() if self._configures else 0

    @property
    def inferences_started(self) -> int:
        """How many inferences were launched so far."""
        return self._count


def hold_interpreter_lock(seconds: float) -> None:
    """Sleep in C without letting go of Python's interpreter lock, as several calls of the binding do."""
    if seconds > 0:
        ctypes.PyDLL(None).poll(None, 0, int(seconds * 1000))
