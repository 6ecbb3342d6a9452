"""What frames look like, channel by channel: the yardstick of the audit, small enough to travel in a JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fsq_edge_runtime.arrays import AnyArray, Float64Array, Int64Array
from fsq_edge_runtime.artefact import StrictModel

BINS: Final = 200  # over [-clip_sigma, clip_sigma]: a twentieth of a sigma each at the default clip of 5
PSI_FLOOR: Final = 1e-3
MAX_CLASSES: Final = 32  # the most frequent ones; the others count as one
GROUP_SHARE: Final = 0.05  # of the training values, in each group of bins


class ChannelDistribution(StrictModel):
    """Values of one graph channel, in training sigmas.

    Attributes:
        name: the channel, z-copies marked ``(z)``.
        low: smallest value.
        high: largest value.
        mean: of all samples.
        std: of all samples.
        lag1: autocorrelation at a lag of one sample within a window, weighted by the window's variance; 0.85 to 0.99
            for motion, near 0 for white noise.
        still_share: share of windows in which the channel does not move.
        counts: samples per bin, equal bins over [-clip_sigma, clip_sigma]; what lies beyond is in the outer bins.
    """

    name: str
    low: float
    high: float
    mean: float
    std: float = Field(ge=0)
    lag1: float
    still_share: float = Field(ge=0, le=1)
    counts: tuple[int, ...]


class ClassValues(StrictModel):
    """Values of one class of the training split.

    Attributes:
        n_windows: of this class.
        noisy: how many of them look like noise.
        groups: per graph channel, samples per group of histogram bins (see :func:`bin_groups`).
        variance: per graph channel, squared deviations from the window's mean, added up.
        shifted: per graph channel, products of neighbouring deviations, added up.
    """

    n_windows: int
    noisy: int
    groups: tuple[tuple[int, ...], ...]
    variance: tuple[float, ...]
    shifted: tuple[float, ...]


class Distribution(StrictModel):
    """Frames described.

    Attributes:
        n_windows: windows described.
        clip_sigma: edge of the histograms.
        channels: one entry a graph channel.
        noise_share: share of windows whose autocorrelation is below 0.2 over all channels together.
        labels: windows per class, by name where names are known, else by index.
        subjects: windows per subject.
        codes: windows per FSQ code, only codes that occur; empty where codes are unknown.
        class_values: what each class looks like, for :func:`remixed`; empty where it was not asked for.
    """

    n_windows: int = Field(ge=1)
    clip_sigma: float = Field(gt=0)
    channels: tuple[ChannelDistribution, ...] = Field(min_length=1)
    noise_share: float = Field(ge=0, le=1)
    labels: dict[str, int] = Field(default_factory=dict)
    subjects: dict[str, int] = Field(default_factory=dict)
    codes: dict[str, int] = Field(default_factory=dict)
    class_values: tuple[ClassValues, ...] = ()

    def quantiles(self, shares: Sequence[float]) -> Float64Array:
        """Return (C', len(shares)) quantiles, read from the histograms, within ``[low, high]``."""
        edges = np.linspace(-self.clip_sigma, self.clip_sigma, BINS + 1)
        rows = []
        for channel in self.channels:
            cumulative = np.concatenate([[0.0], np.cumsum(channel.counts) / max(sum(channel.counts), 1)])
            rows.append(np.clip(np.interp(shares, cumulative, edges), channel.low, channel.high))
        return np.asarray(rows)


def named_labels(labels: npt.ArrayLike, classes: Sequence[str]) -> AnyArray:
    """Return labels (N,) as class names, or as they are where no names are known."""
    values = np.asarray(labels)
    return np.asarray(classes)[values] if classes else values


def bin_groups(counts: Sequence[int] | Int64Array) -> Int64Array:
    """Return the group of each histogram bin: neighbours are merged until each holds a twentieth of the values."""
    share = np.asarray(counts, dtype=np.float64) / max(sum(counts), 1)
    place = (np.cumsum(share) - share / 2) // GROUP_SHARE
    return np.minimum(place, round(1 / GROUP_SHARE) - 1).astype(np.int64)


def group_counts(counts: npt.ArrayLike, groups: Int64Array) -> Float64Array:
    """Return the counts of bins (n,) added up by group (20,)."""
    weights = np.asarray(counts, dtype=np.float64)
    return np.bincount(groups, weights=weights, minlength=round(1 / GROUP_SHARE)).astype(np.float64)


def psi(reference: Sequence[int], other: Sequence[int]) -> float:
    """Return the population stability index of two histograms over equal bins.

    Bins are merged until each holds a twentieth of the reference, so that empty tails do not decide. Below 0.1 is
    read as equal, above 0.25 as shifted.

    Example:
        >>> psi([10, 20, 10], [10, 20, 10]), round(psi([10, 20, 10], [20, 10, 10]), 2)
        (0.0, 0.35)
    """
    a = np.asarray(reference, dtype=np.float64) / max(sum(reference), 1)
    b = np.asarray(other, dtype=np.float64) / max(sum(other), 1)
    group = bin_groups(reference)
    p = np.maximum(group_counts(a, group), PSI_FLOOR)
    q = np.maximum(group_counts(b, group), PSI_FLOOR)
    used = np.bincount(group, minlength=len(p)) > 0
    return float(((p - q) * np.log(p / q))[used].sum())


def shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Return counts as shares of their sum."""
    total: Any = max(sum(counts.values()), 1)
    return {name: count / total for name, count in counts.items()}
