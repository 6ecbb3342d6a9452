"""A session: samples in, exactly one record for every window that becomes due."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy.typing as npt

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends import Backend
from fsq_edge_runtime.backends.base import PROCESSOR_BACKENDS, BackendSwitch, ReportsSwitches
from fsq_edge_runtime.decision import DecisionChain, DecisionSettings
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.stream.classifier import WindowClassifier
from fsq_edge_runtime.stream.counters import StreamCounters, total
from fsq_edge_runtime.stream.express import open_express
from fsq_edge_runtime.stream.lockstep import Lockstep, Part, Pushed
from fsq_edge_runtime.stream.records import RELIEF, Decision, Gap, Predictions, Record, StreamEvent
from fsq_edge_runtime.stream.samples import SampleInput
from fsq_edge_runtime.stream.settings import StreamSettings
from fsq_edge_runtime.stream.state import StreamState

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle
    from fsq_edge_runtime.drift import DriftWatch
    from fsq_edge_runtime.personal.roster import OverlayGiven, Roster

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
        overlay: makes the network one wearer's own: an overlay or its path for every stream, or overlays by stream
            (the empty name stands for all others).
        features: whether the backend's answers have features behind ``t``, as an overlay may need.
        keep_features: put the features into every decision.
        backend_reason: why this backend was chosen, one sentence; empty when the caller chose it.
        fallback: whether the CPU stands in for a device (see :attr:`fallback_reason`).

    Attributes:
        bundle: the bundle.
        backend: the backend; its ``name`` may change while it runs.
        backend_reason: why the backend was chosen when the session was opened; empty when the caller chose it.
        fallback_reason: why the CPU stands in for the Hailo device now; None while the device serves, or when the CPU
            was asked for.
        opening: the choice of the backend as a record, for whoever writes records.
        settings: the policies in force.
        decision: the settings of the decision chain in force.
        latest_ns: ``time.monotonic_ns()`` at which the latest window ended its way; 0 before.

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
        overlay: OverlayGiven | Mapping[str, OverlayGiven] | None = None,
        features: bool = False,
        keep_features: bool = False,
        backend_reason: str = "",
        fallback: bool = False,
    ) -> None:
        self.bundle, self.backend = bundle, backend
        self.backend_reason = backend_reason
        self.fallback_reason = backend_reason if fallback else None
        self.opening = BackendSwitch(None, backend.name, backend_reason)
        changes = {"source_rate_hz": source_rate_hz, "deadline_ms": deadline_ms}
        given = {name: value for name, value in changes.items() if value is not None}
        self.settings = (settings or bundle.stream).model_copy(update=given)
        if not all(math.isfinite(value) for value in given.values()):
            raise UsageError("a rate or a deadline is not a number", hint="give the sensor's nominal rate in Hz")
        self.decision = decision or bundle.decision_for(backend.name)
        self.on_record = on_record
        self._together: tuple[object, Callable[[Sequence[Record]], None]] | None = None
        config = self._config = bundle.preprocess
        self._classifier = WindowClassifier(
            bundle,
            backend,
            self.settings,
            self.decision.temperature,
            features=bundle.features if features else 0,
            keep_features=keep_features and features,
        )
        self._express = open_express(self._classifier, config)
        self._roster: Roster | None = None
        if overlay is not None:
            self._wearers().give_all(overlay)
        self._input = SampleInput([channel.name for channel in config.channels])
        self._streams: dict[str, StreamState] = {}
        self._lockstep = Lockstep(config, len(bundle.classes) if self._classifier.in_columns else 0)
        self._closed = StreamCounters()
        self._paused = False
        self.latest_ns = 0
        self._drift: DriftWatch | None = None
        if isinstance(backend, ReportsSwitches) and backend.on_event is None:
            backend.on_event = self._switched
        # Refuses impossible rates now, not at the first push.
        StreamState("", config, self.settings, self.decision, self._gap)

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
    def heads(self) -> dict[str, int]:
        """Streams with an overlay by the head that answers them, ``personal`` or ``base``; empty without any."""
        wearers = [state.wearer for state in list(self._streams.values()) if state.wearer is not None]
        away = sum(wearer.guard.away for wearer in wearers)
        return {"personal": len(wearers) - away, "base": away} if wearers else {}

    @property
    def totals(self) -> StreamCounters:
        """Sum of the counters over all streams, those that were closed among them."""
        return total([*self.counters.values(), self._closed])

    @property
    def classes(self) -> tuple[str, ...]:
        """What a label can be besides ``unknown``: the bundle's classes, then those that overlays add."""
        return (*self.bundle.classes, *(self._roster.new_classes if self._roster is not None else ()))

    def report_to(self, each: Callable[[Record], None], together: Callable[[Sequence[Record]], None]) -> None:
        """Set ``on_record``, and what is called in its place with records that come together.

        Args:
            each: the new ``on_record``. Whatever takes its place there later is called with every record.
            together: called with records in order, at most ``RELIEF`` of them, as ``each`` would be with each.
        """
        self.on_record, self._together = each, (each, together)

    def watch_drift(self) -> None:
        """Judge from now on every 64 windows of a stream whether it drifts; alarms are ``drift`` records."""
        from fsq_edge_runtime.drift import DriftWatch

        self._drift = DriftWatch(self.bundle)
        for state in self._streams.values():
            state.past = None

    def look_at_arrival(self) -> None:
        """Report streams whose samples, without timestamps, do not come at the rate that they are counted at.

        For samples that are pushed as a sensor takes them, now and then; nothing where drift is not watched.
        """
        if self._drift is not None:
            for event in self._drift.arrival.look(self._streams.values(), time.monotonic_ns()):
                self._emit(event)

    def expect_wait(self, wait_s: float) -> None:
        """Say how long samples wait on purpose before they are pushed, seconds; 0 at first.

        An engine that is behind leaves windows out that have waited long: this wait is not taken for being behind.
        """
        self._classifier.batch.expect_wait(int(wait_s * 1e9))

    def samples_until_due(self) -> int:
        """Return how many samples are due until the next window is, of the one stream in good order; 1 for any others.

        Irregular samples may make it due earlier.
        """
        if len(self._streams) != 1 or self._paused:
            return 1
        return next(iter(self._streams.values())).until_due

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
        if self._drift is not None:
            self._drift.forget(stream)
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
            BackendError: the backend failed for good; the window it failed on was reported to ``on_record`` as missed.
        """
        begun = time.monotonic_ns()
        if self._lockstep.cohorts:
            self._part()
        state, drift = self._streams.get(stream) or self._open(stream, self.settings), self._drift
        found = None
        if self._express is not None and not self._paused:
            found = self._express(state, samples, timestamps, begun, begun if arrived_ns is None else arrived_ns)
            if isinstance(found, list):
                if found:
                    record, past = found[0], None
                    if drift is not None:  # what a look and _emit do, in fewer steps
                        past = state.past
                        if past is None:
                            past = state.past = drift.of(stream)
                        seq = state.seq - 1
                        if not seq % past.every:
                            past.hold(seq, state.ring.latest_due, 1.0)
                    if self.on_record is not None:
                        self.on_record(record)
                        if past is not None and past.count(record) and drift is not None:
                            for event in drift.judge(past, record):
                                self.on_record(event)
                    if self._classifier.answers.events:
                        self._say_events()
                    self.latest_ns = time.monotonic_ns()
                return found
        classifier, decisions = self._classifier, []
        due: Iterable[int] = (found,) if isinstance(found, int) else self._take(state, samples, timestamps)
        for start in due:
            begun = begun or time.monotonic_ns()
            if drift is not None and state.seq % drift.every == 0:
                drift.look(stream, state.seq, state.ring.window(start), state.rate(start))
            decision = classifier.decide(state, start, begun, begun if arrived_ns is None else arrived_ns)
            decisions.append(decision)
            if self.on_record is not None:  # asked here, or every decision would pay for a call that does nothing
                self._emit(decision)
            if classifier.answers.events:
                self._say_events()
            if classifier.inference.failure is not None:
                classifier.inference.raise_failure()
            begun = 0
        if decisions:
            self.latest_ns = time.monotonic_ns()
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
        lockstep = self._lockstep
        if lockstep.cohorts:
            parts = lockstep.parts(pushed)
            if parts is not None:
                return self._push_together(parts, arrived_ns)
            self._part()
        items = ((name, samples, None) for name, samples in pushed.items()) if isinstance(pushed, Mapping) else pushed
        decisions = self._push_each(items, arrived_ns)
        if not self._paused:
            lockstep.note(pushed, self._streams)
        return decisions

    def _push_each(self, items: Iterable[Pushed], arrived_ns: int | None) -> list[Decision]:
        """Take samples stream by stream; answer windows in batches."""
        arrived = time.monotonic_ns() if arrived_ns is None else arrived_ns
        decisions: list[Decision] = []
        streams, collect, drift = self._streams, self._classifier.batch.collect, self._drift
        try:
            for stream, samples, timestamps in items:
                state = streams.get(stream) or self._open(stream, self.settings)
                for start in self._take(state, samples, timestamps):
                    if drift is not None and state.seq % drift.every == 0:
                        drift.look(stream, state.seq, state.ring.window(start), state.rate(start))
                    if collect(state, start):
                        decisions += self._flush(arrived)
                        arrived = time.monotonic_ns() if arrived_ns is None else arrived_ns
        finally:
            decisions += self._flush(arrived)
        return decisions

    def _push_together(self, parts: Iterable[Part], arrived_ns: int | None) -> list[Decision]:
        """Take samples cohort by cohort; a cohort that cannot take its own parts, and all with it."""
        decisions: list[Decision] = []
        for cohort, samples, times in parts:
            if cohort.parted or not cohort.take(samples, times):
                self._part()
                given = repeat(None) if times is None else times
                decisions += self._push_each(zip(cohort.names, samples, given, strict=False), arrived_ns)
                continue
            if self._drift is not None:
                for stream, seq, window in cohort.sampled(self._drift.every):
                    self._drift.look(stream, seq, window, 1.0)
            arrived = time.monotonic_ns() if arrived_ns is None else arrived_ns
            found = self._classifier.batch.decide_together(cohort, arrived)
            self.latest_ns = time.monotonic_ns() if found else self.latest_ns
            if self._drift is None or cohort.parted or len(found) < len(cohort.names):
                self._emit_all(found)
            elif self.on_record is not None:
                self._write(found)
                for event in self._drift.see_round(cohort.names, found):
                    self.on_record(event)
            self._classifier.inference.raise_failure()
            decisions += found
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
        self._part()
        self._paused = True

    def resume(self) -> list[Decision]:
        """Take samples again, in new segments; return what was still due before the pause."""
        self._paused = False
        return self.drain()

    def lose(self, samples: int, stream: str = "0") -> None:
        """Account for samples that were dropped before they reached the session; the next ones start a new segment."""
        self._part()
        state = self._streams.get(stream) or self._open(stream, self.settings)
        state.lose(samples)

    def drain(self, stream: str | None = None, *, deadline_ns: int | None = None) -> list[Decision]:
        """End the current segments (of one stream, or all) and return the windows that only a filter's delay held.

        What is pushed afterwards starts a new segment.

        Args:
            stream: which one; None is all.
            deadline_ns: monotonic nanoseconds from which on no window is answered any more: the rest is missed
                (``overrun``), so that an end takes no longer than it may. None is no limit.

        Cost: a window that is missed costs no inference; 4,096 resampled streams took a second then.
        """
        self._part()
        decisions = []
        states = list(self._streams.values()) if stream is None else [self._streams[stream]]
        for state in states:
            for start in state.finish("resume"):
                now = time.monotonic_ns()
                if deadline_ns is not None and now >= deadline_ns:
                    decisions.append(self._classifier.lose(state, start))
                    self._emit(decisions[-1])
                    continue
                decisions.append(self._classifier.decide(state, start, now, now))
                self.latest_ns = now
                self._emit(decisions[-1])
                self._say_events()
                self._classifier.inference.raise_failure()
        self._say_drift()
        return decisions

    def continue_from(self, former: Session) -> None:
        """Take over the streams of another session between two pushes, so that none of their samples is lost.

        Each stream keeps its grid, the samples that its next window needs, its numbers and its counters. Where the
        settings of the decision chain differ, its smoothing starts afresh. Drift is learned anew.

        Args:
            former: of a bundle with the same channels, windows, classes and policies; it has no streams afterwards.

        Raises:
            UsageError: the two differ in what streams are made of; nothing has changed then.
        """
        mine, theirs = _stream_facts(self), _stream_facts(former)
        for name, value in mine.items():
            if value != theirs[name]:
                raise UsageError(
                    f"the new bundle has another {name}: {value}, it was {theirs[name]}", hint="start the stream again"
                )
        former._lockstep.part()
        former._say_drift()
        chain_ms = 1000.0 * self._config.hop_samples / self._config.sample_rate_hz
        for state in former._streams.values():
            state.hand_over(self._gap)
            if self.decision != former.decision:
                state.chain = DecisionChain(self.decision, chain_ms)
            if state.lesson is not None:
                self._take_over_lesson(state, former)
            state.wearer = self._roster.wearer_of(state.name) if self._roster is not None else None
        self._streams, former._streams = former._streams, {}
        self._closed, self._paused, self.latest_ns = former._closed, former._paused, former.latest_ns
        self.on_record, former.on_record = former.on_record, None
        self._together, former._together = former._together, None
        if former._drift is not None:
            self.watch_drift()

    def _take_over_lesson(self, state: StreamState, former: Session) -> None:
        """Keep what a stream was taught where the network is the same one; forget it where it is another."""
        from fsq_edge_runtime.personal.overlay import network_digest

        lesson = state.lesson
        if network_digest(self.bundle) != network_digest(former.bundle) or not self._classifier.features:
            state.lesson = None
        elif lesson is not None and lesson.before and lesson.current is not None:
            self._wearers().give(lesson.current, state.name)

    def close(self) -> None:
        """Release the backend; what :meth:`drain` would return is given up."""
        self.backend.close()

    def _open(self, stream: str, settings: StreamSettings) -> StreamState:
        if len(self._streams) >= MAX_STREAMS:
            raise UsageError(f"more than {MAX_STREAMS} streams", hint="close_stream() forgets the ones that ended")
        state = self._streams[stream] = StreamState(stream, self._config, settings, self.decision, self._gap)
        if self._roster is not None:
            state.wearer = self._roster.wearer_of(stream)
        return state

    def set_overlay(self, stream: str, overlay: OverlayGiven | None) -> None:
        """Give a stream an overlay, in place of the one it has, or take it away (None); others go on as they are.

        The stream's smoothing starts afresh.

        Raises:
            MissingInputError: no such file.
            DataError: damaged, or made for another network.
            UsageError: it reads features, and the session was opened without them.
        """
        self._part()
        roster = self._wearers()
        roster.give(overlay, stream)
        state = self._streams.get(stream)
        if state is not None:
            state.wearer = roster.wearer_of(stream)
            state.chain.reset()

    def teach(self, label: str | None, stream: str = "0") -> dict[str, object] | None:
        """Say what a stream's wearer does from now on; None ends that, and fits a head to all that was taught.

        Windows count that begin after this call and end before the next one. The head is put in where it passes the
        gate of ``personalize``; :meth:`forget` takes it out again. What happened is an ``overlay`` record.

        Args:
            label: a class of the bundle, or None.
            stream: whose.

        Returns:
            What the record says after a fit: ``action`` (``taught`` or ``refused``), ``windows``, and the macro-F1
            before and after, or the ``reasons``; None where nothing was fitted.

        Raises:
            UsageError: no class of the bundle, or a head without codes.
        """
        from fsq_edge_runtime.personal.teaching import NO_LABEL, Lesson, class_number

        self._part()
        number = NO_LABEL if label is None else class_number(self.bundle, label)
        roster = self._wearers()
        state = self._streams.get(stream) or self._open(stream, self.settings)
        if state.lesson is None:
            if label is None:
                return None
            state.lesson = Lesson(self.bundle.tail.width, current=roster.overlay_of(stream))
        state.lesson.begin(number, state.time)
        if label is not None:
            self._emit(StreamEvent("overlay", stream, {"action": "teach", "label": label, "t": state.time}))
            return None
        if not state.lesson.added:
            return None
        facts = state.lesson.fit(self.bundle, stream)
        if facts["action"] == "taught":
            self.set_overlay(stream, state.lesson.current)
        self._emit(StreamEvent("overlay", stream, {"t": state.time, **facts}))
        return facts

    def forget(self, stream: str = "0") -> None:
        """Go back to what a stream had before the last head that it was taught, and drop what was taught since then.

        Raises:
            UsageError: nothing was taught to this stream.
        """
        self._part()
        state = self._streams.get(stream)
        if state is None or state.lesson is None:
            raise UsageError(f"nothing was taught to the stream {stream!r}", hint="session.teach(label, stream) does")
        facts = state.lesson.forget()
        self.set_overlay(stream, state.lesson.current)
        self._emit(StreamEvent("overlay", stream, {"t": state.time, **facts}))

    def _wearers(self) -> Roster:
        if self._roster is None:
            from fsq_edge_runtime.personal.roster import Roster  # only streams with an overlay pay for it

            self._roster = Roster(self.bundle, bool(self._classifier.features))
        return self._roster

    def _say_events(self) -> None:
        """Report what the latest window changed about the wearer."""
        events = self._classifier.answers.events
        for event in events:
            self._emit(event)
        events.clear()

    def _part(self) -> None:
        """Let streams that moved in step move by themselves again, once all is said of their drift."""
        self._lockstep.part()
        self._say_drift()

    def _say_drift(self) -> None:
        """Report what blocks show that are complete, but wait: those of streams in step are judged a few a round."""
        for event in self._drift.settle() if self._drift is not None else ():
            if self.on_record is not None:
                self.on_record(event)

    def _take(self, state: StreamState, samples: npt.ArrayLike, timestamps: npt.ArrayLike | None) -> Iterable[int]:
        """Take samples; give the grid index of each window that becomes due, to be read at once."""
        rows, times = self._input.read(samples, timestamps)
        return self._drop(state, rows) if self._paused else state.take(rows, times)

    def _drop(self, state: StreamState, rows: Float32Array) -> Iterable[int]:
        """Count samples that come while the session is paused."""
        state.pause(len(rows))
        return ()

    def _gap(self, state: StreamState, gap: Gap) -> None:
        if not self._classifier.batch.defer(state, gap):
            state.chain.reset()
            self._emit(gap)

    def _flush(self, arrived: int) -> list[Decision]:
        records = self._classifier.batch.decide(arrived)
        self.latest_ns = time.monotonic_ns() if records else self.latest_ns
        self._emit_all(records)
        self._classifier.inference.raise_failure()
        return [record for record in records if isinstance(record, Decision)]

    def _switched(self, switch: BackendSwitch) -> None:
        self.fallback_reason = switch.cause if switch.to_backend in PROCESSOR_BACKENDS else None
        self._emit(switch)

    def _emit(self, record: Record) -> None:
        if self.on_record is not None:
            self.on_record(record)
            if self._drift is not None:
                for event in self._drift.see(record):
                    self.on_record(event)

    def _emit_all(self, records: Sequence[Record]) -> None:
        """Do what :meth:`_emit` does with each of records."""
        if self._drift is None:
            self._write(records)
            return
        for record in records:
            self._emit(record)

    def _write(self, records: Sequence[Record]) -> None:
        """Hand records that came together to whoever takes them."""
        if self.on_record is None:
            return
        if self._together is None or self._together[0] is not self.on_record:
            for record in records:
                self.on_record(record)
            return
        for at in range(0, len(records), RELIEF):
            self._together[1](records[at : at + RELIEF])


def _stream_facts(session: Session) -> dict[str, object]:
    """Return what the streams of a session are made of, by the name that people know it by."""
    config, settings = session.bundle.preprocess, session.settings
    return {
        "list of channels": [f"{channel.name} ({channel.unit})" for channel in config.channels],
        "rate": config.sample_rate_hz,
        "window": config.window_samples,
        "hop": config.hop_samples,
        "longest gap": config.max_gap_ms,
        "list of classes": list(session.bundle.classes),
        "rate of the source": settings.source_rate(config),
        "resampler": settings.uses_polyphase(config),
        "policy for time": (settings.jitter_tolerance, settings.clock_jump_s, settings.late_limit),
    }
