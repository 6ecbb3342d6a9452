"""The monitor: analyse one data set after another, keep the history, write the report."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from fsq_edge.data.quality.analysis import analyze_dataset, analyze_windows
from fsq_edge.data.quality.arrays import as_array, as_windows, channels_for
from fsq_edge.data.quality.control import DEFAULT_RATE_HZ
from fsq_edge.data.quality.findings import quality_findings
from fsq_edge.data.quality.metrics import QualityMetrics
from fsq_edge.data.quality.thresholds import QualityThresholds
from fsq_edge.data.recording import Channel, Dataset
from fsq_edge.data.windows import WindowIndex
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.findings import Finding


class DataQualityMonitor:
    """Measures data sets and remembers what it found.

    Args:
        threshold_nan_percent: limit for NaN, percent of a channel.
        threshold_inf_percent: limit for Inf.
        thresholds: all limits; the two above are then not looked at.
        channels: names and units of bare arrays; a data set brings its own.
        sample_rate_hz: of bare arrays.
    """

    def __init__(
        self,
        threshold_nan_percent: float = 5.0,
        threshold_inf_percent: float = 1.0,
        *,
        thresholds: QualityThresholds | None = None,
        channels: tuple[Channel, ...] = (),
        sample_rate_hz: float = DEFAULT_RATE_HZ,
    ) -> None:
        self.thresholds = thresholds or QualityThresholds(
            max_nan_percentage=threshold_nan_percent, max_inf_percentage=threshold_inf_percent
        )
        self.channels = channels
        self.sample_rate_hz = sample_rate_hz
        self.history: list[QualityMetrics] = []

    def analyze(self, data: Any, dataset_name: str = "", *, timestamps: Any = None) -> QualityMetrics:
        """Measure one data set and append the result to ``history``.

        Args:
            data: windows (N, C, T) as array or torch tensor, a ``Dataset``, or a ``WindowIndex``.
            dataset_name: for the report; a data set's own name, or ``unknown``.
            timestamps: seconds (N, T) of bare windows, or None.

        Raises:
            DataError: not numbers, wrong rank, empty, timestamps of another shape.
        """
        if isinstance(data, Dataset):
            metrics = analyze_dataset(data, self.thresholds, dataset_name)
        elif isinstance(data, WindowIndex):
            dataset = data.dataset
            metrics = analyze_windows(
                data.gather(), dataset_name or dataset.name, dataset.channels, dataset.sample_rate_hz, self.thresholds
            )
        else:
            windows = as_windows(as_array(data))
            channels = channels_for(windows, self.channels)
            times = None if timestamps is None else np.asarray(timestamps, np.float64)
            if times is not None and times.shape != (len(windows), windows.shape[2]):
                raise DataError(f"timestamps must be {(len(windows), windows.shape[2])}, got {times.shape}")
            metrics = analyze_windows(
                windows, dataset_name or "unknown", channels, self.sample_rate_hz, self.thresholds, times
            )
        self.history.append(metrics)
        return metrics

    def findings(self, metrics: QualityMetrics) -> tuple[Finding, ...]:
        """Hold measurements to the monitor's thresholds."""
        return quality_findings(metrics, self.thresholds)

    def generate_report(self, form: Literal["text", "json", "html"] = "text") -> str:
        """Write what was found so far.

        Args:
            form: ``text`` for a terminal, ``json`` for machines, ``html`` for a page that needs no other file.

        Raises:
            UnavailableError: ``html`` without Jinja2.
        """
        from fsq_edge.data.quality import report

        entries = [(metrics, self.findings(metrics)) for metrics in self.history]
        return {"text": report.to_text, "json": report.to_json, "html": report.to_html}[form](entries)
