"""Every metric that ``run --metrics`` serves; the sink makes them from this list, and docs/metrics.md shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as it is exposed; counters end in ``_total``.
        kind: Prometheus' type.
        text: what it says, with its unit.
        labels: names of its labels.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """Name without the ending of counters."""
        return self.name.removesuffix("_total")


METRICS: Final = (
    Metric("fsq_edge_run_info", "gauge", "1; which bundle runs on which version of fsq-edge", ("bundle", "version")),
    Metric("fsq_edge_streams", "gauge", "Open streams"),
    Metric("fsq_edge_samples_total", "counter", "Samples by what became of them", ("kind",)),
    Metric("fsq_edge_windows_total", "counter", "Due windows by what became of them", ("kind",)),
    Metric("fsq_edge_grid_total", "counter", "What the grid did", ("kind",)),
    Metric("fsq_edge_decision_seconds", "histogram", "From the arrival of a window's last sample to its decision"),
    Metric("fsq_edge_deadline_seconds", "gauge", "Longest time that a decision may take; 0 is no limit"),
    Metric("fsq_edge_confidence", "histogram", "Smoothed probability of the decided class, 0 to 1"),
    Metric("fsq_edge_labels_total", "counter", "Decisions by label", ("label",)),
    Metric("fsq_edge_flags_total", "counter", "Windows by quality flag", ("flag",)),
    Metric("fsq_edge_missed_total", "counter", "Missed windows by reason", ("reason",)),
    Metric(
        "fsq_edge_last_window_timestamp_seconds", "gauge", "When the latest window ended its way, Unix time; 0 before"
    ),
    Metric("fsq_edge_backend", "gauge", "1 for the backend in use", ("name",)),
    Metric("fsq_edge_drift_total", "counter", "Drift alarms by what moved and by test", ("what", "test")),
    Metric("fsq_edge_alerts_total", "counter", "Alerts of the run's own rules, by rule", ("rule",)),
    Metric("fsq_edge_overlay_streams", "gauge", "Streams with an overlay, by the head that answers them", ("head",)),
    Metric("fsq_edge_overlay_total", "counter", "Overlay records: a head took over, or a stream was taught", ("what",)),
    Metric("fsq_edge_waiting_samples", "gauge", "Samples between the sources and the engine"),
    Metric("fsq_edge_source_total", "counter", "Counters of the sources", ("source", "kind")),
    Metric("fsq_edge_sink_total", "counter", "Counters of the sinks", ("sink", "kind")),
    Metric("fsq_edge_sink_waiting", "gauge", "Records that wait in a sink's queue", ("sink",)),
    Metric(
        "fsq_edge_device_temperature_celsius", "gauge", "The chip's hotter sensor, as last polled; with a Hailo device"
    ),
    Metric("fsq_edge_device_total", "counter", "What the hot fallback did; with a Hailo device", ("kind",)),
)

BY_FAMILY: Final = {metric.family: metric for metric in METRICS}
