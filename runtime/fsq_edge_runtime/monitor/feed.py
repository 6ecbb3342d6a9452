"""From records and samples to what the page draws: collected on the engine's thread, worked on by the page's."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, Final, TypeVar

import numpy as np

from fsq_edge_runtime.backends.base import BackendSwitch
from fsq_edge_runtime.monitor.about import About
from fsq_edge_runtime.monitor.budget import Budget
from fsq_edge_runtime.monitor.past import Past
from fsq_edge_runtime.monitor.windows import ROW, RowMaker
from fsq_edge_runtime.stream.records import RELIEF, Decision, Gap, Record, StreamEvent

MAX_EVENTS = 1000
_LOG = "log ratio to "
MAX_TEXT = 500  # characters: a cause may quote a library

_CAUSES = {
    "gap": "no samples",
    "clock": "the clock was set",
    "resume": "paused or ended",
    "overrun": "samples lost: engine too slow",
}


class EventList:
    """The latest events of all streams; each is a dictionary with a number that grows by one.

    Attributes:
        latest: oldest first.
    """

    def __init__(self) -> None:
        self.latest: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._count = 0

    def add(self, record: Gap | BackendSwitch | StreamEvent) -> dict[str, Any] | None:
        """Keep an event; return it as the page takes it, or None for what the page shows elsewhere (``stats``)."""
        told = _told(record)
        if told is None:
            return None
        t, text = told
        event = {"n": self._count, "type": record.kind, "stream": record.stream, "t": t, "wall": time.time()}
        event["text"] = text[:MAX_TEXT]
        if isinstance(record, Gap):
            event["from"] = record.t_start
        self._count += 1
        self.latest.append(event)
        return event


def _told(record: Gap | BackendSwitch | StreamEvent) -> tuple[float | None, str] | None:
    if isinstance(record, Gap):
        length = "" if record.t_start is None else f" of {record.t_end - record.t_start:.2f} s"
        return record.t_end, f"gap{length}: {_CAUSES.get(record.cause, record.cause)}"
    if isinstance(record, BackendSwitch):
        begun = f"{record.from_backend} → {record.to_backend}" if record.from_backend else record.to_backend
        return None, f"{begun}: {record.cause}"
    facts = record.facts
    if record.kind == "drift":
        what = facts["what"].replace(":", " of ", 1)
        value, usual, unit = facts["value"], facts["usual"], facts["unit"]
        moved = f"{what} is {value:g} {unit}, usually {usual:g}"
        if unit.startswith(_LOG):  # people read parts of a hundred
            whole = unit.removeprefix(_LOG).replace("gravity", "1 g")
            moved = f"{what} is {_percent(value)} of {whole}, usually {_percent(usual)}"
        return facts["t_end"], f"{moved} ({facts['test']} test): {facts['advice']}"
    if record.kind == "alert":
        return facts["t_end"], facts["message"].replace(f": {record.stream}: ", ": ", 1)  # the page names it itself
    if record.kind == "end":
        return None, f"the run ended: {facts.get('decided', 0)} decided, {facts.get('missed', 0)} missed"
    return None if record.kind == "stats" else (None, record.kind)


def _percent(log_ratio: float) -> str:
    return f"{100.0 * math.exp(min(log_ratio, 99.0)):.3g}\u00a0%"


MAX_RECORDS: Final = 20_000  # that wait for the page's thread; the oldest make way
MAX_SAMPLES: Final = 200_000
MORE_CHUNKS: Final = 4096  # than records, until they are dropped with a count: of 4,096 streams as much comes at once
MAX_STREAMS: Final = 4096
MAX_NAME: Final = 200  # characters of a stream's name that the page shows
HEALTH_S: Final = 1.0
YIELD_EVERY: Final = 256  # records or chunks between two pauses, so that the engine is not held up

Samples = Sequence[Any]  # stream, samples (n, C), times (n,) or None, and what nobody asks for here
_samples_of = itemgetter(1)
Waiting = TypeVar("Waiting")


class Feed:
    """Takes what a run produces and keeps what the page shows.

    ``keep``, ``keep_all``, ``relieve`` and ``take_chunks`` are for the engine's thread, the rest for the page's alone.

    Args:
        about: facts of the run.

    Attributes:
        about: facts of the run.
        keep, keep_all: see :class:`fsq_edge_runtime.sinks.base.KeepsRecords`.
        take_chunks: see :class:`fsq_edge_runtime.sinks.base.TakesSamples`.
        viewers: of the page so far.
        dropped: records and chunks that found their queue full.
        facts: the run's counters, asked for once a second; None until the runner gives them.
        events: gaps, drift, switches.
        ended: whether the run said its end.
    """

    def __init__(self, about: About) -> None:
        self.about = about
        self.viewers = self.dropped = 0
        self.facts: Callable[[], dict[str, Any]] | None = None
        self.events, self.ended = EventList(), False
        self.makes = RowMaker(about.classes)
        self.streams: OrderedDict[str, Past] = OrderedDict()  # the one that spoke last is the last
        self._records: deque[Record] = deque(maxlen=MAX_RECORDS + RELIEF)
        self.keep: Callable[[Record], None] = self._records.append
        self.keep_all: Callable[[Iterable[Record]], None] = self._records.extend
        self._shown = self._lost = self._counted = 0  # records: by the page's thread, by the engine's, as last said
        self._chunks: deque[Samples] = deque(maxlen=MAX_RECORDS + MORE_CHUNKS)
        self.take_chunks: Callable[[Iterable[Samples]], None] = self._chunks.extend
        self._longest = MAX_SAMPLES  # chunk among the latest
        self._budget = Budget()
        self._next_id = 0
        self._flags_said = 1
        self._health_at = 0.0

    @property
    def counters(self) -> dict[str, int]:
        """Return what happened so far, by name."""
        self._counted = max(self._counted, self._shown + self._lost + len(self._records))
        return {"records": self._counted, "dropped": self.dropped, "viewers": self.viewers}

    def relieve(self) -> None:
        """Drop the oldest records, and the oldest chunks but for the last, where too much waits."""
        records, chunks = self._records, self._chunks
        with suppress(IndexError):  # the page's thread may have taken them away
            while len(records) > MAX_RECORDS:
                records.popleft()
                self._lost += 1
                self.dropped += 1
        if len(chunks) > MAX_RECORDS or len(chunks) * self._longest > MAX_SAMPLES:
            with suppress(IndexError):
                samples = sum(map(len, map(_samples_of, chunks.copy())))
                while len(chunks) > MAX_RECORDS or (samples > MAX_SAMPLES and len(chunks) > 1):
                    samples -= len(chunks.popleft()[1])
                    self.dropped += 1

    def collate(self) -> dict[str, Any]:
        """Work off what is waiting; return the news for every viewer."""
        news: dict[str, Any] = {"wall": time.time(), "new": [], "gone": [], "streams": [], "events": []}
        for past in self.streams.values():
            past.begin()
        self._take_samples(news)
        self._take_records(news)
        for past in self.streams.values():
            if past.fresh:
                news["streams"].append([past.number, *past.latest()])
        while len(self.streams) > MAX_STREAMS:
            past = self.streams.popitem(last=False)[1]
            past.clear()
            news["gone"].append(past.number)
        if len(self.makes.flag_sets) > self._flags_said:
            news["flags"] = dict(enumerate(self.makes.flag_sets[self._flags_said :], self._flags_said))
            self._flags_said = len(self.makes.flag_sets)
        news["ended"] = self.ended
        if self.facts is not None and time.monotonic() - self._health_at >= HEALTH_S:
            self._health_at = time.monotonic()
            news["health"] = self.health()
        return news

    def state(self) -> dict[str, Any]:
        """Return all that a page needs when it opens, but for the past of the stream that it shows."""
        return {
            "about": self.about.to_dict(),
            "wall": time.time(),
            "flags": dict(enumerate(self.makes.flag_sets)),
            "streams": [past.summary() for past in sorted(self.streams.values(), key=lambda past: past.number)],
            "events": list(self.events.latest),
            "health": self.health(),
            "ended": self.ended,
        }

    def health(self) -> dict[str, Any]:
        """Return the run's counters that the page shows as badges."""
        if self.facts is None:
            return {}
        facts = self.facts()
        kept = ("streams", "received", "decided", "abstained", "missed", "overrun", "gaps", "device", "waiting_samples")
        return {name: facts[name] for name in kept if name in facts}

    def find(self, number: int) -> Past | None:
        """Return a stream by its number."""
        return next((past for past in self.streams.values() if past.number == number), None)

    def _take_samples(self, news: dict[str, Any]) -> None:
        chunks = list(_taken(self._chunks))
        if chunks:
            self._longest = max(map(len, map(_samples_of, chunks)))
        joined: dict[tuple[str, bool], list[Samples]] = {}
        for chunk in chunks:  # one piece of work for each stream, however small its chunks are
            joined.setdefault((chunk[0], chunk[2] is None), []).append(chunk)
        for number, ((name, untimed), parts) in enumerate(joined.items()):
            _breathe(number)
            samples = np.concatenate([part[1] for part in parts]) if len(parts) > 1 else parts[0][1]
            given = [part[2] for part in parts if part[2] is not None]
            times = None if untimed else np.concatenate(given)
            if samples.ndim == 2 and samples.shape[1] == len(self.about.channels):
                self._past(name, news).take(samples, times)

    def _take_records(self, news: dict[str, Any]) -> None:
        rows: dict[str, list[tuple[Any, ...]]] = {}
        backend, shown = None, self._shown
        for number, record in enumerate(_taken(self._records), 1):
            self._shown = shown + number
            _breathe(number)
            if isinstance(record, Decision):
                rows.setdefault(record.stream, []).append(self.makes.row(record))
                backend = record.backend
            elif (event := self.events.add(record)) is not None:
                news["events"].append(event)
                self.ended = self.ended or record.kind == "end"
                if record.kind == "drift" and record.stream:
                    self._past(record.stream, news).drifted = event["text"]
        if backend is not None:
            news["backend"] = backend
        for name, values in rows.items():
            self._past(name, news).see(np.array(values, dtype=ROW))

    def _past(self, name: str, news: dict[str, Any]) -> Past:
        past = self.streams.get(name)
        if past is None:
            past = self.streams[name] = Past(self._next_id, name[:MAX_NAME], self.about, self._budget)
            self._next_id += 1
            news["new"].append([past.number, past.name])
        else:
            self.streams.move_to_end(name)
        return past


def _taken(waiting: deque[Waiting]) -> Iterator[Waiting]:
    """Take off a queue what waits now."""
    with suppress(IndexError):  # the engine may have dropped the last one
        for _ in range(len(waiting)):
            yield waiting.popleft()


def _breathe(number: int) -> None:
    """Let the engine's thread run every now and then: it may be waiting for the interpreter lock."""
    if number % YIELD_EVERY == YIELD_EVERY - 1:
        time.sleep(0)
