"""Counters of a running session for Prometheus."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from fsq_edge_runtime.drift.series import ADVICE
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.made import installed_version
from fsq_edge_runtime.metrics.catalog import BY_FAMILY
from fsq_edge_runtime.sinks.web import Request, WebServer
from fsq_edge_runtime.stream.records import Decision, Record, StreamEvent

LATENCY_BUCKETS_S = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5)
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
COUNTED: Final = 256  # records together: each time caches are cold, which costs more than the counting
_LABEL, _STAGES, _CONFIDENCE, _MISSED, _QUALITY = (
    itemgetter(Decision._fields.index(name)) for name in ("label", "stages_ns", "confidence", "missed", "quality")
)
_TOTAL = itemgetter(-1)
_SAMPLES = ("accepted", "duplicate", "late", "bad_time", "paused", "overrun")
_WINDOWS = ("decided", "abstained", "missed")
_OTHERS = ("skipped", "interpolated", "imputed", "gaps", "clock_jumps", "segments")
_TESTS = ("change", "training")
_OVERLAYS = ("personal", "base", "teach", "taught", "refused", "forgotten")


class _Histogram:
    """Counts values by bucket, without numpy: its calls find cold caches between two decisions.

    Args:
        bounds: upper bounds, rising.
        unit: of the values that are observed, in that of the bounds.
    """

    def __init__(self, bounds: Sequence[float], unit: float = 1.0) -> None:
        self._names, self._unit = [*map(str, bounds), "+Inf"], unit
        self._bounds = [*(round(bound / unit, 9) for bound in bounds), math.inf]
        self._counts, self._sum = [0] * len(self._bounds), 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Count values. Sorted first, they cost one look for each bucket instead of one for each value."""
        rising = sorted(values)
        self._sum += self._unit * math.fsum(rising)
        # In one step, since another thread may be reading.
        self._counts = [count + bisect_right(rising, at) for count, at in zip(self._counts, self._bounds, strict=True)]

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """Return (upper bound, values up to it) of each bucket, and the sum of all values."""
        return list(zip(self._names, map(float, self._counts), strict=True)), self._sum


class MetricsSink:
    """Serves Prometheus metrics over HTTP; as a sink it sees every record.

    Args:
        host: address to listen on.
        port: 0 takes a free one (see :attr:`port`).
        facts: the runner's counters (``Runner.health``), read whenever Prometheus asks.
        bundle: name of the model.
        deadline_s: longest time that a decision may take, seconds; 0 is no limit.

    Attributes:
        name: ``metrics``.
        keep, keep_all: see :class:`fsq_edge_runtime.sinks.base.KeepsRecords`.
        port: the port in use.

    Raises:
        UnavailableError: prometheus-client is not installed, or the address cannot be bound.
    """

    def __init__(
        self, host: str, port: int, facts: Callable[[], dict[str, Any]], *, bundle: str = "", deadline_s: float = 0.0
    ) -> None:
        self._prometheus: Any = need("prometheus_client", "metrics", "--metrics")
        self._core: Any = need("prometheus_client.core", "metrics", "--metrics")
        self.name = "metrics"
        self._facts = facts
        self._registry = self._prometheus.CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._prometheus.ProcessCollector(registry=self._registry)  # process_resident_memory_bytes and others
        self._latency, self._confidence = _Histogram(LATENCY_BUCKETS_S, 1e-9), _Histogram(CONFIDENCE_BUCKETS)
        self._labels: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        # From 0 on: Prometheus sees no increase in a series that begins with its first alarm.
        self._drift = Counter(dict.fromkeys(((kind, test) for kind in ADVICE for test in _TESTS), 0))
        self._overlays = Counter(dict.fromkeys(_OVERLAYS, 0))
        self._alerts: Counter[str] = Counter()
        self._backend, self._records = "", 0
        self._latest_ns, self._latest_s = 0, 0.0  # of the latest window
        self._waiting: deque[Record] = deque()
        self.keep: Callable[[Record], None] = self._waiting.append
        self.keep_all: Callable[[Iterable[Record]], None] = self._waiting.extend
        self._counting = threading.Lock()
        self._make("Gauge", "fsq_edge_deadline_seconds").set(deadline_s)
        self._make("Gauge", "fsq_edge_run_info").labels(bundle, installed_version()).set(1)
        self._server = WebServer(host, port, {"/": self._send, "/metrics": self._send})
        self.port = self._server.port

    def write(self, record: Record) -> None:
        """Take a record; it is counted with others, or when Prometheus asks."""
        self.keep(record)
        self.relieve()

    @property
    def counters(self) -> dict[str, int]:
        """Return what happened so far, by name."""
        with self._counting:
            return {"records": self._records + len(self._waiting)}

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def collect(self) -> Iterator[Any]:
        """Yield the session's counters as Prometheus families, at the time they are asked for."""
        facts = self._facts()
        latest_ns = facts.get("latest_ns", 0)
        if latest_ns != self._latest_ns:
            self._latest_ns = latest_ns
            self._latest_s = time.time() - (time.monotonic_ns() - latest_ns) / 1e9
        yield self._family("fsq_edge_streams", {(): facts["streams"]})
        yield self._family("fsq_edge_samples", {(key,): facts[key] for key in _SAMPLES})
        yield self._family("fsq_edge_windows", {(key,): facts[key] for key in _WINDOWS})
        yield self._family("fsq_edge_grid", {(key,): facts[key] for key in _OTHERS})
        yield self._family("fsq_edge_waiting_samples", {(): facts.get("waiting_samples", 0)})
        sources = enumerate(facts["sources"])
        yield self._family(
            "fsq_edge_source", {(str(n), key): value for n, one in sources for key, value in one.items()}
        )
        sinks = list(zip(_names(facts["sinks"]), facts["sinks"], strict=True))
        counters = {(name, key): one[key] for name, one in sinks for key in one if key not in ("name", "waiting")}
        yield self._family("fsq_edge_sink", counters)
        yield self._family(
            "fsq_edge_sink_waiting", {(name,): one["waiting"] for name, one in sinks if "waiting" in one}
        )
        yield self._family(
            "fsq_edge_overlay_streams", {(head,): streams for head, streams in facts.get("overlays", {}).items()}
        )
        state = facts.get("device", {})
        if (heat := state.get("temperature_c")) is not None:
            yield self._family("fsq_edge_device_temperature_celsius", {(): heat})
        yield from self._own()
        if counts := {(kind,): value for kind, value in state.items() if isinstance(value, int)}:
            yield self._family("fsq_edge_device", counts)

    def relieve(self) -> None:
        """Count what waits, once it is much."""
        if len(self._waiting) >= COUNTED:
            self._count_waiting()

    def _count_waiting(self) -> None:
        """Count in plain numbers: the client's own metrics lock and look up at every call, a tenth of a decision."""
        with self._counting:
            take = self._waiting.popleft
            records = [take() for _ in range(len(self._waiting))]
            self._records += len(records)
            decisions = [record for record in records if isinstance(record, Decision)]
            if len(decisions) < len(records):
                self._count_events([record for record in records if isinstance(record, StreamEvent)])
            if decisions:
                self._count(decisions)

    def _count_events(self, events: list[StreamEvent]) -> None:
        for kind, facts in ((event.kind, event.facts) for event in events):
            if kind == "drift":
                self._drift[str(facts["what"]).partition(":")[0], facts["test"]] += 1
            elif kind == "overlay":
                self._overlays[facts.get("action") or facts["head"]] += 1
            elif kind == "alert" and facts["state"] == "firing":
                self._alerts[facts["rule"]] += 1

    def _count(self, decisions: list[Decision]) -> None:
        """Count by column, by functions that loop in C: what this takes is taken from a decision's time."""
        self._backend = decisions[-1].backend
        if any(map(_QUALITY, decisions)):
            self._flags.update(flag.partition(":")[0] for one in decisions for flag in one.quality)
        if None in map(_LABEL, decisions) or any(map(_MISSED, decisions)):
            self._missed.update(filter(None, map(_MISSED, decisions)))
            decisions = [one for one in decisions if one.label is not None and not one.missed]
        self._labels.update(map(_LABEL, decisions))
        self._latency.observe(map(_TOTAL, map(_STAGES, decisions)))
        self._confidence.observe(map(_CONFIDENCE, decisions))

    def _own(self) -> Iterator[Any]:
        """Yield what this sink counted itself. Another thread may be counting: each table is copied whole first."""
        self._count_waiting()
        for family, table in (
            ("fsq_edge_labels", self._labels), ("fsq_edge_flags", self._flags), ("fsq_edge_missed", self._missed),
            ("fsq_edge_overlay", self._overlays), ("fsq_edge_alerts", self._alerts),
        ):  # fmt: skip
            yield self._family(family, {(key,): value for key, value in table.copy().items()})
        yield self._family("fsq_edge_drift", self._drift.copy())
        yield self._family("fsq_edge_last_window_timestamp_seconds", {(): self._latest_s})
        if self._backend:
            yield self._family("fsq_edge_backend", {(self._backend,): 1})
        for family, histogram in (
            ("fsq_edge_decision_seconds", self._latency),
            ("fsq_edge_confidence", self._confidence),
        ):
            buckets, total = histogram.cumulative()
            yield self._core.HistogramMetricFamily(family, BY_FAMILY[family].text, buckets=buckets, sum_value=total)

    def _make(self, kind: str, family: str, **more: Any) -> Any:
        """Return a metric of the catalog that this sink counts itself."""
        metric = BY_FAMILY[family]
        return getattr(self._prometheus, kind)(family, metric.text, metric.labels, registry=self._registry, **more)

    def _family(self, family: str, values: Mapping[Any, float]) -> Any:
        """Return a family of the catalog with values by tuple of labels."""
        metric = BY_FAMILY[family]
        kind = "CounterMetricFamily" if metric.kind == "counter" else "GaugeMetricFamily"
        made = getattr(self._core, kind)(family, metric.text, labels=list(metric.labels))
        for labels, value in values.items():
            made.add_metric(list(labels), value)
        return made

    def _send(self, request: Request) -> None:
        exposition: Any = need("prometheus_client.exposition", "metrics", "--metrics")
        encode, kind = exposition.choose_encoder(request.headers.get("Accept") or "")
        request.send(encode(self._registry), kind)


def _names(sinks: list[dict[str, Any]]) -> list[str]:
    """Return the names of the sinks, the second of a kind as ``jsonl-2``."""
    names: list[str] = []
    for sink in sinks:
        before = sum(other == sink["name"] or other.startswith(f"{sink['name']}-") for other in names)
        names.append(f"{sink['name']}-{before + 1}" if before else sink["name"])
    return names
