"""Measure arrays of windows, recordings and data sets, a cache-sized block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from fsq_edge.data.quality.counters import MissingCounter, MomentCounter, StuckCounter
from fsq_edge.data.quality.metrics import ChannelQuality, QualityMetrics, recommend, total_score
from fsq_edge.data.quality.thresholds import QualityThresholds
from fsq_edge.data.quality.timing import TimingCounter, rest_of
from fsq_edge.data.quality.triad_runs import stuck_of_triads
from fsq_edge.data.quality.units import NormSampler
from fsq_edge.data.recording import Channel, Dataset, Recording
from fsq_edge.report.parts import plural
from fsq_edge_runtime.arrays import Float32Array, Float64Array, FloatArray

BLOCK_VALUES = 1 << 19  # 2 MB of float32: the temporaries of a block stay in the cache


class Analysis:
    """Gathers all families over one data set.

    Args:
        channels: C channels.
        sample_rate_hz: nominal rate.
        thresholds: of which the longest gap and the shortest stuck stretch are used here.
        total_samples: samples a channel that will come.
        window_samples: of windows that stand apart; one that stands still from end to end is stuck.
    """

    def __init__(
        self,
        channels: tuple[Channel, ...],
        sample_rate_hz: float,
        thresholds: QualityThresholds,
        total_samples: int,
        window_samples: int = 0,
    ) -> None:
        count = len(channels)
        flat_samples = round(thresholds.flat_ms * sample_rate_hz / 1000)
        self.channels, self.sample_rate_hz = channels, sample_rate_hz
        self.missing = MissingCounter(count, int(thresholds.max_gap_ms * sample_rate_hz / 1000 + 1e-9))
        self.moments = MomentCounter(count)
        self.flat_samples = min(flat_samples, window_samples or flat_samples)
        self.stuck = StuckCounter(count, self.flat_samples)
        self.norms = NormSampler(channels, total_samples)
        self.timing = TimingCounter(sample_rate_hz, thresholds.max_gap_ms / 1000)

    def add_windows(self, windows: FloatArray) -> None:
        """Add windows (N, C, T) that stand apart."""
        size = max(1, BLOCK_VALUES // (windows.shape[1] * windows.shape[2]))
        for begin in range(0, len(windows), size):
            self._add(np.ascontiguousarray(windows[begin : begin + size], np.float32), joined=False)

    def add_recording(self, recording: Recording, chunk_samples: int = 0) -> None:
        """Add one recording, read a chunk at a time.

        Args:
            recording: samples (n, C).
            chunk_samples: samples a chunk; 0 takes a cache-sized one. The result does not depend on it.
        """
        before = self.stuck.flat.copy()
        for chunk in _chunks(recording.samples, chunk_samples or max(1, BLOCK_VALUES // len(self.channels))):
            self._add(np.ascontiguousarray(chunk.T)[None], joined=True)
        self.missing.end()
        self.stuck.end()
        suspected = self.stuck.flat > before
        triads = stuck_of_triads(self.channels, recording.samples, self.flat_samples, suspected)
        for channel, samples in triads.items():  # a repeated value is no fault of an axis by itself
            self.stuck.flat[channel] = before[channel] + samples
        self.norms.end(recording.recording_id)
        if recording.timestamps is not None:
            self.timing.feed(recording.timestamps, rest_of(self.channels, recording.samples, self.sample_rate_hz))

    def _add(self, block: Float32Array, *, joined: bool) -> None:
        finite = self.missing.feed(block, joined=joined)
        self.moments.feed(block, finite)
        self.stuck.feed(block, finite, joined=joined)
        self.norms.feed(block)

    def metrics(self, dataset: str, shape: tuple[int, ...], size: str, dtype: str) -> QualityMetrics:
        """Return what was found so far, under the name, shape, size in words and type of the data."""
        channels = self._channels()
        timing, units = self.timing.result(), self.norms.result()
        total = self.missing.n * len(channels)
        mean, std = self._overall()
        return QualityMetrics(
            timestamp=datetime.now(UTC).isoformat(timespec="seconds"),
            dataset=dataset,
            shape=shape,
            size=size,
            dtype=dtype,
            total_elements=total,
            nan_count=int(self.missing.nan.sum()),
            nan_percentage=100 * float(self.missing.nan.sum()) / total,
            nan_by_channel=tuple(self.missing.nan.tolist()),
            inf_count=int(self.missing.inf.sum()),
            inf_percentage=100 * float(self.missing.inf.sum()) / total,
            inf_by_channel=tuple(self.missing.inf.tolist()),
            mean=mean,
            std=std,
            min=_or_nan(self.moments.min.min()),
            max=_or_nan(self.moments.max.max()),
            channels=channels,
            samples_affected_share=self.missing.samples_affected / self.missing.n,
            windows_affected=self.missing.windows_affected,
            windows_lost=self.missing.windows_lost,
            timing=timing,
            units=units,
            quality_score=total_score(channels, timing, units),
            requires_correction=bool(self.missing.nan.any() or self.missing.inf.any()),
            recommended_strategy=recommend(channels),
        )

    def _channels(self) -> tuple[ChannelQuality, ...]:
        n, missing, moments, stuck = self.missing.n, self.missing, self.moments, self.stuck
        mean, std = moments.mean, moments.std
        saturated = stuck.saturated(moments.min, moments.max)
        return tuple(
            ChannelQuality(
                name=channel.name,
                unit=channel.unit,
                n=n,
                nan=int(missing.nan[i]),
                inf=int(missing.inf[i]),
                longest_gap=int(missing.longest_gap[i]),
                beyond_gap_share=float(missing.beyond_gap[i] / n),
                mean=float(mean[i]),
                std=float(std[i]),
                min=_or_nan(moments.min[i]),
                max=_or_nan(moments.max[i]),
                longest_flat=int(stuck.longest_flat[i]),
                flat_share=float(stuck.flat[i] / n),
                saturated_share=float(saturated[i] / n),
            )
            for i, channel in enumerate(self.channels)
        )

    def _overall(self) -> tuple[float, float]:
        """Mean and standard deviation over all finite values of all channels."""
        count = self.moments.count
        if not count.any():
            return float("nan"), float("nan")
        some = count > 0
        weight = count[some] / count.sum()
        means, stds = self.moments.mean[some], self.moments.std[some]
        mean = float(weight @ means)
        return mean, float(np.sqrt(weight @ (stds**2 + (means - mean) ** 2)))


def analyze_windows(
    windows: FloatArray,
    name: str,
    channels: tuple[Channel, ...],
    sample_rate_hz: float,
    thresholds: QualityThresholds,
    timestamps: Float64Array | None = None,
) -> QualityMetrics:
    """Measure windows (N, C, T); ``timestamps`` (N, T) seconds are taken window by window."""
    count, n_channels, length = windows.shape
    analysis = Analysis(channels, sample_rate_hz, thresholds, count * length, length)
    analysis.add_windows(windows)
    for row in () if timestamps is None else timestamps:
        analysis.timing.feed(row)
    size = f"{count:,} windows of {n_channels} channels and {length:,} samples"
    return analysis.metrics(name, windows.shape, size, str(windows.dtype))


def analyze_dataset(dataset: Dataset, thresholds: QualityThresholds, name: str = "") -> QualityMetrics:
    """Measure every recording of a data set, reading each sample once; ``name`` stands in for the data set's own."""
    analysis = Analysis(dataset.channels, dataset.sample_rate_hz, thresholds, dataset.n_samples)
    for recording in dataset.recordings:
        analysis.add_recording(recording)
    shape = (len(dataset.recordings), dataset.n_samples, len(dataset.channels))
    size = f"{plural(shape[0], 'recording')} of {plural(shape[2], 'channel')}, {shape[1]:,} samples together"
    return analysis.metrics(name or dataset.name, shape, size, str(dataset.recordings[0].samples.dtype))


def _chunks(samples: Float32Array, size: int) -> Iterator[Float32Array]:
    for begin in range(0, len(samples), size):
        yield samples[begin : begin + size]


def _or_nan(value: np.floating) -> float:
    return float(value) if np.isfinite(value) else float("nan")
