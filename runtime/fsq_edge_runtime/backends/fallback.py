"""The hot fallback: the Hailo device while it is well, the CPU within the same window when it is not.

    device --error, deadline, lost, wrong codes--> CPU --back-off--> reopen --codes agree--> device
    device --hot--> CPU (device kept open, polled) --cool--> codes agree --> device

Every window ends as one result or one :class:`Missed`; nothing is answered twice and nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends.base import Backend, BackendSwitch, Missed
from fsq_edge_runtime.backends.fallback_policy import DeviceBackend, FallbackCounters, FallbackPolicy, ParityError
from fsq_edge_runtime.backends.shadow import ShadowComparison
from fsq_edge_runtime.backends.temperature import TemperatureQuestions
from fsq_edge_runtime.errors import BackendError

T = TypeVar("T")
# What is kept back of a deadline so that the CPU can still answer: the largest of the three amounts below.
LEAST_SPARE_NS = 2_000_000
SPARE_SHARE = 0.1
SPARE_FACTOR = 8  # times what the CPU usually needs
STABLE_NS = 10_000_000_000  # a device that served this long since it came back starts with a clean record


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run work on a daemon thread and return its future."""
    future: Future[T] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=body, name="hailo-reopen", daemon=True).start()
    return future


class FallbackBackend:
    """A device with a warm CPU standby. One owner thread, like every backend.

    Args:
        primary_factory: opens the device; raises BackendError.
        standby: the CPU backend; closed with this one.
        codes: t (N, D) -> code indices (N,); parity is judged on codes, since accuracy hides a damaged device.
        policy: see :class:`FallbackPolicy`.
        primary: the device, already opened; None starts on the CPU and opens it by the policy.
        code_counts: how often each code occurred in training, by code index; codes that training never had raise
            doubt. None leaves that out.
        width: D, the values of ``t`` at the start of an answer; None where answers have nothing else.
        on_event: called with every :class:`BackendSwitch`, on the caller's thread.
        clock: monotonic nanoseconds.
        background: runs the reopening; tests run it inline.

    Attributes:
        name: of the backend that answered the latest window.
        counters: what happened so far.
        temperature_c: as last polled, None before that.
        on_event: as given; may be set later.
    """

    def __init__(
        self,
        primary_factory: Callable[[], DeviceBackend],
        standby: Backend,
        codes: Callable[[Float32Array], Int64Array],
        policy: FallbackPolicy | None = None,
        *,
        primary: DeviceBackend | None = None,
        code_counts: Sequence[int] | None = None,
        width: int | None = None,
        on_event: Callable[[BackendSwitch], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        background: Callable[[Callable[[], DeviceBackend]], Future[DeviceBackend]] = in_thread,
    ) -> None:
        self.policy = policy or FallbackPolicy()
        self.counters = FallbackCounters()
        self.temperature_c: float | None = None
        self.name = primary.name if primary is not None else standby.name
        self._open_primary = primary_factory
        self._standby = standby
        self._codes = codes
        self._width = width
        self.on_event = on_event
        self._clock = clock
        self._background = background
        self._primary = primary
        self._retired: DeviceBackend | None = None  # to be closed, or hot and waiting to cool down
        self._cooling = False
        self._reopening: Future[DeviceBackend] | None = None
        self._questions = TemperatureQuestions(self.policy.poll_s)
        self._shadow = ShadowComparison(self.policy, code_counts)
        self._last_refusal = ""
        self._failures = 0
        self._retry_at_ns = clock()
        self._adopted_ns = clock()
        self._recent: deque[tuple[Float32Array, Float32Array]] = deque(maxlen=self.policy.parity_windows)
        self._standby_ns = 0

    def infer(self, frame: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """Return ``t`` (D,) for one frame (1, C', H, W), from the device or, in the same call, from the CPU.

        Args:
            frame: NCHW float32.
            deadline_ns: on the monotonic clock; None allows ``policy.deadline_s``.

        Raises:
            Missed: neither could answer before the deadline.
        """
        return self._run(frame, deadline_ns, single=True)

    def infer_batch(self, frames: Float32Array, deadline_ns: int | None = None) -> Float32Array:
        """Return ``t`` (N, D), a copy, for frames (N, C', H, W); a failing device hands the whole batch to the CPU.

        Raises:
            Missed: neither could answer before the deadline.
        """
        return self._run(frames, deadline_ns, single=False)

    def _run(self, frames: Float32Array, deadline_ns: int | None, *, single: bool) -> Float32Array:
        if not len(frames):
            return self._standby.infer_batch(frames)
        now = self._clock()
        limit = now + int(self.policy.deadline_s * 1e9) if deadline_ns is None else deadline_ns
        self.counters.windows += len(frames)
        self._adopt(now)
        self._poll(now)
        failure: BackendError | None = None
        device_limit = limit - self._spare(limit - now, len(frames))
        if self._primary is not None and device_limit > now:
            try:
                t = self._ask_device(self._primary, frames, device_limit, single=single)
            except BackendError as error:
                failure = error
                self._leave(error.message, error.status)
            else:
                self.counters.on_device += len(frames)
                self.name = self._primary.name
                return self._compared(frames, t)
        return self._ask_standby(frames, limit, failure, single=single)

    def _ask_device(self, device: DeviceBackend, frames: Float32Array, limit: int, *, single: bool) -> Float32Array:
        return device.infer(frames, limit) if single else device.infer_batch(frames, limit)

    def _spare(self, left_ns: int, windows: int) -> int:
        return max(LEAST_SPARE_NS, int(SPARE_SHARE * left_ns), SPARE_FACTOR * self._standby_ns * windows)

    def _ask_standby(
        self, frames: Float32Array, limit: int, failure: BackendError | None, *, single: bool
    ) -> Float32Array:
        started = self._clock()
        if started + self._standby_ns * len(frames) > limit:
            self.counters.missed += len(frames)
            self._standby_ns //= 2  # what one stall made long is asked again soon, not passed over for ever
            if failure is None:
                raise Missed("deadline", "the deadline had passed before it was the window's turn")
            raise Missed("backend", failure.message, status=failure.status) from failure
        try:
            t = self._standby.infer(frames) if single else self._standby.infer_batch(frames)
        except BackendError as error:
            self.counters.missed += len(frames)
            raise Missed("backend", error.message, status=error.status) from error
        took = (self._clock() - started) // len(frames)
        self._standby_ns = took if self._standby_ns == 0 else (7 * self._standby_ns + took) // 8
        self.name = self._standby.name
        latest = slice(-self.policy.parity_windows, None)
        for frame, row in zip(frames[latest], np.atleast_2d(t)[latest], strict=True):
            self._recent.append((frame.copy(), row.copy()))
        self._maybe_reopen(self._clock())
        return t

    def _compared(self, frames: Float32Array, t: Float32Array) -> Float32Array:
        """Compare the device with the CPU, now and then or because an answer is odd; return what is to be answered."""
        if not self.policy.shadow_every:
            return t
        rows = np.atleast_2d(t)
        code = int(self._codes(rows[-1:])[0])
        self.counters.doubts += self._shadow.look_at(rows[-1][: self._width], code)
        if not self._shadow.is_due(self.counters.on_device, len(frames)):
            return t
        try:
            mine = self._standby.infer(frames[-1:])
        except BackendError:
            return t
        agree = code == int(self._codes(mine[None])[0])
        self.counters.shadow_runs += 1
        differing = self._shadow.differing(agree)
        if agree:
            return t
        self.counters.shadow_differences += 1
        rows = rows.copy()
        rows[-1] = mine
        if differing > self.policy.parity_windows * (1 - self.policy.parity_agreement):
            self._leave(f"the device's codes differ from the CPU's on {differing} of the latest compared windows", None)
        return rows[0] if t.ndim == 1 else rows

    def _leave(self, cause: str, status: int | None, *, cooling: bool = False) -> None:
        """Hand over to the CPU and say so."""
        device, self._primary = self._primary, None
        assert device is not None  # noqa: S101 - callers have looked
        self._retired, self._cooling = device, cooling
        self._recent.clear()
        self._shadow.forget()
        now = self._clock()
        if now - self._adopted_ns > STABLE_NS:
            self._failures = 0
        self._back_off(now)
        self._switch(device.name, self._standby.name, cause, status)

    def _back_off(self, now: int) -> None:
        policy = self.policy
        delay_s = min(policy.first_retry_s * policy.retry_factor ** min(self._failures, 64), policy.longest_retry_s)
        self._failures += 1
        self._retry_at_ns = now + int(delay_s * 1e9)

    def _maybe_reopen(self, now: int) -> None:
        waiting = self._reopening is not None or self._primary is not None or self._cooling
        if waiting or now < self._retry_at_ns or len(self._recent) < self.policy.parity_windows:
            return
        frames = np.stack([frame for frame, _ in self._recent])
        expected = self._codes(np.stack([t for _, t in self._recent]))
        retired, self._retired = self._retired, None
        self.counters.reopen_attempts += 1
        self._reopening = self._background(lambda: self._reopen(retired, frames, expected))

    def _reopen(self, retired: DeviceBackend | None, frames: Float32Array, expected: Int64Array) -> DeviceBackend:
        """Close what failed, open anew, and let the device repeat the latest windows (on the background thread)."""
        if retired is not None:
            retired.close()
        device = self._open_primary()
        try:
            self._repeat(device, frames, expected)
        except BaseException:
            device.close()
            raise
        return device

    def _repeat(self, device: DeviceBackend, frames: Float32Array, expected: Int64Array) -> None:
        agreeing = int((self._codes(device.infer_batch(frames)) == expected).sum())
        if agreeing < self.policy.parity_agreement * len(frames):
            raise ParityError(f"the device's codes agree with the CPU's on {agreeing} of {len(frames)} windows only")

    def _adopt(self, now: int) -> None:
        """Take a device that came back, or wait longer for one that did not."""
        if self._reopening is None or not self._reopening.done():
            return
        finished, self._reopening = self._reopening, None
        try:
            self._primary = finished.result()
        except Exception as error:  # noqa: BLE001 - whatever a broken device raises when opened, the CPU serves on
            self._back_off(now)
            self._refused(error)
            return
        self._adopted_ns = now
        self._last_refusal = ""
        self._switch(self._standby.name, self._primary.name, "the device is back and its codes agree", None)

    def _refused(self, error: Exception) -> None:
        """Say why the device did not come back, once for each cause in a row."""
        cause = error.message if isinstance(error, BackendError) else f"{type(error).__name__}: {error}"
        if cause == self._last_refusal and not isinstance(error, ParityError):
            return
        self._last_refusal = cause
        status = error.status if isinstance(error, BackendError) else None
        name = self._standby.name
        self._emit(name, name, f"the device did not come back: {cause}", status)

    def _poll(self, now: int) -> None:
        """Keep an eye on the temperature without waiting for it."""
        answered, heat = self._questions.answer(now)
        if heat is not None:
            self._heat(heat)
        elif answered and self._cooling:
            self._cooling = False  # a device that no longer answers is opened again like any lost one
        self._questions.ask(self._primary or (self._retired if self._cooling else None), now)

    def _heat(self, temperature_c: float) -> None:
        self.temperature_c = temperature_c
        if self._primary is not None and temperature_c >= self.policy.hot_c:
            self._leave(f"the device is at {temperature_c:.0f} C and about to throttle", None, cooling=True)
        elif self._cooling and temperature_c <= self.policy.cool_c:
            self._cooling = False  # from here on it comes back like after any other failure, parity check included
            self._emit(self._standby.name, self._standby.name, f"the device cooled down to {temperature_c:.0f} C", None)

    def _switch(self, before: str, after: str, cause: str, status: int | None) -> None:
        self.counters.switches += 1
        self.name = after
        self._emit(before, after, cause, status)

    def _emit(self, before: str, after: str, cause: str, status: int | None) -> None:
        if self.on_event is not None:
            self.on_event(BackendSwitch(before, after, cause, status, self._clock() / 1e9))

    def state(self) -> dict[str, float | int | str | None]:
        """Return the device's temperature (degrees Celsius, as last polled), who serves, and the counters."""
        return {"temperature_c": self.temperature_c, "serving": self.name, **dataclasses.asdict(self.counters)}

    def close(self) -> None:
        """Close the device, the standby, and a device that is still being opened as soon as it is."""
        if self._reopening is not None:
            self._reopening.add_done_callback(lambda done: None if done.exception() else done.result().close())
            self._reopening = None
        for backend in (self._primary, self._retired, self._standby):
            if backend is not None:
                backend.close()
        self._primary = self._retired = None


if TYPE_CHECKING:
    _: type[Backend] = FallbackBackend
