"""How the channels of scored windows differ from those that the network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.preprocess import PreprocessConfig

# Healthy subjects that were held out, of watch and of the synthetic quadruped, one at a time against all others: means
# within 1.5, spreads from 0.55 to 2.3, at most 4.8 % beyond the clip. A wrong unit (g for m/s2) is a factor of 9.8.
LARGEST_SHIFT = 2.0
LEAST_SPREAD, LARGEST_SPREAD = 1 / 3, 3.0
MOST_CLIPPED = 0.10
MOST_MISSING = 0.05


@dataclass(frozen=True, slots=True)
class ChannelShift:
    """One channel of the scored windows, measured in the training split's mean and standard deviation.

    Attributes:
        name: of the channel.
        unit: of the channel.
        missing: share of samples that are NaN or Inf.
        shift: mean, in training standard deviations from the training mean.
        spread: standard deviation as a multiple of the training one.
        clipped: share of samples beyond the clip of preprocessing.
    """

    name: str
    unit: str
    missing: float
    shift: float
    spread: float
    clipped: float

    @property
    def finding(self) -> str | None:
        """What stands out, with the figure; None for a healthy channel."""
        if self.missing > MOST_MISSING:
            return f"{100 * self.missing:.1f} % of the samples are missing"
        if abs(self.shift) > LARGEST_SHIFT:
            return f"its mean lies {self.shift:+.1f} training standard deviations off: check mounting and units"
        if not LEAST_SPREAD <= self.spread <= LARGEST_SPREAD:
            return f"it moves {self.spread:.2f} times as much as in training: check units and the sensor's range"
        if self.clipped > MOST_CLIPPED:
            return f"{100 * self.clipped:.1f} % of the samples are clipped: check units and the sensor's range"
        return None


class ChannelCounter:
    """Adds up windows, batch by batch."""

    def __init__(self, preprocess: PreprocessConfig) -> None:
        self._channels = preprocess.channels
        count = len(preprocess.channels)
        self._mean = np.asarray(preprocess.mean[:count], np.float32)[:, None]
        self._std = np.asarray(preprocess.std[:count], np.float32)[:, None]
        self._clip = preprocess.clip_sigma
        self._n = 0
        self._present = np.zeros(count)
        self._sum, self._squares, self._clipped = np.zeros(count), np.zeros(count), np.zeros(count)

    def add(self, windows: Float32Array) -> None:
        """Count windows (N, C, T) in raw units; NaN and Inf are missing."""
        present = np.isfinite(windows)
        standard = (np.where(present, windows, self._mean) - self._mean) / self._std
        self._n += windows.shape[0] * windows.shape[2]
        self._present += np.count_nonzero(present, axis=(0, 2))
        self._sum += standard.sum(axis=(0, 2), dtype=np.float64)
        self._squares += np.square(standard, dtype=np.float64).sum(axis=(0, 2))
        self._clipped += np.count_nonzero(np.abs(standard) > self._clip, axis=(0, 2))

    def shifts(self) -> tuple[ChannelShift, ...]:
        """Return one entry a channel; a channel without any value has shift and spread 0."""
        present = np.maximum(self._present, 1)
        mean = self._sum / present
        spread = np.sqrt(np.maximum(self._squares / present - mean**2, 0))
        missing = 1 - self._present / max(self._n, 1)
        return tuple(
            ChannelShift(
                name=channel.name,
                unit=channel.unit,
                missing=float(missing[c]),
                shift=float(mean[c]),
                spread=float(spread[c]),
                clipped=float(self._clipped[c] / present[c]),
            )
            for c, channel in enumerate(self._channels)
        )
