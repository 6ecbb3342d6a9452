"""Sources, one session, sinks: the loop that ``fsq-edge run`` is."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fsq_edge_runtime.backends.base import ReportsState
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.session import MAX_STREAMS, Session
from fsq_edge_runtime.sinks.base import KeepsRecords, ReadsFacts, Sink, TakesSamples
from fsq_edge_runtime.sinks.queued import QueuedSink
from fsq_edge_runtime.sources.base import POLL_S, Chunk, Source
from fsq_edge_runtime.sources.parsing import DEFAULT_STREAM
from fsq_edge_runtime.stream.records import RELIEF, Record, StreamEvent

if TYPE_CHECKING:
    from fsq_edge_runtime.alerts import AlertWatch
    from fsq_edge_runtime.reloading import Reloader

Write = Callable[[Record], None]
WriteAll = Callable[[Sequence[Record]], None]

# Between the sources and the engine, in single samples: a quarter of an hour of one sensor at 100 Hz. Four samples of a
# longer chunk take the memory of one that comes alone: of 4,096 sensors at 50 Hz almost two seconds.
MAX_WAITING = 100_000
HELD = 0.25  # of the deadline, for samples that make no window due; a gap among them may still do
LEAST_HOLD_S = 0.02  # or none is held: it would be two samples of a slow sensor
SLICE = 256  # chunks handed in before the runner looks whether it should stop
# From the moment the runner sees that it should stop; with POLL_S and the sinks' second it stays below two.
DRAIN_S = 0.4
JOIN_S = POLL_S + 0.05
CLOSE_S = 0.9
CLOSE_SOURCES_S = 0.2


class ChunkQueue:
    """Chunks that wait for the engine, bounded by their memory; when it is full the oldest make way.

    Cost: a sensor of 100 Hz would wake the engine a hundred times a second, which costs more than all its windows; so
    it says how many samples are worth waking it for. It waits on a plain lock that the writers release; a
    ``Condition`` costs twice as much.
    """

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._chunks: deque[Chunk] = deque()
        self._samples = self._size = 0
        self._wanted = 1
        self._lost: dict[str, int] = {}
        self._guard = threading.Lock()
        self._filled = threading.Lock()  # held while there is too little to take
        self._filled.acquire()

    def put(self, chunk: Chunk) -> None:
        """Add a chunk; never blocks."""
        with self._guard:
            self._chunks.append(chunk)
            self._samples += len(chunk.samples)
            self._size += _size_of(chunk)
            while self._size > self._limit and len(self._chunks) > 1:
                oldest = self._chunks.popleft()
                self._samples -= len(oldest.samples)
                self._size -= _size_of(oldest)
                self._lost[oldest.stream] = self._lost.get(oldest.stream, 0) + len(oldest.samples)
            if self._filled.locked() and (self._samples >= self._wanted or chunk.taught is not None or self._lost):
                self._filled.release()

    def want(self, samples: int) -> None:
        """Let :meth:`take` wait for so many samples, 1 at first; what is fewer is given when its time is up."""
        with self._guard:
            self._wanted = samples
            if self._samples >= samples and self._filled.locked():
                self._filled.release()

    @property
    def waiting(self) -> int:
        """Samples that wait now."""
        return self._samples

    def take(self, timeout_s: float, gather_s: float = 0.0) -> tuple[dict[str, int], list[Chunk]]:
        """Return the samples lost by stream, all before the chunks, and the chunks; both may be empty. One reader.

        Args:
            timeout_s: how long to wait for as much as is wanted.
            gather_s: let the oldest chunk grow so old meanwhile, for others to be taken with it.
        """
        if not self._filled.acquire(timeout=timeout_s) and not self._chunks:
            return {}, []
        if gather_s:
            with self._guard:
                age_s = (time.monotonic_ns() - self._chunks[0].arrived_ns) / 1e9
            time.sleep(min(max(0.0, gather_s - age_s), gather_s))
        with self._guard:
            lost, chunks = self._lost, list(self._chunks)
            self._lost, self._samples, self._size = {}, 0, 0
            self._chunks.clear()
            if not self._filled.locked():  # a chunk came between the two locks, and was taken with the others
                self._filled.acquire()
            return lost, chunks


def _size_of(chunk: Chunk) -> int:
    """Return the memory of a chunk, in chunks of one sample; one that teaches takes its place, too."""
    return max(1, (len(chunk.samples) + 3) // 4)


class Runner:
    """Runs a session from its sources to its sinks.

    Recordings that are not paced are replayed on this thread, one after the other, without loss. Live sources are read
    on threads of their own, so that nothing but a bounded queue stands between a sensor and its samples. With several
    sources, samples without a stream id belong to the stream named after their source's number, from 0. When a stream
    more than the session holds turns up, the one that has been silent longest is closed and counted as ``forgotten``.

    Args:
        session: opened; its ``on_record`` is taken over.
        sources: at least one.
        sinks: where every record goes.
        opening: reported when the first samples have come, such as ``session.opening``.
        stats_s: seconds between ``stats`` events of a live run; 0 is none.
        teach: take lines that teach, which are malformed otherwise.
        max_wait_s: let live samples wait up to so long for those of other streams, so that their windows run as one
            batch; at most half of the deadline. An engine that is behind does not wait.
        heartbeat: called at least every ``POLL_S`` while a live run is well.
        alerts: sees every record; what it raises is a record, too.
        reloader: gives the session that replaces this one, between two pushes.

    Raises:
        UsageError: live sources together with recordings that are not paced.
    """

    def __init__(
        self,
        session: Session,
        sources: Sequence[Source],
        sinks: Sequence[Sink],
        *,
        opening: Record | None = None,
        stats_s: float = 0.0,
        heartbeat: Callable[[], object] = lambda: None,
        alerts: AlertWatch | None = None,
        reloader: Reloader | None = None,
        teach: bool = False,
        max_wait_s: float = 0.0,
    ) -> None:
        self._session, self._sources, self._stats_s = session, sources, stats_s
        self._sinks: list[Sink] = []
        self._writes: list[Write] = []  # of the sinks that can be written
        self._writes_all: list[WriteAll] = []  # in the same order
        self._keepers: list[KeepsRecords] = []
        self._unrelieved = 0  # records since the keepers worked off what waits
        self._watchers: list[TakesSamples] = []
        self._heartbeat, self._alerts, self._reloader = heartbeat, alerts, reloader
        self._teach = teach
        deadline_ns = session.settings.deadline_ns(session.bundle.preprocess)
        self._gather_s = max_wait_s if deadline_ns is None else min(max_wait_s, deadline_ns / 2e9)
        session.expect_wait(self._gather_s)
        patience_ns = session.settings.deadline_ns(session.bundle.preprocess)
        hold_s = POLL_S if patience_ns is None else min(POLL_S, HELD * patience_ns / 1e9)
        self._poll_s, self._holds = (hold_s, True) if hold_s >= LEAST_HOLD_S else (POLL_S, False)
        self._live = any(source.live for source in sources)
        if self._live and not all(source.live for source in sources):
            raise UsageError("recordings next to live sources must be paced", hint="--pace realtime")
        self._queue = ChunkQueue()
        self._opening, self._started = opening, False
        self._failure: Exception | None = None
        self._sink_failure: Exception | None = None  # raised once the windows that are decided are with the others
        self._reading = 0
        self._recent: dict[str, None] = {}  # streams, the most recent last
        self._forgotten = 0
        self._end_ns: int | None = None  # when answering ends, once the runner was stopped
        self._left = 0  # samples that were still waiting then
        for sink in sinks:
            self.attach(sink)
        session.report_to(self._emit, self._emit_all)

    def run(self, stop: threading.Event) -> dict[str, Any]:
        """Run until every source has ended or ``stop`` is set; return the facts of the ``end`` record.

        Raises:
            FsqEdgeError: a source or the backend failed for good. Once samples have come, the sinks get the ``end``
                record all the same.
            OSError: a sink that is not queued cannot be written; whatever else it raises comes through, too.
        """
        try:
            self._run(stop)
            return self._say_end()
        finally:
            close_together(self._sources, CLOSE_SOURCES_S)

    def _run(self, stop: threading.Event) -> None:
        try:
            if self._live:
                self._run_live(stop)
            else:
                for number, source in enumerate(self._sources):
                    for chunk in source.chunks(stop):
                        self._push({}, self._named(chunk, number))
                        self._reload()
                        self._raise_sink_failure()
            self._session.drain(deadline_ns=self._end_ns_of(stop))
            self._raise_sink_failure()
        except BaseException:
            self._failure = None
            self._say_end(suppress=True)
            raise

    def _say_end(self, *, suppress: bool = False) -> dict[str, Any]:
        """Write the ``end`` record to every sink that can be written; raise what a source failed of."""
        facts, failure = self.facts(), self._failure
        if self._started or (failure is None and not suppress):
            self._emit(StreamEvent("end", "", facts))
            if not suppress:
                self._raise_sink_failure()
        if failure is not None:
            raise failure
        return facts

    def _end_ns_of(self, stop: threading.Event) -> int | None:
        """Return when answering must end, monotonic nanoseconds; None while nobody wants the runner to stop."""
        if self._end_ns is None and stop.is_set():
            self._end_ns = time.monotonic_ns() + int(DRAIN_S * 1e9)
        return self._end_ns

    def attach(self, sink: Sink) -> None:
        """Add a sink that needs the runner itself, before :meth:`run`."""
        self._sinks.append(sink)
        if isinstance(sink, KeepsRecords):
            self._writes.append(sink.keep)
            self._writes_all.append(sink.keep_all)
            self._keepers.append(sink)
        else:
            self._writes.append(sink.write)
            self._writes_all.append(partial(_write_each, sink.write))
        if isinstance(sink, TakesSamples):
            self._watchers.append(sink)
        if isinstance(sink, ReadsFacts):
            sink.read_facts(self.health)

    def facts(self) -> dict[str, Any]:
        """Return the counters of streams, sources and sinks, and of the device where there is one."""
        totals, backend = self._session.totals.to_dict(), self._session.backend
        totals["received"] += self._left
        totals["overrun"] += self._left
        device = {"device": backend.state()} if isinstance(backend, ReportsState) else {}
        return {
            "streams": len(self._session.counters),
            "forgotten": self._forgotten,
            **totals,
            "sources": [dict(source.counters) for source in self._sources],
            "sinks": [{"name": sink.name, **sink.counters} for sink in self._sinks],
            **device,
        }

    def health(self) -> dict[str, Any]:
        """Return the facts and what is so now.

        That is ``waiting_samples``, ``waiting`` records of each queued sink, ``overlays``, see ``Session.heads``, and
        ``latest_ns``, see ``Session.latest_ns``.
        """
        facts = self.facts()
        for sink, shown in zip(self._sinks, facts["sinks"], strict=True):
            if isinstance(sink, QueuedSink):
                shown["waiting"] = sink.waiting
        now = {"waiting_samples": self._queue.waiting, "overlays": self._session.heads}
        return {**facts, **now, "latest_ns": self._session.latest_ns}

    def _run_live(self, stop: threading.Event) -> None:
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._read, args=(number, source, stop, ended), name="source", daemon=True)
            for number, source in enumerate(self._sources)
        ]
        self._reading = len(threads)
        for thread in threads:
            thread.start()
        next_stats = time.monotonic() + self._stats_s
        while not stop.is_set():
            finished = ended.is_set()
            lost, chunks = self._queue.take(*((0.0,) if finished else (self._poll_s, self._gather_s)))
            self._take_in(lost, chunks, stop)
            if chunks and self._holds:
                self._queue.want(max(1, self._session.samples_until_due() - 1))  # the last one finds all others taken
            self._heartbeat()
            self._session.look_at_arrival()
            self._reload()
            if self._alerts is not None:
                for alert in self._alerts.tick():
                    self._emit(alert)
            if self._stats_s and time.monotonic() >= next_stats:
                next_stats += self._stats_s
                self._emit(StreamEvent("stats", "", self.facts()))
            self._raise_sink_failure()
            if finished and not chunks:
                break
        deadline = time.monotonic() + JOIN_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if stop.is_set():
            self._take_in(*self._queue.take(0.0), stop)  # what was read before the end is answered, too

    def _reload(self) -> None:
        if self._reloader is not None:
            event = self._reloader.step()
            if event is not None:
                self._session = self._reloader.session
                self._session.expect_wait(self._gather_s)
                self._emit(event)

    def _take_in(self, lost: dict[str, int], chunks: list[Chunk], stop: threading.Event) -> None:
        """Hand in what waited, a slice at a time; what is left when the time is up counts as ``overrun``."""
        for at in range(0, max(len(chunks), 1), SLICE):
            end_ns = self._end_ns_of(stop)
            if end_ns is not None and time.monotonic_ns() > end_ns:
                self._left += sum(len(chunk.samples) for chunk in chunks[at:])
                return
            self._push({} if at else lost, chunks[at : at + SLICE])
            self._raise_sink_failure()

    def _push(self, lost: dict[str, int], chunks: list[Chunk]) -> None:
        if chunks and not self._started:
            self._started = True
            if self._opening is not None:
                self._emit(self._opening)
        streams = dict.fromkeys((*lost, *(chunk.stream for chunk in chunks)))
        if len(streams) > MAX_STREAMS:  # more than the session holds at a time: one after the other
            for stream, samples in lost.items():
                self._push({stream: samples}, [])
            for chunk in chunks:
                self._push({}, [chunk])
            return
        for stream in streams:
            self._make_room(stream)
        for stream, samples in lost.items():
            self._session.lose(samples, stream)
        if self._teach and any(chunk.taught is not None for chunk in chunks):
            self._push_or_teach(chunks)
            return
        for watcher in self._watchers:
            watcher.take_chunks(chunks)
        if len({chunk.stream for chunk in chunks}) > 1:
            arrived = min(chunk.arrived_ns for chunk in chunks)
            self._session.push_many([chunk[:3] for chunk in chunks], arrived_ns=arrived)
            return
        for chunk in chunks:
            arrived_ns = chunk.arrived_ns if self._live else None  # a replay is never late
            self._session.push(chunk.samples, chunk.timestamps, chunk.stream, arrived_ns=arrived_ns)

    def _push_or_teach(self, chunks: list[Chunk]) -> None:
        """Hand in chunks one after the other, so that each lesson begins and ends where it stands among them."""
        for chunk in chunks:
            if chunk.taught is None:
                self._push({}, [chunk])
                continue
            try:
                self._session.teach(chunk.taught or None, chunk.stream)
            except UsageError as error:  # a line from outside must not end the run
                facts = {"action": "refused", "reasons": [error.message]}
                self._emit(StreamEvent("overlay", chunk.stream, facts))

    def _make_room(self, stream: str) -> None:
        self._recent.pop(stream, None)
        self._recent[stream] = None
        if len(self._recent) > MAX_STREAMS:
            silent = next(iter(self._recent))
            del self._recent[silent]
            self._session.close_stream(silent)
            self._forgotten += 1

    def _named(self, chunk: Chunk, number: int) -> list[Chunk]:
        """Return a chunk under its stream's name; none where it teaches and that was not asked for."""
        if chunk.taught is not None and not self._teach:
            counters = self._sources[number].counters
            counters["malformed"] = counters.get("malformed", 0) + 1
            return []
        if len(self._sources) == 1 or chunk.stream != DEFAULT_STREAM:
            return [chunk]
        return [chunk._replace(stream=str(number))]

    def _read(self, number: int, source: Source, stop: threading.Event, ended: threading.Event) -> None:
        try:
            for chunk in source.chunks(stop):
                for named in self._named(chunk, number):
                    self._queue.put(named)
        except Exception as error:  # noqa: BLE001 - raised again by run(), on the thread that can act on it
            self._failure = error
            ended.set()
        finally:
            self._reading -= 1
            if self._reading == 0:
                ended.set()

    def _emit(self, record: Record) -> None:
        for write in self._writes:
            try:
                write(record)
            except Exception as error:  # noqa: BLE001 - raised by run(); the others get theirs, and the end, all the same
                self._give_up(write, error)
        self._unrelieved += 1
        if self._unrelieved >= RELIEF:
            self._relieve()
        if self._alerts is not None:
            for alert in self._alerts.see(record):
                self._emit(alert)

    def _emit_all(self, records: Sequence[Record]) -> None:
        """Do what :meth:`_emit` does with each of records, at most ``RELIEF``: one call for a sink that keeps them."""
        if self._alerts is not None:
            for record in records:
                self._emit(record)
            return
        if self._unrelieved + len(records) > RELIEF:
            self._relieve()
        for write, write_all in zip(self._writes, self._writes_all, strict=True):
            try:
                write_all(records)
            except Exception as error:  # noqa: BLE001 - as above
                self._give_up(write, error)
        self._unrelieved += len(records)
        if self._unrelieved >= RELIEF:
            self._relieve()

    def _give_up(self, write: Write, error: Exception) -> None:
        kept = [pair for pair in zip(self._writes, self._writes_all, strict=True) if pair[0] is not write]
        self._writes, self._writes_all = [pair[0] for pair in kept], [pair[1] for pair in kept]
        self._sink_failure = self._sink_failure or error

    def _raise_sink_failure(self) -> None:
        if self._sink_failure is not None:
            raise self._sink_failure

    def _relieve(self) -> None:
        self._unrelieved = 0
        for keeper in self._keepers:
            keeper.relieve()


def _write_each(write: Write, records: Sequence[Record]) -> None:
    for record in records:
        write(record)


def close_together(opened: Sequence[Source | Sink], within_s: float = CLOSE_S) -> None:
    """Close sources or sinks side by side; what takes longer than ``within_s`` seconds is left to its thread."""
    threads = [threading.Thread(target=one.close, name="closing", daemon=True) for one in opened]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
