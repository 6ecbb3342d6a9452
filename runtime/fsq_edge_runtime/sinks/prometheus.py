"""Counters of a running session for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fsq_edge_runtime.extras import need
from fsq_edge_runtime.sinks.web import Request, WebServer
from fsq_edge_runtime.stream.records import Decision, Record

LATENCY_BUCKETS_S = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5)
_SAMPLES = ("accepted", "duplicate", "late", "bad_time", "paused", "overrun")
_WINDOWS = ("decided", "abstained", "missed")
_OTHERS = ("skipped", "interpolated", "imputed", "gaps", "clock_jumps", "segments")


class MetricsSink:
    """Serves Prometheus metrics over HTTP; as a sink it sees every record.

    Args:
        host: address to listen on.
        port: 0 takes a free one (see :attr:`port`).
        facts: the runner's counters, read whenever Prometheus asks.

    Attributes:
        name: ``metrics``.
        counters: records seen.
        port: the port in use.

    Raises:
        UnavailableError: prometheus-client is not installed, or the address cannot be bound.
    """

    def __init__(self, host: str, port: int, facts: Callable[[], dict[str, Any]]) -> None:
        self._prometheus: Any = need("prometheus_client", "metrics", "--metrics")
        self._core: Any = need("prometheus_client.core", "metrics", "--metrics")
        self.name, self.counters = "metrics", {"records": 0}
        self._facts = facts
        registry = self._prometheus.CollectorRegistry(auto_describe=False)
        registry.register(self)
        self._latency = self._prometheus.Histogram(
            "fsq_edge_decision_seconds",
            "From the arrival of a window's last sample to its decision",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._labels = self._prometheus.Counter("fsq_edge_labels", "Decisions by label", ["label"], registry=registry)
        self._flags = self._prometheus.Counter("fsq_edge_flags", "Windows by flag", ["flag"], registry=registry)
        self._missed = self._prometheus.Counter("fsq_edge_missed", "Missed windows", ["reason"], registry=registry)
        self._backend = self._prometheus.Gauge("fsq_edge_backend", "1 for the one in use", ["name"], registry=registry)
        self._current = ""
        self._registry = registry
        self._server = WebServer(host, port, {"/": self._send, "/metrics": self._send})
        self.port = self._server.port

    def write(self, record: Record) -> None:
        """Count a record."""
        self.counters["records"] += 1
        if not isinstance(record, Decision):
            return
        if record.backend != self._current:
            self._backend.clear()
            self._backend.labels(record.backend).set(1)
            self._current = record.backend
        if record.missed:
            self._missed.labels(record.missed).inc()
        elif record.raw_label is not None:
            self._labels.labels(record.label).inc()
            self._latency.observe(record.stages_ns[-1] / 1e9)
        for flag in record.quality:
            self._flags.labels(flag.partition(":")[0]).inc()

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def _send(self, request: Request) -> None:
        exposition: Any = need("prometheus_client.exposition", "metrics", "--metrics")
        encode, kind = exposition.choose_encoder(request.headers.get("Accept") or "")
        request.send(encode(self._registry), kind)

    def collect(self) -> Iterator[Any]:
        """Yield the session's counters as Prometheus families, at the time they are asked for."""
        facts, family = self._facts(), self._core.CounterMetricFamily
        yield self._core.GaugeMetricFamily("fsq_edge_streams", "Open streams", value=facts["streams"])
        for name, text, keys in (
            ("fsq_edge_samples", "Samples by what became of them", _SAMPLES),
            ("fsq_edge_windows", "Due windows by what became of them", _WINDOWS),
            ("fsq_edge_grid", "What the grid did", _OTHERS),
        ):
            counter = family(name, text, labels=["kind"])
            for key in keys:
                counter.add_metric([key], facts[key])
            yield counter
        sources = family("fsq_edge_source", "Counters of the sources", labels=["source", "kind"])
        for number, counters in enumerate(facts["sources"]):
            for kind, value in counters.items():
                sources.add_metric([str(number), kind], value)
        yield sources
        yield from self._device(facts.get("device", {}))
        sinks = family("fsq_edge_sink", "Counters of the sinks", labels=["sink", "kind"])
        for counters in facts["sinks"]:
            name = counters.pop("name")
            for kind, value in counters.items():
                sinks.add_metric([name, kind], value)
        yield sinks

    def _device(self, state: dict[str, Any]) -> Iterator[Any]:
        """Yield what the backend says of its device: temperature, switches, attempts to open it, comparisons."""
        heat = state.get("temperature_c")
        if heat is not None:
            name, text = "fsq_edge_device_temperature_celsius", "The chip's hotter sensor, as last polled"
            yield self._core.GaugeMetricFamily(name, text, value=heat)
        counts = {kind: value for kind, value in state.items() if isinstance(value, int)}
        if counts:
            family = self._core.CounterMetricFamily("fsq_edge_device", "What the hot fallback did", labels=["kind"])
            for kind, value in counts.items():
                family.add_metric([kind], value)
            yield family
