"""A session: samples in, exactly one record for every window that becomes due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy.typing as npt

from fsq_edge_runtime.backends import Backend
from fsq_edge_runtime.backends.base import ReportsSwitches
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.stream.classifier import WindowClassifier
from fsq_edge_runtime.stream.counters import StreamCounters, total
from fsq_edge_runtime.stream.grid import Break, Piece
from fsq_edge_runtime.stream.records import Decision, Predictions, StreamEvent
from fsq_edge_runtime.stream.samples import SampleInput
from fsq_edge_runtime.stream.settings import StreamSettings
from fsq_edge_runtime.stream.state import StreamState

if TYPE_CHECKING:
    from fsq_edge_runtime.backends.fallback_policy import BackendEvent
    from fsq_edge_runtime.bundle.bundle import Bundle

Record = Decision | StreamEvent
Pushed = tuple[str, npt.ArrayLike, npt.ArrayLike | None]

MAX_STREAMS = 4096


class Session:
    """Streams through one opened bundle on one backend. For one thread; not safe to share.

    Args:
        bundle: the verified bundle.
        backend: runs the device graph; closed with the session.
        settings: policies for imperfect input; None takes the bundle's.
        decision: settings of the decision chain; None takes the bundle's.
        source_rate_hz: nominal rate of the sensors; None takes the settings'.
        deadline_ms: longest time from a window's last sample to its decision; None takes the settings', 0 is none.
        on_record: called with every decision and event in order, as it happens.

    Attributes:
        bundle: the bundle.
        backend: the backend; its ``name`` may change while it runs.
        settings: the policies in force.
        decision: the settings of the decision chain in force.

    Raises:
        UsageError: the rates cannot be brought together.
        DataError: settings that do not fit the model's channels.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        *,
        settings: StreamSettings | None = None,
        decision: DecisionSettings | None = None,
        source_rate_hz: float | None = None,
        deadline_ms: float | None = None,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:
        self.bundle, self.backend = bundle, backend
        changes = {"source_rate_hz": source_rate_hz, "deadline_ms": deadline_ms}
        given = {name: value for name, value in changes.items() if value is not None}
        self.settings = (settings or bundle.stream).model_copy(update=given)
        self.decision = decision or bundle.decision_for(backend.name)
        self.on_record = on_record
        config = self._config = bundle.preprocess
        self._classifier = WindowClassifier(bundle, backend, self.settings, self.decision.temperature)
        self._input = SampleInput([channel.name for channel in config.channels])
        self._size, self._hop = config.window_samples, config.hop_samples
        self._streams: dict[str, StreamState] = {}
        self._closed = StreamCounters()
        self._paused = False
        if isinstance(backend, ReportsSwitches) and backend.on_event is None:
            backend.on_event = self._switched
        StreamState("", config, self.settings, self.decision)  # refuses impossible rates now, not at the first push

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counters(self) -> dict[str, StreamCounters]:
        """Counters by stream, live."""
        return {name: state.counters for name, state in list(self._streams.items())}  # read by other threads, too

    @property
    def totals(self) -> StreamCounters:
        """Sum of the counters over all streams, those that were closed among them."""
        return total([*self.counters.values(), self._closed])

    def open_stream(self, stream: str, *, source_rate_hz: float | None = None) -> None:
        """Open a stream before its first push, to give it a rate of its own.

        Raises:
            UsageError: it is open, there are too many, or its rate cannot be brought to the model's.
        """
        if stream in self._streams:
            raise UsageError(f"stream {stream!r} is already open")
        changes = {} if source_rate_hz is None else {"source_rate_hz": source_rate_hz}
        self._open(stream, self.settings.model_copy(update=changes))

    def close_stream(self, stream: str) -> list[Decision]:
        """Forget a stream; return its last decisions as :meth:`drain` would. Its counters stay in :attr:`totals`."""
        decisions = self.drain(stream)
        self._closed = total([self._closed, self._streams.pop(stream).counters])
        return decisions

    def push(
        self,
        samples: npt.ArrayLike,
        timestamps: npt.ArrayLike | None = None,
        stream: str = "0",
        *,
        arrived_ns: int | None = None,
    ) -> list[Decision]:
        """Take samples and return what the windows that became due ended as, in order.

        Args:
            samples: (n, C) float32, raw units, any n; one sample may be (C,).
            timestamps: (n,) seconds of the source's clock; None counts at the nominal rate.
            stream: which stream they belong to.
            arrived_ns: ``time.monotonic_ns()`` at which they arrived; None is now. A window that has waited longer
                than the deadline since then is missed (``overrun``) and costs no inference: the newest wins.

        Raises:
            DataError: wrong shape or type.
            UsageError: too many streams.
            BackendError: the backend failed for good; the window it failed on was told to ``on_record`` as missed.
        """
        begun = time.monotonic_ns()
        state = self._streams.get(stream) or self._open(stream, self.settings)
        decisions = []
        for start in self._starts(state, samples, timestamps):
            decision = self._classifier.decide(state, start, begun, begun if arrived_ns is None else arrived_ns)
            decisions.append(decision)
            if self.on_record is not None:
                self.on_record(decision)
            if self._classifier.failure is not None:
                self._classifier.raise_failure()
            begun = time.monotonic_ns()
        return decisions

    def push_many(
        self,
        pushed: Mapping[str, npt.ArrayLike] | Iterable[Pushed],
        *,
        arrived_ns: int | None = None,
    ) -> list[Decision]:
        """Take samples of many streams; windows that become due together run as one batch.

        Args:
            pushed: ``{stream: samples}``, or (stream, samples, timestamps) any number of times per stream.
            arrived_ns: as in :meth:`push`, for all of them.

        Returns:
            The records, in the order of the input; codes and labels are those that :meth:`push` would give.

        Raises:
            DataError: wrong shape or type; samples handed in before the faulty ones are taken.
        """
        items = ((name, samples, None) for name, samples in pushed.items()) if isinstance(pushed, Mapping) else pushed
        arrived = time.monotonic_ns() if arrived_ns is None else arrived_ns
        decisions: list[Decision] = []
        try:
            for stream, samples, timestamps in items:
                state = self._streams.get(stream) or self._open(stream, self.settings)
                for start in self._starts(state, samples, timestamps):
                    if self._classifier.collect(state, start):
                        decisions += self._flush(arrived)
                        arrived = time.monotonic_ns() if arrived_ns is None else arrived_ns
        finally:
            decisions += self._flush(arrived)
        return decisions

    def predict(self, windows: npt.ArrayLike) -> Predictions:
        """Classify independent windows, with no smoothing between them and no quality checks beyond missing values.

        Args:
            windows: (N, C, T) float32, raw units, on the model's grid.

        Raises:
            DataError: wrong shape.
            BackendError: the backend failed; nothing is returned in its place.
        """
        return self._classifier.predict(windows)

    def pause(self) -> None:
        """Drop and count all samples until :meth:`resume`."""
        self._paused = True

    def resume(self) -> list[Decision]:
        """Take samples again, in new segments; return what was still due before the pause."""
        self._paused = False
        return self.drain()

    def lose(self, samples: int, stream: str = "0") -> None:
        """Account for samples that were dropped before they reached the session; the next ones start a new segment."""
        state = self._streams.get(stream) or self._open(stream, self.settings)
        state.lose(samples)

    def drain(self, stream: str | None = None) -> list[Decision]:
        """End the current segments (of one stream, or all) and return the windows that only a filter's delay held.

        What is pushed afterwards starts a new segment.
        """
        decisions = []
        states = list(self._streams.values()) if stream is None else [self._streams[stream]]
        for state in states:
            for start in self._place(state, state.finish("resume")):
                now = time.monotonic_ns()
                decisions.append(self._classifier.decide(state, start, now, now))
                self._tell(decisions[-1])
                self._classifier.raise_failure()
        return decisions

    def close(self) -> None:
        """Release the backend; what :meth:`drain` would return is given up."""
        self.backend.close()

    def _open(self, stream: str, settings: StreamSettings) -> StreamState:
        if len(self._streams) >= MAX_STREAMS:
            raise UsageError(f"more than {MAX_STREAMS} streams", hint="close_stream() forgets the ones that ended")
        state = self._streams[stream] = StreamState(stream, self._config, settings, self.decision)
        return state

    def _starts(self, state: StreamState, samples: npt.ArrayLike, timestamps: npt.ArrayLike | None) -> Iterable[int]:
        """Take samples; give the grid index of each window that becomes due, to be read at once."""
        rows, times = self._input.read(samples, timestamps)
        if self._paused:
            state.pause(len(rows))
            return ()
        if state.extend(rows, times):
            start = state.next_start
            beyond = state.ring.end - start - self._size
            if beyond < 0:
                return ()
            if beyond < self._hop:  # one, as when a push is a hop
                state.next_start = start + self._hop
                return (start,)
            return self._due(state)
        return self._place(state, state.take(rows, times))

    def _due(self, state: StreamState) -> Iterator[int]:
        while state.ring.end - state.next_start >= self._size:
            start = state.next_start
            state.next_start = start + self._hop
            yield start

    def _place(self, state: StreamState, pieces: list[Piece]) -> Iterator[int]:
        """Put pieces on the ring; yield the grid index of each window that becomes due, to be read at once."""
        ring = state.ring
        for piece in pieces:
            if piece.begins is not None:
                self._begin(state, piece.begins)
            first, n = 0, len(piece.rows)
            while first < n:
                last = min(n, first + ring.room)
                ring.append(piece, first, last, state.next_start)
                first = last
                yield from self._due(state)

    def _begin(self, state: StreamState, begins: Break) -> None:
        state.begin(begins.t_start)
        if begins.cause != "start":
            facts = {"cause": begins.cause, "t_start": begins.t_before, "t_end": begins.t_start}
            gap = StreamEvent("gap", state.name, facts)
            if not self._classifier.defer(state, gap):
                state.chain.reset()
                self._tell(gap)

    def _flush(self, arrived: int) -> list[Decision]:
        records = self._classifier.decide_batch(arrived)
        if self.on_record is not None:
            for record in records:
                self.on_record(record)
        self._classifier.raise_failure()
        return [record for record in records if isinstance(record, Decision)]

    def _switched(self, event: BackendEvent) -> None:
        facts = {
            "from": event.from_backend,
            "to": event.to_backend,
            "cause": event.cause,
            "code": event.code,
            "t_monotonic": event.t_monotonic,
        }
        self._tell(StreamEvent("backend", "", facts))

    def _tell(self, record: Record) -> None:
        if self.on_record is not None:
            self.on_record(record)
